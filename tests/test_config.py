"""Settings: every variable is read, and an invalid value is refused with a clear sentence."""

from pathlib import Path

import pytest

from smart_demo.config import Settings, read_settings
from smart_demo.errors import SettingRefused


def test_settings_are_read_from_the_environment():
    read = read_settings(
        {
            "SMART_BACKBONE": "minilm",
            "SMART_DTYPE": "BFloat16",
            "SMART_DATA_DIR": "/data/x",
            "SMART_CODEC": "float32",
            "SMART_VISUAL_TOKENS": "256",
            "SMART_TOKEN_FILTER": "paper",
            "SMART_MAX_PAGES": "7",
            "SMART_MAX_FILE_MB": "3",
        }
    )
    assert (read.backbone, read.dtype, read.codec) == ("minilm", "bfloat16", "float32")
    assert (read.data_dir, read.index_dir) == (Path("/data/x"), Path("/data/x/index"))
    assert (read.visual_tokens, read.token_filter) == (256, "paper")
    assert (read.limits.pages, read.limits.file_bytes) == (7, 3 * 10**6)


def test_the_index_may_have_a_folder_of_its_own():
    read = read_settings({"SMART_DATA_DIR": "/bucket", "SMART_INDEX_DIR": "/local"})
    assert (read.data_dir, read.index_dir) == (Path("/bucket"), Path("/local"))


@pytest.mark.parametrize(
    ("env", "public", "uploads"),
    [
        ({}, False, True),
        ({"SMART_UPLOADS": "off"}, False, False),
        ({"SPACE_ID": "me/demo"}, True, True),
        ({"SPACE_ID": "me/demo", "SMART_UPLOADS": "off"}, True, False),
        ({"SPACE_ID": "me/demo", "SMART_PUBLIC": "false"}, False, True),
        ({"SMART_PUBLIC": "1"}, True, True),
    ],
)
def test_public_and_uploads(env, public, uploads):
    read = read_settings(env)
    assert (read.public, read.uploads) == (public, uploads)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMART_CODEC", "int4"),
        ("SMART_DTYPE", "float8"),
        ("SMART_TOKEN_FILTER", "none"),
        ("SMART_DATA_DIR", "~no-such-user/demo"),
        ("SMART_INDEX_DIR", "~no-such-user/demo"),
        ("SMART_PUBLIC", "maybe"),
        ("SMART_MAX_PAGES", "many"),
        ("SMART_MAX_PAGES", "0"),
        ("SMART_VISUAL_TOKENS", "1"),
    ],
)
def test_an_invalid_value_is_refused_with_its_variable(name, value):
    with pytest.raises(SettingRefused, match=name):
        read_settings({name: value})


def test_quotas_are_lower_on_a_public_page():
    private, public = read_settings({}).quotas, read_settings({"SMART_PUBLIC": "on"}).quotas
    assert public.library_pages < private.library_pages
    assert public.library_bytes < private.library_bytes


def test_quotas_are_settings():
    read = read_settings(
        {
            "SMART_LIBRARY_PAGES": "7",
            "SMART_LIBRARY_MB": "3",
            "SMART_TOTAL_MB": "9",
            "SMART_KEEP_HOURS": "2",
            "SMART_WAITING_FILES": "5",
            "SMART_QUEUE": "6",
            "SMART_MAX_QUERY": "100",
        }
    ).quotas
    assert (read.library_pages, read.library_bytes, read.total_bytes) == (7, 3 * 10**6, 9 * 10**6)
    assert (read.keep_hours, read.waiting_files, read.queue_size, read.query_chars) == (2, 5, 6, 100)


@pytest.mark.parametrize(
    ("env", "persistent"),
    [({}, True), ({"SPACE_ID": "me/demo"}, False), ({"SPACE_ID": "me/demo", "SMART_LASTING": "on"}, True)],
)
def test_the_disk_of_a_space_is_temporary_unless_set_otherwise(env, persistent):
    assert read_settings(env).persistent is persistent


@pytest.mark.parametrize("value", ["", "last", " LAST "])
def test_the_last_layer_is_the_default(value):
    assert read_settings({"SMART_LATE_LAYER": value}).late_layer == Settings().late_layer == 0


@pytest.mark.parametrize("value", ["0", "-1", "201", "first", "2.5"])
def test_a_layer_that_makes_no_sense_is_refused_by_name(value):
    with pytest.raises(SettingRefused, match="SMART_LATE_LAYER"):
        read_settings({"SMART_LATE_LAYER": value})
