# SPDX-License-Identifier: Apache-2.0
"""The command line: what it refuses, and how; what its options are without being given."""

import concurrent.futures
import os
import re
import shlex
import signal
from unittest import mock

import numpy as np
import pytest

from tests.conftest import weights
from tiled_se.cli import main as cli
from tiled_se.cli.commands import COMMANDS, Command
from tiled_se.cli.parser import parse
from tiled_se.evaluate.options import SweepOptions
from tiled_se.gen.fields import from_texts, options_of, variables
from tiled_se.gen.files import check_file, check_folder, write_all
from tiled_se.gen.fpga.targets import Target
from tiled_se.gen.options import SimOptions, SynthOptions, VerilogOptions, describe
from tiled_se.hdl.config import ConfigError, Context, Gate, GateKind, Mid, Order
from tiled_se.network.commands.options import BuildOptions

SHAPE = {"k": "2", "width": "8", "channels": "8"}
WINDOW = "must be FIRST:COUNT, a first row from 0 and a number of rows from 1, each 65536 at most"
SEEDS = "must be different integers from 1 to 2147483647 with commas between, 100 at most"
DATA_TYPES = "must be int2 to int16 or uint2 to uint16"
IDENTIFIER = "must be a Verilog identifier: letters, digits and _, no digit first, no keyword"
GATES = "sigmoid, hardsigmoid or hardsigmoid:SLOPE,OFFSET"
FILES = {
    "w.npz": weights(),
    "silu.npz": weights(mid="silu", residual=True), "y.npz": weights(y_scale=0.5, y_zero_point=3),
    "fine.npz": weights(y_scale=1e-9),
    "huge.npz": weights(w1=np.full((2, 8), 3e38, np.float32)),
    "prior.npz": weights(prior=np.full(8, 9.0, np.float32)), "wrong.npz": weights(prior=np.zeros(7, np.float32)),
    "x.npz": dict(x=np.ones((3, 4, 8, 8))),
    "x9.npz": dict(x=np.ones((4, 8, 9))),
}
# Of all commands that have the option.
DEFAULTS = {
    "k": 7, "context": Context.TILE, "max_rows": 4096, "order": Order.ROWS, "error": 1.0, "seed": 1, "stall": 0.0,
    "sim": "verilator", "waves": False, "target": Target.ECP5, "seeds": (1, 2, 3), "name": "tiled_se", "repeats": 3,
    "seconds": 4.0, "limit": 16, "bgr": False, "ks": (1, 3, 5, 7, 9), "pages": 42, "mutants": 1000,
    "beats": 10_000_000, "builds": 200,
}


def arguments(options):
    return [f"--{name}={value}" for name, value in options.items()]


