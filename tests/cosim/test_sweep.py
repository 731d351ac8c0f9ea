# SPDX-License-Identifier: Apache-2.0
"""`tiled-se sweep`: the list it reads, and that its results are the same however they come to be."""

import contextlib
import csv
import functools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.conftest import weights
from tests.helpers import measuring
from tests.helpers.measuring import Silent
from tests.tools.test_batch import wait_for
from tiled_se.batch.cluster import Cluster
from tiled_se.batch.pool import DIED, run_all
from tiled_se.evaluate.sweep import command, tables, worker
from tiled_se.evaluate.sweep.plan import load_plan
from tiled_se.gen import simulation
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.options import SimOptions
from tiled_se.hdl.config import ConfigError

ROOT = pathlib.Path(__file__).parents[2]
# 16 configurations of four pieces of hardware; two of them are broken.
SWEEP = """
[defaults]
K = 2
W = 4
C = 8

[grid]
H = [3, 5]
STALL = [0, 0.3]
SEED = [1, 2, 3]

[[configurations]]
label = "exactly K rows"
SLACK = 0

[[configurations]]
label = "trained"
W = ""
WEIGHTS = "se.npz"
INPUT = "x.npz"

[[configurations]]
label = "lanes"
LANES = 3

[[configurations]]
label = "no file"
WEIGHTS = "none.npz"
"""
BROKEN = {"15": "LANES=3 (--lanes): must divide", "16": "WEIGHTS=none.npz (--weights): there is no such file"}
RESULTS = ("results.csv", "summary.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that holds sweep.toml and the files that it names."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "sweep.toml").write_text(SWEEP)
    np.savez(folder / "se.npz", **weights(8, 2))
    np.savez(folder / "x.npz", x=np.random.default_rng(3).normal(0.5, 2, (1, 3, 4, 8)).astype(np.float32))
    return folder


