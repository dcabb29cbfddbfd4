"""Ocean Day poster: a sunset over the sea, computed pixel by pixel, with a lighthouse, a buoy and large words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from press import fonts

WIDTH, HEIGHT, HORIZON = 1240, 1754, 1010
LINES = (
    ("Fjalla", 214, 92, "OCEAN DAY"),
    ("Lato-Bold", 56, 330, "Saturday 22 June 2024 · 11 to 18"),
    ("Lato", 44, 408, "Skarhavn harbour, Quay 12 to 15"),
    ("Lato-Bold", 42, 1530, "Ships to visit · Divers · Build your own wave buoy"),
    ("Lato", 38, 1592, "Fish soup until the pot is empty · Admission free"),
    ("Lato", 28, 1668, "City of Skarhavn and Tidewerk Instruments"),
)
"""The poster's lines: typeface, size and distance from the top in pixels, words."""
Field = npt.NDArray[np.float32]


def write(target: Path) -> None:
    """Write the poster as a JPEG."""
    rng = np.random.default_rng(22)
    scene = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    scene[:HORIZON] = _sky(rng)
    scene[HORIZON:] = _sea(rng, scene[:HORIZON])
    picture = Image.fromarray((scene.clip(0, 1) * 255).astype(np.uint8))
    picture = _things(picture)
    _words(ImageDraw.Draw(picture))
    picture.save(target, "JPEG", quality=84)


def _noise(rng: np.random.Generator, shape: tuple[int, int], stretch: tuple[float, float]) -> Field:
    """Return soft noise in 0..1: five octaves of random fields, stretched horizontally and vertically by `stretch`."""
    total = np.zeros(shape, dtype=np.float32)
    for octave in range(5):
        size = (max(2, int(2**octave * 3 / stretch[1])), max(2, int(2**octave * 3 / stretch[0])))
        field = Image.fromarray(rng.random(size, dtype=np.float32), mode="F")
        grown = field.resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
        total += np.asarray(grown) / 2**octave
    return (total - total.min()) / (total.max() - total.min())


def _mix(low: Field, high: Field, share: Field) -> Field:
    """Blend two colours or pictures; a `share` of 0 gives `low`, 1 gives `high`."""
    return low + (high - low) * share[..., None]


def _colour(text: str) -> Field:
    """Return a hex colour without # as red, green and blue in 0..1."""
    return np.array([int(text[n : n + 2], 16) / 255 for n in (0, 2, 4)], dtype=np.float32)


def _sky(rng: np.random.Generator) -> Field:
    """Return the sky down to the horizon: gradient, sun and clouds, shape (HORIZON, WIDTH, 3)."""
    rows = np.linspace(0, 1, HORIZON, dtype=np.float32)[:, None] * np.ones((1, WIDTH), dtype=np.float32)
    sky = _mix(_colour("16305a"), _colour("b5547a"), np.clip(rows * 1.5, 0, 1))
    sky = _mix(sky, _colour("ffb15c"), np.clip(rows * 2.2 - 1.2, 0, 1))
    y, x = np.mgrid[0:HORIZON, 0:WIDTH].astype(np.float32)
    away = np.hypot(x - 760, (y - 880) * 1.05)
    sky = _mix(sky, _colour("fff0c4"), np.exp(-((away / 260) ** 2)) * 0.85)
    sky = _mix(sky, _colour("fffbe8"), 1 / (1 + np.exp(np.clip((away - 78) / 1.6, -40, 40))))
    clouds = np.clip(_noise(rng, (HORIZON, WIDTH), (0.6, 0.16)) * 2.6 - 1.35, 0, 1) * np.clip(1.25 - rows, 0, 1)
    lit = _mix(_colour("4a3c66"), _colour("ffc08a"), np.clip(rows * 1.3, 0, 1))
    return sky + (lit - sky) * (clouds * 0.75)[..., None]


