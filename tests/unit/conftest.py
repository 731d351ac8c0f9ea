# SPDX-License-Identifier: Apache-2.0
"""Unit tests start no process: no compiler, no EDA tool, no second Python."""

import multiprocessing.process
import os
import subprocess

import pytest

STARTERS = [(subprocess, "Popen"), (multiprocessing.process.BaseProcess, "start"),
            *((os, name) for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system"))]


def _refuse(*arguments, **options):
    pytest.fail("a unit test starts a process; tests that do belong to tests/cosim or tests/tools")


@pytest.fixture(scope="module", autouse=True)
def no_process():
    """Fail each test, and each fixture of a module, that starts one."""
    with pytest.MonkeyPatch.context() as patch:
        for place, name in STARTERS:
            patch.setattr(place, name, _refuse)
        yield
