# SPDX-License-Identifier: Apache-2.0
"""`tiled-se sweep`: its results are the same however they come to be."""

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
from tests.helpers.nightly import nightly
from tests.tools.test_batch import wait_for
from tiled_se.batch import Campaign
from tiled_se.batch.cluster import Cluster
from tiled_se.batch.pool import DIED

ROOT = pathlib.Path(__file__).parents[2]
# Twelve configurations of four pieces of hardware; two of them are broken.
SWEEP = """
[defaults]
K = 2
W = 4
C = 8

[grid]
H = [3, 5]
STALL = [0, 0.3]
SEED = [1, 2]

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
BROKEN = {"11": "LANES=3 (--lanes): must divide", "12": "WEIGHTS=none.npz (--weights): there is no such file"}
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
        assert [row["number"] for row in rows] == [str(n) for n in range(1, 13)]
        assert [row["status"] for row in rows] == ["ok"] * 10 + ["failed"] * 2
        assert all(row["bit_exact"] == "1" and row["mismatches"] == "0" for row in rows[:10])
        assert all(row["reason"].startswith(BROKEN[row["number"]]) for row in rows[10:])
        assert sum(int(row["elements"] or 0) for row in rows) == 2 * 4 * 8 * (4 * 3 + 4 * 5 + 4) + 3 * 4 * 8
        # Where both sides never pause, cycles are those that the parameters tell.
        assert all(row["cycles"] == row["predicted_cycles"] for row in rows[:10] if row["STALL"] == "0.0")
        assert (rows[9]["WEIGHTS"], rows[9]["W"], rows[9]["built_loadable"]) == ("se.npz", "", "0")
        summary = json.loads((where / "summary.json").read_text())
        assert (summary["configurations"], summary["ok"], summary["failed"]) == (12, 10, 2)
        assert [item["configuration"] for item in summary["failures"]] == [
            "11 lanes: K=2 W=4 C=8 LANES=3", "12 no file: K=2 W=4 C=8 WEIGHTS=none.npz"]
        assert "sweep       12 configurations: 10 ok, 0 mismatch, 2 failed" in out.splitlines()
        assert len(read(where / "timings.csv")) == 12
        # What failed is tried again, so there is no report of it.
        assert len(list((where / "reports").iterdir())) == 10

    def test_killed_and_continued(self, folder, straight):
        where = folder / "killed"
        process = started(folder, "--out", where)
        wait_for(lambda: len(list(where.glob("reports/*.json"))) >= 4, 200)
        os.killpg(process.pid, signal.SIGKILL)
        finished(process, -signal.SIGKILL)
        before = {path: path.stat().st_mtime_ns for path in where.glob("reports/*.json")}
        assert 4 <= len(before) < 10
        assert not any((where / name).exists() for name in RESULTS)
        out, _ = finished(started(folder, "--out", where), 1)
        assert f"12 configurations, {len(before)} of them finished before; 2 at a time" in out
        # Ten have a report in the end, the others fail again.
        assert len(ran(out)) == 12 - len(before)
        assert {path: path.stat().st_mtime_ns for path in before} == before
        assert same(where, straight[0])

    @pytest.mark.parametrize("end", [
        pytest.param(lambda process: process.terminate(), id="SIGTERM", marks=nightly),
        pytest.param(lambda process: os.killpg(process.pid, signal.SIGINT), id="Ctrl-C")])
    def test_interrupted(self, folder, tmp_path, end):
        where = tmp_path / "out"
        process = started(folder, "--out", where)
        wait_for(lambda: list(where.glob("reports/*.json")), 200)
        end(process)
        out, err = finished(process, 130)
        assert err == "tiled-se: error: interrupted\n"
        assert out.splitlines()[-1].endswith(" of 12 configurations are finished; the same command continues")
        assert not (where / "results.csv").exists()


@pytest.mark.xdist_group("sweep")
class TestScheduler:
    def test_results_are_those_of_a_local_run(self, folder, straight, scheduler, tmp_path):
        """Even if two processes do two thirds, the sweep is killed, and two threads of another cluster do the rest."""
        where = tmp_path / "out"
        process = started(folder, "--out", where, "--scheduler", scheduler)
        wait_for(lambda: len(list(where.glob("reports/*.json"))) >= 6, 200)
        os.killpg(process.pid, signal.SIGKILL)
        finished(process, -signal.SIGKILL)
        before = len(list(where.glob("reports/*.json")))
        assert 6 <= before < 10
        with cluster_in(tmp_path, "--nworkers=1", "--nthreads=2") as (other, _):
            out, err = finished(started(folder, "--out", where, "--scheduler", other), 1)
        assert err == ""
        assert len(ran(out)) == 12 - before
        assert same(where, straight[0])

    @pytest.mark.parametrize("jobs", [1, None])
    def test_jobs_at_a_time(self, tmp_path, scheduler, jobs):
        """Fewer than the workers, if that is wanted."""
        # Of two that run one after the other the first one waits in vain.
        seconds = 0.5 if jobs else 100
        met = []
        campaign = Campaign(["a", "b"])
        campaign.run(lambda task: functools.partial(measuring.meets, task, str(tmp_path), 1, seconds),
                     Cluster(scheduler, jobs), progress=Silent, judge=lambda task, result: met.append(result))
        assert campaign.failures == {}
        assert met == ([False, True] if jobs else [True, True])

    def test_worker_that_dies(self, tmp_path, scheduler):
        campaign = Campaign(["a", "die", "b", "fail"])
        # What a worker has done is done again if it dies before its result was fetched.
        campaign.run(lambda task: functools.partial(measuring.by_name, task, str(tmp_path), again=True),
                     Cluster(scheduler), progress=Silent, judge=lambda task, result: result)
        assert campaign.failures == {"die": DIED, "fail": "no good"}
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
