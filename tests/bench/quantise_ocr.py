"""Make the recogniser in 8 bits that OCR reads with: `python -m tests.bench.quantise_ocr OUT.onnx`.

Needs `pip install onnx==1.23.2`, which nothing else does. The network is PP-OCRv6_rec_small of the rapidocr package
(Apache-2.0). Its products are quantised with ranges measured on lines of sample documents that no judged page shows;
the last layer gets dynamic ranges and no softmax, which over 18,710 characters takes longer than it is worth.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from smart_demo.backbones import ocr_networks, ocr_workers, text_lines
from smart_demo.types import Floats
from tests.bench.ocr_pages import Print, draw_page

FONTS = ("Serif", "Lato", "Manrope", "Serif-Italic", "Lato-Bold", "Hand", "Fjalla", "Manrope-Heavy")
TEXTS = ("galley-menu-week-24.md", "skarhavn-gazette-june.md", "boya-aviso-es.md", "heron-600-datasheet.md")
POINTS = (8, 9, 10, 11, 12, 14, 18)
LINES = 130


def calibration_lines() -> list[dict[str, Floats]]:
    """Return lines as the recogniser takes them: clean, scanned, white on black and faint."""
    batches = []
    for n in range(14):
        how = Print(POINTS[n % 7], 1 + n % 2, FONTS[n % 8], TEXTS[n % 4], n % 3 > 0, 40 + n)
        pixels = draw_page(how).pixels[300:900]
        pixels = 255 - pixels if n % 5 == 4 else pixels
        pixels = (pixels * 0.5 + 60).astype(np.uint8) if n % 7 == 3 else pixels
        workers = ocr_workers.page_workers()
        (found,) = text_lines.detect([pixels], workers, workers.budgets(1))
        strips = [text_lines._cut_out(pixels, corners) for corners in found]
        for strip in strips:
            for start, end in text_lines._cut(strip.pixels):
                width = text_lines._padded(end - start)
                line = np.zeros((1, 3, text_lines.LINE_HEIGHT, width), np.float32)
                part = strip.pixels[:, start:end, ::-1].astype(np.float32) / 127.5 - 1
                line[0, :, :, : end - start] = part.transpose(2, 0, 1)
                batches.append({"x": line})
    chosen = np.random.default_rng(5).permutation(len(batches))[:LINES]
    return [batches[n] for n in chosen]


def join_gelu(model: Any) -> None:
    """Replace x * (1 + erf(x / sqrt 2)) / 2, drawn in five nodes, by Gelu, and drop nodes that do nothing."""
    from onnx import helper

    graph = model.graph
    same = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    nodes = [node for node in graph.node if node.op_type != "Identity"]
    for node in nodes:
        for n, name in enumerate(node.input):
            while name in same:
                name = same[name]
            node.input[n] = name
    made = {name: node for node in nodes for name in node.output}
    used: dict[str, list[Any]] = {}
    for node in nodes:
        for name in node.input:
            used.setdefault(name, []).append(node)
    dead: set[int] = set()
    joined = []
    for erf in (node for node in nodes if node.op_type == "Erf"):
        scaled = made[erf.input[0]]
        (plus,) = used[erf.output[0]]
        (times,) = used[plus.output[0]]
        (other,) = (name for name in times.input if name != plus.output[0])
        last = used[times.output[0]][0] if other == scaled.input[0] else made[other]  # halved after, or before
        out = last if other == scaled.input[0] else times
        dead |= {id(node) for node in (erf, scaled, plus, times, last)}
        joined.append(helper.make_node("Gelu", [scaled.input[0]], [out.output[0]], name=f"Gelu_{erf.name}"))
    rest = [node for node in nodes if id(node) not in dead] + joined
    known = {"", *(one.name for one in [*graph.input, *graph.initializer])}
    del graph.node[:]
    while rest:  # in the order of use
        ready = [node for node in rest if known.issuperset(node.input)]
        graph.node.extend(ready)
        known.update(name for node in ready for name in node.output)
        rest = [node for node in rest if all(node is not one for one in ready)]


def replace_head(model: Any) -> None:
    """Let the last product take 8-bit weights and ranges of its own, and return logits."""
    from onnx import TensorProto, helper, numpy_helper

    graph, tensors = model.graph, {tensor.name: tensor for tensor in model.graph.initializer}
    softmax = (
        graph.node[-1]
        if graph.node[-1].op_type == "Softmax"
        else next(node for node in graph.node if graph.output[0].name in node.output)
    )
    made = {name: node for node in graph.node for name in node.output}
    plus = made[softmax.input[0]]
    product = next(made[name] for name in plus.input if name in made)
    weights = numpy_helper.to_array(tensors[product.input[1]])
    (bias,) = (name for name in plus.input if name in tensors)
    scale = np.abs(weights).max(axis=0) / 127
    added = {
        "head.weights": np.clip(np.round(weights / scale), -127, 127).astype(np.int8),
        "head.scale": scale.astype(np.float32),
        "head.zero": np.zeros(len(scale), np.int8),
        "head.bias": numpy_helper.to_array(tensors[bias]).reshape(-1).astype(np.float32),
    }
    for node in (product, plus, softmax):
        graph.node.remove(node)
    for name in (product.input[1], bias):
        graph.initializer.remove(tensors[name])
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in added.items())
    inputs = [product.input[0], *added]
    graph.node.append(helper.make_node("DynamicQuantizeMatMul", inputs, ["logits"], domain="com.microsoft"))
    if all(one.domain != "com.microsoft" for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", "t", len(scale)]))


def quantise(source: Path, target: Path) -> None:
    """Write the 8-bit form of a recogniser."""
    import onnx
    from onnx import version_converter
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._lines: Iterator[dict[str, Floats]] = iter(calibration_lines())

        def get_next(self) -> dict[str, Floats] | None:
            return next(self._lines, None)

    original = onnx.load(source)
    metadata = list(original.metadata_props)
    model = version_converter.convert_version(original, 20)
    join_gelu(model)
    with tempfile.TemporaryDirectory() as name:
        first, second, third = (str(Path(name) / f"{n}.onnx") for n in range(3))
        onnx.save(model, first)
        quant_pre_process(first, second, skip_symbolic_shape=True, skip_onnx_shape=True)
        head = next(node.name for node in reversed(onnx.load(second).graph.node) if node.op_type == "MatMul")
        quantization.quantize_static(
            second, third, Reader(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            weight_type=quantization.QuantType.QInt8, activation_type=quantization.QuantType.QUInt8,
            op_types_to_quantize=["Conv", "MatMul"], nodes_to_exclude=[head],
        )  # fmt: skip
        made = onnx.load(third)
    replace_head(made)
    del made.metadata_props[:], made.graph.value_info[:]
    made.metadata_props.extend(metadata)
    onnx.save(made, target)


if __name__ == "__main__":
    from importlib.util import find_spec

    spec = find_spec("rapidocr")
    assert spec
    assert spec.submodule_search_locations
    quantise(Path(spec.submodule_search_locations[0]) / "models" / ocr_networks.RECOGNISER, Path(sys.argv[1]))
