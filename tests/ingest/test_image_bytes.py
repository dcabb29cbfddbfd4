"""Pictures that come as bytes, as tables hold them: decoded as files are, refused as files are."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from smart_demo.config import Limits
from smart_demo.errors import FileRefused
from smart_demo.ingest import decode_image_bytes, decode_image_file, inspect
from tests.documents import write_pdf
from tests.evaluation.cases import colour
from tests.ingest.hostile_files import REFUSED, write_hostile_files

LIMITS = Limits()


def test_bytes_and_files_decode_alike(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(colour(9, 8, 7))
    pixels = decode_image_bytes(path.read_bytes(), "a.png", LIMITS)
    assert np.array_equal(pixels, decode_image_file(path, LIMITS))
    assert pixels.shape == (6, 8, 3)


def test_hostile_pictures_are_refused_as_bytes_too(tmp_path):
    """A file that is refused when it is looked at gives no pixels as bytes either: a refusal or, for what is refused by
    its number of frames, its first frame.
    """
    tried = 0
    for name, path in write_hostile_files(tmp_path).items():
        if name not in REFUSED or not path.is_file():
            continue
        with pytest.raises(FileRefused):
            inspect(path, name, LIMITS)
        with suppress(FileRefused):
            pixels = decode_image_bytes(path.read_bytes(), name, LIMITS)
            assert pixels.shape[0] * pixels.shape[1] <= LIMITS.pixels
        tried += 1
    assert tried > 5


def test_limits_hold_before_anything_is_decoded(tmp_path):
    data = colour(1, size=(60, 50))
    with pytest.raises(FileRefused, match="megapixels"):
        decode_image_bytes(data, "a.png", replace(LIMITS, pixels=2_999))
    with pytest.raises(FileRefused, match="the limit is 0 MB"):
        decode_image_bytes(data, "a.png", replace(LIMITS, file_bytes=50))
    with pytest.raises(FileRefused, match=r"a\.png is empty"):
        decode_image_bytes(b"", "../../a.png", LIMITS)
    with pytest.raises(FileRefused, match="is not a picture"):
        decode_image_bytes(write_pdf(tmp_path / "a.pdf", "a").read_bytes(), "a.png", LIMITS)
