"""Which device and which number format, for machines we do not own."""

import pytest

from smart_demo.backbones.device import Machine, choose_placement, detect_machine, parse_cpu_flags
from smart_demo.errors import BackboneUnavailable, SettingRefused

GB = 10**9
TWO, EIGHT = 2_127_532_032, 8_144_793_840
PLAIN = Machine("cpu", frozenset({"avx2", "fma"}), memory=24 * GB)
AMX = Machine("cpu", frozenset({"avx512f", "amx_bf16"}), memory=24 * GB)
T4 = Machine("cuda", capability=(7, 5), memory=15 * GB, device_memory=15 * GB)
L4 = Machine("cuda", capability=(8, 9), memory=30 * GB, device_memory=23 * GB)


@pytest.mark.parametrize(
    ("machine", "stored", "wanted", "dtype", "reason"),
    [
        (PLAIN, "bfloat16", "auto", "float32", "slow at"),
        (AMX, "bfloat16", "auto", "bfloat16", "amx_bf16"),
        (AMX, "float32", "auto", "float32", "not narrowed"),
        (AMX, "float16", "auto", "float32", "slow at"),
        (AMX, "float32", "bfloat16", "bfloat16", "SMART_DTYPE=bfloat16"),
        (L4, "bfloat16", "auto", "bfloat16", "GPU"),
        (L4, "float32", "auto", "float32", "not narrowed"),
        (T4, "bfloat16", "auto", "float32", "no bfloat16"),
        (T4, "float16", "auto", "float16", "as stored"),
        (Machine("cuda", zerogpu=True), "bfloat16", "auto", "bfloat16", "ZeroGPU"),
        (Machine("mps"), "bfloat16", "auto", "float32", "Apple GPU"),
    ],
)
def test_the_format_and_its_reason(machine, stored, wanted, dtype, reason):
    placed = choose_placement(machine, stored, TWO, wanted)
    assert placed.dtype == dtype
    assert reason in placed.reason
    assert placed.device == machine.device
    assert placed.reason.endswith(".")


@pytest.mark.parametrize(
    ("machine", "stored", "dtype", "reason"),
    [
        (T4, "float16", "float32", "too narrow"),
        (AMX, "float16", "float32", "slow at"),
        (L4, "bfloat16", "bfloat16", "as stored"),
        (Machine("cpu", memory=6 * GB), "bfloat16", "bfloat16", "does not fit"),
    ],
)
def test_a_model_that_float16_cannot_hold_never_gets_it(machine, stored, dtype, reason):
    placed = choose_placement(machine, stored, TWO, overflows=True)
    assert placed.dtype == dtype
    assert reason in placed.reason
    with pytest.raises(SettingRefused, match="float16 is too narrow"):
        choose_placement(machine, stored, TWO, "float16", overflows=True)
    with pytest.raises(BackboneUnavailable):  # it is not narrowed to fit either
        choose_placement(Machine("cpu", memory=6 * GB), "float16", TWO, overflows=True)


def test_where_float32_does_not_fit_the_stored_format_is_kept_and_said():
    placed = choose_placement(Machine("cpu", memory=6 * GB), "bfloat16", TWO)
    assert placed.dtype == "bfloat16"
    assert "does not fit" in placed.reason


def test_what_cannot_fit_is_refused_with_figures_and_a_way_out():
    with pytest.raises(BackboneUnavailable, match=r"33\.6 GB of memory in float32, 24\.0 GB are free") as caught:
        choose_placement(PLAIN, "float32", EIGHT)
    assert "minilm" in caught.value.hint
    with pytest.raises(BackboneUnavailable):
        choose_placement(Machine("cuda", capability=(8, 0), memory=4 * GB, device_memory=8 * GB), "bfloat16", EIGHT)


def test_a_model_too_large_for_one_gpu_is_spread():
    spread = choose_placement(
        Machine("cuda", capability=(8, 9), memory=30 * GB, device_memory=12 * GB), "bfloat16", EIGHT
    )
    assert spread.sharded
    assert "spread" in spread.reason
    assert not choose_placement(L4, "bfloat16", EIGHT).sharded


def test_pages_share_a_pass_on_a_gpu_only():
    assert choose_placement(PLAIN, "bfloat16", TWO).batch == 1
    assert choose_placement(L4, "bfloat16", TWO).batch > 1


def test_arm_and_foreign_systems_are_read_too():
    assert "bf16" in parse_cpu_flags(["Features\t: fp asimd bf16 i8mm"])
    assert parse_cpu_flags([]) == frozenset()
    assert choose_placement(detect_machine(), "float32", 10).dtype == "float32"
