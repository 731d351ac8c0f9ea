# SPDX-License-Identifier: Apache-2.0
"""`tiled-se sim` from end to end, on one small block; other files simulate more of them."""

import dataclasses
import json
import os
import pathlib
import re

import numpy as np
import pytest

from tests.conftest import weights
from tiled_se.gen import simulation

# Few lanes and rows, a ragged last tile, gates that are no sigmoid.
BLOCK = ["--k=2", "--width=3", "--height=5", "--channels=8", "--lanes=4", "--macs=4", "--gate=hardsigmoid"]


def loaded(folder):
    report = json.loads((pathlib.Path(folder) / "report.json").read_text())
    with np.load(f"{folder}/output.npz") as arrays:
        return report, dict(arrays)


def test_report_and_outputs(tiled_se):
    finished = tiled_se.passes("sim", *BLOCK, "--frames=3", "--out=out")
    report, arrays = loaded("out")
    assert sorted(os.listdir("out")) == ["output.npz", "report.json"]
    assert report["bit_exact"] is True
    assert report["mismatches"] == 0
    assert report["elements"] == arrays["y_q"].size == 3 * 5 * 3 * 8
    assert arrays["x_q"].shape == arrays["y_q"].shape == arrays["y_golden"].shape == (3, 5, 3, 8)
    assert (arrays["y_q"] == arrays["y_golden"]).all()
    assert report["float_error_lsb"]["mean"] < report["float_error_lsb"]["max"] <= report["error_bound_lsb"] <= 1
    assert report["cycles"]["first_output_latency"] == report["predicted"]["first_output_latency"]
    sram = report["sram"]
    assert sram["bound_bits"] == 8 * 2 * 3 * 8
    assert 0 < sram["tile_buffer_peak_elements"] <= sram["tile_buffer_elements"]
    assert sram["tile_buffer_bits"] == 8 * sram["tile_buffer_elements"]
    assert report["config"]["height"] == 5
    table = finished.out.splitlines()
    assert "bit-exact   yes, 360 elements" in table
    assert max(map(len, table)) <= 100


def test_other_data_and_parameters_need_no_compile(tiled_se):
    """What is loadable is no part of the hardware: the same executable, which waits for nothing but its inputs."""
    reports = []
    for seed, stall in ((1, 0), (2, 0.4)):
        assert tiled_se("sim", *BLOCK, "--loadable", f"--seed={seed}", f"--stall={stall}", "--out=out").status == 0
        reports.append(loaded("out")[0])
    assert reports[1]["simulation"]["build_cached"]
    assert reports[1]["simulation"]["build_seconds"] < 1
    assert reports[0]["float_error_lsb"] != reports[1]["float_error_lsb"]


@pytest.mark.parametrize(("options", "bound"), [
    (["--context=cumulative"], 2 * 3), (["--context=causal", "--max-rows=3"], 0),
    (["--context=window", "--window=1:2"], 3 * 3), (["--order=columns"], 2 * 5)], ids=lambda value: str(value))
def test_contexts(options, bound, tiled_se, npz):
    """Cycles are those predicted, the data that must wait are the context's, and outputs are near float64's."""
    # Strips would warn that they have no use for a prior.
    prior = {} if "--order=columns" in options else {"prior": np.linspace(-2, 2, 8, dtype=np.float32)}
    finished = tiled_se.passes("sim", *BLOCK[:-1], f"--weights={npz('w.npz', **weights(**prior))}", *options,
                               "--frames=3", "--out=out")
    report, arrays = loaded("out")
    assert report["bit_exact"] is True
    assert (arrays["y_q"] == arrays["y_golden"]).all()
    assert report["float_error_lsb"]["max"] <= report["error_bound_lsb"] <= 1
    for name, cycles in (("total", "total_cycles"), *[(name,) * 2 for name in ("first_output_latency",
                                                                               "steady_throughput")]):
        assert report["cycles"][name] == report["predicted"][cycles]
    sram, line = report["sram"], 5 if "--order=columns" in options else 3
    assert (sram["bound_bits"], sram["tse7_bits"]) == (8 * bound * 8, 8 * 7 * line * 8)
    assert sram["over_tse7"] == sram["total_without_weights_bits"] / sram["tse7_bits"]
    assert sram["over_bound"] == (sram["total_without_weights_bits"] / sram["bound_bits"] if bound else None)
    assert ("prior" in arrays) == (report["config"]["prior_rows"] > 0)
    config = report["config"]
    assert (config["height"], config["width"]) == (5, 3)
    assert max(map(len, finished.out.splitlines())) <= 100


