# SPDX-License-Identifier: Apache-2.0
"""`tiled-se swap`: writes an ONNX network with tiled blocks."""

import os

import onnx

from ...gen.files import check_file, write_all
from ...hdl.config import ConfigError
from ..calibration.feature_maps import with_priors
from ..calibration.images import find_images, image_files
from ..check.whole import check_tiled
from ..network import open_network
from ..plan import Plan
from ..read.model import model_errors
from ..tile import tile_blocks
from .options import SwapOptions
from .wording import of_prior, tiles

__all__ = ["swap"]


def swap(options: SwapOptions) -> bool:
    """Write ``options.model`` with its blocks tiled to ``options.file``. Returns True.

    The prior of each block is the mean of its map on the images in ``options.calibration``, or 0. Raises ConfigError
    for bad input, and if there is no block to tile.
    """
    path = options.file
    folder, name = os.path.split(path)
    check_file(path, "out")
    plan = Plan.of(options)
    has_images = bool(options.calibration and image_files(options.calibration))
    network = open_network(options.model, options.input_shape, check=options.check_blocks)
    network.require_blocks()
    blocks = network.selected(options.skip or ())
    if not blocks:
        raise ConfigError("skip", ",".join(options.skip), "leaves no block to tile")
    if os.path.exists(path) and os.path.samefile(path, options.model):
        raise ConfigError("out", path, "is the model itself; must be another file")
    chosen = plan.choices(network.blocks)
    tilings = chosen.tilings(blocks, prior=bool(options.calibration))
    # The prior is of the original's maps, which need sizes. Tilings without one ignore the images.
    calibrated = has_images and any(tiling.prior_rows for tiling in tilings.values())
    if calibrated:
        network.require_sizes()
    keep = options.keep_quantised
    if keep and not network.quantised:
        raise ConfigError("keep_quantised", 1, "needs a quantised network; this one has no QuantizeLinear and no "
                                               "DequantizeLinear")
    images = find_images(options, network) if calibrated else ()
    with model_errors(options.model):
        # What can't be tiled is refused before the network runs.
        tiled = tile_blocks(network.model, blocks, tilings, keep)
    if images:
        print(f"running the network on {len(images)} images ...", flush=True)
        blocks = with_priors(network, blocks, images, tilings)
        tiled = tile_blocks(network.model, blocks, tilings, keep)
    with model_errors(options.model):
        error = _checker_error(tiled)
        # Runtimes run many models that the checker refuses: an error that the original has, too, is accepted.
        if error is not None and error != _checker_error(network.model):
            raise ConfigError("model", "the tiled network", error)
        uncompared = check_tiled(network, blocks, tiled, tilings, keep) if options.check_blocks else []
        content = tiled.SerializeToString()
    write_all(folder or ".", {name: content})
    for block in blocks:
        note = f"; {'its quantisers stay' if keep else 'it was quantised, and is in float now'}" * block.quantised
        print(f"{block.name}: {tiles(tilings[block.name], block.height, block.width)}{note}")
    for line in (*of_prior(tilings.values(), len(images)), *chosen.notes, *network.notes(blocks), *network.left_out):
        print(line)
    if uncompared:
        print("not compared with the original, because the network amplifies small differences before them: "
              + ", ".join(uncompared))
    kept = len(network.blocks) - len(blocks)
    print(f"wrote {path}: {len(blocks)} blocks tiled{f', {kept} left as they are' if kept else ''}")
    return True


def _checker_error(model):
    """The first line of what ONNX's checker reports about `model`, or None."""
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError) as error:
        return str(error).strip().splitlines()[0][:200]
    return None
