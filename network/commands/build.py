# SPDX-License-Identifier: Apache-2.0
"""`tiled-se build`: every block of a network quantised, generated, co-simulated on real feature maps, and written."""

import functools
import os
import re

import numpy as np

from ...batch.local import Local, cores
from ...batch.pool import run_all
from ...batch.progress import Progress
from ...gen.data import input_bytes, weights_bytes
from ...gen.files import json_bytes, write_all
from ...gen.options import shortened
from ...gen.text_table import aligned, number
from ...golden.block import DataFormat
from ...hdl.config import ConfigError
from ...hdl.sizing import DEFAULT_LANES, lanes_within
from ..calibration.feature_maps import feature_maps
from ..calibration.images import find_images
from ..network import open_network, parse_shape, require_sizes
from ..read.names import file_name, unique
from ..tile import tile
from .build_task import work

__all__ = ["build"]

# Options of a block that are handed on as they are.
HANDED_ON = ("k", "macs", "sram_overhead", "slack", "loadable", "operand_bits", "error", "stall", "seed", "dtype")


def build(options, folder):
    """Build every block of ``options.model`` into `folder`; prints a table.

    Returns
    -------
    bool
        Whether all were built and are bit-exact.

    Raises
    ------
    ConfigError
        Where the model, the images or an option is wrong.
    """
    network = open_network(options.model, parse_shape(options.input) if options.input else None)
    chosen = network.chosen(options.skip or ())
    if not chosen:
        raise ConfigError("model", options.model, "has no squeeze-and-excite block to build")
    require_sizes(network)
    images = find_images(options, network)
    tiled = tile(network.model, [sized.block for sized in chosen], options.k)
    print(f"running the tiled network on {len(images)} images ...", flush=True)
    with feature_maps(network, tiled, chosen, images) as maps:
        tasks = _prepare(options, folder, chosen, maps)
    results = _run(tasks, options.jobs or cores())
    return _finish(network, chosen, options, folder, len(images), tasks, results)


def _prepare(options, folder, chosen, maps):
    """A task for each block: WEIGHTS and INPUT files in its folder, and the options of `tiled-se sim`.

    Returns dict of block's name to dict of option's name to text.
    """
    tasks, used = {}, set()
    for sized in chosen:
        name = unique(file_name(sized.name), used, "-")
        own = os.path.join(folder, name)
        _write_inputs(own, sized, maps[sized.name], options)
        texts = {"weights": os.path.join(own, "weights.npz"), "input": os.path.join(own, "input.npz"), "out": own,
                 "name": "tse_" + re.sub(r"[^A-Za-z0-9_]", "_", name),
                 "lanes": lanes_within(sized.channels, options.lanes or DEFAULT_LANES)}
        given = {option: getattr(options, option) for option in HANDED_ON}
        texts |= {option: value for option, value in given.items() if value is not None}
        tasks[sized.name] = {option: str(int(value) if isinstance(value, bool) else value)
                             for option, value in texts.items()}
    return tasks


def _write_inputs(folder, sized, maps, options):
    """weights.npz and input.npz: some of the maps, in the format that all of them give."""
    signed = options.dtype != "uint8"
    try:
        data_format = DataFormat.calibrate(min(float(one.min()) for one in maps), max(float(one.max()) for one in maps),
                                           signed)
    except ConfigError as error:
        raise ConfigError("calibration", options.calibration, f"block {sized.name}: {error.allowed}") from None
    frames = maps[:options.frames or 2]
    x_q = data_format.quantise(np.asarray(frames)).astype(np.int8 if signed else np.uint8)
    write_all(folder, {"weights.npz": weights_bytes(sized.block.float_block),
                       "input.npz": input_bytes(x_q, data_format)})


def _run(tasks, jobs):
    """What became of each task: the dict that :func:`~.block_work.work` gives."""
    results = {}

    def finish(name, result):
        results[name] = result
        return result["failure"]

    with Progress(len(tasks), 0) as progress:
        failures = run_all(list(tasks), lambda name: functools.partial(work, tasks[name]), Local(jobs), progress,
                           finish)
    for name, reason in failures.items():
        results.setdefault(name, {"failure": reason, "report": None})
    return results


def _finish(network, chosen, options, folder, images, tasks, results):
    """Write OUT/report.json, print the table; whether all is right."""
    blocks = [_about(sized, tasks[sized.name], results[sized.name]) for sized in chosen]
    right = all(block["bit_exact"] for block in blocks)
    sums = {form: sum(block[f"{form}_elements"] for block in blocks) for form in ("se", "tse")}
    contents = {
        "model": network.path, "input": network.dims[1:], "k": options.k, "images": images,
        "calibration": options.calibration, "skipped": list(options.skip or ()), "others": network.others,
        "bit_exact": right, "se_elements": sums["se"], "tse_elements": sums["tse"], "blocks": blocks}
    write_all(folder, {"report.json": json_bytes(contents)})
    print(_table(blocks))
    saved = 1 - sums["tse"] / sums["se"]
    print(f"elements that wait: {sums['tse']:,} instead of {sums['se']:,}, {100 * saved:.1f} % less")
    print(f"wrote {os.path.join(folder, 'report.json')}, and a folder for each block beside it")
    return right


def _about(sized, task, result):
    row = sized.width * sized.channels
    return {
        "name": sized.name, "folder": os.path.basename(task["out"]), "module": task["name"], "H": sized.height,
        "W": sized.width, "C": sized.channels, "CR": sized.squeeze, "se_elements": sized.height * row,
        "tse_elements": min(int(task["k"]), sized.height) * row, "failure": result["failure"],
        "bit_exact": bool(result["report"] and result["report"]["bit_exact"]), "report": result["report"]}


COLUMNS = ("block", "H", "W", "C", "CR", "lanes", "MACs", "bit-exact", "error LSB", "bits", "x bound", "beats/cycle")


def _table(blocks):
    rows = [COLUMNS]
    for block in blocks:
        shape = [number(block[name]) for name in ("H", "W", "C", "CR")]
        report = block["report"]
        if report is None:
            rows.append((block["name"], *shape, f"FAILED: {shortened(block['failure'])}"))
            continue
        config, sram = report["config"], report["sram"]
        rows.append((block["name"], *shape, str(config["lanes"]), str(config["macs"]),
                     "yes" if block["bit_exact"] else "NO", f"{report['float_error_lsb']['max']:.3f}",
                     number(sram["total_without_weights_bits"]), f"{sram['over_bound']:.3f}",
                     f"{report['cycles']['steady_throughput']:.4f}"))
    return "\n".join(aligned(rows, left=(0, 7)))
