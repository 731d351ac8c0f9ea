# SPDX-License-Identifier: Apache-2.0
"""Random command lines and damaged files; what looks at them finds every fault that is planted; faults once found."""

import collections
import dataclasses
import json
import os
import pathlib
import pickle
import subprocess
import sys
import time
import zipfile

import numpy as np
import onnx
import pytest

from tests.conftest import weights
from tests.fuzz.hostile import with_cache
from tiled_se.cli.main import main
from tiled_se.cli.parser import COMMANDS
from tiled_se.evaluate.bench.plots import svg
from tiled_se.evaluate.networks import load_networks
from tiled_se.evaluate.sweep.plan import load_plan
from tiled_se.gen import npz as npz_files
from tiled_se.gen.data import load_weights
from tiled_se.gen.files import check_file, check_folder, write_all
from tiled_se.gen.options import FIELDS, options_of
from tiled_se.hdl.config import ConfigError
from tiled_se.verify.soak import hostile, hostile_checks, hostile_run, hostile_values, hostile_worker
from tiled_se.verify.soak.hostile_builds import differences
from tiled_se.verify.soak.hostile_lines import Line, line
from tiled_se.verify.soak.hostile_lists import model_bytes

SAID = {"k": "2", "width": "4", "channels": "6", "out": "out", "macs": "2", "slack": "1"}
RIGHT = Line(number=0, command="verilog", files={}, said=SAID, verdict="right", blames=frozenset(), planned=True,
             arguments=("verilog", *(f"--{name}={text}" for name, text in SAID.items())))
WRONG = dataclasses.replace(RIGHT, arguments=("verilog", "--k=0", "--out=out"), verdict="wrong",
                            blames=frozenset(["K="]), said={"k": "0", "out": "out"})


# Lines of the test: more take more than the half minute that is there.
COUNT = 72


def test_many(tmp_path, figure):
    """Of the many that `tiled-se soak` runs."""
    lines = [line(1, number) for number in range(COUNT)]
    files = sum(bool(one.files) for one in lines)
    result = hostile.hostile(with_cache(tmp_path), COUNT, seed=1, jobs=2)
    assert [str(failure) for failure in result.failures] == []
    assert sum(result.counts.values()) == sum(result.kinds.values()) == COUNT
    assert os.listdir(tmp_path) == ["finished.jsonl"]
    figure(f"{COUNT} hostile command lines, {files} of them with files: none does harm")


class TestLines:
    def test_are_repeated_by_seed_and_number(self):
        first = [line(5, number) for number in range(40)]
        assert [line(5, number) for number in reversed(range(40))] == first[::-1]
        assert [line(6, number) for number in range(40)] != first

    def test_are_of_all_kinds(self):
        lines = [line(1, number) for number in range(700)]
        kinds = collections.Counter((one.command, one.verdict) for one in lines)
        assert {command for command, _ in kinds} == set(COMMANDS) | {""}
        right = sum(count for (_, verdict), count in kinds.items() if verdict == "right")
        assert 0.25 < right / len(lines) < 0.45
        assert sum(one.command == "sim" and not one.planned and one.verdict == "right" for one in lines) < 10
        assert all(one.blames for one in lines if one.verdict == "wrong")

    def test_options_are_those_of_the_commands(self):
        """The table is written down from the documentation, and a command that took others would be wrong."""
        assert {command: set(names) for command, names in hostile_values.OF.items()} == {
            command: set(options_of(command)) for command in COMMANDS}
        assert {name: field.metadata["variable"] for name, field in FIELDS.items()} == hostile_values.VARIABLES

    def test_in_another_process(self):
        code = "from tiled_se.verify.soak.hostile_lines import line; print([line(3, n).arguments for n in range(9)])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                              env=os.environ | {"PYTHONHASHSEED": "77", "PYTHONIOENCODING": "utf-8:surrogateescape"})
        assert done.stdout == f"{[line(3, n).arguments for n in range(9)]}\n"


