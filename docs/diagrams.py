# SPDX-License-Identifier: Apache-2.0
"""The drawings of docs/how.md that are no waveforms: `.venv/bin/python docs/diagrams.py` writes them."""

import pathlib

from tiled_se.hdl import Context, Tiling

__all__ = ["DRAWINGS"]

DOCS = pathlib.Path(__file__).parent
INK, MOVES, WAITS, PAPER = "#222", "#cfe0f3", "#f2a154", "#fff"
# Boxes of the block: left, top, width, and what they say, the first line in bold.
BOXES = {
    "ingress": (110, 50, 180, ("ingress", "takes or refuses a beat")),
    "buffer": (20, 140, 150, ("tile buffer", "what must wait")),
    "sums": (230, 140, 150, ("accumulate", "a sum for each channel")),
    "excite": (230, 230, 150, ("excite", "both layers, MAC units")),
    "fifo": (230, 320, 150, ("scale FIFO", "gates of two tiles")),
    "scale": (110, 410, 180, ("scale", "x times its gate")),
}
HEIGHT = 48
# Lines of the block as the corners that they pass, each with its label and where that stands.
WIRES = (
    (((200, 18), (200, 50)), "s_axis", (208, 34)),
    (((150, 98), (150, 118), (95, 118), (95, 140)), "beats", (56, 130)),
    (((250, 98), (250, 118), (305, 118), (305, 140)), "beats", (313, 130)),
    (((305, 188), (305, 230)), "sums, once a tile", (313, 213)),
    (((305, 278), (305, 320)), "a gate for each channel", (313, 303)),
    (((305, 368), (305, 388), (250, 388), (250, 410)), "gates", (313, 382)),
    (((95, 188), (95, 388), (150, 388), (150, 410)), "beats", (56, 382)),
    (((200, 458), (200, 490)), "m_axis", (208, 478)),
)
ROWS, CELL, PITCH = 12, 9, 190
PANELS = (
    ("SE: one tile", Tiling(k=ROWS)),
    ("strips, K=4", Tiling(k=4)),
    ("cumulative, K=1", Tiling(k=1, context=Context.CUMULATIVE)),
    ("causal, K=1", Tiling(k=1, context=Context.CAUSAL, prior_rows=1)),
    ("window of rows 0 to 3", Tiling(k=1, context=Context.WINDOW, window=(0, 4))),
)


def block():
    """The block's parts from top to bottom, narrow enough for a telephone."""
    parts = []
    for corners, label, (x, y) in WIRES:
        points = " ".join(f"{left},{top}" for left, top in corners)
        parts += [f'<polyline points="{points}" fill="none" stroke="{INK}" marker-end="url(#tip)"/>',
                  _text(x, y, label)]
    for name, (left, top, width, lines) in BOXES.items():
        fill = WAITS if name == "buffer" else MOVES
        parts.append(_rectangle(left, top, width, HEIGHT, fill, 4))
        for number, line in enumerate(lines):
            parts.append(_text(left + width / 2, top + 20 + 17 * number, line, number == 0, "middle"))
    return _svg(460, 505, "The block", parts)


def contexts():
    """For each context which rows of a frame wait, while row after row comes."""
    parts = []
    for number, (title, tiling) in enumerate(PANELS):
        left, top = 45 + PITCH * (number % 2), 40 + PITCH * (number // 2)
        waiting = _waiting(tiling)
        most = max(map(sum, zip(*waiting, strict=True)))
        text = ("no row waits", "one row waits")[most] if most < 2 else f"at most {most} rows wait"
        parts += [_text(left, top - 10, title, True), _text(left, top + ROWS * CELL + 18, text)]
        for row, line in enumerate(waiting):
            for now, waits in enumerate(line):
                if now >= row:
                    fill = WAITS if waits else MOVES
                    parts.append(_rectangle(left + CELL * now, top + CELL * row, CELL, CELL, fill))
        if number == 0:
            parts += [_text(left, top + ROWS * CELL + 34, "time, a row a step \N{RIGHTWARDS ARROW}"),
                      f'<g transform="translate({left - 10} {top + 105}) rotate(-90)">',
                      _text(0, 0, "row of the frame"), "</g>"]
    left, top = 45 + PITCH, 40 + 2 * PITCH
    for number, (fill, meaning) in enumerate(((WAITS, "waits for its gates"), (MOVES, "may leave"))):
        parts += [_rectangle(left, top + 25 * number, 14, 14, fill), _text(left + 22, top + 11 + 25 * number, meaning)]
    return _svg(2 * PITCH + 20, 3 * PITCH + 5, "Which rows wait in each context", parts)


def _waiting(tiling):
    """For each row, whether it waits when row number 0, 1, .. has just come but no gate that needs it is there."""
    waiting = [[False] * ROWS for _ in range(ROWS)]
    for (first, stop), (_, needed) in zip(tiling.strips(ROWS), tiling.averaged(ROWS), strict=True):
        for row in range(first, stop):
            for now in range(row, ROWS):
                # While row `now` comes, only the rows before it are complete.
                waiting[row][now] = needed > now
    return waiting


def _rectangle(left, top, width, height, fill, radius=0):
    return (f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="{radius}" fill="{fill}" '
            f'stroke="{INK if radius else PAPER}"/>')


def _text(x, y, text, bold=False, anchor="start"):
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{INK}"{weight}>{text}</text>'


def _svg(width, height, title, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13">',
        "<!-- SPDX-License-Identifier: Apache-2.0 -->", f"<title>{title}</title>",
        '<defs><marker id="tip" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
        f'<path d="M0,0 L9,4 L0,8 z" fill="{INK}"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>', *parts, "</svg>", ""])


DRAWINGS = {"how-block.svg": block, "how-contexts.svg": contexts}

if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        (DOCS / name).write_text(draw(), encoding="utf-8")
