# SPDX-License-Identifier: Apache-2.0
"""`tiled-se swap`: writes an ONNX network with tiled blocks."""

import os

import onnx

from ...gen.files import check_file, write_all
from ...hdl.config import ConfigError, Tiling
from ..check.whole import check_tiled
from ..network import open_network
from ..read.model import model_errors
from ..tile import tile_blocks
from .options import SwapOptions

__all__ = ["swap"]


def swap(options: SwapOptions) -> bool:
    """Write ``options.model`` with its blocks tiled to ``options.file``. Returns True.

    Raises ConfigError for bad input, and if there is no block to tile.
    """
    path = options.file
    folder, name = os.path.split(path)
    check_file(path, "out")
    network = open_network(options.model, options.input_shape, check=options.check_blocks)
    network.require_blocks()
    blocks = network.selected(options.skip or ())
    if not blocks:
        raise ConfigError("skip", ",".join(options.skip), "leaves no block to tile")
    if os.path.exists(path) and os.path.samefile(path, options.model):
        raise ConfigError("out", path, "is the model itself; must be another file")
    with model_errors(options.model):
        tiled = tile_blocks(network.model, blocks, Tiling.of(options.k))
        error = _checker_error(tiled)
        # Runtimes run many models that the checker refuses: an error that the original has, too, is accepted.
        if error is not None and error != _checker_error(network.model):
            raise ConfigError("model", "the tiled network", error)
        uncompared = check_tiled(network, blocks, tiled, Tiling.of(options.k)) if options.check_blocks else []
        content = tiled.SerializeToString()
    write_all(folder or ".", {name: content})
    for block in blocks:
        height = "" if block.height is None else f" of {block.height}"
        note = "; it was quantised, and is in float now" if block.quantised else ""
        print(f"{block.name}: tiles of {options.k} rows{height}{note}")
    for line in (*network.notes(blocks), *network.left_out):
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
