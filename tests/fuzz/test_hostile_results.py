# SPDX-License-Identifier: Apache-2.0
"""What commands were asked for and what they made: each planted difference is found, and what is right is not."""

import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.conftest import weights
from tests.fuzz.hostile import right, with_cache
from tests.helpers.blocks import quantised
from tiled_se.cli.main import main
from tiled_se.gen.report import config_fields
from tiled_se.verify.soak import hostile, hostile_results, hostile_run, hostile_worker
from tiled_se.verify.soak.hostile_apart import apart
from tiled_se.verify.soak.hostile_golden import format_of, numbers_differ
from tiled_se.verify.soak.hostile_kept import Kept
from tiled_se.verify.soak.hostile_lines import LONG
from tiled_se.verify.soak.hostile_lists import good_networks, model_bytes
from tiled_se.verify.soak.hostile_sweeps import failing_sweep, sweep_differs

NETWORK = {"net.onnx": model_bytes()}
SWAP = right("swap", NETWORK, model="net.onnx", k="2", out="tiled.onnx")
INSPECT = right("inspect", NETWORK, model="net.onnx", k="2", json="blocks.json")


def npz(**arrays):
    """The bytes of an .npz."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def faults(tmp_path, line, planted=main):
    """What is found of a Line where `planted(arguments)` stands for the command line."""
    return hostile.check(with_cache(tmp_path), line, planted)["faults"]


def without(*flags):
    """A command line that ignores options."""
    return lambda arguments: main([text for text in arguments if not text.startswith(flags)])


def then(change):
    """A command line that does `change()` behind what it should."""
    def command(arguments):
        status = main(arguments)
        change()
        return status
    return command


def swapped_weights():
    """Another bias in the network that `swap` has written."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load("tiled.onnx")
    tensor = next(tensor for tensor in model.graph.initializer if "b2" in tensor.name)
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(0.1), tensor.name))
    onnx.save(model, "tiled.onnx")


class TestNetworks:
    @pytest.mark.parametrize("line", [SWAP, right("swap", NETWORK, model="net.onnx", k="1"), INSPECT])
    def test_right(self, tmp_path, line):
        assert faults(tmp_path, line) == []

    @pytest.mark.parametrize(("line", "planted", "found"), [
        (SWAP, without("--k="), "tiles are [[7, 1]], not of 2 rows"),
        (SWAP, then(lambda: pathlib.Path("tiled.onnx").write_bytes(model_bytes())), "tiles are [], not of 2 rows"),
        (SWAP, then(swapped_weights), "b2 isn't the network's"),
        (INSPECT, without("--k="), "tse_elements is 120, not 40"),
        (INSPECT, lambda arguments: print("") or main(arguments[:1] + ["net.onnx", "--json=blocks.json"]),
         "the table lacks the block"),
    ])
    def test_planted(self, tmp_path, line, planted, found):
        told = faults(tmp_path, line, planted)
        assert any(found in one for one in told), told

    def test_report(self, tmp_path):
        """Its command starts processes: what it would have written is given."""
        line = right("report", {"mine.json": good_networks(np.random)}, model="mine.json", k="2", lanes="2", out=".")
        place = hostile_run.Place(tmp_path, tmp_path)
        place.make()

        def written(k, lanes):
            blocks = [{"height": h, "width": w, "channels": c, "squeeze": r, "count": n, "tse": {
                "rows": min(k, h), "elements": min(k, h) * w * c,
                "config": {"width": w, "channels": c, "squeeze": r, "lanes": lanes}}}
                for h, w, c, r, n in ((2, 3, 4, 1, 1), (1, 2, 4, 2, 3))]
            (place.work / "report.json").write_text(json.dumps({"k": k, "networks": [{"blocks": blocks}]}))
            outcome = hostile_run.Outcome(0, "", "", 0, 0)
            return hostile_results.results(line, outcome, place)

        assert written(2, 2) == []
        assert written(1, 2)[0].startswith("k is 1, not 2")
        assert written(2, 4)[0].startswith("lanes of block")

    @pytest.mark.parametrize("command", ["build", "report"])
    def test_that_ends_in_a_mismatch(self, tmp_path, command):
        """Status 1 is a fault of a right line's."""
        line = right(command, NETWORK, model="net.onnx")
        assert "exit status 1" in faults(tmp_path, line, lambda _: 1)


