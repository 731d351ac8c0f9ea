# SPDX-License-Identifier: Apache-2.0
"""What a block's manifest and the arrays of its simulation say of contexts; nothing is generated or simulated."""

import collections
import dataclasses
import re
import types

import numpy as np
import pytest

from tests.conftest import weights
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.files import json_bytes
from tiled_se.gen.fpga import report as fpga
from tiled_se.gen.fpga.targets import FAMILIES, Target
from tiled_se.gen.fpga.yosys import Netlist
from tiled_se.gen.inventory import Memory
from tiled_se.gen.manifest import manifest
from tiled_se.gen.npz import npz_bytes
from tiled_se.gen.options import BlockOptions
from tiled_se.gen.report import arrays, clip_warning
from tiled_se.gen.verilog import Design
from tiled_se.gen.wording import config_fields
from tiled_se.hdl.config import Context, Order
from tiled_se.hdl.parameters import stream_words
from tiled_se.hdl.schedule import predict

CONTEXTS = {
    "tile": {}, "cumulative": dict(context=Context.CUMULATIVE), "causal": dict(context=Context.CAUSAL, prior_rows=2),
    "window": dict(context=Context.WINDOW, window=(1, 3)), "columns": dict(order=Order.COLUMNS),
    "window by columns": dict(context=Context.WINDOW, window=(0, 3), order=Order.COLUMNS)}
PRIOR = np.linspace(-2, 2, 8, dtype=np.float32)


@pytest.fixture
def spec(npz):
    """A function: the block of options, whose weights have a prior."""
    path = npz("w.npz", **weights(prior=PRIOR))
    return lambda **more: prepare(BlockOptions(**dict(k=2, weights=path, height=5, width=4, frames=2) | more))


def described(spec):
    return manifest(spec, Design("se", spec.config, "", (), (), ()), {})


