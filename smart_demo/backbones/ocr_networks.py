"""The two networks of OCR, one that finds lines and one that reads them, loaded once per process with onnxruntime."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from smart_demo.errors import BackboneUnavailable

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

DETECTOR, RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
INT8_RECOGNISER = Path(__file__).parent / "models" / "PP-OCRv6_rec_small_int8.onnx"
"""The same recogniser in 8 bits, made by tests/bench/quantise_ocr.py. Pages take 20.0 s for 33.0 s, at a recall of
0.9918 for 0.9932 (13 pages of tests/bench/ocr_pages.py, one thread)."""
INT8_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8"}
"""Processors with one of these multiply 8 bits exactly; older ones saturate, so they read with the original."""


@cache
def detector() -> InferenceSession:
    """Return the session that finds lines."""
    return load_network(DETECTOR)


@cache
def recogniser() -> tuple[InferenceSession, list[str]]:
    """Return the session and the characters of its classes; class 0 is none."""
    session = load_network(RECOGNISER)
    names = session.get_modelmeta().custom_metadata_map["character"].splitlines()
    return session, ["", *names, " "]


def load_network(model: str) -> InferenceSession:
    """Load a network. Raises BackboneUnavailable if onnxruntime or rapidocr is not installed."""
    try:
        from onnxruntime import InferenceSession, SessionOptions
    except ImportError as missing:
        raise missing_package("onnxruntime") from missing
    spec = find_spec("rapidocr")
    if spec is None or not spec.submodule_search_locations:
        raise missing_package("rapidocr")
    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # each thread of the pool reads by itself
    options.log_severity_level = 4
    path = Path(spec.submodule_search_locations[0]) / "models" / model
    if model == RECOGNISER and INT8_RECOGNISER.is_file() and INT8_FLAGS & _processor_flags():
        path = INT8_RECOGNISER
    return InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _processor_flags() -> set[str]:
    """Return the processor's features; empty if the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def missing_package(name: str) -> BackboneUnavailable:
    """Return the error that names a missing package and its cure."""
    return BackboneUnavailable(
        f"Reading pictures needs {name}, which is not installed.", "Run: pip install rapidocr==3.10.0 onnxruntime"
    )
