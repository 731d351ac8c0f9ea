# SPDX-License-Identifier: Apache-2.0
"""Ends `sim`, `verilog` and `synth` when all options and files are read, in a tenth of the time of a whole run."""

import json
import os

import numpy as np

__all__ = ["RESULTS", "read", "stop_at_the_plan"]

# What is written instead of the command's results: the configuration, and the real values that it starts from.
CONFIG, NUMBERS = "planned.json", "planned.npz"
RESULTS = (CONFIG, NUMBERS)


def stop_at_the_plan():
    """Have the commands on one block in this process write what they would build instead of building it."""
    from tiled_se.gen import manifest, simulation
    from tiled_se.gen.fpga import synth

    def simulate(options):
        simulation.check_simulator(options.sim)
        return _write(options)

    simulation.simulate, synth.synthesise, manifest.write_verilog = simulate, _write, _write


def _write(options):
    from tiled_se.gen.block_spec import prepare
    from tiled_se.gen.files import json_bytes, output_folder, write_all
    from tiled_se.gen.npz import npz_bytes
    from tiled_se.gen.wording import config_fields

    folder, spec = output_folder(options), prepare(options)
    quantised, data, shape = spec.quantised, spec.format, spec.shape
    shape.check_frames()
    arrays = {name: getattr(quantised, name) for name in ("w1", "b1", "w2", "b2")} | {
        "x_q": spec.frames(), "x_scale": data.scale, "x_zero_point": data.zero_point}
    about = {**vars(options), **config_fields(spec.config), "dtype": str(data.data),
             "y_scale": spec.y_format.scale, "error_bound_lsb": quantised.error_bound_lsb,
             "height": shape.height, "width": shape.width, "frames": shape.frames}
    plain = {name: getattr(value, "value", str(value) if name == "gate" else value) for name, value in about.items()}
    write_all(folder, {NUMBERS: npz_bytes(arrays), CONFIG: json_bytes(plain)})
    print(os.path.join(folder, CONFIG))
    return True


def read(folder):
    """``(about, arrays)`` that a line which ended at the plan has left in `folder`."""
    with np.load(folder / NUMBERS, allow_pickle=False) as archive:
        return json.loads((folder / CONFIG).read_text()), dict(archive)
