# SPDX-License-Identifier: Apache-2.0
"""Networks are read in this process: tests/tools/test_sandbox.py has the process that reads them otherwise."""

import io
import types

import pytest

from tiled_se.network.read import sandbox


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
def read_here(no_process):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "subprocess", types.SimpleNamespace(Popen=_HereInstead, PIPE=None, TimeoutExpired=()))
        patch.setattr(sandbox, "signal", types.SimpleNamespace(alarm=lambda seconds: None))
        patch.setattr(sandbox, "_limit_memory", lambda reads: None)
        yield
