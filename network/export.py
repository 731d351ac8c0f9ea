# SPDX-License-Identifier: Apache-2.0
"""From a PyTorch network with quantised blocks to a folder that `tiled-se build` takes, without ONNX."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from ..gen.data import input_bytes, weights_bytes
from ..gen.fields import options_of
from ..gen.files import check_folder, check_free, discard, json_bytes, write_all
from ..gen.npz import npz_bytes
from ..gen.options import BlockOptions
from ..golden.batches import run_batches
from ..golden.quantised_module import QuantisedTiledSE
from ..hdl.config import ConfigError, Tiling
from ..hdl.errors import check_integer
from .read.names import folder_names

__all__ = ["BLOCKS", "CODES", "FILES", "INPUT", "OPTIONS", "WEIGHTS", "export_blocks"]

# The list of blocks, and the files of each block's folder: its parameters, maps, and its own integers for these.
BLOCKS, WEIGHTS, INPUT, CODES = "blocks.json", "weights.npz", "input.npz", "codes.npz"
FILES = (WEIGHTS, INPUT, CODES)
# Options of a block, fields of BlockOptions, that these files do not have.
OPTIONS = (*(field.name for field in dataclasses.fields(Tiling)), "weight_bits", "error", "dtype", "y_dtype")


def export_blocks(model: nn.Module, batches: Iterable[Any], folder: str, frames: int = 2) -> None:
    """Write all :class:`.QuantisedTiledSE` blocks of `model` into `folder`, for ``tiled-se build folder``.

    The model runs on `batches`, its inputs, in evaluation mode. Each block gets a folder with its weights and formats,
    the first so many maps (`frames`) that it sees, and the integers that it computes for them, which `build` holds the
    hardware to. ``blocks.json`` has each block's options. All calibrated blocks must be reached by a batch.

    Raises ConfigError with nothing written: ("model") if it has no such block, ("batches") if there are none or one of
    the blocks is not reached, ("folder") if that can't be written, or as the blocks themselves.
    """
    check_integer("frames", frames, 1, 1 << 20)
    blocks = {name or "block": module for name, module in model.named_modules()
              if isinstance(module, QuantisedTiledSE)}
    if not blocks:
        raise ConfigError("model", type(model).__name__, "must have quantised blocks: tile_se(quantised=...)")
    folders = folder_names(blocks, [BLOCKS])
    check_folder(folder, "folder")
    check_free(folder, [BLOCKS], "folder")
    for own in folders.values():
        check_folder(os.path.join(folder, own), "folder")
    seen = _maps(model, blocks, batches, frames)
    contents = {name: _files(blocks[name], maps, codes) for name, (maps, codes) in seen.items()}
    # Until it is there again, nothing passes for an export.
    discard(folder, [BLOCKS], "folder")
    for name, files in contents.items():
        write_all(os.path.join(folder, folders[name]), files, "folder")
    write_all(folder, {BLOCKS: json_bytes({"blocks": [
        {"name": name, "folder": folders[name], "options": _options(module)} for name, module in blocks.items()]})},
        "folder")


def _maps(model: nn.Module, blocks: Mapping[str, QuantisedTiledSE], batches: Iterable[Any],
          frames: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By name the first maps (N, H, W, C) of each block, real numbers, and its integers for them."""
    found: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {name: [] for name in blocks}

    def add(name: str, x: torch.Tensor) -> None:
        left = frames - sum(len(maps) for maps, _ in found[name])
        x = (x if x.ndim == 4 else x.unsqueeze(0))[:left]
        # All frames of a simulation have one size.
        if len(x) and (not found[name] or x.shape[1:] == found[name][0][0].shape[1:]):
            found[name].append((x, blocks[name].codes(x)))

    run_batches(model, batches, {module: functools.partial(add, name) for name, module in blocks.items()})
    for name, pairs in found.items():
        if not pairs:
            raise ConfigError("batches", "no map", f"must reach the block {name!r}")
    return {name: tuple(torch.cat(parts).permute(0, 2, 3, 1).cpu().double().numpy()
                        for parts in zip(*pairs, strict=True)) for name, pairs in found.items()}


def _files(module: QuantisedTiledSE, maps: np.ndarray, codes: np.ndarray) -> dict[str, bytes]:
    x, y = module.x_format, module.y_format
    return {WEIGHTS: weights_bytes(module.block(), None if module.formats.outputs is None else y),
            INPUT: input_bytes(x.quantise(maps).astype(x.data.numpy), x),
            CODES: npz_bytes({"y_q": codes.astype(y.data.numpy)})}


def _options(module: QuantisedTiledSE) -> dict[str, str]:
    """Those of OPTIONS that are not None, as texts."""
    formats = module.formats
    values = {**vars(module.tiling), "weight_bits": formats.weight_bits, "error": formats.error_lsb,
              "dtype": formats.data, "y_dtype": formats.outputs}
    known = options_of(BlockOptions)
    return {name: known[name].text_of(values[name]) for name in OPTIONS if values[name] is not None}