@pytest.mark.parametrize(("options", "x", "y", "saturates"), [
    # A beat of 20 bits, in 24.
    (["--dtype=uint5", "--weight-bits=3"], ("uint8", 0, 31), ("uint8", 0, 31), False),
    (["--dtype=int4", "--y-dtype=uint11", "--y-scale=0.002", "--y-zero-point=1000"], ("int8", -8, 7),
     ("uint16", 0, 2047), True)], ids=["5 bits", "outputs"])
def test_formats(options, x, y, saturates, tiled_se):
    """Integers keep to their types, outputs saturate at both ends, and the files tell the formats."""
    finished = tiled_se("sim", *BLOCK, *options, "--frames=3", "--out=out")
    report, arrays = loaded("out")
    assert finished.status == 0
    assert report["bit_exact"] is True
    assert (arrays["y_q"] == arrays["y_golden"]).all()
    assert report["float_error_lsb"]["max"] <= report["error_bound_lsb"] <= 1
    for name, (numpy_type, low, high) in (("x", x), ("y", y)):
        stored = arrays[f"{name}_q"]
        assert stored.dtype == numpy_type
        assert 1 << int(arrays[f"{name}_bits"]) == high - low + 1
        assert low <= stored.min() <= stored.max() <= high
    assert (arrays["y_q"].min() == y[1] and arrays["y_q"].max() == y[2]) == saturates
    config, sram = report["config"], report["sram"]
    assert config["weight_bits"] == arrays["weight_bits"] == (3 if "--weight-bits=3" in options else 8)
    for name in ("y_scale", "y_zero_point"):
        assert config[name] == arrays[name]
    assert sram["bound_bits"] == int(arrays["x_bits"]) * 2 * 3 * 8
    assert sram["tile_buffer_bits"] == int(arrays["x_bits"]) * sram["tile_buffer_elements"]
    table = finished.out.splitlines()
    assert max(map(len, table)) <= 100
    assert (f"numbers     x {config['data']}, step {config['x_scale']:.4g}, zero point {config['zero_point']}; "
            f"y {config['outputs']}, step {config['y_scale']:.4g}, zero point {config['y_zero_point']}; "
            f"weights of {config['weight_bits']} bits") in table
    of_outputs = [line for line in table if line.startswith("outputs ")]
    outputs = report["outputs"]
    if not saturates:
        assert (outputs["clipped"], of_outputs, finished.err, report["warnings"]) == (None, [], "", [])
        return
    at_an_end = ((arrays["y_q"] == y[1]) | (arrays["y_q"] == y[2])).mean()
    # A few are at an end without being clipped.
    assert 0.9 * at_an_end < outputs["clipped"] <= at_an_end
    assert of_outputs == [f"outputs     {100 * outputs['clipped']:.3g} % clipped, SQNR {outputs['sqnr_db']:.2f} dB"]
    low, high = outputs["range"]
    line = (f"{100 * outputs['clipped']:.3g} % of the outputs were clipped: they go from {low:.4g} to {high:.4g}; "
            "uint11 with Y_SCALE=0.002 and Y_ZERO_POINT=1000 holds -2 to 2.094")
    assert finished.err == f"tiled-se: warning: {line}\n"
    assert report["warnings"] == [line]