def faults(tmp_path, one, planted=None):
    """What is found of Line `one` where `planted(arguments)` stands for the command line."""
    return hostile.check(tmp_path, one, planted)["faults"]


def built(**changed):
    """A command line that runs `verilog` to its plan and then changes what it wrote of the configuration."""
    def command(arguments):
        status = main(arguments)
        path = pathlib.Path("out/planned.json")
        about = json.loads(path.read_text())
        about["config"] |= changed
        path.write_text(json.dumps(about))
        return status
    return command


def leaving(path, content=b"x", status=0):
    """A command line that writes a file beside what it should."""
    def command(arguments):
        found = main(arguments)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return found if status == 0 else status
    return command


def saying(text, status=2):
    def command(arguments):
        print(text, file=sys.stderr)
        return status
    return command


def unpickling(arguments):
    pickle.loads(b"cos\ngetcwd\n(tR.")
    return main(arguments)


def forgetting(arguments):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    return main(arguments)


def greedy(arguments):
    # Much more than the libraries' pages, which are the process's that it was forked from, and not its own.
    return main(arguments) if b"x" * (1 << 30) else 1


class TestPlanted:
    def test_nothing(self, tmp_path):
        assert faults(tmp_path, RIGHT) == []
        assert faults(tmp_path, WRONG) == []
        assert not (tmp_path / "failures").exists()

    @pytest.mark.parametrize(("planted", "found"), [
        (lambda _: 1 // 0, "a traceback or a warning: ZeroDivisionError"),
        (saying("half a line", 1), "exit status 1"),
        (saying("tiled-se: error: K=2 (--k): no"), "refused, though right"),
        (built(k=3), "k is 3, not 2"), (built(lanes=3), "lanes is 3, not 6"), (built(squeeze=2), "squeeze is 2, not 1"),
        (built(signed=False), "signed is False, not True"), (built(gate="hardsigmoid:0.2,0.5"), "gate is 'hard"),
        (built(residual=True), "residual is True, not False"), (built(loadable=False), "loadable is False, not True"),
        (built(macs=3), "macs is 3, not 2"), (built(slack=2), "slack is 2, not 1"),
        (built(operand_bits=17), "operand_bits is 17"),
        (built(mid="silu"), "mid is 'silu', not 'relu'"), (built(zero_point=True), "zero_point is True, not 0"),
        (leaving("out/more.json", b"{"), "out/more.json is not complete"),
        (leaving("out/more.v", b"module a;\nendmodule\nmodule b;\n"), "out/more.v is not complete"),
        (leaving("out/more.npz", b"PK"), "out/more.npz is not complete"),
        (leaving("out/more.svg", b"<svg>"), "out/more.svg is not complete"),
        (leaving("out/a.json.12ab.tmp"), "left above/work/out/a.json.12ab.tmp"),
        (leaving("other"), "wrote above/work/other"),
        (leaving("../other"), "wrote above/other"), (unpickling, "unpickled os.getcwd"),
        (greedy, "GiB of memory"), (forgetting, "a process outlived it"),
    ])
    def test_fault(self, tmp_path, monkeypatch, planted, found):
        monkeypatch.setattr(hostile_checks, "MOST_GROWN", 150 << 20)
        monkeypatch.setattr(hostile_run, "GRACE_POLLS", 10)
        told = faults(tmp_path, RIGHT, planted)
        assert any(found in one for one in told), told
        assert (tmp_path / "failures/0/command.sh").read_text().startswith("tiled-se verilog --k=2 ")

    @pytest.mark.parametrize(("planted", "found"), [
        (lambda _: 0, "accepted, where K="), (saying("error: K=0"), "without one line of text"),
        (saying("tiled-se: error: K=0\nand more"), "without one line"),
        (saying("tiled-se: error: W=0"), "names none of"),
        (saying("tiled-se: error: K=" + "0" * 20_000), "a message of 20"),
        (leaving("out/x"), "refused, but wrote"),
        (lambda _: os.makedirs("a/b") or saying("tiled-se: error: K=0")(_), "refused, but wrote above/work/a"),
    ])
    def test_of_a_wrong_line(self, tmp_path, planted, found):
        told = faults(tmp_path, WRONG, planted)
        assert any(found in one for one in told), told

    def test_hang(self, tmp_path, monkeypatch):
        monkeypatch.setattr(hostile, "SECONDS", 0.6)
        assert "hangs: killed after 1 s" in faults(tmp_path, RIGHT, lambda _: time.sleep(60))

    def test_change_far_away(self, tmp_path):
        far = str(tmp_path / "far")
        assert f"changed {far}" in faults(tmp_path, RIGHT, leaving(far))

    def test_another_build_of_the_twin(self, tmp_path):
        twin = dataclasses.replace(RIGHT, twin="sim")
        assert faults(tmp_path, twin) == []

        def planted(arguments):
            return (built(requant_bits=40) if arguments[0] == "sim" else main)(arguments)

        assert faults(tmp_path, twin, planted) == ["config differs between verilog and sim"]

    def test_other_weights_than_the_files(self, tmp_path):
        (tmp_path / "w.npz").write_bytes(b"")
        np.savez(tmp_path / "w.npz", **weights(6, 2))
        said = SAID | {"weights": "w.npz"}
        one = dataclasses.replace(RIGHT, said=said, arguments=(*RIGHT.arguments, "--weights=w.npz"),
                                  files={"w.npz": (tmp_path / "w.npz").read_bytes()})
        assert faults(tmp_path, one) == []

        def planted(arguments):
            with np.load("w.npz") as found:
                arrays = dict(found)
            arrays["w2"][1, 1] *= 1.05
            np.savez("w.npz", **arrays)
            status = main(arguments)
            pathlib.Path("w.npz").write_bytes(one.files["w.npz"])
            return status

        assert any("w2 differs from the file's" in found for found in faults(tmp_path, one, planted))

    def test_ports_of_another_width(self):
        config = {"k": 2, "width": 4, "channels": 6, "squeeze": 1, "lanes": 6, "mid": "relu", "gate": "sigmoid",
                  "residual": False, "loadable": True, "signed": True, "zero_point": 0, "macs": 2, "slack": 1,
                  "operand_bits": 18}
        verilog = ("module tiled_se(s_axis_tdata, m_axis_tdata, w_axis_tdata);\n  input [{0}:0] s_axis_tdata;\n"
                   "  output [47:0] m_axis_tdata;\nendmodule\n")
        assert differences(RIGHT, None, {"config": config}, verilog=verilog.format(47)) == []
        found = differences(RIGHT, None, {"config": config}, verilog=verilog.format(39))
        assert found == ["s_axis_tdata hasn't 48 bits"]
        assert differences(RIGHT, None, {"config": config}, verilog=verilog.format(47)[:-3]) == [
            "the Verilog has no complete module tiled_se"]

    def test_worker_that_dies(self, tmp_path, monkeypatch):
        monkeypatch.setattr(hostile_worker, "SERVE", "import os; os._exit(3)  # {path} {module} {folder} {seed}")
        result = hostile.hostile(tmp_path, 2)
        assert [failure.faults for failure in result.failures] == [("the process that ran it died",)] * 2


class TestOutput:
    def run(self, arguments, stdout, **environment):
        command = [sys.executable, "-m", "tiled_se.cli", *arguments]
        return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False,
                              env=os.environ | {"PYTHONUNBUFFERED": ""} | environment)

    @pytest.mark.parametrize("arguments", [["--version"], ["verilog", "--k=2", "--width=2", "--channels=2"]])
    def test_on_a_full_disk(self, tmp_path, monkeypatch, arguments):
        monkeypatch.chdir(tmp_path)
        with open("/dev/full", "w") as full:
            done = self.run(arguments, full)
        assert done.stderr == "tiled-se: error: standard output can't be written: No space left on device\n"
        assert done.returncode == 74

    def test_that_nobody_reads(self, tmp_path):
        reading, writing = os.pipe()
        os.close(reading)
        done = self.run(["--version"], writing)
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, "")

    def test_of_names_that_are_no_text(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with open(tmp_path / "out", "wb") as out:
            done = self.run(["verilog", "--k=2", "--width=2", "--channels=2", "--out=\udcff\u00e9"], out,
                            PYTHONIOENCODING="ascii", PYTHONUTF8="1")
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "out").read_text().startswith("\\udcff\\xe9/tiled_se.v  ")