class TestOptionsOfARun:
    SAID = dict(k="2", width="4", channels="6", out="out", seed="7", sram_overhead="1", stall="0.3", waves="1")

    def test_right(self, tmp_path):
        assert faults(tmp_path, right("sim", planned=True, **self.SAID)) == []

    @pytest.mark.parametrize(("flag", "found"), [
        ("--seed", "frames aren't those of SEED"), ("--seed", "w1 differs"), ("--sram", "sram_overhead is 0.05, not 1"),
        ("--stall", "stall is 0.0, not 0.3"), ("--waves", "waves is False, not True")])
    def test_ignored(self, tmp_path, flag, found):
        told = faults(tmp_path, right("sim", planned=True, **self.SAID), without(flag))
        assert any(found in one for one in told), told

    def test_too_many_multipliers(self, tmp_path):
        """What MACS=auto takes follows from SRAM_OVERHEAD."""
        def planted():
            path = pathlib.Path("out/planned.json")
            about = json.loads(path.read_text())
            about["config"]["macs"] -= 1
            path.write_text(json.dumps(about))

        told = faults(tmp_path, right("sim", planned=True, **self.SAID), then(planted))
        assert any("where SRAM_OVERHEAD asks for" in one for one in told), told


def test_format_of_real_data():
    """Its range with 0.0 in it, as docs/design.md has it."""
    x = np.array([-1.0, 254.0])
    assert format_of({}, {"x": x}, True) == (1.0, -127)
    assert format_of({}, {"x": x}, False) == (1.0, 1)
    assert format_of({"zero_point": "127"}, {"x": np.array([-254.0])}, True) == (254 / 255, 127)


