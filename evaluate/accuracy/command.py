# SPDX-License-Identifier: Apache-2.0
"""`tiled-se evaluate`: scores a network as it is, with tiles in float and quantised, and with all blocks in integers.
"""

import csv
import dataclasses
import io
import os
from collections.abc import Collection

import numpy as np

from ...batch import Progress
from ...cosim.scratch import scratch
from ...gen.fields import options_of
from ...gen.files import discard, json_bytes, output_folder, write_all
from ...gen.report import tool_versions
from ...gen.text_table import say, warn
from ...hdl.config import ConfigError
from ...network.calibration.clips import clip_warning, clipped
from ...network.calibration.feature_maps import (
    MOST_AT_ONCE,
    SECONDS_EACH,
    SECONDS_START,
    feature_maps,
    with_priors,
)
from ...network.calibration.images import find_images
from ...network.calibration.own_numbers import requantised
from ...network.commands.build import block_formats, block_tasks, spec_of
from ...network.commands.options import BuildOptions
from ...network.commands.wording import fields, of_numbers, of_prior
from ...network.network import open_network
from ...network.plan import Plan
from ...network.read.model import model_errors
from ...network.read.sandbox import sandboxed
from ...network.read.shapes import input_of
from ...network.tile import tile_blocks
from ..options import EvaluateOptions
from ..saturation import clipped_outputs, saturation_warning
from .data import read_data
from .metrics import TopClasses, load_metrics
from .networks import Networks, scored
from .table import SUMMARY, output_table, results, table

__all__ = ["evaluate"]

RESULTS = ("evaluate.json", "evaluate.csv")
# Parts that the data are run in: each in a process of its own, with at least so many images.
PARTS, LEAST_IMAGES, MOST_IMAGES = 10, 8, 128
# Options that a block may not fit.
OWN = ("k", "context", "tile_width", "prior_rows", "window", "dtype", "y_dtype", "y_scale", "y_zero_point",
       "weight_bits", "operand_bits", "error")
TOOLS = ("tiled-se", "numpy", "onnxruntime", "torch")


def evaluate(options: EvaluateOptions) -> bool:
    """Score the forms of ``options.model`` on ``options.data``; print a table, write evaluate.json and evaluate.csv.

    Returns True. Raises ConfigError if the model, the data, a metric or an option is wrong; then nothing is written.
    """
    folder, plan = output_folder(options, RESULTS), Plan.of(options)
    metrics = load_metrics(options.metric)
    network = open_network(options.model, options.input_shape, need_sizes=True, check=options.check_blocks)
    blocks = network.selected(options.skip or ())
    if not blocks:
        raise ConfigError("skip", ",".join(options.skip), "leaves no block to evaluate")
    if network.dims and network.dims[0] > MOST_AT_ONCE:
        raise ConfigError("model", network.path, f"takes a batch of {network.dims[0]:,}; must be {MOST_AT_ONCE:,} at "
                                                 "most")
    chosen = plan.choices(network.blocks)
    data, others = read_data(options, network, any(metric.classified for metric in metrics)).split(options.images)
    _check_classes(network, metrics, data)
    calibration, source = _calibration(options, network, data, others)
    networks, found_of, not_kept = _networks(options, network, blocks, chosen, calibration)
    forms = networks.forms(options.each)
    scores = _scores(networks, forms, options.metric, data)
    found = [results(metric, forms, own, options.seed) for metric, own in zip(metrics, scores, strict=True)]
    contents = {
        "model": network.path, "input": network.dims[1:], "data": options.data, "images": len(data.samples),
        "calibration": options.calibration, "calibration_images": len(calibration), "calibration_from": source,
        "skipped": list(options.skip or ()), "others": network.unsupported, "metrics": found,
        "blocks": [_block(block, networks, found_of[block.name]) for block in blocks],
        "tools": tool_versions(TOOLS)}
    discard(folder, RESULTS)
    write_all(folder, dict(zip(RESULTS, (json_bytes(contents), _csv(metrics, forms, scores, data)), strict=True)))
    for block in blocks:
        one = found_of[block.name]
        warn(clip_warning(block.name, one.clips) if one.clips else ())
        # A range from calibration, the network's or ours, may clip a little, for finer steps.
        if one.outputs and block.numbers.y is None and "y" not in one.calibrated:
            warn(f"{block.name}: {text}" for text in saturation_warning(networks.specs[block.name], one.outputs))
    print("\n\n".join(table(one) for one in found))
    print(SUMMARY.format(images=len(data.samples)))
    source = f"taken from {len(calibration)} images of {source}"
    if any(block.numbers.x for block in blocks):
        source = f"the network's own; where it has none, {source}"
    calibrated = [name for name, one in found_of.items() if one.calibrated]
    outputs = output_table({name: (networks.specs[name].y_format, one.outputs["clipped"])
                            for name, one in found_of.items() if one.outputs})
    print("\n".join([*outputs, f"data formats are {source}",
                     *of_numbers(blocks, calibrated, options.calibrate_by), *not_kept,
                     *of_prior(networks.tilings.values(), len(calibration)), *chosen.notes, *network.notes(blocks),
                     *network.left_out]))
    print(f"wrote {', '.join(os.path.join(folder, name) for name in RESULTS)}")
    return True