def started(folder, *arguments):
    """A running `tiled-se sweep` of its own process group; paths are relative to another folder than sweep.toml's."""
    return subprocess.Popen(
        [sys.executable, "-m", "tiled_se.cli", "sweep", "--configs", folder / "sweep.toml", "--jobs=2", *arguments],
        cwd=folder.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def dask(tool, folder, *arguments):
    """A running scheduler or worker, whose working directory is `folder`."""
    # What tasks are made of in these tests is importable there. A task is given up when it has ended two workers.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
                   "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    return subprocess.Popen([sys.executable, "-m", f"distributed.cli.dask_{tool}", "--no-dashboard", *arguments],
                            cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end(process):
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def cluster_in(folder, *workers):
    """The address and the process of a scheduler of this machine, with workers if any; all of them work in `folder`."""
    file = folder / "scheduler.json"
    with contextlib.ExitStack() as running:
        scheduler = dask("scheduler", folder, "--host=127.0.0.1", "--port=0", f"--scheduler-file={file}")
        running.callback(end, scheduler)
        wait_for(lambda: file.exists() and file.read_text().endswith("}"))
        address = json.loads(file.read_text())["address"]
        if workers:
            running.callback(end, dask("worker", folder, address, "--host=127.0.0.1", *workers))
        yield address, scheduler


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The address of a scheduler with two worker processes, which work in a folder of their own."""
    with cluster_in(tmp_path_factory.mktemp("cluster"), "--nworkers=2", "--nthreads=1") as (address, _):
        yield address


def finished(process, status):
    try:
        out, err = process.communicate(timeout=250)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == status, (out, err)
    return out, err


def ran(out):
    """Numbers of the configurations that a run has simulated."""
    return [line.split()[1] for line in out.splitlines() if line.startswith("[")]


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def straight(folder):
    """What a run from beginning to end has written, and printed."""
    out, err = finished(started(folder, "--out", folder / "straight"), 1)
    assert err == ""
    return folder / "straight", out


def same(one, other):
    for name in RESULTS:
        assert (one / name).read_text() == (other / name).read_text(), name
    return True


@pytest.mark.xdist_group("sweep")  # one process makes what they share
class TestRun:
    def test_straight(self, straight):
        where, out = straight
        rows = read(where / "results.csv")
        assert [row["number"] for row in rows] == [str(n) for n in range(1, 17)]
        assert [row["status"] for row in rows] == ["ok"] * 14 + ["failed"] * 2
        assert all(row["bit_exact"] == "1" and row["mismatches"] == "0" for row in rows[:14])
        assert all(row["reason"].startswith(BROKEN[row["number"]]) for row in rows[14:])
        assert sum(int(row["elements"] or 0) for row in rows) == 2 * 4 * 8 * (6 * 3 + 6 * 5 + 4) + 3 * 4 * 8
        # Where both sides never pause, cycles are those that the parameters tell.
        assert all(row["cycles"] == row["predicted_cycles"] for row in rows[:14] if row["STALL"] == "0.0")
        assert (rows[13]["WEIGHTS"], rows[13]["W"], rows[13]["built_loadable"]) == ("se.npz", "", "0")
        summary = json.loads((where / "summary.json").read_text())
        assert (summary["configurations"], summary["ok"], summary["failed"]) == (16, 14, 2)
        assert [item["configuration"] for item in summary["failures"]] == [
            "15 lanes: K=2 W=4 C=8 LANES=3", "16 no file: K=2 W=4 C=8 WEIGHTS=none.npz"]
        assert "sweep       16 configurations: 14 ok, 0 mismatch, 2 failed" in out.splitlines()
        assert len(read(where / "timings.csv")) == 16
        # What failed is tried again, so there is no report of it.
        assert len(list((where / "reports").iterdir())) == 14

    def test_killed_and_continued(self, folder, straight):
        where = folder / "killed"
        process = started(folder, "--out", where)
        wait_for(lambda: len(list(where.glob("reports/*.json"))) >= 5, 200)
        os.killpg(process.pid, signal.SIGKILL)
        finished(process, -signal.SIGKILL)
        before = {path: path.stat().st_mtime_ns for path in where.glob("reports/*.json")}
        assert 5 <= len(before) < 14
        assert not any((where / name).exists() for name in RESULTS)
        out, _ = finished(started(folder, "--out", where), 1)
        assert f"16 configurations, {len(before)} of them finished before; 2 at a time" in out
        # 14 have a report in the end, the others fail again.
        assert len(ran(out)) == 16 - len(before)
        assert {path: path.stat().st_mtime_ns for path in before} == before
        assert same(where, straight[0])

    @pytest.mark.parametrize("end", [lambda process: process.terminate(),
                                     lambda process: os.killpg(process.pid, signal.SIGINT)], ids=["SIGTERM", "Ctrl-C"])
    def test_interrupted(self, folder, tmp_path, end):
        where = tmp_path / "out"
        process = started(folder, "--out", where)
        wait_for(lambda: list(where.glob("reports/*.json")), 200)
        end(process)
        out, err = finished(process, 130)
        assert err == "tiled-se: error: interrupted\n"
        assert out.splitlines()[-1].endswith(" of 16 configurations are finished; the same command continues")
        assert not (where / "results.csv").exists()

    def test_finished_is_not_run_again(self, folder, straight):
        before = {name: (straight[0] / name).read_bytes() for name in RESULTS}
        out, _ = finished(started(folder, "--out", straight[0], "--scheduler=tcp://127.0.0.1:1"), 2)
        assert ran(out) == []
        out, _ = finished(started(folder, "--out", straight[0]), 1)
        assert sorted(ran(out)) == ["15", "16"]
        assert {name: (straight[0] / name).read_bytes() for name in RESULTS} == before


@pytest.mark.xdist_group("sweep")
class TestScheduler:
    def test_results_are_those_of_a_local_run(self, folder, straight, scheduler, tmp_path):
        """Even if two processes do two thirds, the sweep is killed, and two threads of another cluster do the rest."""
        where = tmp_path / "out"
        process = started(folder, "--out", where, "--scheduler", scheduler)
        wait_for(lambda: len(list(where.glob("reports/*.json"))) >= 9, 200)
        os.killpg(process.pid, signal.SIGKILL)
        finished(process, -signal.SIGKILL)
        before = len(list(where.glob("reports/*.json")))
        assert 9 <= before < 14
        with cluster_in(tmp_path, "--nworkers=1", "--nthreads=2") as (other, _):
            out, err = finished(started(folder, "--out", where, "--scheduler", other), 1)
        assert err == ""
        assert len(ran(out)) == 16 - before
        assert same(where, straight[0])

    @pytest.mark.parametrize("jobs", [1, None])
    def test_jobs_at_a_time(self, tmp_path, scheduler, jobs):
        """Fewer than the workers, if that is wanted."""
        # Of two that run one after the other the first one waits in vain.
        seconds = 0.5 if jobs else 100
        met = []
        failures = run_all(["a", "b"], lambda task: functools.partial(measuring.meets, task, str(tmp_path), 1, seconds),
                           Cluster(scheduler, jobs), Silent(), lambda task, result: met.append(result))
        assert failures == {}
        assert met == ([False, True] if jobs else [True, True])

    def test_worker_that_dies(self, tmp_path, scheduler):
        tasks = ["a", "die", "b", "fail"]
        # What a worker has done is done again if it dies before its result was fetched.
        failures = run_all(tasks, lambda task: functools.partial(measuring.by_name, task, str(tmp_path), again=True),
                           Cluster(scheduler), Silent())
        assert failures == {"die": DIED, "fail": "no good"}
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "fail"]

    def test_nobody_there(self, folder):
        start = time.monotonic()
        out, err = finished(started(folder, "--out", folder / "none", "--scheduler=tcp://127.0.0.1:1"), 2)
        assert err == ("tiled-se: error: SCHEDULER=tcp://127.0.0.1:1 (--scheduler): "
                       "no scheduler of this version answered in 5 seconds\n")
        assert time.monotonic() - start < 30
        assert not (folder / "none").exists()

    def test_what_listens_is_no_scheduler(self, folder):
        """Something that takes connections and never says a word."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
            start = time.monotonic()
            _, err = finished(started(folder, "--out", folder / "none", "--scheduler", address), 2)
        assert "no scheduler of this version answered" in err
        assert err.count("\n") == 1
        assert time.monotonic() - start < 40

    def test_scheduler_that_goes(self, folder, tmp_path):
        """Its end is a line, and the results that came before are there."""
        with cluster_in(tmp_path) as (address, process):
            sweep = started(folder, "--out", tmp_path / "out", "--scheduler", address)
            waits = any("has no workers; waiting for some" in line for line in sweep.stdout)
            process.kill()
            process.wait()
            _, err = finished(sweep, 3)
        assert waits
        assert err == f"tiled-se: error: the scheduler at {address} has gone\n"


class TestWork:
    OPTIONS = SimOptions(k=2, width=4, channels=8, height=3)

    def test_mismatch(self, monkeypatch):
        model = simulation._golden

        def wrong(job, x):
            golden, stages = model(job, x)
            golden[1, 2, 3, 5] ^= 1
            return golden, stages

        monkeypatch.setattr(simulation, "_golden", wrong)
        result = worker.simulate_configuration(self.OPTIONS, {})
        assert (result["status"], result["report"]["mismatches"]) == ("mismatch", 1)
        assert result["reason"].startswith("first difference in stage outputs, frame 1, tile 1")

    def test_key_tells_files_and_options_apart(self, tmp_path):
        def key(text, content=b"1"):
            (tmp_path / "a.toml").write_text(f"[[configurations]]\n{text}\n")
            (tmp_path / "se.npz").write_bytes(content)
            plan = load_plan(str(tmp_path / "a.toml"))
            return json.dumps(command._settings(plan[0].options, command.Files(str(tmp_path))))

        texts = ["W=4", "W=5", "W=4\nGATE='hardsigmoid'", "W=4\nGATE='hardsigmoid:0.2,0.5'", "W=4\nMID='silu'",
                 "W=4\nNAME='x'", "W=4\nSIM='icarus'", "W=4\nSTALL=0.1", "WEIGHTS='se.npz'"]
        keys = [*map(key, texts), key(texts[-1], b"2")]
        assert len(set(keys)) == len(texts) + 1
        assert key("W=4\nlabel='x'\nK=7") == keys[0]


class TestTables:
    def test_summary(self, tmp_path):
        (tmp_path / "a.toml").write_text("[defaults]\nC=8\n[grid]\nSTALL=[0, 0.5]\nW=[4, 5]\n")
        plan = load_plan(str(tmp_path / "a.toml"))

        def result(status, error, throughput, reason=None):
            return {"status": status, "reason": reason, "report": {
                "elements": 10, "float_error_lsb": {"max": error}, "cycles": {"steady_throughput": throughput},
                "sram": {"over_bound": 1.5}}}

        results = dict(zip(plan, [
            result("ok", 0.4, 0.9), {"status": "failed", "reason": "a line"}, result("mismatch", 9, 0.1, "stage sums"),
            result("ok", 0.5, 0.2)], strict=True))
        summary = tables.summarise(plan, results)
        assert (summary["ok"], summary["mismatch"], summary["failed"], summary["elements"]) == (2, 1, 1, 30)
        assert summary["largest_float_error_lsb"] == {"value": 9, "configuration": "3 W=4 C=8 STALL=0.5"}
        assert summary["lowest_beats_per_cycle"] == {"value": 0.9, "configuration": "1 W=4 C=8 STALL=0"}
        assert tables.summary_text(summary).splitlines()[-2:] == [
            "mismatch    3 W=4 C=8 STALL=0.5: stage sums", "failed      2 W=5 C=8 STALL=0: a line"]

    def test_nothing_worked(self, tmp_path):
        (tmp_path / "a.toml").write_text("[grid]\nW=[4]\n")
        plan = load_plan(str(tmp_path / "a.toml"))
        files = tables.documents(plan, {plan[0]: {"status": "failed", "reason": 'a, "b"'}})
        assert json.loads(files["summary.json"])["largest_over_bound"] is None
        assert files["results.csv"].splitlines()[1].startswith(b'1,,failed,"a, ""b""",7,4,')


class TestPlan:
    def plan(self, tmp_path, text):
        (tmp_path / "a.toml").write_text(text)
        return load_plan(str(tmp_path / "a.toml"))

    def test_order(self, tmp_path):
        plan = self.plan(tmp_path, """
            [[configurations]]
            label = "last"
            K = 5
            [defaults]
            W = 4
            RESIDUAL = true
            [[grid]]
            C = [8, 4]
            STALL = [0, 0.5]
            [[grid]]
            MID = ["silu"]
            W = ["", "9"]
            """)
        assert [str(c) for c in plan] == [
            "1 W=4 C=8 RESIDUAL=1 STALL=0", "2 W=4 C=8 RESIDUAL=1 STALL=0.5", "3 W=4 C=4 RESIDUAL=1 STALL=0",
            "4 W=4 C=4 RESIDUAL=1 STALL=0.5", "5 MID=silu RESIDUAL=1", "6 W=9 MID=silu RESIDUAL=1",
            "7 last: K=5 W=4 RESIDUAL=1"]
        assert plan[3].options.stall == 0.5
        assert plan[4].options.width is None

    def test_shipped_list(self):
        """24 blocks that can be built, no two of them the same."""
        plan = load_plan()
        assert len(plan) == 24
        assert len({c.label for c in plan}) == 24
        for configuration in plan:
            prepare(configuration.options)

    @pytest.mark.parametrize(("text", "reason"), [
        ("", "lists no configuration; must hold [defaults], [grid] or [[grid]], and [[configurations]]"),
        ("[defaults]\nW=4", "lists no configuration"),
        ("W = ", "is no TOML: Invalid value"),
        ("a = " + "[" * 2000, "is nested too deeply"),
        ("[grid]\nK = [" + "1" * 5000 + "]", "is no TOML: "),
        ("[sweep]\nW=4", "[sweep] is unknown; must hold"),
        ("defaults = 1", "defaults is no table; must hold"),
        ("grid = 1", "grid is no table of this form"),
        ("configurations = [1]", "configurations is no table of this form"),
        ("[configurations]\nW=4", "configurations is no table of this form"),
        ("[grid]", "[grid] is empty; must have a list of values"),
        ("[grid]\nW = 4", "[grid] W=4: must be a list of one value or more"),
        ("[[grid]]\nW=[1]\n[[grid]]\nW = []", "[[grid]] 2 W=[]: must be a list of one value or more"),
        ("[grid]\nWIDTH = [4]", "[grid] combination 1 WIDTH=4: is no variable of a sweep; must be one of K, W, C, H, "),
        ("[grid]\nTARGET = ['ecp5']", "[grid] combination 1 TARGET=ecp5: is no variable of a sweep"),
        ("[[configurations]]\nWAVES = 1", "[[configurations]] 1 WAVES=1: is no variable of a sweep"),
        ("[[configurations]]\nOUT = 'a'", "[[configurations]] 1 OUT=a: is no variable of a sweep"),
        ("[defaults]\nLANE = 1\n[[configurations]]\nW=4", "[defaults] LANE=1: is no variable of a sweep"),
        ("[defaults]\nlabel = 'a'\n[[configurations]]\nW=4", "[defaults] label=a: must be in [[configurations]] only"),
        ("[grid]\nW = [4, 0]", "[grid] combination 2 W=0: must be an integer from 1 to 65536"),
        ("[grid]\nW = [4.0]", "[grid] combination 1 W=4.0: must be an integer from 1 to 65536"),
        ("[grid]\nW = [true]", "[grid] combination 1 W=true: must be no boolean"),
        ("[grid]\nW = [[4]]", "[grid] combination 1 W=[4]: must be a number, a string or a boolean"),
        ("[[configurations]]\nW = 2026-01-01", "[[configurations]] 1 W=2026-01-01: must be a number, a string or a"),
        ("[[configurations]]\nSTALL = nan", "[[configurations]] 1 STALL=nan: must be a number from 0 to less than 1"),
        ("[[configurations]]\nMID = 'tanh'", "[[configurations]] 1 MID=tanh: must be one of relu, "),
        ("[[configurations]]\nlabel = 3", "[[configurations]] 1 label=3: must be a string of 1 to 60 printable"),
        ("[[configurations]]\nW=4\n[[configurations]]\nW=4\nMACS='auto'", "[[configurations]] 2 is the same as [["),
        ("[grid]\nW=[4, '4']", "[grid] combination 2 is the same as [grid] combination 1; must be a configuration"),
        ("[[configurations]]\nlabel='a'\nW=4\n[[configurations]]\nlabel='a'\nW=5",
         "[[configurations]] 2 label=a: is that of [[configurations]] 1, too"),
        ("[grid]\n" + "".join(f"{name} = [{', '.join(map(str, range(1, 41)))}]\n" for name in ("K", "W", "C", "H")),
         "[grid] has 2560000 combinations; may have 100000 at most"),
    ])
    def test_refused(self, tiled_se, text, reason):
        pathlib.Path("a.toml").write_text(text)
        done = tiled_se("sweep", "--configs=a.toml")
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith(f"tiled-se: error: CONFIGS=a.toml (--configs): {reason}")
        assert done.err.count("\n") == 1
        assert not pathlib.Path("build").exists()

    def test_no_file(self):
        with pytest.raises(ConfigError, match="^configs=none.toml: can't be read: No such file or directory; must be"):
            load_plan("none.toml")

    def test_no_text(self, tmp_path):
        (tmp_path / "a.toml").write_bytes(b"W = '\xff'")
        with pytest.raises(ConfigError, match="is no UTF-8"):
            load_plan(str(tmp_path / "a.toml"))


@pytest.mark.parametrize("text", ["node:8786", "tcp://node", "tcp://node:0", "tcp://node:65536", "tcp://:1", "udp://a:1"])
def test_addresses_refused(tiled_se, text):
    tiled_se.refuses(f"SCHEDULER={text} (--scheduler): must be tcp://HOST:PORT, with a port from 1 to 65535", "sweep",
                     f"--scheduler={text}")


def test_missing_packages(tiled_se, monkeypatch):
    find = command.importlib.util.find_spec
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None if name == "distributed" else find(name))
    tiled_se.refuses("sweep needs distributed: pip install 'tiled-se[sweep]'", "sweep", "--scheduler=tcp://node:8786")
