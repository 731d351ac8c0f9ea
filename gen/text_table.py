# SPDX-License-Identifier: Apache-2.0
"""Tables and lines for a person to read."""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = ["aligned", "labelled", "markdown", "number", "percent", "say", "say_removed", "warn"]


def say(text: str) -> None:
    """Print what a command does next."""
    print(f"{text} ...", flush=True)


def say_removed(names: Sequence[str]) -> None:
    """Print what was removed and is not written again; nothing if there is none."""
    if names:
        print(labelled({"removed": f"{', '.join(names)}, which an earlier run had written"}), flush=True)


def warn(warnings: Iterable[str]) -> None:
    """Print lines about what the user would perhaps not want, on standard error."""
    for text in warnings:
        print(f"tiled-se: warning: {text}", file=sys.stderr)


def number(value: int | None) -> str:
    """An integer with commas; "?" for None."""
    return "?" if value is None else f"{value:,}"


def percent(share: float) -> str:
    """A share of the whole, to three digits."""
    return f"{100 * share:.3g} %"


def labelled(rows: Mapping[str, str]) -> str:
    """Lines of a label and a text each."""
    return "\n".join(f"{label:<12}{text}" for label, text in rows.items())


def aligned(rows: Sequence[Sequence[str]], left: Collection[int] = (0,), gap: str = "  ") -> list[str]:
    """Rows of texts as aligned lines: columns with an index in `left` to the left, others to the right, `gap` between.

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


def markdown(rows: Sequence[Sequence[object]], left: Collection[int] | None = None) -> str:
    """Rows of values as a table of Markdown. The first row is the header; integers get commas.

    The columns of the indices `left` are to the left, the others to the right; all are to the left by default.
    """
    head, *others = [[f"{value:,}" if isinstance(value, int) else str(value) for value in row] for row in rows]
    rule = "|".join("---" if left is None or index in left else "---:" for index in range(len(head)))
    return "\n".join([f"| {' | '.join(head)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in others)])
