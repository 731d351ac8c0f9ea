# SPDX-License-Identifier: Apache-2.0
"""The register map of one block, and the documentation and C header that peakrdl makes of it."""

import importlib.util
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from ...cosim.scratch import scratch
from ...hdl.config import Config
from ...hdl.parameters import stream_length
from ..fields import UsageError

__all__ = ["DOCUMENTS", "check_packages", "compiled", "documents", "map_values", "rdl"]

SOURCE = pathlib.Path(__file__).with_name("registers.rdl")
# By their endings, the files that describe a block's registers.
DOCUMENTS = {
    ".registers.rdl": "the register map, in SystemRDL",
    ".registers.h": "C header of the registers",
    ".registers.md": "documentation of the registers",
}
PACKAGES = {"systemrdl": "systemrdl-compiler", "peakrdl_cheader": "peakrdl-cheader",
            "peakrdl_markdown": "peakrdl-markdown"}


def check_packages() -> None:
    """UsageError, which names the extra, unless the packages are there that read the map."""
    missing = [package for name, package in PACKAGES.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"REGISTERS needs {' and '.join(missing)}: pip install 'tiled-se[registers]'")


def map_values(config: Config, version: tuple[int, int, int]) -> dict[str, int | bool]:
    """What the map of one block differs in from that of another: the parameters of the SystemRDL file, by name."""
    major, minor, patch = version
    return {
        "MAJOR": major, "MINOR": minor, "PATCH": patch, "FINGERPRINT": config.fingerprint, "K": config.k,
        "LINE": config.width, "CHANNELS": config.channels, "SQUEEZE": config.squeeze, "LANES": config.lanes,
        "X_BITS": config.data.bits, "X_SIGNED": int(config.data.signed),
        "Y_BITS": config.outputs.bits, "Y_SIGNED": int(config.outputs.signed),
        "WORDS": stream_length(config) if config.loadable else 0, "LOADABLE": config.loadable,
    }


def rdl(name: str, values: Mapping[str, int | bool]) -> str:
    """The SystemRDL text of block `name`: the map as it stands, with these :func:`map_values` as defaults.

    The address map is called NAME_registers, so that the C headers of several blocks can be used together.
    """
    text = SOURCE.read_text(encoding="utf-8").replace("addrmap tiled_se_registers ", f"addrmap {name}_registers ")
    for parameter, value in values.items():
        value_text = str(value).lower() if isinstance(value, bool) else str(value)
        text, count = re.subn(rf"(?<= BLOCK_{parameter} = )\w+", value_text, text)
        if count != 1:
            raise ValueError(f"{SOURCE.name} must have the parameter BLOCK_{parameter} once")
    return text


def compiled(text: str) -> Any:
    """The address map of a SystemRDL `text`, a systemrdl.node.AddrmapNode."""
    from systemrdl import RDLCompiler

    compiler = RDLCompiler()
    with scratch() as folder:
        path = os.path.join(folder, SOURCE.name)
        pathlib.Path(path).write_text(text, encoding="utf-8")
        compiler.compile_file(path)
        return compiler.elaborate().top


def documents(name: str, values: Mapping[str, int | bool]) -> dict[str, tuple[bytes, str]]:
    """The :data:`DOCUMENTS` of block `name`, by file name, each as (content, purpose)."""
    from peakrdl_cheader.exporter import CHeaderExporter
    from peakrdl_markdown import MarkdownExporter

    text = rdl(name, values)
    top = compiled(text)
    contents = {".registers.rdl": text.encode()}
    with scratch() as folder:
        for ending, exporter in ((".registers.h", CHeaderExporter()), (".registers.md", MarkdownExporter())):
            path = os.path.join(folder, name + ending)
            exporter.export(top, path)
            contents[ending] = pathlib.Path(path).read_bytes()
    return {name + ending: (contents[ending], purpose) for ending, purpose in DOCUMENTS.items()}
