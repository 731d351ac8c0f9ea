# SPDX-License-Identifier: Apache-2.0
"""`tiled-se report`: what it counts and measures of a network, and writes."""

import dataclasses
import json

import numpy as np
import onnx
import pytest

from tests.helpers.onnx_lookalikes import lookalike
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, SQUEEZE, Spelling, se
from tests.helpers.onnx_quantised import brevitas
from tiled_se.evaluate.networks import BlockShape, Network
from tiled_se.evaluate.options import ReportOptions
from tiled_se.evaluate.report import command
from tiled_se.evaluate.report.subject import resolve
from tiled_se.evaluate.report.summary import network_summary
from tiled_se.evaluate.report.texts import network_text, plain
from tiled_se.evaluate.tasks import forms
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.options import describe
from tiled_se.hdl.config import ConfigError, Gate, GateKind, Mid, Order

# The second map has fewer rows than a tile.
TINY = {"networks": {"Tiny": {"input": [12, 10], "source": "nowhere", "blocks": [[6, 5, 8, 2, 2], [3, 4, 6, 2, 1]]}}}


def options(model, **changes):
    return ReportOptions(**dict(model=str(model), k=4, jobs=1) | changes)


def _summary(*blocks, k=4, results=None):
    network = Network("net", (8, 8), "", blocks)
    return network_summary(network, options("", k=k), results or {})


class TestPaper:
    @pytest.fixture
    def quick(self, monkeypatch, tmp_path):
        """A function that reports without measuring, all of which fails, and returns report.json and names of files.

        Its ``tasks`` are those that were to be measured.
        """
        def measure(tasks, *_):
            run.tasks = tasks
            return {}, {}

        monkeypatch.setattr(command, "measure", measure)

        def run(model, **changes):
            command.report(options(model, out=str(tmp_path), **changes))
            return json.loads((tmp_path / "report.json").read_text()), {path.name for path in tmp_path.iterdir()}

        return run

    def test_all_rows(self, quick, capsys):
        contents, files = quick("paper", k=7)
        assert (len(contents["paper"]["tiles"]), len(contents["paper"]["models"])) == (21, 15)
        assert files == {"report.json", "report.svg", "paper.svg"}
        # Four forms of the network's twelve blocks; twenty tilings of the seven of Table 1, with a lane and with more.
        assert len(quick.tasks) == 4 * 12 + 20 * 7 * 2
        assert contents["paper"]["hardware"] == []
        (network,) = contents["networks"]
        assert (network["name"], network["count"]) == ("EfficientDet-D2", 23)
        assert (network["sum"]["se"]["elements"], network["sum"]["tse"]["elements"]) == (43600896, 4185216)
        assert round(100 * network["reduction"]["elements"], 1) == 90.4
        row = contents["paper"]["models"][12]
        assert (row["model"], row["table"], row["status"]) == ("EfficientDet-D2", 5, "explained; real differs")
        assert row["se"] == {"printed": "50.8", "by_rule": 50853888, "by_rule_as_printed": "50.8", "real": 43600896,
                             "status": "explained; real differs"}
        # But for the line with the folder's name.
        assert max(len(line) for line in capsys.readouterr().out.splitlines() if not line.startswith("wrote")) <= 120

    def test_rows_of_a_network(self, quick):
        contents, _ = quick("RegNetY-800MF,EfficientNet-B0")
        assert [row["network"] for row in contents["paper"]["models"]] == ["RegNetY-800MF", "EfficientNet-B0"]
        assert len(contents["paper"]["tiles"]) == 21
        # Table 1 is built with all of the paper only.
        assert {task.options.order for task in quick.tasks} == {Order.ROWS}
        assert quick("MobileNetV3-L_224")[0]["paper"]["tiles"] == []

    def test_network_beside_the_paper(self, quick):
        contents, _ = quick("paper,EfficientNet-B0")
        assert [network["name"] for network in contents["networks"]] == ["EfficientNet-B0"]
        assert len(contents["paper"]["models"]) == 15


