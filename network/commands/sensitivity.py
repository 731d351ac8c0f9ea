# SPDX-License-Identifier: Apache-2.0
"""`tiled-se sensitivity`: is local context enough in this network?"""

import os

from ...gen.files import discard, json_bytes, output_folder, write_all
from ...gen.options import TileOptions
from ...gen.text_table import aligned
from ..calibration.agreement import agreement
from ..calibration.feature_maps import feature_maps
from ..calibration.images import find_images
from ..network import open_network
from .options import SensitivityOptions
from .sensitivity_plot import draw

__all__ = ["sensitivity"]

RESULTS = ("sensitivity.json", "sensitivity.svg")
# A change of the outputs above which a block is pointed out.
NOTABLE = 0.1


def sensitivity(options: SensitivityOptions) -> bool:
    """Measure how tiles agree with whole maps in ``options.model``; write sensitivity.json and sensitivity.svg.

    Prints a table and returns True. Raises ConfigError if the model, the images or an option is wrong.
    """
    folder = output_folder(options, RESULTS)
    network = open_network(options.model, options.input_shape, need_sizes=True, check=options.check_blocks)
    images = find_images(options, network)
    print(f"running the network on {len(images)} images ...", flush=True)
    with feature_maps(network, network.model, network.blocks, images) as maps:
        agreements = {}
        for block in network.blocks:
            print(f"{block.name}: {block.height} x {block.width} x {block.channels} ...", flush=True)
            agreements[block.name] = [agreement(block, k, maps[block.name]) for k in options.ks]
    blocks = [{"name": block.name, **block.shape, "ks": [item.figures for item in agreements[block.name]]}
              for block in network.blocks]
    contents = {"model": network.path, "input": network.dims[1:], "calibration": options.calibration,
                "images": len(images), "others": network.unsupported, "blocks": blocks}
    files = dict(zip(RESULTS, (json_bytes(contents), draw(network.blocks, agreements)), strict=True))
    # Only now, as images may have been refused until here: two files of different runs must never be there.
    discard(folder, RESULTS)
    write_all(folder, files)
    print(_table(blocks, options.ks))
    print("\n".join([_advice(blocks, options.ks), *network.left_out]))
    print("wrote " + ", ".join(os.path.join(folder, name) for name in files))
    return True


def _table(blocks, ks):
    """A row for each block: the change of its outputs for each k, and agreement for the k nearest to the default."""
    nearest = min(ks, key=lambda k: abs(k - TileOptions.k))
    rows = [("block", "H", *(f"change k={k}" for k in ks),
             *(f"{name} k={nearest}" for name in ("means r", "gates r", "quantised gates")))]
    for block in blocks:
        figures = next(item for item in block["ks"] if item["k"] == nearest)
        error = figures["quantised_gate_error"]
        rows.append((block["name"], str(block["H"]), *(f"{100 * item['output_change']:.1f} %" for item in block["ks"]),
                     *("-" if figures[name] is None else f"{figures[name]:.3f}"
                       for name in ("mean_correlation", "gate_correlation")),
                     f"+-{error['max']:.3f}" if error else "none"))
    return "\n".join(aligned(rows))


def _advice(blocks, ks):
    """For each k, the value of SKIP that leaves out the blocks which change most."""
    lines = [f"blocks whose outputs change by more than {100 * NOTABLE:.0f} % (root mean square), "
             "perhaps better left as they are:"]
    for index, k in enumerate(ks):
        names = [block["name"] for block in blocks if block["ks"][index]["output_change"] > NOTABLE]
        lines.append(f"  k={k}: " + (f"SKIP={','.join(names)}" if names else "none"))
    return "\n".join(lines)
