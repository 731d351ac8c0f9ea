# SPDX-License-Identifier: Apache-2.0
"""`tiled-se build`: quantises, generates and co-simulates every block of a network on real feature maps."""

import dataclasses
import os

import numpy as np

from ...gen.block_files import check_block_files
from ...gen.block_spec import assemble
from ...gen.data import Input, input_bytes, weights_bytes, weights_of
from ...gen.fields import options_of
from ...gen.files import check_folder, check_free, json_bytes, output_folder, write_all
from ...gen.options import block_options, describe
from ...gen.simulation import REPORT
from ...gen.text_table import warn
from ...hdl.config import ConfigError
from ...hdl.sizing import lanes_within
from ..calibration.clips import clip_warning
from ..calibration.data_formats import check_options, data_formats
from ..calibration.feature_maps import feature_maps, with_priors
from ..calibration.images import find_images
from ..calibration.own_numbers import differences, own_block, own_maps, own_options, requantised
from ..network import open_network
from ..plan import Plan
from ..read.model import model_errors
from ..read.names import folder_names, module_name
from ..tile import tile_blocks
from .block_runs import INPUT, OWN, WEIGHTS, check_tools, discard_earlier, run_blocks
from .build_exported import build_exported
from .build_tables import block_table, code_table, range_table
from .inspect import format_fields
from .options import BuildOptions
from .wording import fields, of_numbers, of_prior

__all__ = ["block_files", "block_formats", "block_tasks", "build", "spec_of"]


def build(options: BuildOptions) -> bool:
    """Build every block of ``options.model`` into a folder of its own, and print a table.

    The model is an .onnx file, or a folder of :func:`.export_blocks`. Returns whether all blocks were built, are
    bit-exact and within their error bounds. Raises ConfigError if the model, the images or an option is wrong, before
    anything is written, or if no block can be built because of an option. Raises ToolFailure, when report.json is
    written, if a tool is missing or failed and no block has a mismatch.
    """
    if options.model and os.path.isdir(options.model):
        return build_exported(options)
    folder, plan = output_folder(options, [REPORT]), Plan.of(options)
    network = open_network(options.model, options.input_shape, need_sizes=True, check=options.check_blocks)
    blocks = network.selected(options.skip or ())
    if not blocks:
        raise ConfigError("skip", ",".join(options.skip), "leaves no block to build")
    chosen = plan.choices(network.blocks)
    tilings = chosen.tilings(blocks, prior=True)
    images = find_images(options, network)
    tasks = block_tasks(options, folder, blocks, chosen)
    # The tiled network runs on these images only: it needs no operators for maps of other sizes, which old sets lack.
    blocks = [dataclasses.replace(block, fixed_size=(block.height, block.width)) for block in blocks]
    with model_errors(options.model):
        # What can't be tiled is refused before the network runs.
        tiled = tile_blocks(network.model, blocks, tilings)
    if any(tiling.prior_rows for tiling in tilings.values()):
        print(f"running the network on {len(images)} images ...", flush=True)
        blocks = with_priors(network, blocks, images, tilings)
        tiled = tile_blocks(network.model, blocks, tilings)
    quantised = [block for block in blocks if None not in (block.numbers.x, block.numbers.y)]
    codes = _codes(network, quantised, images, tasks) if quantised else {}
    print(f"running the tiled network on {len(images)} images ...", flush=True)
    with feature_maps(network, tiled, blocks, images) as maps:
        formats = {block.name: block_formats(block, maps[block.name], options, tasks[block.name]) for block in blocks}
        _check_some(blocks, formats)
        tasks = {name: own.options for name, own in formats.items()}
        discard_earlier(folder, tasks, options.calibration)
        for block in blocks:
            write_all(tasks[block.name].out, block_files(block, maps[block.name], options, formats[block.name]))
    results = run_blocks(tasks, options.jobs)
    passed = _finish(network, blocks, options, chosen, folder, len(images), tasks, results, codes,
                     {name: own.figures for name, own in formats.items()})
    check_tools(results)
    return passed


def _check_some(blocks, formats):
    """Raise ConfigError if no block in these `formats` can be built, and an option is why.

    One that can is enough: a block that fails does not stop the others.
    """
    failures = []
    for block in blocks:
        try:
            spec_of(block, formats[block.name])
            return
        except ConfigError as error:
            if error.option not in options_of(BuildOptions):
                return
            failures.append(ConfigError(error.option, error.value, f"{error.allowed} (block {block.name})"))
    raise failures[0]


