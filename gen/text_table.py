# SPDX-License-Identifier: Apache-2.0
"""Tables of a network's blocks, for a person."""

__all__ = ["aligned", "markdown", "number"]


def number(value):
    """An integer with commas; "?" for None."""
    return "?" if value is None else f"{value:,}"


def aligned(rows, left=(0,), gap="  "):
    """Rows of texts as lines with columns: those of the indices `left` to the left, the others to the right,
    with `gap` between them.

    Rows may be shorter than the first one; their last text then takes the rest of the line.
    """
    widths = [max(len(row[i]) for row in rows if i < len(row) - (len(row) < len(rows[0]))) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        short = len(row) < len(rows[0])
        cells = [cell.ljust(width) if i in left or short and i == len(row) - 1 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths, strict=False))]
        lines.append(gap.join(cells).rstrip())
    return lines


def markdown(rows):
    """Rows of values as a table of Markdown. The first row is the header; integers get commas."""
    texts = [[f"{value:,}" if isinstance(value, int) else str(value) for value in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in texts]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
