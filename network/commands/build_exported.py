# SPDX-License-Identifier: Apache-2.0
"""`tiled-se build` of the blocks that :func:`~tiled_se.network.export.export_blocks` has written."""

import dataclasses
import json
import os
from typing import Any

import numpy as np

from ...gen import npz
from ...gen.block_files import check_block_files
from ...gen.data import load_input, load_weights
from ...gen.fields import from_texts, options_of
from ...gen.files import check_folder, check_free, decoded, json_bytes, output_folder, read_bytes, write_all
from ...gen.options import BlockOptions
from ...gen.simulation import OUTPUT, REPORT
from ...gen.text_table import warn
from ...hdl.config import ConfigError, Tiling
from ...hdl.sizing import lanes_within
from ..export import BLOCKS, CODES, FILES, INPUT, OPTIONS, WEIGHTS
from ..match.match import waiting_elements
from ..read.names import folder_names, module_name
from .block_runs import OWN, check_tools, discard_earlier, run_blocks
from .build_tables import block_table
from .options import BuildOptions
from .wording import fields

__all__ = ["build_exported"]

# What the folder leaves open.
FREE = ("model", "out", "skip", "lanes", "macs", "sram_overhead", "slack", "stall", "seed", "jobs")
# Most bytes of blocks.json.
MOST_LIST = 1 << 30


@dataclasses.dataclass(frozen=True)
class _Block:
    """A block of the folder: its tiling, the shape (N, H, W, C) of its maps, C, CR, and its own integers for them."""

    name: str
    tiling: Tiling
    task: BlockOptions
    shape: tuple[int, ...]
    squeeze: int
    codes: np.ndarray


def build_exported(options: BuildOptions) -> bool:
    """Build every block of the folder ``options.model`` into a folder of its own, and print a table.

    Returns whether all blocks were built, are bit-exact, and give the integers of the PyTorch module that was exported.
    Raises ConfigError, before anything is written, if the folder is wrong or an option is given that it fixes.
    """
    _check_free_options(options)
    folder = output_folder(options, [REPORT])
    if os.path.realpath(folder) == os.path.realpath(str(options.model)):
        raise ConfigError("out", folder, "must be another folder than MODEL")
    blocks = [_read(options, entry, folder) for entry in _entries(options)]
    tasks = {block.name: block.task for block in blocks}
    sources = {block.name: _sources(options, block.task) for block in blocks}
    discard_earlier(folder, tasks, None)
    for name, task in tasks.items():
        write_all(task.out, sources[name])  # type: ignore[arg-type]  # it is set
    results = run_blocks(tasks, options.jobs)
    rows = [_row(block, results[block.name]) for block in blocks]
    passed = all(row["failure"] is None for row in rows)
    write_all(folder, {REPORT: json_bytes({
        "model": options.model, "calibration": None, "skipped": list(options.skip or ()),
        "bit_exact": all(row["bit_exact"] for row in rows), "finished": True, "blocks": rows})})
    warn(f"{row['name']}: {text}" for row in rows if row["report"] for text in row["report"]["warnings"])
    equal = sum(row["codes"]["equal"] for row in rows if row["codes"])
    print("\n".join([*block_table(rows), f"integers of the PyTorch modules: {equal:,} of "
                     f"{sum(block.codes.size for block in blocks):,} outputs are equal",
                     f"wrote {os.path.join(folder, REPORT)}, and a folder for each block beside it"]))
    check_tools(results)
    return passed


def _check_free_options(options: BuildOptions) -> None:
    for name, about in options_of(BuildOptions).items():
        if name not in FREE and getattr(options, name) != about.default:
            raise ConfigError(name, about.text_of(getattr(options, name)),
                              f"must not be given, as MODEL={options.model} has it")