def _sea(rng: np.random.Generator, sky: Field) -> Field:
    """Return the sea below the horizon, shape (HEIGHT - HORIZON, WIDTH, 3): mirrored sky, ripples, path of light."""
    depth = HEIGHT - HORIZON
    near = np.linspace(0, 1, depth, dtype=np.float32)[:, None]
    mirrored = sky[::-1][np.clip((np.arange(depth) * 1.1).astype(int), 0, HORIZON - 1)]
    sea = _mix(
        mirrored * 0.72, _colour("0b2a45"), np.clip(near * 1.15 + 0.12, 0, 1) * np.ones((1, WIDTH), dtype=np.float32)
    )
    fine, coarse = _noise(rng, (depth, WIDTH), (0.16, 0.04)), _noise(rng, (depth, WIDTH), (0.5, 0.14))
    ripple = fine * (1 - near) + coarse * near
    sea *= (0.72 + 0.6 * ripple)[..., None]
    x = np.arange(WIDTH, dtype=np.float32)[None, :]
    path = np.exp(-(((x - 760) / (90 + 190 * near)) ** 2)) * np.clip(ripple * 2.4 - 0.95, 0, 1) * (1 - 0.55 * near)
    return _mix(sea, _colour("ffe3a8"), np.clip(path * 1.25, 0, 1))


def _things(picture: Image.Image) -> Image.Image:
    """Draw headland, lighthouse with its beam, buoy and gulls at double size and paste them scaled down."""
    layer = Image.new("RGBA", (WIDTH * 2, HEIGHT * 2), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    dark = (22, 22, 40, 255)
    draw.polygon([(0, 1880), (150, 1800), (330, 1830), (470, 1930), (640, 1985), (760, 2022), (0, 2022)], fill=dark)
    draw.polygon([(262, 1830), (282, 1440), (358, 1440), (378, 1830)], fill=(232, 226, 220, 255))
    for low, high in ((1740, 1650), (1560, 1480)):
        draw.polygon([(268, low), (273, high), (367, high), (372, low)], fill=(176, 50, 48, 255))
    draw.rectangle((276, 1384, 364, 1440), fill=(255, 236, 160, 255))
    draw.polygon([(268, 1386), (320, 1330), (372, 1386)], fill=dark)
    beam = Image.new("RGBA", layer.size, (0, 0, 0, 0))
    ImageDraw.Draw(beam).polygon([(364, 1402), (2480, 1130), (2480, 1330), (364, 1422)], fill=(255, 240, 190, 74))
    layer = Image.alpha_composite(beam.filter(ImageFilter.GaussianBlur(14)), layer)
    draw = ImageDraw.Draw(layer)
    draw.ellipse((1630, 2440, 1990, 2800), fill=(236, 178, 30, 255))
    draw.chord((1630, 2440, 1990, 2800), 100, 262, fill=(178, 118, 20, 255))
    draw.rectangle((1600, 2600, 2020, 2636), fill=(28, 38, 52, 255))
    draw.rectangle((1794, 2180, 1826, 2450), fill=(28, 38, 52, 255))
    draw.rectangle((1736, 2240, 1884, 2326), fill=(40, 54, 74, 255))
    draw.ellipse((1782, 2130, 1838, 2186), fill=(255, 226, 120, 255))
    draw.ellipse((1560, 2680, 2070, 2860), fill=(12, 44, 70, 255))
    for x, y, size in ((1160, 1190, 46), (1330, 1120, 34), (1010, 1290, 28), (2120, 1240, 40)):
        draw.arc((x - 2 * size, y - size, x, y + size), 200, 350, fill=dark, width=7)
        draw.arc((x, y - size, x + 2 * size, y + size), 190, 340, fill=dark, width=7)
    small = layer.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    picture.paste(small, (0, 0), small)
    return picture


def _words(draw: ImageDraw.ImageDraw) -> None:
    """Draw the lines with a dark shadow."""
    for name, size, y, words in LINES:
        face = ImageFont.truetype(str(fonts.path(name)), size, layout_engine=ImageFont.Layout.BASIC)
        draw.text((WIDTH / 2 + 2, y + 3), words, font=face, fill=(16, 26, 48), anchor="ma")
        draw.text((WIDTH / 2, y), words, font=face, fill=(255, 250, 238), anchor="ma")