class TestForms:
    def test_designs(self):
        block = BlockShape(60000, 6, 12, 3)
        tasks = forms(block, options("", k=7, lanes=5, macs=2, slack=0, sram_overhead=0.1))
        size = "LANES=4 MACS=2 SRAM_OVERHEAD=0.1 SLACK=0"
        assert {form: str(task) for form, task in tasks.items()} == {
            "se": f"memory K=60000 W=6 C=12 CR=3 {size}", "tse": f"memory K=7 W=6 C=12 CR=3 {size}"} | {
            context: f"memory K=1 W=6 C=12 CR=3 CONTEXT={context} PRIOR=1 MAX_ROWS=60000 {size}"
            for context in ("cumulative", "causal")}
        assert [task.most_k for task in tasks.values()] == [None, None, 60000, 60000]
        # A map that is as high as that is refused by what a simulation could hold only.
        prepare(dataclasses.replace(tasks["tse"].options, macs=1))

    def test_one_design_where_a_tile_holds_the_map(self):
        tasks = forms(BlockShape(7, 7, 16, 4), options("", k=9))
        assert tasks["se"] == tasks["tse"]
        assert forms(BlockShape(9, 7, 16, 4), options("", k=7))["tse"] == tasks["tse"]

    def test_activations_of_a_model(self):
        gate = Gate(GateKind.HARDSIGMOID, 0.2, 0.5)
        block = BlockShape(7, 7, 16, 4, form=(("mid", Mid.SILU), ("gate", gate), ("residual", True)))
        tasks = forms(block, options(""))
        assert str(tasks["tse"]) == "memory K=4 W=7 C=16 CR=4 LANES=8 MID=silu GATE=hardsigmoid:0.2,0.5 RESIDUAL=1"
        assert str(tasks["causal"]).endswith(" LANES=8 MID=silu GATE=hardsigmoid:0.2,0.5 RESIDUAL=1")


    def test_formats_of_known_networks(self):
        """Those of the options, and 8 bits by default."""
        def some(**formats):
            (network,) = resolve(options("RegNetY-800MF", **formats)).networks
            return [str(task) for task in forms(network.blocks[0], options("")).values()]

        assert some() == [str(task) for task in forms(BlockShape(56, 56, 64, 8), options("")).values()]
        assert all(text.endswith(" LANES=8 WEIGHT_BITS=4 DTYPE=int4 Y_DTYPE=uint8 Y_SCALE=0.03125 Y_ZERO_POINT=128")
                   for text in some(dtype="int4", weight_bits=4, y_dtype="uint8"))


class TestText:
    def test_wide(self):
        """Networks as large as any still fit."""
        block = BlockShape(1024, 1024, 256, 64, 9)
        results = {}
        for task in forms(block, options("")).values():
            beats = task.options.k * 1024 * 32
            sram = {"total_without_weights_bits": 64 * beats, "tile_buffer_bits": 64 * beats}
            results[task] = {"sram": sram, "config": {"k": task.options.k, "macs": 1024}, "full_rate": True,
                             "first_output_latency": beats}
        text = network_text(_summary(block, results=results))
        assert 110 < max(map(len, text.splitlines())) <= 120
        assert "19,327,352.8" in text
        assert "\ntile buffers alone: 19,327,352.8 and 75,497.5 bits / 1000, 99.6% less" in text

    def test_names(self):
        blocks = (BlockShape(8, 8, 4, 1, name=name) for name in ("/se/Mul", "a\n" + 99 * "b"))
        text = network_text(_summary(*blocks))
        assert text.splitlines()[-2] == "  1  /se/Mul"
        assert text.splitlines()[-1].startswith("  2  a\\nbbb")
        assert len(plain("x" * 10**6)) < 100

    def test_failed(self, monkeypatch, tmp_path, capsys):
        """One that fails is named, its sums are missing, and all else is there."""
        path = tmp_path / "tiny.json"
        path.write_text(json.dumps(TINY))
        monkeypatch.setattr(command, "measure", lambda tasks, *_: ({}, dict.fromkeys(tasks, "no good")))
        assert not command.report(options(path, out=str(tmp_path / "failed")))
        out = capsys.readouterr().out
        assert "failed      memory K=4 W=5 C=8 CR=2 LANES=8: no good\n" in out
        contents = json.loads((tmp_path / "failed/report.json").read_text())
        assert list(contents["failures"].values()) == ["no good"] * 7
        assert contents["networks"][0]["sum"]["se"]["memory_bits"] is None
        assert contents["networks"][0]["reduction"] == {"elements": pytest.approx(1 - 392 / 552), "memory_bits": None,
                                                        "tile_buffer_bits": None}
        # Memory and latency of two forms; memory, multipliers and latency of two more; of two blocks and their sum.
        assert network_text(contents["networks"][0]).count("failed") == 12 + 18
        assert contents["networks"][0]["sum"]["cumulative"]["reduction"] == {
            "elements": pytest.approx(1 - 104 / 552), "memory_bits": None, "tile_buffer_bits": None}


