"""Pages, pictures and loaded backbones for the tests of backbones; each backbone is loaded once per run."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from smart_demo.backbones.bag_of_words import WordBackbone
from smart_demo.backbones.embedding_gemma import EmbeddingGemma
from smart_demo.backbones.minilm import MiniLM
from smart_demo.backbones.neomme import NeoMME
from smart_demo.backbones.qwen.model import Qwen3VL
from smart_demo.config import Settings
from smart_demo.page_text import Box, Word
from smart_demo.types import Page, PageId
from tests.backbones.embedding_gemma.tiny_checkpoint import write_tiny_gemma
from tests.backbones.neomme.tiny_neomme import write_tiny_neomme
from tests.backbones.qwen.tiny_checkpoint import write_tiny_qwen

BLANK = np.full((64, 48, 3), 255, dtype=np.uint8)


def boxes(count):
    """Return a box for each of `count` words, side by side in one line."""
    return [Box(n / count, 0.25, (n + 1) / count, 0.5) for n in range(count)]


def page(text="", number=1, pixels=BLANK, document="tides.pdf"):
    """Return a page whose text layer is `text` split at spaces."""
    words = text.split(" ") if text else []
    placed = tuple(Word(word, box) for word, box in zip(words, boxes(len(words)), strict=True))
    return Page(PageId("0123456789abcdef", number), document, 99, pixels, placed)


def speckled(height, width, seed):
    """Return a picture that differs for each seed."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def drawn(lines, size=(900, 300), height=28):
    """Return a white picture (width, height) with black text, and the place of each text: {text: Box}."""
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(height)
    places = {}
    for (left, top), text in lines:
        pen.text((left, top), text, font=font, fill="black")
        x0, y0, x1, y1 = pen.textbbox((left, top), text, font=font)
        places[text] = Box(x0 / size[0], y0 / size[1], x1 / size[0], y1 / size[1])
    return np.asarray(picture), places


@cache
def tiny_qwen_folder():
    return write_tiny_qwen(Path(tempfile.mkdtemp(prefix="tiny-qwen-")))


@cache
def tiny_gemma_folder():
    return write_tiny_gemma(Path(tempfile.mkdtemp(prefix="tiny-gemma-")))


@cache
def tiny_neomme_folder():
    return write_tiny_neomme(Path(tempfile.mkdtemp(prefix="tiny-neomme-")))


def fresh(name):
    """Load a new backbone."""
    if name == "words":
        return WordBackbone(["tide", "table"], width=64)
    if name == "minilm":
        return MiniLM(device="cpu")
    if name == "tiny-gemma":
        return EmbeddingGemma.load(str(tiny_gemma_folder()), Settings(visual_tokens=70, dtype="float32"))
    if name == "tiny-neomme":
        return NeoMME.load(str(tiny_neomme_folder()), Settings(visual_tokens=16, dtype="float32"))
    return Qwen3VL.load(str(tiny_qwen_folder()), Settings(visual_tokens=16, dtype="float32"))


@cache
def loaded(name):
    """Return the backbone of that name, which the whole run shares."""
    return fresh(name)
