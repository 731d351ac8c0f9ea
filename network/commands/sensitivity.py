# SPDX-License-Identifier: Apache-2.0
"""`tiled-se sensitivity`: is local context enough in this network?"""

import os

from ...gen.files import json_bytes, write_all
from ...gen.options import FIELDS
from ...gen.text_table import aligned
from ...hdl.config import ConfigError
from ..calibration.agreement import agreement
from ..calibration.feature_maps import feature_maps
from ..calibration.images import find_images
from ..network import open_network, parse_shape, require_sizes
from .sensitivity_plot import draw

__all__ = ["sensitivity"]

# A change of the outputs that is pointed out.
NOTABLE = 0.1


def sensitivity(options, folder):
    """Measure how tiles agree with whole maps, write sensitivity.json and sensitivity.svg, print a table. Returns True.

    Raises
    ------
    ConfigError
        Where the model, the images or an option is wrong.
    """
    network = open_network(options.model, parse_shape(options.input) if options.input else None)
    if not network.blocks:
        raise ConfigError("model", options.model, "has no squeeze-and-excite block")
    require_sizes(network)
    images = find_images(options, network)
    print(f"running the network on {len(images)} images ...", flush=True)
    with feature_maps(network, network.model, list(network.blocks), images) as maps:
        found = {}
        for sized in network.blocks:
            print(f"{sized.name}: {sized.height} x {sized.width} x {sized.channels} ...", flush=True)
            found[sized.name] = [agreement(sized.block, k, maps[sized.name]) for k in options.ks]
    blocks = [{"name": sized.name, "H": sized.height, "W": sized.width, "C": sized.channels, "CR": sized.squeeze,
               "ks": [item.figures for item in found[sized.name]]} for sized in network.blocks]
    contents = {"model": network.path, "input": network.dims[1:], "calibration": options.calibration,
                "images": len(images), "blocks": blocks}
    write_all(folder, {"sensitivity.json": json_bytes(contents), "sensitivity.svg": draw(network.blocks, found)})
    print(_table(blocks, options.ks))
    print(_advice(blocks, options.ks))
    print("wrote " + ", ".join(os.path.join(folder, name) for name in ("sensitivity.json", "sensitivity.svg")))
    return True


def _table(blocks, ks):
    """A row a block: change of the outputs for each k; how means and gates agree with the k nearest to the default."""
    shown = min(ks, key=lambda k: abs(k - FIELDS["k"].default))
    rows = [("block", "H", *(f"change k={k}" for k in ks),
             *(f"{name} k={shown}" for name in ("means r", "gates r", "quantised gates")))]
    for block in blocks:
        nearest = next(item for item in block["ks"] if item["k"] == shown)
        error = nearest["quantised_gate_error"]
        rows.append((block["name"], str(block["H"]), *(f"{100 * item['output_change']:.1f} %" for item in block["ks"]),
                     *("-" if nearest[name] is None else f"{nearest[name]:.3f}"
                       for name in ("mean_correlation", "gate_correlation")),
                     f"+-{error['max']:.3f}" if error else "none"))
    return "\n".join(aligned(rows))


def _advice(blocks, ks):
    """A line for each k: which blocks change most with it, as they are left out."""
    lines = [f"blocks whose outputs change by more than {100 * NOTABLE:.0f} % (root mean square), "
             "perhaps better left as they are:"]
    for index, k in enumerate(ks):
        names = [block["name"] for block in blocks if block["ks"][index]["output_change"] > NOTABLE]
        lines.append(f"  k={k}: " + (f"SKIP={','.join(names)}" if names else "none"))
    return "\n".join(lines)
