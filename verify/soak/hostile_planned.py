# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for what follows when all options and files are read: most lines end there, in a tenth of the time."""

import os

__all__ = ["CONFIG", "NUMBERS", "RUN", "stop_at_the_plan"]

# What a stand-in writes: the configuration, and the real values that hardware and simulation start from.
CONFIG, NUMBERS = "planned.json", "planned.npz"
# Options that say what is done with the block rather than what it is.
RUN = ("seed", "stall", "sim", "waves", "sram_overhead", "error", "target", "seeds")


def stop_at_the_plan():
    """Have `sim`, `verilog` and `synth` in this process write what they would build instead of building it."""
    from ...gen import manifest, simulate
    from ...gen.fpga import synth

    simulate.simulate, synth.synthesise, manifest.write_verilog = _simulate, _write, _write


def _write(job, folder):
    from ...gen.files import json_bytes, npz_bytes, write_all
    from ...gen.report import config_fields

    quantised, data = job.quantised, job.format
    arrays = {name: getattr(quantised, name) for name in ("w1", "b1", "w2", "b2")}
    about = {"config": config_fields(job.config), "x_scale": data.scale, "x_zero_point": data.zero_point,
             "y_scale": quantised.y_scale, "error_bound_lsb": quantised.error_bound_lsb, "name": job.options.name,
             "shape": {"height": job.shape.height, "frames": job.shape.frames},
             "run": {name: _plain(getattr(job.options, name)) for name in RUN}}
    job.shape.check_frames()
    write_all(folder, {NUMBERS: npz_bytes(arrays | {"x_q": job.frames()}), CONFIG: json_bytes(about)})
    print(os.path.join(folder, CONFIG))


def _plain(value):
    """As JSON has it."""
    return list(value) if isinstance(value, tuple) else getattr(value, "value", value)


def _simulate(job, folder):
    from ...gen.simulate import check_simulator

    check_simulator(job.options.sim)
    _write(job, folder)
    return True