class TestModel:
    def model(self, *dims):
        """A file whose input has the dimensions, and whose block is on a map of half its size."""
        net = Net()
        weight = net.constant(np.ones((CHANNELS, dims[1], 3, 3)))
        x = net("Conv", "x", weight, strides=[2, 2], pads=[1, 1, 1, 1])
        net("Identity", se(net, x, Spelling(mid="silu", gate="fifth", end="add")), output="y")
        onnx.save(net.model({"x": dims}, {"y": None}), "some.onnx")
        return "some.onnx"

    @pytest.fixture(autouse=True)
    def here(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def test_onnx(self):
        (network,) = resolve(options(self.model(1, 3, 20, 12))).networks
        assert (network.name, network.input, network.source) == ("some", (20, 12), "some.onnx")
        (block,) = network.blocks
        assert (str(block), block.count) == (f"10x6x{CHANNELS}x{SQUEEZE}", 1)
        form = dict(block.form)
        assert (form["mid"], form["gate"].kind, form["residual"]) == (Mid.SILU, GateKind.HARDSIGMOID, True)
        assert network_text(network_summary(network, options(""), {})).startswith("some, input 20 x 12, k = 4\n")

    @pytest.mark.parametrize(("dims", "shape", "size"), [
        ((1, 3, "h", "w"), "3x40x24", (40, 24)), ((1, 5, 20, 12), "5x20x12", (20, 12)), ((1, 5, 20, 12), None, None)])
    def test_size_of_the_input(self, dims, shape, size):
        assert resolve(options(self.model(*dims), input_shape=shape)).networks[0].input == size

    def test_formats_of_a_quantised_network(self):
        """They are the network's own, and options must not contradict them."""
        brevitas("some.onnx", bits=4, weight_bits=3)
        ((block,),) = (network.blocks for network in resolve(options("some.onnx")).networks)
        for task in forms(block, options("")).values():
            config = prepare(task.options).config
            assert (str(config.data), config.zero_point, config.weight_bits) == ("uint4", 0, 3)
            assert (str(config.outputs), config.outputs_zero_point) == ("uint4", 0)
            assert config.ratio == pytest.approx(1.5)
        with pytest.raises(ConfigError, match=f"^dtype=int8: must be uint4, as .* for block {block.name}$"):
            resolve(options("some.onnx", dtype="int8"))

    def test_formats_of_a_float_network(self):
        """The outputs' step is not known: here they have half the range of the default format."""
        path = self.model(1, 3, 20, 12)

        def config(**given):
            ((block,),) = (network.blocks for network in resolve(options(path, **given)).networks)
            return prepare(forms(block, options(""))["tse"].options).config

        assert (str(config().data), config().weight_bits, config().requantised) == ("int8", 8, False)
        assert (str(config(dtype="uint12").outputs), config(dtype="uint12").requantised) == ("uint12", False)
        made = config(dtype="int5", weight_bits=4, y_dtype="uint9")
        assert (str(made.data), made.weight_bits, str(made.outputs)) == ("int5", 4, "uint9")
        # The block is residual.
        assert (made.ratio, made.outputs_zero_point, made.precision) == (2.0**4, 256, 10)

    def test_none(self):
        onnx.save(lookalike("one-layer"), "none.onnx")
        with pytest.raises(ConfigError, match=r"model=none.onnx: has no squeeze-and-excite block"):
            resolve(options("none.onnx"))


class TestRefused:
    @pytest.mark.parametrize(("model", "line"), [
        ("", r"is needed: names of networks, paper, or an .onnx or .json file"),
        ("EfficientNet", r"EfficientNet.*: must be paper, an .onnx or .json file, or one of RegNetY-200MF, "),
        ("paper,", r"must be paper, an .onnx"),
        ("none.json", r"none.json.*: there is no such file; must be a .json file"),
    ])
    def test_name(self, tmp_path, monkeypatch, model, line):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigError, match=line) as error:
            command.report(options(model, out="out"))
        assert error.value.option == "model"
        assert "\n" not in describe(error.value)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(("numbers", "block"), [("70000, 2, 2", "6x5x70000x2"), ("8, 2, 65537", "6x5x8x2")])
    def test_file(self, tmp_path, numbers, block):
        path = tmp_path / "own.json"
        path.write_text(json.dumps(TINY).replace("8, 2, 2", numbers))
        with pytest.raises(ConfigError, match=f"Tiny, {block}: H, W, C, CR and how many must be 1 to 65536"):
            command.report(options(path, out=str(tmp_path / "out")))
        assert not (tmp_path / "out").exists()