def _entries(options: BuildOptions) -> list[dict]:
    """The blocks of blocks.json that are not to be skipped; ConfigError where it is not as it was written."""
    path = os.path.join(str(options.model), BLOCKS)
    content = read_bytes("model", path, "an .onnx file, or a folder of export_blocks with its blocks.json", MOST_LIST)
    try:
        entries = json.loads(decoded(content))["blocks"]
        for entry in entries:
            plain = folder_names([entry["folder"]])[entry["folder"]] == entry["folder"]
            texts = all(isinstance(text, str) for text in (entry["name"], *entry["options"].values()))
            if not plain or not texts or set(entry["options"]) - set(OPTIONS):
                raise ValueError("not as it was written")
        names = [entry["name"] for entry in entries]
        if not names or len(set(names)) < len(names) or len({entry["folder"] for entry in entries}) < len(names):
            raise ValueError("no blocks, or two of one name")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigError("model", path, "is damaged, or was not written by export_blocks") from None
    for name in options.skip or ():
        if name not in names:
            raise ConfigError("skip", name, f"must be a block's name; there are {', '.join(names)}")
    left = [entry for entry in entries if entry["name"] not in (options.skip or ())]
    if not left:
        raise ConfigError("skip", ",".join(options.skip or ()), "leaves no block to build")
    return left


def _read(options: BuildOptions, entry: dict[str, Any], folder: str) -> _Block:
    """One block, whose files are read and must fit each other; ConfigError ("model") or for a file."""
    source, own = (os.path.join(where, entry["folder"]) for where in (str(options.model), folder))
    name = module_name(entry["folder"])
    check_folder(own)
    check_block_files(own, name)
    check_free(own, OWN)
    try:
        given = from_texts(BlockOptions, entry["options"])
        tiling = given.tiling()
    except ConfigError as error:
        raise ConfigError("model", os.path.join(str(options.model), BLOCKS),
                          f"{error.option} is {error.value}; {error.allowed}") from None
    weights, data = load_weights(os.path.join(source, WEIGHTS)), load_input(os.path.join(source, INPUT), given)
    squeeze, channels = weights.arrays["w1"].shape
    path = os.path.join(source, CODES)
    codes = npz.read("model", path, ["y_q"]).get("y_q")
    if codes is None or codes.shape != data.x.shape or codes.dtype.kind not in "iu" or channels != data.x.shape[3]:
        raise ConfigError("model", path, f"must hold integers y_q of the shape {list(data.x.shape)} of x_q in {INPUT}, "
                                         f"with the channels of {WEIGHTS}")
    free = {name: getattr(options, name) for name in FREE if name in options_of(BlockOptions)}
    task = dataclasses.replace(given, **free | {
        "lanes": options.lanes and lanes_within(channels, options.lanes), "out": own, "name": name,
        "weights": os.path.join(own, WEIGHTS), "input": os.path.join(own, INPUT)})
    return _Block(entry["name"], tiling, task, data.x.shape, squeeze, codes)


def _sources(options: BuildOptions, task: BlockOptions) -> dict[str, bytes]:
    """The contents of a block's files, by name, for the folder that is built."""
    source = os.path.join(str(options.model), os.path.basename(str(task.out)))
    return {name: read_bytes("model", os.path.join(source, name), "an .npz file") for name in FILES if name != CODES}


def _row(block: _Block, result: dict) -> dict:
    """The block in report.json; its failure says, too, where the RTL's integers are not those of the module."""
    report, failure, codes = result["report"], result["failure"], None
    if report is not None:
        with np.load(os.path.join(str(block.task.out), OUTPUT)) as arrays:
            equal = int((arrays["y_q"] == block.codes).sum())
        codes = {"elements": block.codes.size, "equal": equal}
        if equal < block.codes.size:
            failure = failure or f"{block.codes.size - equal:,} outputs are not the integers of the PyTorch module"
    _, height, width, channels = block.shape
    return {"name": block.name, "folder": os.path.basename(str(block.task.out)), "module": block.task.name,
            "H": height, "W": width, "C": channels, "CR": block.squeeze, "tiling": fields(block.tiling),
            **waiting_elements(block.tiling, height, width, channels), "failure": failure, "codes": codes,
            "bit_exact": bool(report and report["bit_exact"]), "report": report}
