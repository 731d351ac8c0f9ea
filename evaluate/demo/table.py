# SPDX-License-Identifier: Apache-2.0
"""demo.json as a report for a person, and as a section of docs/demo.md."""

import math

from ...gen.page import Section, wrapped
from ...gen.text_table import aligned, labelled, markdown
from .forms import NAMES, PAPER, titles
from .scoring import OVERLAP
from .summary import AGAINST, forms_of, margin

__all__ = ["DOCUMENT", "SECTION", "memory", "section", "table"]

DOCUMENT = "demo.md"
SECTION = Section("<!-- begin: results, written by make demo -->", "<!-- end: results -->")
DECIDING = "lines as high as their font"


def table(found):
    """The report of one seed, or of several: lines of at most 110 columns."""
    size, enlarged = (" x ".join(map(str, found[name])) for name in ("page_size", "input_size"))
    names, forms = _form_titles(found), forms_of(found)
    parts = [labelled({
        "network": f"{found['network']}, {len(found['blocks'])} squeeze-and-excite blocks",
        "pages": f"{found['pages']} of {size}, enlarged to {enlarged}, with {found['lines']:,} lines, {_seeds(found)}",
        "calibration": f"{found['calibration_pages']} other pages{' of each seed' if 'seeds' in found else ''}"})]
    parts += ["\n".join([title, *aligned([*_scores(found, key)], left=(0, 2, 3, 4))])
              for key, title in ({None: DECIDING} | AGAINST).items()]
    parts.append("\n".join(["memory", *aligned([*memory(found)])]))
    rtl = {names[name]: form["rtl"] for name, form in forms.items() if form["rtl"]}
    rows = {"a line": f"is {found['line_points']:.2f} points of F-score; boxes match at IoU {OVERLAP}, one to one",
            "margins": _margins(found),
            "integers": "\n".join(_integers(found)),
            "RTL": "\n".join(f"{name}, block {block['block']}: {_exact(block)} on {block['frames']} maps"
                             for name, block in rtl.items())}
    if "scan" in found:
        rows |= {"again": "\n".join(block["command"] for block in rtl.values()), "scan": _scan(found),
                 "time": f"{math.fsum(found['seconds'].values()):.0f} s: " + ", ".join(
                     f"{name} {seconds:.0f}" for name, seconds in _steps(found["seconds"]).items())}
    parts.append(labelled({name: text.replace("\n", f"\n{'':<12}") for name, text in rows.items()}))
    return "\n\n".join(parts)


def section(found):
    """The results of several seeds as Markdown."""
    rtl = {name: form["rtl"] for name, form in zip(_form_titles(found).values(), forms_of(found).values(), strict=True)
           if form["rtl"]}
    parts = [wrapped(
        f"{found['pages']} pages with {found['lines']:,} lines, {_seeds(found)}; one line is worth "
        f"{found['line_points']:.3f} points. RTL of one block, on {found['rtl']['frames']} maps: "
        + "; ".join(f"{name} {_exact(block)}" for name, block in rtl.items())
        + ". Differences are in points of F-score, with 95 % intervals.")]
    for key, title in ({None: f"{DECIDING} (decides)"} | AGAINST).items():
        parts += [f"Against {title}:", markdown([*_scores(found, key)])]
    parts += ["Memory of all blocks, and the largest error of any output:",
              markdown([row + [error] for row, error in zip(
                  memory(found), ["LSB from float64", "", *(f"{_worst(form)['float_error_lsb']:.3f}"
                                                             for form in forms_of(found).values())], strict=True)])]
    return "\n\n".join(parts)


def _seeds(found):
    seeds = found["seeds"] if "seeds" in found else [found["seed"]]
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"


def _form_titles(found):
    """Name to title of each form."""
    return {name: titles(found["k"])[f"{name}_float"].removesuffix(", float") for name in NAMES}


def _scores(found, key):
    """F-score of each network, and its differences from SE, from the paper's tiles and from its form in float."""
    part, k = found if key is None else found[key], found["k"]
    yield ["", "F-score", "to SE, points", f"to TSE K={k}, points", "to float, points"]
    for name, title in titles(k).items():
        form, _, numbers = name.rpartition("_")
        yield [title, f"{100 * part['networks'][name]['f_score']:.2f}",
               *(_difference(part["differences"].get(f"{name}_to_{other}"))
                 for other in ("se", f"{PAPER}_{numbers}", f"{form}_float"))]


def _difference(difference):
    if difference is None:
        return ""
    return f"{difference['points']:+.2f} ({difference['low']:+.2f} to {difference['high']:+.2f})"


def memory(found):
    """What waits in each form, by the paper's metric and as it is built."""
    yield ["", "elements that wait", "less", "bits of tile buffers", "less"]
    yield ["SE", f"{found['buffering']['se_elements']:,}", "", f"{found['buffering']['se_buffer_bits']:,}", ""]
    for name, form in forms_of(found).items():
        sums = form["buffering"]
        yield [_form_titles(found)[name], f"{sums['tse_elements']:,}", f"{sums['elements_saved']:.1%}",
               f"{sums['tse_buffer_bits']:,}", f"{sums['bits_saved']:.1%}"]


def _worst(form):
    return max(form["blocks"], key=lambda block: block["float_error_lsb"])


def _integers(found):
    for name, form in forms_of(found).items():
        worst = _worst(form)
        yield (f"{_form_titles(found)[name]}: {worst['float_error_lsb']:.3f} LSB from float64 at most (block "
               f"{worst['name']}), which {'is' if worst['float_error_lsb'] <= 1 else 'is NOT'} within 1 LSB")


def _exact(rtl):
    if rtl["bit_exact"]:
        return f"bit-exact, all {rtl['elements']:,} elements"
    return f"NOT bit-exact, {rtl['mismatches']:,} of {rtl['elements']:,} elements are wrong,"


def _margins(found):
    """How many margins are kept, and those that are not."""
    decided = {name: item["within"] for name, item in found["differences"].items() if item["within"] is not None}
    kept = (f"{sum(decided.values())} of {len(decided)} kept: at most 2 points under SE, integers within 1 point of "
            "float")
    return "\n".join([kept, *(margin(name, found) for name, within in decided.items() if not within)])


def _scan(found):
    def agreement(counts):
        return f"{counts['matched']} + {counts['found'] - counts['matched']}"

    scan = found["scan"]
    return "\n".join([f"SE finds {scan['se_boxes']} boxes; the others find, of these + others:", *(
        f"{title}: {agreement(scan[f'{name}_float'])} in float, {agreement(scan[f'{name}_integer'])} in integers"
        for name, title in _form_titles(found).items())])


def _steps(seconds):
    """Times by what is done, over all forms."""
    sums = {}
    for name, time in seconds.items():
        sums[name.rpartition("_")[2]] = sums.get(name.rpartition("_")[2], 0) + time
    return sums