@pytest.mark.parametrize("command", ["sim", "verilog", "synth"])
@pytest.mark.parametrize(("options", "line"), [
    ({"k": 0}, "K=0 (--k): must be an integer from 1 to 65536"),
    ({"k": "seven"}, "K=seven (--k): must be an integer from 1 to 65536"),
    ({"k": "7.0"}, "K=7.0 (--k): must be an integer from 1 to 65536"),
    ({"k": "1_0"}, "K=1_0 (--k): must be an integer from 1 to 65536"),
    ({"k": " 7"}, "K= 7 (--k): must be an integer from 1 to 65536"),
    ({"k": "9" * 5000}, f"K={'9' * 200}...{'9' * 100} (--k): must be an integer from 1 to 65536"),
    ({"k": "1\n2"}, "K=1\\n2 (--k): must be an integer from 1 to 65536"),
    ({"width": -1}, "W=-1 (--width): must be an integer from 1 to 65536"),
    ({"channels": 65537}, "C=65537 (--channels): must be an integer from 1 to 65536"),
    ({"width": ""}, "W= (--width): is needed, as no file gives it; must be from 1 to 65536"),
    ({"context": "global"}, "CONTEXT=global (--context): must be tile, cumulative, causal or window"),
    ({"tile-width": 0}, "TILE_W=0 (--tile-width): must be an integer from 1 to 65536"),
    ({"tile-width": 2, "context": "causal"},
     "TILE_W=2 (--tile-width): context=causal has tiles of full rows; only context=tile has narrower ones"),
    ({"tile-width": 8, "context": "cumulative"},
     "TILE_W=8 (--tile-width): context=cumulative has tiles of full rows; only context=tile has narrower ones"),
    ({"prior-rows": -1}, "PRIOR=-1 (--prior-rows): must be an integer from 0 to 65536"),
    ({"prior-rows": 0, "context": "causal"}, "PRIOR=0 (--prior-rows): must be at least 1 for context=causal, whose "
                                             "first tile has no rows before it"),
    ({"max-rows": 0}, "MAX_ROWS=0 (--max-rows): must be an integer from 1 to 65536"),
    ({"order": "tiles"}, "ORDER=tiles (--order): must be rows or columns"),
    *(({"context": "window", "window": text}, f"WINDOW={text} (--window): {WINDOW}") for text in (
        "7", "0:0", "-1:7", "65537:7", "0:65537", "0:7:1", "0,7", ":7", "0:", "0: 7", "first:7")),
    ({"window": "0:7"}, "WINDOW=0:7 (--window): needs context=window"),
    ({"context": "window"}, "WINDOW= (--window): is needed for context=window: the first row and the number of rows"),
    # The hardware's size is then the height.
    ({"order": "columns", "width": ""}, "H= (--height): is needed, as no file gives it; must be from 1 to 65536"),
    ({"order": "columns", "height": 65537}, "H=65537 (--height): must be from 1 to 65536"),
    ({"order": "columns", "input": "x.npz", "height": 8},
     "H=8 (--height): must be 4, as x of INPUT=x.npz is [3, 4, 8, 8]"),
    ({"height": 0}, "H=0 (--height): must be an integer from 1 to 1048576"),
    ({"squeeze": 0}, "CR=0 (--squeeze): must be an integer from 1 to 65536"),
    ({"lanes": 3}, "LANES=3 (--lanes): must divide channels=8"),
    ({"lanes": 65}, "LANES=65 (--lanes): must be an integer from 1 to 64"),
    ({"target": "ECP5"}, "TARGET=ECP5 (--target): must be ecp5, ice40 or xilinx"),
    ({"seeds": "1,2,1"}, f"SEEDS=1,2,1 (--seeds): {SEEDS}"),
    ({"seeds": "1,,2"}, f"SEEDS=1,,2 (--seeds): {SEEDS}"),
    ({"seeds": "0"}, f"SEEDS=0 (--seeds): {SEEDS}"),
    ({"macs": "many"}, "MACS=many (--macs): must be an integer from 1 to 4096, or auto"),
    ({"macs": 0}, "MACS=0 (--macs): must be an integer from 1 to 4096, or auto"),
    ({"slack": -1}, "SLACK=-1 (--slack): must be an integer from 0 to 1048576, or auto"),
    ({"sram-overhead": "nan"}, "SRAM_OVERHEAD=nan (--sram-overhead): must be a number from 0 to 10"),
    ({"loadable": "maybe"}, "LOADABLE=maybe (--loadable): must be 0 or 1"),
    ({"operand-bits": 3}, "OPERAND_BITS=3 (--operand-bits): must be an integer from 4 to 44, or auto"),
    ({"operand-bits": 9}, "OPERAND_BITS=9 (--operand-bits): must be from 10 to 40"),
    ({"weight-bits": 9}, "WEIGHT_BITS=9 (--weight-bits): must be an integer from 2 to 8"),
    ({"weight-bits": 1}, "WEIGHT_BITS=1 (--weight-bits): must be an integer from 2 to 8"),
    ({"error": 0.1}, "ERROR=0.1 (--error): must be a number from 0.5 to 256"),
    ({"mid": "tanh"}, "MID=tanh (--mid): must be one of relu, relu6, silu, hardswish, identity"),
    ({"gate": "softmax"}, f"GATE=softmax (--gate): must be {GATES}"),
    ({"gate": "hardsigmoid:1"}, f"GATE=hardsigmoid:1 (--gate): must be {GATES}"),
    ({"gate": "hardsigmoid:a,b"}, f"GATE=hardsigmoid:a,b (--gate): must be {GATES}, with two numbers"),
    ({"gate": "hardsigmoid:nan,0"},
     "GATE=hardsigmoid:nan,0 (--gate): a hard sigmoid's slope must be from 1e-6 to 1e6"),
    ({"residual": 2}, "RESIDUAL=2 (--residual): must be 0 or 1"),
    *(({"dtype": name}, f"DTYPE={name} (--dtype): {DATA_TYPES}")
      for name in ("int1", "int17", "float16", "uint1", "int", "int08", "INT8", "int8 ")),
    ({"y-dtype": "uint17"}, f"Y_DTYPE=uint17 (--y-dtype): {DATA_TYPES}"),
    *(({"y-scale": scale}, f"Y_SCALE={scale} (--y-scale): must be a positive number, or auto")
      for scale in ("0", "-1", "nan", "inf", "1e400", "Auto", "1,5")),
    ({"y-scale": "1e-7"}, "Y_SCALE=1e-07 (--y-scale): must be from 1.52588e-05 to 2.68435e+08, as the input's step is "
                          "0.0625"),
    ({"y-scale": "3e8"}, "Y_SCALE=300000000.0 (--y-scale): must be from 1.52588e-05 to 2.68435e+08, as the input's "
                         "step is 0.0625"),
    ({"y-scale": "0.02", "y-zero-point": 300}, "Y_ZERO_POINT=300 (--y-zero-point): must be from -128 to 127"),
    ({"y-dtype": "uint4", "y-zero-point": -1}, "Y_ZERO_POINT=-1 (--y-zero-point): must be from 0 to 15"),
    # That of the input, where none is given.
    ({"zero-point": -3, "y-dtype": "uint8"},
     "Y_DTYPE=uint8 (--y-dtype): needs a Y_ZERO_POINT: the input's, -3, is no uint8"),
    ({"y-scale": "auto", "y-zero-point": 127}, "Y_ZERO_POINT=127 (--y-zero-point): leaves no integers for numbers "
                                               "from -8 to 7.9375"),
    ({"zero-point": 8, "dtype": "int4"}, "ZERO_POINT=8 (--zero-point): must be from -8 to 7"),
    ({"zero-point": 1 << 16}, "ZERO_POINT=65536 (--zero-point): must be an integer from -32768 to 65535"),
    ({"zero-point": 128}, "ZERO_POINT=128 (--zero-point): must be from -128 to 127"),
    ({"zero-point": -1, "dtype": "uint8"}, "ZERO_POINT=-1 (--zero-point): must be from 0 to 255"),
    ({"frames": 0}, "FRAMES=0 (--frames): must be an integer from 1 to 1048576"),
    ({"seed": -1}, "SEED=-1 (--seed): must be an integer from 0 to 4294967295"),
    ({"stall": 1}, "STALL=1 (--stall): must be a number from 0 to less than 1"),
    ({"stall": "-0.1"}, "STALL=-0.1 (--stall): must be a number from 0 to less than 1"),
    ({"sim": "vcs"}, "SIM=vcs (--sim): must be verilator or icarus"),
    ({"waves": "vcd"}, "WAVES=vcd (--waves): must be 0 or 1"),
    ({"name": "2x"}, f"NAME=2x (--name): {IDENTIFIER}"),
    ({"name": "module"}, f"NAME=module (--name): {IDENTIFIER}"),
    ({"name": "s_axis_tdata"}, "NAME=s_axis_tdata (--name): must not be TOP or the name of a port"),
    ({"name": "status_loaded"}, "NAME=status_loaded (--name): must not be TOP or the name of a port"),
    ({"weights": "none.npz"}, "WEIGHTS=none.npz (--weights): there is no such file; must be an .npz file"),
    ({"input": "none.npz"}, "INPUT=none.npz (--input): there is no such file; must be an .npz file"),
    # Too large for any machine.
    ({"k": 65536, "width": 65536}, "K=65536 (--k): must be smaller: K*W*C = 34359738368 may be 268435456 at most"),
    ({"k": 65536, "height": 65536, "order": "columns"},
     "K=65536 (--k): must be smaller: K*H*C = 34359738368 may be 268435456 at most"),
    ({"k": 65536, "width": 65536, "tile-width": 2},
     "K=65536 (--k): must be smaller: ((K-1)*W+TILE_W)*C = 34359214096 may be 268435456 at most"),
    ({"width": 65536, "context": "window", "window": "65536:1"},
     "WINDOW=65536:1 (--window): must be smaller: (FIRST+COUNT)*W*C = 34360262656 may be 268435456 at most"),
    ({"channels": 65536}, "CR=16384 (--squeeze): must be smaller: C*CR = 1073741824 may be 16777216 at most"),
    ({"height": 1 << 20, "frames": 1 << 20},
     "H=1048576 (--height): must be smaller: FRAMES*H*W*C = 70368744177664 may be 268435456 at most"),
    # Contradictions name both sides.
    *(({"weights": "wrong.npz", "context": context},
       "WEIGHTS=wrong.npz (--weights): prior is [7], must have the shape [8] beside w1's [2, 8]")
      for context in ("tile", "causal")),
    ({"weights": "prior.npz", "context": "cumulative"},
     "WEIGHTS=prior.npz (--weights): prior=9: must be from -8 to 7.9375, the range of x"),
    ({"weights": "y.npz", "y-scale": "0.25"}, "Y_SCALE=0.25 (--y-scale): must be 0.5, as WEIGHTS=y.npz says"),
    ({"weights": "y.npz", "y-scale": "auto"}, "Y_SCALE=auto (--y-scale): must be 0.5, as WEIGHTS=y.npz says"),
    ({"weights": "y.npz", "y-zero-point": 4}, "Y_ZERO_POINT=4 (--y-zero-point): must be 3, as WEIGHTS=y.npz says"),
    ({"weights": "y.npz", "y-dtype": "int2"},
     "WEIGHTS=y.npz (--weights): y_zero_point is 3; must be from -2 to 1"),
    ({"weights": "fine.npz"}, "WEIGHTS=fine.npz (--weights): y_scale is 1e-09; must be from 1.52588e-05 to "
                              "2.68435e+08, as the input's step is 0.0625"),
    ({"weights": "w.npz", "channels": 9}, "C=9 (--channels): must be 8, as w1 of WEIGHTS=w.npz is [2, 8]"),
    ({"weights": "w.npz", "squeeze": 3}, "CR=3 (--squeeze): must be 2, as w1 of WEIGHTS=w.npz is [2, 8]"),
    ({"weights": "silu.npz", "mid": "relu"}, "MID=relu (--mid): must be silu, as WEIGHTS=silu.npz says"),
    ({"weights": "silu.npz", "residual": 0}, "RESIDUAL=0 (--residual): must be 1, as WEIGHTS=silu.npz says"),
    ({"input": "x.npz", "width": 9}, "W=9 (--width): must be 8, as x of INPUT=x.npz is [3, 4, 8, 8]"),
    ({"input": "x.npz", "height": 5}, "H=5 (--height): must be 4, as x of INPUT=x.npz is [3, 4, 8, 8]"),
    ({"input": "x.npz", "frames": 2}, "FRAMES=2 (--frames): must be 3, as x of INPUT=x.npz is [3, 4, 8, 8]"),
    ({"input": "x9.npz", "weights": "w.npz", "channels": ""},
     "C=9 (--channels): must be 8, as w1 of WEIGHTS=w.npz is [2, 8]; but x of INPUT=x9.npz is [1, 4, 8, 9]"),
])
def test_refused(tiled_se, npz, command, options, line):
    for name, arrays in FILES.items():
        npz(name, **arrays)
    tiled_se.refuses(line, command, *arguments(SHAPE | options), "--out=out")
    assert not os.path.exists("out")


