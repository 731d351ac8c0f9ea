# SPDX-License-Identifier: Apache-2.0
"""What `sim`, `verilog`, `synth` and `build` have made of a block, against what the line asked for."""

import json

import numpy as np

from .hostile_builds import TRUE, arrays_of, differences, planned, said_of, wanted_fields
from .hostile_golden import integers, numbers_differ, outputs_differ, run_differs

__all__ = ["planned_differs", "runs_differ", "simulated_differs", "written_differs"]

# What a run is where nothing else is said.
RUN = {"seed": "1", "stall": "0", "sim": "verilator", "waves": "0", "sram_overhead": "0.05", "error": "1",
       "target": "ecp5", "seeds": "1,2,3"}
WAVES = ("waves.vcd", "waves.gtkw")
# What was there before, and stays.
OTHERS = ("notes.txt", "report.json")


def planned_differs(line, work, folder):
    """Of a line that ended at the plan, with its results in `folder`."""
    about, arrays = planned(folder)
    return differences(line, work, about, arrays) + _run(said_of(line), about["run"])


def _run(said, found):
    """What a run has `found` for the options that aren't the block's."""
    wrong = []
    for name, value in found.items():
        text = said.get(name, RUN[name])
        wanted = {"seed": int, "stall": float, "sram_overhead": float, "error": float,
                  "waves": lambda text: text.lower() in TRUE,
                  "seeds": lambda text: [int(part) for part in text.split(",")]}.get(name, str)(text)
        if value != wanted:
            wrong.append(f"{name} is {value!r}, not {wanted!r}")
    return wrong


def _asked(line, work):
    """Options, and the integers that they and the files make."""
    said = said_of(line)
    weights, data = (arrays_of(work, said.get(name)) for name in ("weights", "input"))
    return said, integers(said, weights, data, wanted_fields(said, weights, data))


def simulated_differs(line, place, folder):
    """report.json and output.npz of a simulation; outputs are compared with our own run of the golden model."""
    about = json.loads((folder / "report.json").read_text())
    with np.load(folder / "output.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    wrong = [] if about["bit_exact"] and (arrays["y_q"] == arrays["y_golden"]).all() else ["not bit-exact"]
    wrong += differences(line, place.work, about | {"name": about["config"]["name"]}, arrays)
    said, (config, quantised) = _asked(line, place.work)
    run = {name: about["config"][name] for name in ("seed", "stall", "sim", "error")}
    run["waves"] = all((folder / name).exists() for name in WAVES)
    wrong += _run(said, run) + numbers_differ(about["config"], config)
    return wrong or outputs_differ(config, quantised, arrays["x_q"], arrays["y_q"])


def written_differs(line, place, folder):
    """All that `verilog` has written."""
    name = line.said.get("name") or "tiled_se"
    about = json.loads((folder / "manifest.json").read_text())
    names = sorted(path.name for path in folder.iterdir() if path.name not in OTHERS)
    listed = sorted([*(file["name"] for file in about["files"]), "manifest.json"])
    wrong = [] if names == listed else [f"files are {names}"]
    verilog = (folder / f"{name}.v").read_text()
    wrong += differences(
        line, place.work, {"config": about["config"], "name": about["top"],
                           "error_bound_lsb": about["numbers"]["error_bound_lsb"]}, verilog=verilog)
    return wrong or runs_differ(line, place, folder, about)


def runs_differ(line, place, folder, about):
    """The Verilog in `folder`, with its parameter stream, in a simulator; `about` is the manifest."""
    _, (config, quantised) = _asked(line, place.work)
    name = line.said.get("name") or "tiled_se"
    words = np.fromfile(folder / f"{name}.params.bin", "<u4") if config.loadable else None
    return numbers_differ(about["config"], config) or run_differs(
        config, quantised, (folder / f"{name}.v").read_text(), name, words, place.cache)
