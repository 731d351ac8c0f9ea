# SPDX-License-Identifier: Apache-2.0
"""The tables that `tiled-se build` prints, of the blocks in its report.json."""

from collections.abc import Iterator, Sequence

from ...gen.fields import shortened
from ...gen.text_table import aligned, number, percent

__all__ = ["block_table", "code_table", "range_table"]

COLUMNS = ("block", "H", "W", "C", "CR", "lanes", "MACs", "bit-exact", "error LSB")
# Of blocks whose outputs have a format of their own.
OUTPUTS = ("clipped", "SQNR dB")
MEMORY = ("bits", "x bound", "x TSE7", "beats/cycle")


def block_table(blocks: Sequence[dict]) -> list[str]:
    """Lines on each block, its simulation and its memory."""
    own = any(block["report"] and block["report"]["outputs"]["clipped"] is not None for block in blocks)
    rows = [(*COLUMNS, *(OUTPUTS if own else ()), *MEMORY)]
    for block in blocks:
        shape = [number(block[name]) for name in ("H", "W", "C", "CR")]
        report = block["report"]
        if report is None:
            rows.append((block["name"], *shape, f"FAILED: {shortened(block['failure'])}"))
            continue
        config, sram, outputs = report["config"], report["sram"], report["outputs"]
        clipped = "-" if outputs["clipped"] is None else percent(outputs["clipped"])
        rows.append((block["name"], *shape, str(config["lanes"]), str(config["macs"]),
                     "yes" if block["bit_exact"] else "NO", f"{report['float_error_lsb']['max']:.3f}",
                     *((clipped, _decibel(outputs["sqnr_db"])) if own else ()),
                     number(sram["total_without_weights_bits"]),
                     # Where nothing must wait, there is no bound.
                     "-" if sram["over_bound"] is None else f"{sram['over_bound']:.3f}", f"{sram['over_tse7']:.3f}",
                     f"{report['cycles']['steady_throughput']:.4f}"))
    return aligned(rows, left=(0, 7))


def range_table(blocks: Sequence[dict]) -> Iterator[str]:
    """Lines on what each way to choose a range gives, none if the network has all numbers."""
    rows = []
    for block in blocks:
        for name, about in (block["calibrated"] or {}).items():
            methods = about["methods"].values()
            rows.append((block["name"], name, about["method"], *(
                f"{100 * one['clipped']:.4f} % / {_decibel(one['sqnr_db'])} / {_decibel(one['held_out_sqnr_db'])}"
                for one in methods)))
            titles = tuple(about["methods"])
    if rows:
        yield from aligned([("ranges", "of", "by", *titles), *rows], left=(0, 1, 2))
        yield ("of each method: share of the numbers that is clipped / their SQNR in dB / SQNR of the block's outputs "
               "on images held out")


def _decibel(value):
    return "-" if value is None else f"{value:.2f}"


CODES = ("network's integers", "elements", "equal", "max", "mean", "equal with its clips", "and roundings",
         "share of clips", "of roundings")
FROM_FLOAT = "max from float"


def code_table(blocks: Sequence[dict]) -> list[str]:
    """Lines on how many outputs are the network's own integers, none for a network in float."""
    # Only where there are such weights.
    anew = any(block["codes"] and block["requantised"] for block in blocks)
    names = ("share_of_clips", "share_of_roundings", *(("share_of_weights",) if anew else ()))
    rows = [(*CODES, *(("of weights",) if anew else ()), FROM_FLOAT)]
    for block in blocks:
        codes = block["codes"]
        if codes and "failure" in codes:
            rows.append((block["name"], f"FAILED: {shortened(codes['failure'])}"))
        elif codes:
            shares = [codes[name] for name in names]
            rows.append((block["name"], number(codes["elements"]), f"{100 * codes['equal_share']:.2f} %",
                         f"{codes['max']:.0f}", f"{codes['mean']:.4f}",
                         *(f"{100 * codes[name]['equal_share']:.2f} %" for name in ("clipped", "rounded")),
                         *("-" if share is None else f"{100 * share:.1f} %" for share in shares),
                         f"{codes['float']['max']:.3f}"))
    return aligned(rows) if len(rows) > 1 else []
