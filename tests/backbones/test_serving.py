"""Which backbone is used: the page falls back to the bundled one, a command does not."""

import threading

import pytest

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.registry import BUNDLED_BACKBONE, BackboneChoice, Backbones
from smart_demo.errors import BackboneUnavailable

QWEN = BackboneChoice("qwen3-vl-2b", "SMART_BACKBONE=qwen3-vl-2b.", explicit=True)


def no_hub(name):
    if name == BUNDLED_BACKBONE:
        return WordBackbone()
    raise BackboneUnavailable("The hub cannot be reached.", "Put the weights on disk.")


def test_a_backbone_that_cannot_load_is_replaced_and_the_reason_kept():
    backbones = Backbones(QWEN, no_hub, fall_back=True)
    assert backbones.serving().loading
    assert isinstance(backbones.main(), WordBackbone)
    serving = backbones.serving()
    assert (serving.requested, serving.name, serving.loading) == ("qwen3-vl-2b", BUNDLED_BACKBONE, False)
    assert "The hub cannot be reached." in serving.reason
    assert backbones.ready


def test_hints_for_the_operator_are_logged_and_not_shown_to_visitors(caplog):
    backbones = Backbones(QWEN, no_hub, fall_back=True, hints=False)
    backbones.main()
    assert "The hub cannot be reached." in backbones.serving().reason
    assert "Put the weights on disk." not in backbones.serving().reason
    assert "Put the weights on disk." in caplog.text
    explicit = Backbones(QWEN, no_hub, fall_back=False, hints=False)
    with pytest.raises(BackboneUnavailable) as refusal:
        explicit.main()
    assert refusal.value.hint == ""


@pytest.mark.parametrize("fall_back", [True, False])
def test_what_is_served_can_be_asked_when_nothing_could_be_loaded(fall_back):
    def nothing(name):
        raise BackboneUnavailable(f"{name} is not installed.")

    backbones = Backbones(QWEN, nothing, fall_back=fall_back)
    with pytest.raises(BackboneUnavailable):
        backbones.main()
    serving = backbones.serving()
    assert not serving.loading
    assert "qwen3-vl-2b is not installed." in serving.reason
    assert "serves instead" not in serving.reason


def test_without_fall_back_every_call_raises_the_error():
    backbones = Backbones(QWEN, no_hub, fall_back=False)
    for _ in range(2):
        with pytest.raises(BackboneUnavailable, match="hub cannot be reached"):
            backbones.main()


def test_the_bundled_one_failing_is_not_hidden():
    def nothing(name):
        raise BackboneUnavailable(f"{name} is not installed")

    with pytest.raises(BackboneUnavailable, match="minilm"):
        Backbones(QWEN, nothing, fall_back=True).main()


def test_concurrent_calls_load_the_backbone_once():
    loads, gate = [], threading.Event()

    def load(name):
        gate.wait(5)
        loads.append(name)
        return WordBackbone()

    backbones = Backbones(BackboneChoice(BUNDLED_BACKBONE, "", explicit=False), load, fall_back=True)
    backbones.load_in_background()
    asking = [threading.Thread(target=backbones.main) for _ in range(4)]
    for thread in asking:
        thread.start()
    assert not backbones.ready  # the page asks this and goes on without waiting
    gate.set()
    for thread in asking:
        thread.join()
    assert loads == [BUNDLED_BACKBONE]