def _check_classes(network, metrics, data):
    """Raise ConfigError where labels don't fit the network's first output, if its size is known before it runs."""
    name = network.model.graph.output[0].name
    dims = network.graph.dims.get(name)
    if dims and len(dims) > 1 and None not in dims[1:]:
        for metric in metrics:
            if isinstance(metric, TopClasses):
                metric.check(data, name, dims[1:])


def _calibration(options, network, data, others):
    """The images that formats and priors are taken from, and whose they are: better `others` than `data`, the scored.
    """
    if options.calibration:
        return find_images(options, network), options.calibration
    apart = len(others.samples) >= options.limit
    pool = others if apart else data
    return pool.split(options.limit)[0].images, "the same data, which are not scored" if apart else "the scored data"


@dataclasses.dataclass(frozen=True)
class _Found:
    """What is found of a block on the calibration images.

    ``calibrated`` are those of "x" and "y" whose format comes from them. ``clips`` is what :func:`clipped` finds, None
    where the network clips nothing inside of the block; ``outputs`` what :func:`clipped_outputs` does.
    """

    calibrated: Collection[str]
    clips: dict | None
    outputs: dict | None


def _networks(options, network, blocks, chosen, images):
    """The :class:`Networks`, quantised as `build` does it by the maps of `images` in the tiled network.

    Also the :class:`_Found` of each block by name; and a line if the network is quantised and no tiles with its own
    quantisers can be made.
    """
    tilings = chosen.tilings(blocks, prior=True)
    built = BuildOptions(**{name: getattr(options, name) for name in options_of(BuildOptions)
                            if hasattr(options, name)})
    with scratch() as folder:
        # They write nothing; wrong ones are refused before the network runs.
        tasks = block_tasks(built, folder, blocks, chosen)
    # The tiled network runs on images of this size only.
    blocks = [dataclasses.replace(block, fixed_size=(block.height, block.width)) for block in blocks]
    with model_errors(options.model):
        tiled = tile_blocks(network.model, blocks, tilings)
    if any(tiling.prior_rows for tiling in tilings.values()):
        say(f"running the network on {len(images)} images")
        blocks = with_priors(network, blocks, images, tilings)
        tiled = tile_blocks(network.model, blocks, tilings)
    say(f"running the tiled network on {len(images)} images")
    with feature_maps(network, tiled, blocks, images) as maps:
        specs, found = {}, {}
        for block in blocks:
            own = maps[block.name]
            spec, calibrated = _quantised(block, own, options, tasks[block.name], images.option)
            clips = clipped(block, own, tilings[block.name], spec.y_format) if block.ranges.stages else None
            specs[block.name], found[block.name] = spec, _Found(calibrated, clips, clipped_outputs(spec, own))
    kept, why = network.quantised, []
    if kept:
        try:
            tile_blocks(network.model, blocks, tilings, keep=True)
        except ConfigError as error:
            if error.option != "keep_quantised":
                raise
            kept, why = False, [f"no tiles with the network's own quantisers: {error.allowed}"]
    return Networks(network.model.SerializeToString(), input_of(network.graph).name, network.dims[0], blocks, tilings,
                    specs, network.quantised, kept), found, why


