# SPDX-License-Identifier: Apache-2.0
"""The same variables make the same hardware, whichever command they are given to, and however often."""

import dataclasses
import json
import shutil

import numpy as np

from .hostile_builds import planned

__all__ = ["differs_from_twin", "results_folder"]


def results_folder(line, work):
    """Where results of a line of `sim`, `verilog` or `synth` are; ValueError where that isn't one folder."""
    if line.said.get("out"):
        return work / line.said["out"]
    (folder,) = (work / "build").iterdir()
    return folder


def differs_from_twin(line, place, run):
    """Run `line` again as its twin, and tell what differs, as a list of texts.

    ``run(line)`` runs a line where the first one has run, and gives its exit status.
    """
    folder = results_folder(line, place.work)
    first = _built(line, folder)
    shutil.rmtree(folder)
    other = dataclasses.replace(line, command=line.twin, arguments=(line.twin, *line.arguments[1:]), twin=None)
    status = run(other)
    if status:
        return [f"{line.twin} with the same variables ends with status {status}"]
    second = _built(other, results_folder(other, place.work))
    # A report says more than a manifest of the same block.
    return [f"{name} differs between {line.command} and {line.twin}" for name in sorted(first.keys() & second.keys())
            if first[name] != second[name]]


def _built(line, folder):
    """What a line has made, by name; what names the run itself is left out."""
    if line.planned:
        about, arrays = planned(folder)
        return {name: json.dumps(value) for name, value in about.items()} | {
            name: np.asarray(array).tobytes() for name, array in arrays.items()}
    if line.command == "sim":
        about = json.loads((folder / "report.json").read_text())
    else:
        about = json.loads((folder / "manifest.json").read_text())
    found = {f"config {name}": value for name, value in about["config"].items()}
    found |= {f"sram {name}": value for name, value in about["sram"].items()}
    files = [path for path in folder.iterdir() if path.suffix in (".v", ".bin", ".hex")]
    return found | {path.name: path.read_bytes() for path in files}