class TestFilesOfResults:
    """Faults that such lines have found."""

    @pytest.mark.parametrize("path", ["a/" + "x" * 256, "x" * 5000, "a/" * 2040, "\u00e4" * 128])
    def test_names_that_are_too_long(self, tiled_se, path):
        finished = tiled_se("verilog", "--k=2", "--width=4", "--channels=4", f"--out={path}")
        assert finished.status == 2
        assert finished.err.startswith("tiled-se: error: OUT=")
        assert " (--out): is too long: " in finished.err
        assert len(finished.err) < 600
        assert os.listdir() == []

    def test_all_or_nothing(self, tmp_path):
        (tmp_path / "a").write_text("old")
        os.mkfifo(tmp_path / "b")
        with pytest.raises(ConfigError, match="^docs=.*: can't be written: Is not a regular file"):
            write_all(str(tmp_path), {"a": b"1", "b": b"2"}, "docs")
        assert (tmp_path / "a").read_text() == "old"
        assert sorted(os.listdir(tmp_path)) == ["a", "b"]

    @pytest.mark.parametrize("path", ["folder", ".", "new/", "fifo", "file/x", "x" * 250])
    def test_no_place_for_a_file(self, tiled_se, tmp_path, path):
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        os.mkfifo(tmp_path / "fifo")
        before = sorted(os.listdir())
        for command, name in (("inspect", "json"), ("swap", "out")):
            finished = tiled_se(command, "net.onnx", f"--{name}={path}")
            assert finished.status == 2
            assert finished.err.startswith(f"tiled-se: error: {name.upper()}={path} (--{name}): ")
        assert sorted(os.listdir()) == before

    def test_devices_are_never_replaced(self, tmp_path):
        with pytest.raises(ConfigError, match="^json=/dev/null: is not a regular file"):
            check_file("/dev/null", "json")

    def test_bench_names_docs(self, tiled_se, tmp_path):
        (tmp_path / "file").touch()
        finished = tiled_se("bench", "--blocks=2x2x4x1", "--docs=file")
        assert (finished.status, finished.err) == (
            2, "tiled-se: error: DOCS=file (--docs): is not a folder; must be one, or a name that is free\n")
        check_folder("new")