def _quantised(block, maps, options, task, source):
    """The :class:`BlockSpec` that `build` would make of `block` for these maps, which the option `source` gave, and
    what was calibrated for it on them: of "x", of "y", of both or nothing.

    `task` are the block's own options.
    """
    formats = block_formats(block, maps, options, task, source)
    try:
        return spec_of(block, formats), formats.calibrations
    except ConfigError as error:
        if error.option in OWN:
            raise ConfigError(error.option, error.value, f"{error.allowed} (block {block.name})") from None
        raise ConfigError(source, getattr(options, source),
                          f"block {block.name} can't be quantised: {error.allowed}") from None


def _scores(networks, forms, metrics, data):
    """For each metric and form the numbers of all images, float64 (images, numbers), or a ConfigError."""
    images = len(data.samples)
    parts = [*data.parts(min(max(LEAST_IMAGES, -(-images // PARTS)), MOST_IMAGES))]
    numbers = [[[] for _ in forms] for _ in metrics]
    seconds = SECONDS_EACH * len(forms)
    with Progress(len(parts), 0) as progress:
        for part in parts:
            progress.started(f"{len(part.samples)} images, {len(forms)} networks")
            found = sandboxed(scored, networks, forms, metrics, part, what="it can't be run on the images",
                              seconds=SECONDS_START + seconds * max(len(part.samples), networks.batch))
            for all_forms, part_forms in zip(numbers, found, strict=True):
                for all_images, part_images in zip(all_forms, part_forms, strict=True):
                    all_images += part_images
            progress.done(f"{len(part.samples)} images, {len(forms)} networks", None)
    for name, all_forms in zip(metrics, numbers, strict=True):
        if len(lengths := {len(one) for all_images in all_forms for one in all_images}) > 1:
            raise ConfigError("metric", name, f"metric() must return as many numbers for each image, and returned "
                                              f"{' and '.join(map(str, sorted(lengths)))}")
    return [[np.array(all_images, np.float64) for all_images in all_forms] for all_forms in numbers]


def _block(block, networks, found):
    """What is known of a block in integers."""
    spec = networks.specs[block.name]
    return {"name": block.name, **block.shape, "tiling": fields(networks.tilings[block.name]),
            "x_scale": spec.format.scale, "x_zero_point": spec.format.zero_point, "x_type": str(spec.config.data),
            "y_scale": spec.quantised.y_scale, "y_zero_point": spec.config.outputs_zero_point,
            "y_type": str(spec.config.outputs), "operand_bits": spec.config.operand_bits,
            "error_bound_lsb": spec.quantised.error_bound_lsb, "clipped": found.clips,
            "outputs": found.outputs, "requantised": requantised(block)}


def _csv(metrics, forms, scores, data):
    """A row for each image: its name, its label, and the numbers of each metric and network."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = [(f"{metric.name}: {form}" + (f" [{at}]" if one.shape[1] > 1 else ""), one[:, at])
               for metric, own in zip(metrics, scores, strict=True) for form, one in zip(forms, own, strict=True)
               for at in range(one.shape[1])]
    writer.writerow(["name", "label", *(title for title, _ in columns)])
    for at, sample in enumerate(data.samples):
        writer.writerow([sample.name, sample.label or "", *(f"{numbers[at]:.10g}" for _, numbers in columns)])
    return file.getvalue().encode()