class TestWritten:
    """Whole lines of `verilog`: the Verilog runs, against the golden model of what the line says."""

    SAID = dict(k="2", width="3", channels="4", squeeze="2", macs="2", weights="w.npz", out="out")

    def line(self, loadable):
        return right("verilog", {"w.npz": npz(**weights(4, 2))}, loadable=loadable, **self.SAID)

    def of_others(self, arguments):
        """The command takes another file, whose numbers need the same widths."""
        arrays = weights(4, 2)
        pathlib.Path("../../tmp/w.npz").write_bytes(npz(**arrays | {"b2": arrays["b2"][::-1]}))
        return main([text.replace("w.npz", "../../tmp/w.npz") for text in arguments])

    @staticmethod
    def another_word():
        path = pathlib.Path("out/tiled_se.params.bin")
        words = np.fromfile(path, "<u4")
        words[len(words) // 2] ^= 1
        words.tofile(path)
        path.with_suffix(".hex").write_text("".join(f"{word:08x}\n" for word in words))

    def test_loadable(self, tmp_path):
        assert faults(tmp_path, self.line("1")) == []
        for planted in (self.of_others, then(self.another_word)):
            (tmp_path / "cache").unlink()
            told = faults(tmp_path, self.line("1"), planted)
            assert any(one.startswith("simulated: ") for one in told), told

    def test_baked(self, tmp_path):
        told = faults(tmp_path, self.line("0"), self.of_others)
        assert any(one.startswith("simulated: ") or "golden side" in one for one in told), told

    def test_without_assignments(self, tmp_path):
        def planted():
            path = pathlib.Path("out/tiled_se.v")
            path.write_text(re.sub(r"^  assign .*;\n", "", path.read_text(), flags=re.M))

        told = faults(tmp_path, self.line("0"), then(planted))
        assert any("simulated" in one for one in told), told

    def test_widths(self):
        config, _ = quantised(k=3, width=4, channels=8, squeeze=3, lanes=2, macs=3)
        fields = json.loads(json.dumps(config_fields(config)))
        assert numbers_differ(fields, config) == []
        for name in ("requant_bits", "segment_bits", "slack", "shifts", "gate", "operand_bits"):
            found = numbers_differ(fields | {name: 99}, config)
            assert [text.split()[0] for text in found] == [name]


class TestSweeps:
    HEAD = "number,label,status,reason,W,C,LANES,MID,STALL,K,SLACK\n"
    ROWS = [f"{n},,failed,LANES=3 (--lanes): no,6,8,3,{mid},{stall},7,\n" for n, (mid, stall) in enumerate(
        ((mid, stall) for mid in ("relu", "silu") for stall in ("0.0", "0.5")), 1)]
    ROWS.append("5,exactly K rows,failed,LANES=3 (--lanes): no,6,8,3,,0.0,3,0\n")

    def found(self, tmp_path, rows, status=1):
        line = right("sweep", {"list.toml": failing_sweep()}, configs="list.toml")
        (tmp_path / "results.csv").write_text(self.HEAD + "".join(rows))
        return sweep_differs(line, tmp_path, status)

    def test_of_lists_that_fail(self, tmp_path):
        assert self.found(tmp_path, self.ROWS) == []
        assert self.found(tmp_path, self.ROWS, 0) == ["exit status 0 of a failing list"]
        assert self.found(tmp_path, self.ROWS[:-1]) == ["results.csv has 4 rows, not 5"]
        changed = [self.ROWS[0].replace("relu", "silu"), self.ROWS[1].replace("failed", "ok"), *self.ROWS[2:]]
        assert self.found(tmp_path, changed) == [
            "MID of configuration 1 is 'silu', not 'relu'", "status of configuration 2 is 'ok', not 'failed'"]


class TestProcesses:
    def test_apart(self):
        assert apart(lambda: ["a"]) == ["a"]
        assert apart(lambda: {}[7]) == ["results can't be checked: KeyError: 7"]
        assert apart(lambda: os.kill(os.getpid(), signal.SIGKILL)) == [
            "results can't be checked: what does it has ended with status -9"]

    def test_interrupt_ends_the_command(self, tmp_path, monkeypatch):
        """It is in a session of its own, and would live on."""
        waits = []

        def interrupted(*given):
            waits.append(given[0])
            raise KeyboardInterrupt

        monkeypatch.setattr(hostile_run, "_wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            hostile.check(tmp_path, SWAP, lambda _: time.sleep(60))
        with pytest.raises(ProcessLookupError):
            os.kill(waits[0], 0)

    def test_interrupt_of_a_worker(self, tmp_path):
        """Nothing is printed, and nothing stays but what is done."""
        code = (f"import sys, time; from tiled_se.verify.soak import hostile, hostile_worker as w\n"
                f"w._load = lambda: None\n"
                f"hostile.repeat = lambda *_: (open({str(tmp_path / 'on')!r}, 'w'), time.sleep(60))\n"
                f"import os; os.makedirs(w.own_folder({str(tmp_path)!r})); w.serve({str(tmp_path)!r}, 1)")
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL)
        process.stdin.write(b"0\n")
        process.stdin.flush()
        for _ in range(600):
            if (tmp_path / "on").exists():
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == b""
        assert os.listdir(tmp_path) == ["on"]

    def test_a_worker_that_died_idle(self, tmp_path):
        """It is no end of the others."""
        worker = hostile_worker.Worker(tmp_path, 1)
        worker.process = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE, text=True,
                                          stdout=subprocess.PIPE)
        worker.process.wait()
        assert worker.run(3)["faults"] == ["the process that ran it died"]
        assert worker.process is None

    def test_a_run_continues(self, tmp_path, monkeypatch):
        """Right lines are not run again; wrong ones are, and all where sources or seed are others."""
        ran = []

        def run(self, number):
            ran.append(number)
            return {"command": "sim", "verdict": "right", "kind": "planned", "outcome": "0", "seconds": 1.5,
                    "grown": 7, "faults": ["no"] if number == 1 else []}

        monkeypatch.setattr(hostile_worker.Worker, "run", run)
        (tmp_path / "run-1").mkdir()
        first = hostile.hostile(tmp_path, 3)
        assert not (tmp_path / "run-1").exists()
        with open(tmp_path / "finished.jsonl", "a") as file:
            file.write('{"number": 9, "comm')
        assert hostile.hostile(tmp_path, 4) == hostile.HostileResult(
            4, {("sim", "right", "0"): 4}, {"planned": 4}, first.failures, 1.5, 7)
        assert ran == [0, 1, 2, 1, 3]
        assert sorted(Kept(tmp_path, 1).found) == [0, 2, 3]
        assert Kept(tmp_path, 2).found == {}


def test_what_comes_of_lines():
    """A sound simulation counts as one; what was refused doesn't count."""
    kind = hostile_results.kind_of
    assert [kind(right("verilog"), status) for status in (0, 1, 2, None)] == ["simulated", "not", "not", "not"]
    assert kind(right("verilog", planned=True), 0) == "planned"
    assert kind(right("swap"), 0) == "whole"
    assert "verilog" not in LONG