class TestManifest:
    @pytest.mark.parametrize("tiling", CONTEXTS.values(), ids=CONTEXTS)
    def test_first_output(self, spec, tiling):
        """Of a frame that is as long as its first gates need."""
        block = spec(**tiling)
        latency = described(block)["latency"]
        lines = sum(block.config.window) if block.config.window else block.config.k
        expected = predict(block.config, [lines]).first_output_latency
        assert latency["first_input_beat_to_first_output_beat"] == expected

    @pytest.mark.parametrize(("tiling", "rows"), [
        ({}, 0), (dict(context=Context.CUMULATIVE), 1), (dict(context=Context.CUMULATIVE, prior_rows=0), 0),
        (CONTEXTS["causal"], 2), (CONTEXTS["window"], 1)])
    def test_prior(self, spec, tiling, rows):
        """Real values within half a step of what was given, where imaginary rows take part."""
        block = spec(**tiling)
        about = described(block)
        assert about["config"]["prior_rows"] == rows
        assert about["widths"]["prior_bits"] == (8 + (4 * rows - 1).bit_length() if rows else 0)
        if not rows:
            assert "prior" not in about["numbers"]
            return
        assert np.abs(np.array(about["numbers"]["prior"]) - PRIOR).max() <= block.format.scale / 2 / (4 * rows)
        assert f"the sum of {4 * rows} equal elements" in about["numbers"]["prior_integer"]

    def test_prior_in_a_stream(self, spec):
        """It is in the bits of the words that the manifest names."""
        block = spec(loadable=True, **CONTEXTS["causal"])
        config, parameters = block.config, block.quantised.parameters
        low, high, count = map(int, re.match(r"bits (\d+) to (\d+) of each of the last (\d+) memory words",
                                             described(block)["parameters"]["prior"]).groups())
        size = -(-(high + 1) // 32)
        words = np.array(stream_words(config, parameters)[-size * count:], object).reshape(count, size)
        stored = [sum(word << 32 * place for place, word in enumerate(row)) >> low for row in words]
        assert stored == [value & ((1 << high + 1 - low) - 1) for value in parameters.prior.tolist()]
        assert high + 1 - low == config.prior_bits
        assert "prior" not in described(spec(loadable=True))["parameters"]

    def test_columns_have_a_height(self, spec):
        config = described(spec(order=Order.COLUMNS))["config"]
        assert (config["height"], config["order"]) == (5, "columns")
        assert "width" not in config


FORMATS = {
    "int4": dict(dtype="int4", weight_bits=4), "uint12": dict(dtype="uint12"), "int16": dict(dtype="int16"),
    "outputs": dict(y_scale=0.03, y_dtype="uint8", y_zero_point=100),
    "wider": dict(dtype="uint6", y_scale=0.003, y_dtype="int12", y_zero_point=-5), "auto": dict(y_scale="auto"),
    "residual": dict(residual=True, y_scale=0.05, y_zero_point=7, dtype="int10")}


class TestFormats:
    @pytest.mark.parametrize("more", FORMATS.values(), ids=FORMATS)
    def test_of_another_run(self, spec, more, tmp_path):
        """INPUT and WEIGHTS from another run give the same formats, widths, frames and weights."""
        block = spec(**more)
        x, data, outputs = block.frames(), block.config.data, block.config.outputs
        y = np.zeros(x.shape, outputs.numpy)
        content = arrays(types.SimpleNamespace(spec=block, x=x, y=y, golden=y))
        assert (content["x_bits"], content["weight_bits"], content["y_bits"]) == (
            data.bits, block.config.weight_bits, outputs.bits)
        assert (content["x_q"].dtype, content["y_q"].dtype, content["y_golden"].dtype) == (
            data.numpy, outputs.numpy, outputs.numpy)
        assert (content["y_scale"], content["y_zero_point"]) == (block.y_format.scale, block.y_format.zero_point)
        path = tmp_path / "output.npz"
        path.write_bytes(npz_bytes(content))
        told = {name: more[name] for name in ("weight_bits", "y_dtype") if name in more}
        again = spec(weights=str(path), input=str(path), **told)
        assert (again.format, again.y_format) == (block.format, block.y_format)
        assert (again.frames() == x).all()
        assert dataclasses.replace(again.config, shifts=block.config.shifts) == block.config
        first, second = block.quantised.parameters, again.quantised.parameters
        for name in ("layer1", "layer2"):
            assert (getattr(first, name).weight == getattr(second, name).weight).all()
        assert (first.signed_outputs_zero_point, first.factor) == (second.signed_outputs_zero_point, second.factor)

    @pytest.mark.parametrize("more", FORMATS.values(), ids=FORMATS)
    def test_manifest(self, spec, more):
        """Its rules make the first words of the stream from the numbers beside them."""
        block = spec(loadable=True, **more)
        about, words = described(block), stream_words(block.config, block.quantised.parameters)
        numbers, rules = about["numbers"], about["parameters"]["words"]
        assert numbers["data"] == str(block.config.data)
        assert numbers["outputs"] == str(block.config.outputs) == more.get("y_dtype", numbers["data"])
        expected = 0
        for name, offset, high, low in re.findall(r"([xy])_zero_point(?: - (\d+))? in bits (\d+):(\d+)", rules[1]):
            zero, width = numbers[f"{name}_zero_point"] - int(offset or 0), int(high) + 1 - int(low)
            assert -1 << width - 1 <= zero < 1 << width - 1
            expected |= (zero & (1 << width) - 1) << int(low)
        assert words[1] == expected
        if block.config.rescales:
            twice, power, most = re.match(r"factor of the gates: (2 \* )?x_scale / y_scale \* 2\*\*(\d+), rounded; "
                                          r"2\*\*(\d+) at most$", rules[2]).groups()
            factor = (2 if twice else 1) * numbers["x_scale"] / numbers["y_scale"] * 2 ** int(power)
            assert words[2] == round(factor) <= 2 ** int(most)
        assert len(rules) == 3 + block.config.rescales

    def test_config(self, spec):
        config = config_fields(spec(**FORMATS["wider"], loadable=True).config)
        expected = dict(data="uint6", outputs="int12", weight_bits=8, zero_point=32, y_zero_point=-5)
        assert {name: config[name] for name in expected} == expected
        json_bytes(config)


class TestClippedOutputs:
    OWN = dict(y_scale=0.01, y_dtype="uint8", y_zero_point=100)
    LINE = ("2.5 % of the outputs were clipped: they go from -2 to 1.5; uint8 with Y_SCALE=0.01 and Y_ZERO_POINT=100 "
            "holds -1 to 1.55")

    @pytest.mark.parametrize(("more", "clipped", "lines"), [
        (OWN, 0.025, [LINE]), (OWN, 0.0, []), ({}, None, []), (OWN | dict(y_scale="auto"), 0.025, [])])
    def test_warning(self, spec, more, clipped, lines):
        """None for what the user leaves to the generator."""
        assert clip_warning(spec(**more), {"outputs": {"clipped": clipped, "range": [-2.0, 1.5]}}) == lines


class TestArrays:
    @pytest.mark.parametrize("more", [{}, dict(dtype="int12", loadable=True, y_scale=0.01), dict(weight_bits=4)])
    def test_integers_with_steps(self, npz, more, tmp_path):
        """They are the same again, from the arrays of the run alone; other steps would give others."""
        rng, most = np.random.default_rng(1), 2 ** (more.get("weight_bits", 8) - 1)
        # Rows that use a part of the range, which the quantiser would not choose, and one of nothing but the least.
        integers = {"w1": rng.integers(-most // 2, most // 2, (3, 8)), "w2": rng.integers(-most, most // 3, (8, 3))}
        integers["w1"][2] = -most
        steps = {"w1_step": rng.uniform(0.5, 1, 3) / most, "w2_step": rng.uniform(1, 2, 8) / most}
        made = weights(squeeze=3) | {name: array * steps[f"{name}_step"][:, None] for name, array in integers.items()}
        given = dict(k=2, height=5, width=4, **more)
        block = prepare(BlockOptions(**given, weights=npz("steps.npz", **made | steps)))
        x = block.frames()
        path = tmp_path / "output.npz"
        path.write_bytes(npz_bytes(arrays(types.SimpleNamespace(spec=block, x=x, y=x, golden=x))))
        again = prepare(BlockOptions(**given, weights=str(path)))
        assert again.config == block.config
        for name, layer in (("w1", "layer1"), ("w2", "layer2")):
            mine, its = (getattr(one.quantised.parameters, layer) for one in (block, again))
            assert all(np.array_equal(getattr(mine, field.name), getattr(its, field.name))
                       for field in dataclasses.fields(mine))
            assert np.array_equal(mine.weight[:2], integers[name][:2])
            np.testing.assert_array_equal(getattr(again.quantised, f"{name}_step"), steps[f"{name}_step"])

    @pytest.mark.parametrize("tiling", CONTEXTS.values(), ids=CONTEXTS)
    def test_of_another_run(self, spec, tiling, tmp_path):
        """They give the same integers again, from the same options."""
        block = spec(**tiling)
        x = block.frames()
        content = arrays(types.SimpleNamespace(spec=block, x=x, y=x, golden=x))
        assert ("prior" in content) == (block.config.prior_rows > 0)
        assert {name: content[name] for name in ("context", "order", "k")} == {
            name: config_fields(block.config)[name] for name in ("context", "order", "k")}
        path = tmp_path / "output.npz"
        path.write_bytes(npz_bytes(content))
        again = spec(weights=str(path), input=str(path), **tiling)
        first, second = block.quantised, again.quantised
        assert (again.frames() == x).all()
        assert (first.parameters.layer1.weight == second.parameters.layer1.weight).all()
        if block.config.prior_rows:
            assert (first.prior == second.prior).all()
            assert (first.parameters.prior == second.parameters.prior).all()


@pytest.mark.parametrize(("tiling", "text"), [
    ({}, "the bound 8*K*W*C"), (CONTEXTS["causal"], "7 rows, 8*7*W*C"), (CONTEXTS["columns"], "the bound 8*K*H*C")])
def test_synthesis(spec, tiling, text, monkeypatch):
    """Block RAM is compared with the bound or, where nothing must wait, with seven rows."""
    block = spec(**tiling)
    netlist = Netlist("se", {"tile_buffer.ram.0": "DP16KD", "parameters.ram.0": "DP16KD"}, frozenset(), {})
    design = Design("se", block.config, "", (), (Memory("tile_buffer.ram", "tile_buffer", 64, 9, "ram"),
                                                 Memory("parameters.ram", "weight", 8, 9, "ram")), ())
    family = FAMILIES[Target.ECP5]
    outcome = fpga.SynthesisOutcome(block, design, family, family.parts[0], netlist, False, {}, "no placer")
    # Their packages need not be installed.
    monkeypatch.setattr(fpga, "TOOLS", collections.defaultdict(lambda: types.SimpleNamespace(package="", version="")))
    summary = fpga.report(outcome)
    bound, seven = block.config.bound_bits, block.config.tse7_bits
    assert [summary[f"block_ram_bits_over_{name}"] for name in (
        "bound", "bound_without_weights", "tse7", "tse7_without_weights")] == [
        *([36864 / bound, 18432 / bound] if bound else [None, None]), 36864 / seven, 18432 / seven]
    assert (summary["netlist_bits_over_bound"], summary["netlist_bits_over_tse7"]) == (
        64 * 9 / bound if bound else None, 64 * 9 / seven)
    lines = fpga.table(outcome, summary).splitlines()
    beside = bound or seven
    assert f"block RAM   2, of which 1 for the tile buffer: {36864 / beside:.3f} x {text}" in lines
    assert f"memory      {64 * 9 / beside:.3f} x that in the netlist, weights excluded" in lines