def block_tasks(options, folder, blocks, chosen):
    """BlockOptions of each block by name.

    Raises ConfigError for an option that is illegal whatever the maps hold, and ("out") where a block's files can't be
    written.
    """
    folders, tasks = folder_names((block.name for block in blocks), OWN), {}
    for block in blocks:
        own, name = os.path.join(folder, folders[block.name]), module_name(folders[block.name])
        check_folder(own)
        check_block_files(own, name)
        check_free(own, OWN)
        values = chosen.values[block.name]
        values = {**values, **own_options(block, vars(options) | values)}
        tasks[block.name] = block_options(
            options, **values, weights=os.path.join(own, WEIGHTS), input=os.path.join(own, INPUT),
            out=own, name=name,
            # Without LANES, what is taken is a default to the block, too, which warns where it is 1.
            frames=None, lanes=options.lanes and lanes_within(block.channels, options.lanes))
        check_options(block, tasks[block.name])
    return tasks


def block_formats(block, maps, options, task, source="calibration"):
    """The :class:`DataFormats` of `block`, whose BlockOptions are `task`.

    ConfigError where none holds the `maps`, which the option `source` gave; it names the block.
    """
    try:
        return data_formats(block, maps, task, options.calibrate_by)
    except ConfigError as error:
        if error.option != "x":
            raise
        raise ConfigError(source, getattr(options, source), f"block {block.name}: {error.allowed}") from None


def spec_of(block, formats):
    """The :class:`BlockSpec` of `block` in the `formats` from :func:`block_formats`, without frames and file names."""
    # The shape of the maps and their format decide it, not their numbers.
    frame = np.broadcast_to(np.zeros((), formats.x.data.numpy), (1, block.height, block.width, block.channels))
    spec = assemble(dataclasses.replace(formats.options, weights=None, input=None),
                    weights_of(own_block(block), formats.y), Input("", "x_q", frame, formats.x))
    return dataclasses.replace(spec, x=None)


def block_files(block, maps, options, formats):
    """weights.npz, and input.npz with the first maps, in the `formats` from :func:`block_formats`."""
    x_q = formats.x.quantise(np.asarray(maps[:options.frames or 2])).astype(formats.x.data.numpy)
    return {WEIGHTS: weights_bytes(own_block(block), formats.y), INPUT: input_bytes(x_q, formats.x)}


def _codes(network, blocks, images, tasks):
    """:func:`differences` of `blocks` by name; ``failure``, a line, where a block of the whole map can't be quantised.
    """
    found = {}
    print(f"running the quantised network on {len(images)} images ...", flush=True)
    with own_maps(network, blocks, images) as maps:
        for block in blocks:
            try:
                found[block.name] = differences(block, tasks[block.name], maps)
            except ConfigError as error:
                found[block.name] = {"failure": describe(error)}
    return found


def _finish(network, blocks, options, chosen, folder, images, tasks, results, codes, calibrated):
    """Write OUT/report.json and print the table; returns whether all blocks passed."""
    rows, tilings = [], chosen.tilings(blocks, prior=True)
    shared = fields(next(iter(tilings.values()))) if len(set(tilings.values())) == 1 else {}
    for block in blocks:
        task, report = tasks[block.name], results[block.name]["report"]
        rows.append({"name": block.name, "folder": os.path.basename(task.out), "module": task.name, **block.shape,
                     "tiling": fields(tilings[block.name]), **block.waiting(tilings[block.name]),
                     "failure": results[block.name]["failure"],
                     "bit_exact": bool(report and report["bit_exact"]), "formats": format_fields(block),
                     "calibrated": calibrated[block.name], "codes": codes.get(block.name),
                     "requantised": requantised(block), "report": report})
    sums = {name: sum(row[name] for row in rows) for name in ("se_elements", "tse_elements")}
    contents = {
        "model": network.path, "input": network.dims[1:], **shared, "images": images,
        "calibration": options.calibration, "skipped": list(options.skip or ()), "others": network.unsupported,
        "bit_exact": all(row["bit_exact"] for row in rows), "finished": True, **sums, "blocks": rows}
    write_all(folder, {REPORT: json_bytes(contents)})
    warn(f"{row['name']}: {text}" for row in rows if row["report"] for text in row["report"]["warnings"])
    for name, own in codes.items():
        warn(clip_warning(name, own["clipped"]) if "clipped" in own else ())
    print("\n".join([*block_table(rows), *range_table(rows), *code_table(rows),
                     *of_numbers(blocks, [row["name"] for row in rows if row["calibrated"]], options.calibrate_by),
                     *of_prior(tilings.values(), images), *chosen.notes,
                     *network.notes(blocks), *network.left_out]))
    saved = 1 - sums["tse_elements"] / sums["se_elements"]
    print(f"elements that wait: {sums['tse_elements']:,} instead of {sums['se_elements']:,}, {100 * saved:.1f} % less")
    print(f"wrote {os.path.join(folder, REPORT)}, and a folder for each block beside it")
    return all(row["failure"] is None for row in rows)
