# SPDX-License-Identifier: Apache-2.0
"""A report as text, in lines of 120 columns at most."""

import itertools

from ...gen.fields import shortened
from ...gen.text_table import aligned
from ...hdl.config import Context
from ..paper.hardware import ENOUGH, PARTS
from ..paper.paper import STRIP
from ..paper.rules import TILES_TEXT
from ..tasks import RUNNING

__all__ = ["hardware_text", "network_text", "paper_text", "plain"]

THOUSAND, MILLION = 1e3, 1e6
FAILED = "failed"
# Of a network's or a block's name, in characters.
MOST_SHOWN = 80
WIDTH = 120
# The words in the columns "status".
STATUS = ("explained: the rule gives all printed digits, cut off after them; rounded: rounded instead;",
          "real differs: the network as it is defined has other digits")


def plain(text):
    """`text`, a name from a file, for a line: without control characters, without the middle where it is too long."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shortened(text))
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN // 2 - 3]}...{text[-MOST_SHOWN // 2:]}"


def table(groups, rows, left=(0,)):
    """A table with two lines of head, in WIDTH columns if its gaps can be made narrow enough for that.

    `groups` are (title, columns' titles); `rows` are lists of texts; the columns numbered in `left` are flush left.
    """
    text = _table(groups, rows, left, "  ")
    return text if max(map(len, text.splitlines())) <= WIDTH else _table(groups, rows, left, " ")


def _table(groups, rows, left, gap):
    heads = [head for _, columns in groups for head in columns]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    titles, at = [], 0
    for title, columns in groups:
        span = slice(at, at + len(columns))
        wanted = len(title) - sum(widths[span]) - len(gap) * (len(columns) - 1)
        if wanted > 0:
            heads[at] = heads[at].rjust(widths[at] + wanted)
        titles.append(title.rjust(len(title) - min(0, wanted)))
        at += len(columns)
    return "\n".join([gap.join(titles).rstrip(), *aligned([heads, *rows], left, gap)])


def _number(value, unit=1, digits=0):
    return FAILED if value is None else f"{value / unit:,.{digits}f}"


def _percent(value):
    return "" if value is None else f"{100 * value:.1f}%"


def network_text(summary):
    """A network's blocks, and their sum: elements and bits in thousands."""
    size = f", input {' x '.join(map(str, summary['input']))}" if summary["input"] else ""
    rows = _each(summary, _row)
    groups = (("", ["", "H x W x C x CR", "n"]), ("elements / 1000", ["SE", "TSE", "less"]),
              ("memory, bits / 1000", ["SE", "TSE", "less"]), ("added MACs / 1000", ["SE", "TSE"]),
              ("first output, cycles", ["SE", "TSE"]))
    names = [f"{number:3d}  {plain(block['name'])}{_own(block['tse'])}"
             for number, block in enumerate(summary["blocks"], 1) if block["name"]]
    rows_of_tile = "TSE as planned" if summary["k"] is None else f"k = {summary['k']}"
    return "\n".join([f"{plain(summary['name'])}{size}, {rows_of_tile}", table(groups, rows, left=(0, 1)),
                      *_tile_buffers(summary), "", *_contexts(summary),
                      *(["", "names of the blocks", *names] if names else [])])


def _own(form):
    """The tiling of a form that has its own, as variables of make."""
    return "".join(f" {name}={value}" for name, value in form.get("tiling", {}).items())


def _tile_buffers(summary):
    """The part of the memory that the elements wait in; no line where something hasn't been measured."""
    original, tiled = (summary["sum"][form]["tile_buffer_bits"] for form in ("se", "tse"))
    if None in (original, tiled):
        return []
    return [f"tile buffers alone: {_number(original, THOUSAND, 1)} and {_number(tiled, THOUSAND, 1)} bits / 1000, "
            f"{_percent(summary['reduction']['tile_buffer_bits'])} less"]


def _each(summary, row):
    """The `row` of each block, and of their sum."""
    rows = [row(str(number), "x".join(str(block[name]) for name in ("height", "width", "channels", "squeeze")),
                block["count"], block) for number, block in enumerate(summary["blocks"], 1)]
    return [*rows, row("", "sum", summary["count"], {**summary["sum"], "reduction": summary["reduction"]})]


def _row(number, label, count, figures):
    original, tiled = figures["se"], figures["tse"]
    less = figures["reduction"]
    pair = {name: [_number(form[name], unit, digits) for form in (original, tiled)] for name, unit, digits in (
        ("elements", THOUSAND, 1), ("memory_bits", THOUSAND, 1), ("added_macs", THOUSAND, 1),
        ("first_output_latency", 1, 0))}
    return [number, label, str(count), *pair["elements"], _percent(less["elements"]), *pair["memory_bits"],
            _percent(less["memory_bits"]), *pair["added_macs"], *pair["first_output_latency"]]


def _contexts(summary):
    """The same blocks in contexts in which few rows wait, or none."""
    columns = ["bits", "less", "MACS", "cycles"]
    groups = (("", ["", "H x W x C x CR", "n"]), ("cumulative", ["K", "elements", *columns]),
              ("causal", ["K", *columns]))
    yield ("running means with one row of the prior, MAX_ROWS=H; K is 1, or the least with full rate; elements and "
           "bits / 1000;\nless than SE; MACS are multipliers, cycles those to the first output")
    yield table(groups, _each(summary, _context_row), left=(0, 1))
    for form in (context.value for context in RUNNING):
        slow = [str(number) for number, block in enumerate(summary["blocks"], 1) if block[form]["full_rate"] is False]
        if slow:
            yield f"{form}, less than a beat a cycle: {', '.join(slow)}"


def _context_row(number, label, count, figures):
    cells = [number, label, str(count)]
    for context in RUNNING:
        found = figures[context.value]
        cells.append(str(found["rows"]) if "rows" in found else "")
        if context is Context.CUMULATIVE:
            cells.append(_number(found["elements"], THOUSAND, 1))
        cells += [_number(found["memory_bits"], THOUSAND, 1), _percent(found["reduction"]["memory_bits"]),
                  _number(found["multipliers"]), _number(found["first_output_latency"])]
    return cells


def paper_text(tiles, models, measured):
    """The rows of the paper's tables; `measured` is a network's name to how much less memory its tiled form has.

    Columns "rule" are what the paper's way of counting gives, cut off as the paper does; "real" is the network's own,
    cut off alike where it has as many digits, rounded where it has more.
    """
    parts = []
    if tiles:
        parts += [f"Table {tiles[0].table} of the paper, {tiles[0].network}; buffer in 10^6 elements, MFLOPs are 10^6 "
                  "MACs", _tiles(tiles), f"rule: {TILES_TEXT}"]
    if models:
        numbers = sorted({row.table for row in models})
        parts += [f"Table{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))} of the paper; buffer in 10^6 "
                  f"elements, of SE and of strips of {STRIP} rows; less bits as measured", _models(models, measured),
                  "\n".join(["rules"] + [f"  {letter}  {rule.text}" for rule, letter in _letters(models).items()])]
    return "\n\n".join([*parts, "\n".join(STATUS)])


def _tiles(rows):
    cells = []
    for row in rows:
        buffer = ["", "", ""] if row.buffer is None else _figure(row.buffer, 4)
        cells.append([row.tile, *buffer, *_figure(row.mflops), row.status])
    groups = (("", ["tile"]), ("buffer", ["printed", "rule", "real"]), ("MFLOPs", ["printed", "rule", "real"]),
              ("", ["status"]))
    return table(groups, cells, left=(0, 7))


def _figure(figure, digits=None):
    """Three texts, the network's own value with the paper's digits, or with `digits` after the point."""
    real = figure.as_printed(figure.real) if digits is None else f"{float(figure.real) / MILLION:.{digits}f}"
    return [figure.printed or "N/A", figure.as_printed(figure.by_rule), real]


def _letters(rows):
    return {rule: letter for rule, letter in zip(dict.fromkeys(row.rule for row in rows), "abc", strict=False)}


def _models(rows, measured):
    letters = _letters(rows)
    cells = [[row.model, *_figure(row.original, 3), *_figure(row.tiled, 3), _percent(row.printed_reduction),
              _percent(row.real_reduction), _percent(measured.get(row.network)), letters[row.rule], row.status]
             for row in rows]
    groups = (("", ["model"]), ("SE", ["printed", "rule", "real"]), (f"{STRIP}xW", ["printed", "rule", "real"]),
              ("less", ["printed", "real", "bits"]), ("", ["rule", "status"]))
    return table(groups, cells, left=(0, 10, 11))


def hardware_text(rows):
    """Table 1 in RTL, a table for each number of lanes."""
    parts = []
    for lanes, group in itertools.groupby(rows, lambda row: row.lanes):
        most = "LANES=1" if lanes == 1 else f"LANES up to {lanes}"
        parts += [f"Table 1 in RTL, {most}: all memory but the weights'; bits / 1000, an element of a buffer has 8",
                  _hardware(list(group))]
    legend = [f"{part:<6} {text}" for part, text in PARTS.items()]
    return "\n\n".join([*parts, "\n".join([
        *legend, f"slow   blocks that take less than a beat a cycle, of {rows[0].blocks}",
        f"why    the largest parts, without which the memory would be {ENOUGH:g} x the paper's buffer at most"])])


def _hardware(rows):
    cells = [[row.tile, _number(row.buffer_bits, THOUSAND, 1), _number(row.real_bits, THOUSAND, 1),
              _number(row.memory_bits, THOUSAND, 1), f"{row.over_buffer:.3f}",
              *(f"{100 * row.share[part]:.1f}" for part in PARTS), _number(row.multipliers), str(row.slow or ""),
              ", ".join(row.reasons)] for row in rows]
    groups = (("", ["tile"]), ("buffer", ["paper", "real"]), ("RTL", ["bits", "over"]),
              ("beyond the paper's buffer, % of it", list(PARTS)), ("", ["MACS", "slow", "why"]))
    return table(groups, cells, left=(0, 12))