def test_error_out_of_reach(tiled_se):
    tiled_se.refuses_as("ERROR=0.5 (--error): no operand width up to 40 bits keeps this", "verilog",
                        *arguments(SHAPE), "--error=0.5", "--out=out")


@pytest.mark.parametrize(("texts", "line"), [
    (["simulate"], "argument COMMAND: invalid choice: 'simulate'"),
    (["sim", "--wid", "5"], "unrecognized arguments: --wid 5"),
    (["sim", "W=5"], "unrecognized arguments: W=5"),
    (["sim", "--k"], "argument --k: expected one argument"),
    (["sweep", "--width", "8"], "unrecognized arguments: --width 8"),
])
def test_usage(tiled_se, texts, line):
    tiled_se.refuses_as(line, *texts)


class TestFolder:
    def test_is_a_file(self, tiled_se, tmp_path):
        (tmp_path / "out").write_text("mine")
        tiled_se.refuses("OUT=out (--out): is not a folder; must be one, or a name that is free", "verilog",
                         *arguments(SHAPE), "--out=out")
        assert (tmp_path / "out").read_text() == "mine"

    def test_is_below_a_file(self, tiled_se, tmp_path):
        (tmp_path / "file").write_text("mine")
        tiled_se.refuses(f"OUT=file/out (--out): must be in a folder, which {tmp_path / 'file'} is not", "sim",
                         *arguments(SHAPE), "--out=file/out")

    def test_may_not_be_written(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(ConfigError, match=f"^out=out: must be writable, which {os.getcwd()} is not$"):
            check_folder("out")

    @pytest.mark.parametrize("command", [name for name, command in COMMANDS.items()
                                         if {"out", "json"} & options_of(command.load_options()).keys()])
    def test_is_tried_before_the_work(self, tiled_se, command):
        """In /proc, where nobody can make a file, though root has all permissions. Nothing else is looked at."""
        option = "out" if "out" in options_of(COMMANDS[command].load_options()) else "json"
        path = "/proc/out/file"
        tiled_se.refuses_as(f"{option.upper()}={path} (--{option}): must be writable, which /proc is not", command,
                            f"--{option}={path}")

    @pytest.mark.parametrize(("make", "reason"), [(os.mkdir, "Is a directory"), (os.mkfifo, "Is not a regular file")])
    def test_failed_write_changes_nothing(self, make, reason, tmp_path):
        make(tmp_path / "b")
        (tmp_path / "a").write_text("old")
        with pytest.raises(ConfigError, match=f"^docs=.*: can't be written: {reason}"):
            write_all(str(tmp_path), {"a": b"1", "b": b"2"}, "docs")
        assert (tmp_path / "a").read_text() == "old"
        assert sorted(os.listdir(tmp_path)) == ["a", "b"]

    def test_devices_are_never_replaced(self):
        with pytest.raises(ConfigError, match="^json=/dev/null: is not a regular file"):
            check_file("/dev/null", "json")

    @pytest.mark.parametrize(("options", "folder"), [
        (VerilogOptions(k=3, width=8, channels=16), "build/verilog_k3_w8_c16"),
        (VerilogOptions(weights="nets/se 1.npz", width=8), "build/verilog_se-1_k7_w8"),
        (SynthOptions(target=Target.ICE40, width=8), "build/synth_ice40_k7_w8"),
        (VerilogOptions(k=1, width=8, context=Context.CAUSAL, prior_rows=2), "build/verilog_k1_w8_causal_p2"),
        (VerilogOptions(width=8, context=Context.WINDOW, window=(4, 7)), "build/verilog_k7_w8_window_4-7"),
        (VerilogOptions(width=8, tile_width=4, order=Order.COLUMNS), "build/verilog_k7_w8_tw4_columns"),
        (SweepOptions(), "build/sweep"), (SweepOptions(configs="my/list.toml"), "build/sweep_list"),
        (BuildOptions(model="nets/my net.onnx"), "build/build_my-net"), (BuildOptions(out="here"), "here"),
    ])
    def test_default(self, options, folder):
        assert options.folder == folder


def test_interrupt_ends_in_a_line(tiled_se, monkeypatch):
    monkeypatch.setattr(cli, "_run", mock.Mock(side_effect=KeyboardInterrupt))
    tiled_se.refuses("interrupted", "sim", status=130)


@pytest.mark.parametrize(("module", "package"), [("onnx.helper", "onnx"), ("PIL", "pillow")])
def test_missing_package_is_named(module, package, tiled_se, monkeypatch):
    missing = mock.Mock(side_effect=ModuleNotFoundError(f"No module named {module!r}", name=module))
    monkeypatch.setattr(Command, "load_function", missing)
    tiled_se.refuses(f"inspect needs {module.split('.')[0]}: pip install {package}", "inspect", "model.onnx")


def test_missing_module_of_our_own_is_an_error_of_the_program(tiled_se, monkeypatch):
    missing = mock.Mock(side_effect=ModuleNotFoundError("No module named 'tiled_se.mislaid'", name="tiled_se.mislaid"))
    monkeypatch.setattr(Command, "load_function", missing)
    finished = tiled_se("inspect", "model.onnx")
    assert finished.status == 70
    assert finished.err.startswith("Traceback")


class TestTerminated:
    @pytest.fixture(params=[signal.SIG_DFL, signal.SIG_IGN, lambda *_: None], ids=["default", "ignored", "another"])
    def before(self, request):
        """What SIGTERM does when the command begins."""
        old = signal.signal(signal.SIGTERM, request.param)
        yield request.param
        signal.signal(signal.SIGTERM, old)

    def test_like_interrupted(self, before, tiled_se, monkeypatch):
        """But for who has decided otherwise; what is cleaned up then is not disturbed."""
        done = []

        def run(*_):
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("all")
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("cleaned")
            return cli.OK

        monkeypatch.setattr(cli, "_run", run)
        finished = tiled_se("sim")
        assert signal.getsignal(signal.SIGTERM) == before
        if before == signal.SIG_DFL:
            assert (finished.status, finished.err) == (130, "tiled-se: error: interrupted\n")
            assert done == ["cleaned"]
        else:
            assert (finished.status, finished.err) == (0, "")
            assert done == ["all", "cleaned"]

    def test_not_in_a_thread(self, monkeypatch):
        """Where Python lets nobody set handlers."""
        monkeypatch.setattr(cli, "_run", lambda *_: cli.OK)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            assert pool.submit(cli.main, ["sim"]).result() == cli.OK


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_tells_every_option(self, capsys, command):
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--help"])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        taken = options_of(COMMANDS[command].load_options())
        assert set(re.findall(r"^  (?:-o \S+, )?--(\S+)", text, re.M)) == {name.replace("_", "-") for name in taken}
        for about in taken.values():
            assert f"[{about.variable}]" in text
        assert max(map(len, text.splitlines())) <= 120

    def test_every_row_can_be_loaded(self):
        """Each has a function, options that can be made, and examples that are right."""
        for name, command in COMMANDS.items():
            assert callable(command.load_function())
            command.load_options()()
            for example in command.examples:
                assert parse([name, *shlex.split(example)])[0] == name

    def test_one_name_one_variable(self):
        """No two options share a variable of make, as a makefile knows no commands."""
        pairs = {(name, about.variable) for command in COMMANDS.values()
                 for name, about in options_of(command.load_options()).items()}
        assert len(pairs) == len({name for name, _ in pairs}) == len({variable for _, variable in pairs})

    def test_defaults(self):
        """Help and documents repeat them from the options, so that a change shows here alone."""
        defaults = {name: {default for default in (getattr(command.load_options()(), name, None)
                                                   for command in COMMANDS.values()) if default is not None}
                    for name in DEFAULTS}
        assert defaults == {name: {default} for name, default in DEFAULTS.items()}

    def test_without_command(self, tiled_se):
        finished = tiled_se.passes()
        assert "sim" in finished.out


class TestOptions:
    def test_empty_is_not_said(self):
        assert from_texts(SimOptions, {"k": "", "width": None}) == SimOptions()

    @pytest.mark.parametrize(("name", "text", "value"), [
        ("macs", "auto", None), ("macs", "4", 4), ("slack", "0", 0), ("residual", "no", False), ("waves", "TRUE", True),
        ("mid", "swish", Mid.SILU), ("gate", "hardsigmoid:0.2,0.5", Gate(GateKind.HARDSIGMOID, 0.2, 0.5)),
        ("stall", ".5", 0.5), ("error", "1e1", 10.0), ("zero_point", "-5", -5), ("k", "+7", 7),
        ("context", "window", Context.WINDOW), ("window", "4:7", (4, 7)), ("order", "columns", Order.COLUMNS),
        ("name", "se_1", "se_1"), ("target", "ice40", Target.ICE40), ("seeds", "5", (5,)), ("seeds", "9,2", (9, 2)),
    ])
    def test_formats(self, name, text, value):
        assert getattr(from_texts(SimOptions, {name: text}), name) == value
        again = options_of(SimOptions)[name].text_of(value)
        assert from_texts(SimOptions, {name: again}) == from_texts(SimOptions, {name: text})

    def test_as_variables(self):
        options = SimOptions(k=2, context=Context.WINDOW, window=(4, 7), order=Order.COLUMNS, seeds=(9, 2))
        assert variables(options) == "K=2 CONTEXT=window WINDOW=4:7 ORDER=columns SEEDS=9,2"

    def test_foreign_names_are_described_as_they_are(self):
        assert describe(ConfigError("w1", [2], "must be more")) == "w1=[2]: must be more"
