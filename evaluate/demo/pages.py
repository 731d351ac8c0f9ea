# SPDX-License-Identifier: Apache-2.0
"""Pages of text to find, rendered: what is drawn is known, and so is where."""

import dataclasses
import functools
import os
import types
from importlib import resources

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = ["HEIGHT", "WIDTH", "Page", "render", "scan"]

# Of a page and of the scan's sheet, in pixels: multiples of 32, as the detector takes them.
HEIGHT, WIDTH = 480, 384
SHEET = 416
MARGIN = 22
# The share of paragraphs in light text on dark.
DARK = 0.12
# Files that matplotlib ships, beside the font that Pillow has built in (None).
FONTS = (None, "DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSerif-Italic.ttf",
         "DejaVuSansMono.ttf")
WORDS = ("a of in to on by the and for with strip frame pixel row tile mean gate scale weight channel buffer stream "
         "ready valid clock reset integer rounding network detector accumulate squeeze excite multiply hardware "
         "memory Figure Table Section Total No. 7 16 56 2024 1,024 3.5% (see also) x*y").split()


@dataclasses.dataclass(frozen=True, eq=False)
class Page:
    """An image and where its lines of text are.

    Attributes
    ----------
    image : uint8 array (H, W, 3)
    lines, ink : float arrays (N, 4, 2)
        Corners x, y of each line's box, from upper left, clockwise: as wide as its ink and as high as its font; and as
        tight as its ink.
    """

    image: np.ndarray
    lines: np.ndarray
    ink: np.ndarray


def render(seed, number):
    """The :class:`Page` of this seed and number, the same on every call.

    One to three columns of paragraphs in several fonts and sizes, with headings, table rows and light text on dark;
    then uneven light, a skew of some degrees, blur and noise.
    """
    rng = np.random.default_rng([seed, number])
    paper = int(rng.integers(150, 256))
    style = types.SimpleNamespace(paper=paper, ink=int(rng.integers(0, paper - 90)), angle=rng.uniform(-3, 3),
                                  noise=rng.uniform(0, 18), blur=rng.uniform(0, 0.9), shade=rng.uniform(0, 0.35))
    image = Image.new("L", (WIDTH, HEIGHT), paper)
    boxes = []
    columns = int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))
    gutter = int(rng.integers(10, 26))
    width = (WIDTH - 2 * MARGIN - (columns - 1) * gutter) // columns
    for column in range(columns):
        boxes += _column(rng, image, MARGIN + column * (width + gutter), width, style)
    lines, ink = (np.array([_turned(box, style.angle) for box in kind]) for kind in zip(*boxes, strict=True))
    return Page(_photograph(rng, image, style), lines, ink)


def _column(rng, image, left, width, style):
    """Draws paragraphs from top to bottom; the two boxes of each of their lines."""
    boxes, top = [], MARGIN + int(rng.integers(0, 30))
    while True:
        font = _font(FONTS[rng.integers(len(FONTS))], int(rng.choice([10, 11, 12, 13, 14, 16, 18, 22, 28])))
        lines, pitch = int(rng.integers(1, 6)), round(sum(font.getmetrics()) * rng.uniform(0.95, 1.4))
        ink, dark = style.ink, rng.random() < DARK
        for _ in range(lines):
            if top + pitch > image.height - MARGIN:
                return boxes
            if dark:
                ImageDraw.Draw(image).rectangle((left - 4, top, left + width + 3, top + pitch), fill=style.ink)
                ink = style.paper
            boxes += _line(rng, image, font, (left, top), width, ink)
            top += pitch
        top += int(rng.integers(4, 28))


def _line(rng, image, font, corner, width, ink):
    """Draws words up to `width`, perhaps with a number at the right edge; the two boxes of each line."""
    text, share = "", rng.choice([1.0, 1.0, 0.8, 0.5])
    for word in rng.choice(WORDS, 20):
        longer = f"{text} {word}".strip()
        if font.getlength(longer) > width * share:
            break
        text = longer
    boxes = [_draw(image, font, corner, text, ink)] if text else []
    figure = f"{rng.integers(1, 2000) / 100:.2f}"
    room = width - font.getlength(text) - font.getlength(figure)
    if share == 0.5 and room > 3 * font.size:
        boxes.append(_draw(image, font, (corner[0] + width - font.getlength(figure), corner[1]), figure, ink))
    return boxes


def _draw(image, font, corner, text, ink):
    """Draws `text`; its two boxes: as high as the font, from ascender to descender, and as its ink."""
    draw = ImageDraw.Draw(image)
    draw.text(corner, text, font=font, fill=ink)
    ink = left, top, right, bottom = draw.textbbox(corner, text, font=font)
    return (left, min(top, corner[1]), right, max(bottom, corner[1] + sum(font.getmetrics()))), ink


@functools.cache
def _font(name, size):
    if name is None:
        return ImageFont.load_default(size)
    return ImageFont.truetype(os.path.join(matplotlib.get_data_path(), "fonts", "ttf", name), size)


def _turned(box, angle):
    """The corners of an upright box (left, top, right, bottom) after the page was turned, counterclockwise, degrees."""
    left, top, right, bottom = box
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)
    centre, turn = np.array([WIDTH / 2, HEIGHT / 2]), np.deg2rad(angle)
    # The y axis points down.
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return (corners - centre) @ matrix.T + centre


def _photograph(rng, image, style):
    """The page as a camera sees it: uint8 (H, W, 3)."""
    image = image.rotate(style.angle, Image.Resampling.BICUBIC, fillcolor=style.paper)
    values = np.asarray(image.filter(ImageFilter.GaussianBlur(style.blur)), float)
    direction = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-0.5:0.5:HEIGHT * 1j, -0.5:0.5:WIDTH * 1j]
    values = values * (1 - style.shade * (0.5 + x * np.cos(direction) + y * np.sin(direction)).clip(0, 1))
    values += rng.normal(0, style.noise, values.shape)
    return np.repeat(values.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def scan():
    """A scanned page, as scikit-image ships it: uint8 (SHEET, WIDTH, 3).

    It is as wide as the rendered pages, so that one hardware block takes both, and lies on a sheet that is less high.
    """
    with (resources.files("skimage.data") / "page.png").open("rb") as file:
        image = Image.open(file).convert("L")
    image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.BICUBIC)
    # The sheet is as light as most of the scan; a detector enlarges by the shorter side, which must be the width.
    sheet = Image.new("L", (WIDTH, SHEET), int(np.median(image)))
    sheet.paste(image, (0, (SHEET - image.height) // 2))
    return np.repeat(np.asarray(sheet)[:, :, None], 3, axis=2)