def test_another_scale_of_the_outputs_needs_no_compile(tiled_se):
    """It is loaded; the hardware is that of the power of two which holds the ratio, and takes all that are smaller."""
    results = []
    tiled_se.passes("verilog", *BLOCK, "--loadable", "--y-scale=0.05", "--out=block")
    for scale, *more in (("0.05",), ("0.035",), ("0.0625", "--hardware=block/manifest.json"),
                         ("0.5", "--hardware=block/manifest.json")):
        # The second one clips, of which a line warns.
        assert tiled_se("sim", *BLOCK, "--loadable", f"--y-scale={scale}", *more, "--out=out").status == 0
        results.append(loaded("out"))
    assert all(report["simulation"]["build_cached"] for report, _ in results[1:])
    real = [(arrays["y_q"] - arrays["y_zero_point"]) * arrays["y_scale"] for _, arrays in results]
    assert [float(arrays["y_scale"]) for _, arrays in results] == [0.05, 0.035, 0.0625, 0.5]
    assert np.abs(real[2] - real[3]).max() <= 0.0625 + 0.5
    unsaturated = np.abs(real[1]) < 127 * 0.035
    assert np.abs(real[0] - real[1])[unsaturated].max() <= 0.05 + 0.035


@pytest.mark.parametrize(("options", "place"), [([], (1, 4, 2, 5)), (["--order=columns"], (1, 2, 4, 5))])
def test_mismatch(options, place, tiled_se, monkeypatch):
    """A golden model that is off by one in one element: status 1, and a report that says where in the map."""
    model = simulation._golden

    def wrong(job, x):
        golden, stages = model(job, x)
        golden[place] ^= 1
        return golden, stages

    monkeypatch.setattr(simulation, "_golden", wrong)
    finished = tiled_se("sim", *BLOCK, *options, "--out=out")
    assert finished.status == 1
    assert finished.err.startswith("tiled-se: mismatch: ")
    assert finished.err.count("\n") == 1
    report, arrays = loaded("out")
    assert report["bit_exact"] is False
    assert report["mismatches"] == 1
    assert np.argwhere(arrays["y_q"] != arrays["y_golden"]).tolist() == [[1, 4, 2, 5]]
    first = report["first_mismatches"][0]
    assert [first[name] for name in ("frame", "row", "column", "channel")] == [1, 4, 2, 5]


def test_a_mistake_of_golden_and_rtl(tiled_se, monkeypatch):
    """Both agree on integers that stand for other weights: status 1, and a report that says so."""
    right = simulation.prepare

    def wrong(options):
        spec = right(options)
        return dataclasses.replace(spec, quantised=dataclasses.replace(spec.quantised, b2=spec.quantised.b2 + 1))

    monkeypatch.setattr(simulation, "prepare", wrong)
    finished = tiled_se("sim", *BLOCK, "--out=out")
    assert finished.status == 1
    assert re.fullmatch(r"tiled-se: mismatch: an output is \d+\.\d{3} LSB from float64, beyond the proven bound of "
                        r"0\.\d{3}\n", finished.err)
    assert re.search(r"on average; NOT within the proven bound 0\.\d{3}$", finished.out, re.MULTILINE)
    report, _ = loaded("out")
    assert (report["bit_exact"], report["mismatches"], report["accurate"]) == (True, 0, False)
    assert report["float_error_lsb"]["max"] > 1 > report["error_bound_lsb"]


def test_missing_simulator(tiled_se, monkeypatch):
    monkeypatch.setattr(simulation.shutil, "which", lambda name: None)
    tiled_se.refuses("SIM=icarus (--sim): needs iverilog on PATH, which is not there; verilator needs nothing", "sim",
                     *BLOCK, "--sim=icarus", "--out=out")
    assert not os.path.exists("out")


def test_waves(tiled_se, npz):
    path = npz("w.npz", **weights())
    assert tiled_se("sim", "--k=2", "--width=2", f"--weights={path}", "--waves", "--out=out").status == 0
    assert sorted(os.listdir("out")) == ["output.npz", "report.json", "waves.gtkw", "waves.vcd"]