def test_letters_that_a_font_lacks(recwarn):
    """In a plot's names: the file has them as text."""
    assert "\u4e16".encode() in svg(lambda axes: axes.set_xlabel("\u4e16"), 3, 2)
    assert not recwarn.list


def test_blocks_of_any_name_in_a_plot(tiled_se, tmp_path, npz):
    """A dollar sign begins no formula."""
    model = onnx.ModelProto.FromString(model_bytes())
    for node in model.graph.node:
        node.name = f"$\\frac{{$\u4e16{node.name}"
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "images").mkdir()
    npz("images/a.npz", x=np.random.default_rng(1).normal(size=(2, 4, 6, 5)).astype(np.float32))
    assert tiled_se("sensitivity", "net.onnx", "images", "--out=out").status == 0


class TestFilesThatAreRead:
    def said(self, function, *arguments):
        with pytest.raises(ConfigError) as found:
            function(*arguments)
        return str(found.value)

    def test_text_that_is_none(self, tmp_path, npz, tiled_se):
        """Four bytes a character, which need not be one."""
        path = npz("w.npz", **weights(mid=np.frombuffer(b"\xff\xff\xff\xff", "<U1")))
        finished = tiled_se("verilog", "--k=2", "--width=4", f"--weights={path}")
        assert (finished.status, finished.err) == (
            2, f"tiled-se: error: WEIGHTS={path} (--weights): mid is damaged; must be one string\n")

    def test_text_without_end(self, npz, tiled_se):
        path = npz("w.npz", **weights(gate="g" * 100_000))
        finished = tiled_se("verilog", "--k=2", "--width=4", f"--weights={path}")
        assert finished.status == 2
        assert len(finished.err) < 1000

    @pytest.mark.parametrize("name", ["x_scale", "x_zero_point"])
    def test_number_that_float64_lacks(self, npz, tiled_se, name):
        arrays = {"x_q": np.zeros((2, 3, 4), np.int8), "x_scale": 1.0, "x_zero_point": 0} | {
            name: np.longdouble("1e4000")}
        finished = tiled_se("verilog", "--k=2", f"--input={npz('x.npz', **arrays)}")
        assert finished.status == 2
        assert finished.err.count("\n") == 1
        assert f"{name} is " in finished.err

    def test_more_weights_than_hardware_has(self, tmp_path):
        np.savez_compressed(tmp_path / "w.npz", w1=np.broadcast_to(np.float16(0), (1, (1 << 24) + 1)))
        text = self.said(load_weights, str(tmp_path / "w.npz"))
        assert text.endswith("w1 has the shape [1, 16777217]; may have 16777216 elements at most")

    def test_headers_of_old(self, tmp_path, recwarn):
        """A header of Python 2, which numpy reads with a warning."""
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 1L), }\n"
        member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8)
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.writestr("x.npy", member)
        assert npz_files.read("input", str(tmp_path / "x.npz"), ("x",))["x"].shape == (2, 1)
        assert not recwarn.list

    @pytest.mark.parametrize("text", [f"[[configurations]]\nK = 0x{'F' * 5000}", f"[grid]\nK = [1, 0b{'1' * 70}]",
                                      f"[defaults]\nlabel = 0x{'F' * 17}",
                                      "[[configurations]]\nK = {a = [[9223372036854775808]]}"])
    def test_integer_that_toml_lacks(self, tmp_path, text):
        (tmp_path / "list.toml").write_text(text)
        assert self.said(load_plan, str(tmp_path / "list.toml")).endswith("is no TOML: an integer of more than 64 bits")

    @pytest.mark.parametrize("text", ["[" + "K" * 100_000 + "]", "[[configurations]]\n" + "K" * 100_000 + " = 1"])
    def test_keys_without_end(self, tmp_path, text):
        (tmp_path / "list.toml").write_text(text)
        assert len(self.said(load_plan, str(tmp_path / "list.toml"))) < 1000

    @pytest.mark.parametrize(("function", "name"), [(load_plan, "list.toml"), (load_networks, "mine.json")])
    @pytest.mark.parametrize("target", ["fifo", "/dev/zero"])
    def test_files_without_end(self, tmp_path, function, name, target):
        os.mkfifo(tmp_path / "fifo")
        (tmp_path / name).symlink_to(target)
        assert "is not a regular file; must be a" in self.said(function, str(tmp_path / name))

    def test_networks_nested_too_deeply(self, tmp_path):
        (tmp_path / "deep.json").write_text("[" * 100_000)
        assert self.said(load_networks, str(tmp_path / "deep.json")).endswith(
            "is nested too deeply for a file of networks")

    @pytest.mark.parametrize("name", [None, "", "a\nb", "\ud800"])
    def test_networks_without_names(self, tmp_path, name):
        network = {"input": [8, 8], "source": "", "blocks": [[1, 2, 4, 1, 1]]}
        (tmp_path / "mine.json").write_text(json.dumps({"networks": {} if name is None else {name: network}}))
        assert " must hold {" in self.said(load_networks, str(tmp_path / "mine.json"))
