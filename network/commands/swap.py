# SPDX-License-Identifier: Apache-2.0
"""`tiled-se swap`: an ONNX network with tiled blocks, as a file."""

import os

import onnx

from ...gen.files import check_file, write_all
from ...hdl.config import ConfigError
from ..network import naming, open_network, parse_shape
from ..tile import tile

__all__ = ["swap"]


def swap(options):
    """Write ``options.model`` with its blocks tiled, into ``options.out``; ConfigError for bad input. Returns True."""
    path = options.out or _default(options)
    folder, name = os.path.split(path)
    check_file(path, "out")
    network = open_network(options.model, parse_shape(options.input) if options.input else None)
    chosen = network.chosen(options.skip or ())
    if os.path.exists(path) and os.path.samefile(path, options.model):
        raise ConfigError("out", path, "is the model itself; must be another file")
    with naming(options.model):
        tiled = tile(network.model, [sized.block for sized in chosen], options.k)
        content = _serialised(tiled, network.model)
    write_all(folder or ".", {name: content})
    for sized in chosen:
        note = "; it was quantised, and is in float now" if sized.block.quantised else ""
        print(f"{sized.name}: tiles of {options.k} rows{_of(sized)}{note}")
    kept = len(network.blocks) - len(chosen)
    print(f"wrote {path}: {len(chosen)} blocks tiled{f', {kept} left as they are' if kept else ''}")
    return True


def _default(options):
    stem = os.path.splitext(options.model or "model.onnx")[0]
    return f"{stem}_tse{options.k}.onnx"


def _of(sized):
    return "" if sized.height is None else f" of {sized.height}"


def _serialised(tiled, original):
    fault = _fault(tiled)
    # Runtimes run much that the checker refuses: what it says of the original, too, is not of our making.
    if fault is not None and fault != _fault(original):
        raise ConfigError("model", "the tiled network", fault)
    return tiled.SerializeToString()


def _fault(model):
    """What ONNX's checker has against `model`, in a line; None if it has nothing."""
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError) as error:
        return str(error).strip().splitlines()[0][:200]
    return None
