# SPDX-License-Identifier: Apache-2.0
"""`tiled-se sensitivity`: is local context enough in this network?"""

import os

from ...gen.files import discard, json_bytes, output_folder, write_all
from ...gen.options import TileOptions, block_options
from ...gen.text_table import aligned
from ...hdl.tiling import Context, Tiling
from ..calibration.agreement import agreement
from ..calibration.feature_maps import feature_maps, with_prior
from ..calibration.images import find_images
from ..calibration.own_numbers import own_options, requantised
from ..network import open_network
from .build import block_formats
from .options import SensitivityOptions
from .sensitivity_plot import draw
from .wording import of_numbers

__all__ = ["sensitivity"]

# The parameters, besides k, of the contexts that are compared with whole maps, besides tiles with means of their own.
CONTEXTS = ({"context": Context.CUMULATIVE, "prior_rows": 0}, {"context": Context.CUMULATIVE, "prior_rows": 1},
            {"context": Context.CAUSAL, "prior_rows": 1})
RESULTS = ("sensitivity.json", "sensitivity.svg")
# A change of the outputs above which a block is pointed out.
NOTABLE = 0.1


def sensitivity(options: SensitivityOptions) -> bool:
    """Measure how gates of strips, cumulative and causal ones agree with those of whole maps in ``options.model``.

    Writes sensitivity.json and sensitivity.svg, prints a table and returns True. The prior of each block is the mean of
    its maps. Raises ConfigError if the model, the images or an option is wrong.
    """
    folder = output_folder(options, RESULTS)
    network = open_network(options.model, options.input_shape, need_sizes=True, check=options.check_blocks)
    images = find_images(options, network)
    print(f"running the network on {len(images)} images ...", flush=True)
    with feature_maps(network, network.model, network.blocks, images) as maps:
        agreements, blocks, calibrated = {}, [], []
        for block in network.blocks:
            print(f"{block.name}: {block.height} x {block.width} x {block.channels} ...", flush=True)
            own = maps[block.name]
            # The mean of the whole map in the place of tiles', and no outputs.
            task = block_options(options, k=block.height, **own_options(block, vars(options)))
            formats = block_formats(block, own, options, task)
            calibrated += [block.name] if formats.calibrations else []
            integers = formats.x, task.weight_bits
            agreements[block.name] = [agreement(block, k, own, *integers) for k in options.ks]
            blocks.append({"name": block.name, **block.shape, "x_type": str(integers[0].data),
                           "x_scale": integers[0].scale, "x_zero_point": integers[0].zero_point,
                           "weight_bits": task.weight_bits, "requantised": requantised(block),
                           "ks": [item.figures for item in agreements[block.name]],
                           "contexts": [_figures(with_prior(block, own), about, options.ks, own, integers)
                                        for about in CONTEXTS]})
    contents = {"model": network.path, "input": network.dims[1:], "calibration": options.calibration,
                "images": len(images), "others": network.unsupported, "blocks": blocks}
    files = dict(zip(RESULTS, (json_bytes(contents), draw(network.blocks, agreements, blocks)), strict=True))
    # Only now, as images may have been refused until here: two files of different runs must never be there.
    discard(folder, RESULTS)
    write_all(folder, files)
    print(_table(blocks, options.ks))
    prior = f"the prior of each block is the mean of its maps on the same {len(images)} images"
    print("\n".join([_advice(blocks, options.ks), prior,
                     *of_numbers(network.blocks, calibrated, options.calibrate_by), *network.left_out]))
    print("wrote " + ", ".join(os.path.join(folder, name) for name in files))
    return True


def _figures(block, about, ks, maps, integers):
    """What is measured of a context, which has these parameters beside k, for each of `ks`."""
    return {**about, "context": about["context"].value,
            "ks": [agreement(block, Tiling(k=k, **about), maps, *integers).figures for k in ks]}


def _contexts(block):
    """``(name, figures for each k)`` of each context; the first is that of tiles with means of their own."""
    return [("tile", block["ks"]), *((f"{one['context']} PRIOR={one['prior_rows']}", one["ks"])
                                     for one in block["contexts"])]


def _table(blocks, ks):
    """A row for each block and context: the change of the block's outputs for each k, and for the k that is nearest to
    the default the agreement."""
    nearest = min(range(len(ks)), key=lambda index: abs(ks[index] - TileOptions.k))
    rows = [("block", "context", "H", *(f"change k={k}" for k in ks),
             *(f"{name} k={ks[nearest]}" for name in ("means r", "gates r", "quantised gates")))]
    for block in blocks:
        for name, measured in _contexts(block):
            figures = measured[nearest]
            error = figures["quantised_gate_error"]
            rows.append((block["name"], name, str(block["H"]), *(f"{100 * item['output_change']:.1f} %"
                                                                 for item in measured),
                         *("-" if figures[name] is None else f"{figures[name]:.3f}"
                           for name in ("mean_correlation", "gate_correlation")),
                         f"+-{error['max']:.3f}" if error else "none"))
    return "\n".join(aligned(rows, left=(0, 1)))


def _advice(blocks, ks):
    """For each context and k, the value of SKIP that leaves out the blocks which change most."""
    lines = [f"blocks whose outputs change by more than {100 * NOTABLE:.0f} % (root mean square), "
             "perhaps better left as they are:"]
    for contexts in zip(*map(_contexts, blocks), strict=True):
        context = "" if contexts[0][0] == "tile" else f"{contexts[0][0]} "
        for index, k in enumerate(ks):
            names = [block["name"] for block, (_, measured) in zip(blocks, contexts, strict=True)
                     if measured[index]["output_change"] > NOTABLE]
            lines.append(f"  {context}k={k}: " + (f"SKIP={','.join(names)}" if names else "none"))
    return "\n".join(lines)
