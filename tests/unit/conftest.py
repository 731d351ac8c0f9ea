# SPDX-License-Identifier: Apache-2.0
"""Unit tests start no process: no compiler, no EDA tool, no second Python.

Networks are read in this process: tests/tools/test_sandbox.py has the process that reads them otherwise.
"""

import io
import multiprocessing.process
import os
import subprocess
import types

import pytest
import torch

from tiled_se.network.read import sandbox

# Tests run beside each other in processes, whose threads would wait for each other.
torch.set_num_threads(1)

STARTERS = [(subprocess, "Popen"), (multiprocessing.process.BaseProcess, "start"),
            *((os, name) for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system"))]


def _refuse(*arguments, **options):
    pytest.fail("a unit test starts a process; tests that do belong to tests/cosim or tests/tools")


class _HereInstead:
    """What `sandboxed` uses of subprocess.Popen: the request is answered in this process, without limits."""

    returncode = 0

    def __init__(self, command, **options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def communicate(self, request, timeout):
        return sandbox._answer(io.BytesIO(request)), None

    def kill(self):
        pass


@pytest.fixture(scope="module", autouse=True)
def no_process():
    """Fail each test, and each fixture of a module, that starts one."""
    with pytest.MonkeyPatch.context() as patch:
        for place, name in STARTERS:
            patch.setattr(place, name, _refuse)
        patch.setattr(sandbox, "subprocess", types.SimpleNamespace(Popen=_HereInstead, PIPE=None, TimeoutExpired=()))
        patch.setattr(sandbox, "signal", types.SimpleNamespace(alarm=lambda seconds: None))
        patch.setattr(sandbox, "_limit_memory", lambda reads: None)
        yield
