# SPDX-License-Identifier: Apache-2.0
"""Tasks on many processes; the processes end with the one that started them."""

import functools
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers import measuring
from tiled_se.batch import Campaign, Local, pool
from tiled_se.batch.local import GRACE_SECONDS

ROOT = pathlib.Path(__file__).parents[2]
RUN = """
import functools, sys
from tests.helpers import measuring
from tiled_se.batch import Campaign, Local
if __name__ == "__main__":
    Campaign(["long"]).run(lambda task: functools.partial(measuring.long, sys.argv[1]), Local(1),
                           progress=measuring.Silent)
"""


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_interrupt_stops_what_runs(tmp_path):
    """What a job started is gone, what it had to clean up is clean, and nobody waits for its end."""
    interrupted = []

    def interrupt(task, result):
        wait_for((tmp_path / "started").exists)
        interrupted.append(time.monotonic())
        raise KeyboardInterrupt

    calls = {"long": functools.partial(measuring.long, str(tmp_path)),
             "quick": functools.partial(measuring.by_name, "quick", str(tmp_path))}
    with pytest.raises(KeyboardInterrupt):
        Campaign(calls).run(calls.get, Local(2), progress=measuring.Silent, judge=interrupt)
    assert time.monotonic() - interrupted[0] < GRACE_SECONDS / 2
    assert not any(map(alive, (tmp_path / "started").read_text().split()))
    assert (tmp_path / "cleaned").exists()


def test_workers_of_a_killed_process_end(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen([sys.executable, "-c", RUN, tmp_path], env=environment, stderr=subprocess.DEVNULL)
    wait_for((tmp_path / "started").exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    pids = (tmp_path / "started").read_text().split()
    wait_for(lambda: not any(map(alive, pids)), GRACE_SECONDS + 20)
    assert (tmp_path / "cleaned").exists()


def run(tasks, folder, jobs, again=lambda task: False):
    """The failures, and the tasks that have ended."""
    campaign, silent = Campaign(tasks), measuring.Silent()
    campaign.run(lambda task: functools.partial(measuring.by_name, task, str(folder), again(task)), Local(jobs),
                 judge=lambda task, result: result, progress=lambda *_: silent)
    return campaign.failures, silent.ended


def test_failure_and_death_concern_nobody_else(tmp_path):
    (tmp_path / "there").touch()
    tasks = ["a", "fail", "there", "die", "b", "c"]
    # What ran beside the one that died may have ended already, and runs again.
    failures, ended = run(tasks, tmp_path, 2, lambda task: task != "there")
    assert failures.pop("there").startswith("FileExistsError: ")
    assert failures == {"fail": "no good", "die": pool.DIED}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c", "fail", "there"]
    assert sorted(ended) == sorted(tasks)


def test_an_interrupt_in_a_task_ends_the_run(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(["a", "interrupt", "b"], tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
