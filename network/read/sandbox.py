# SPDX-License-Identifier: Apache-2.0
"""Runs a function on an untrusted file in a process of its own, with bounded time and memory.

Shape inference and onnxruntime are compiled code, which a crafted file can crash or keep busy. In the sandbox only that
process ends, and the caller gets a ConfigError.
"""

import contextlib
import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from ...hdl.config import ConfigError
from ...hdl.errors import ToolFailure

__all__ = ["allow_memory_for", "sandboxed"]

# The process runs this. It does not run the caller's own script again, as multiprocessing would. It imports from the
# caller's module path, and from no other working directory.
SERVE = "import sys; sys.path[:] = {path!r}; from {module} import _serve; _serve()"
# The largest networks take minutes for one run.
SECONDS = 300
# Address space of the process: a share of the machine's memory, but enough to start.
MEMORY_SHARE = 0.75
LEAST_MEMORY = 4 << 30
# Address space of a process that reads a file: what it has when it starts, plus an allowance for messages, plus a
# multiple of the bytes read. A weight is held as it was read, in its message, in numpy, in the library that infers
# shapes, and in the answer.
READING_MEMORY = 2 << 30
MEMORY_PER_BYTE = 8


def sandboxed(function: Callable, *arguments: Any, what: str, seconds: float = SECONDS,
              reads: int | None = None) -> Any:
    """Run ``function(*arguments)`` in a process of its own; function, arguments and result are pickled.

    Its time is limited to `seconds`, and its memory to a share of the machine's, or by `reads`, the bytes of the file
    that the function reads. Raises ConfigError ("model"), with `what` as the subject, if the function fails, takes too
    long or ends the process. A ConfigError or ToolFailure that the function raises is raised here, too.
    """
    request = pickle.dumps((function, arguments, seconds, reads))
    command = SERVE.format(path=[*map(str, sys.path)], module=__name__)
    # Standard error is the caller's until the request is read, so that a broken installation is visible.
    with subprocess.Popen([sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            answer, _ = process.communicate(request, timeout=seconds)
            result, error = pickle.loads(answer)
        except subprocess.TimeoutExpired:
            raise ConfigError("model", what, f"it takes more than {seconds:g} s") from None
        except (EOFError, pickle.UnpicklingError):
            raise ConfigError("model", what, f"the process ended with status {process.returncode}") from None
        finally:
            process.kill()
    if isinstance(error, ToolFailure):
        raise error
    if error is not None:
        raise ConfigError(*error) if isinstance(error, tuple) else ConfigError("model", what, error)
    return result


def allow_memory_for(size: int) -> None:
    """Raise this process's memory limit, if it has one for reading, by what `size` more bytes of files take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft not in (resource.RLIM_INFINITY, hard):
        resource.setrlimit(resource.RLIMIT_AS, (min(soft + size * MEMORY_PER_BYTE, hard), hard))


def _limit_memory(reads):
    page, mapped = os.sysconf("SC_PAGE_SIZE"), 0
    # Libraries map much for each core. Not every system has this file, or the limit.
    with contextlib.suppress(OSError), open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * page
    limit = max(LEAST_MEMORY, int(page * os.sysconf("SC_PHYS_PAGES") * MEMORY_SHARE))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    soft = limit if reads is None else min(limit, mapped + READING_MEMORY + reads * MEMORY_PER_BYTE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (soft, limit))


def _serve():
    """The process's main function: reads a request from standard input, writes the answer to standard output."""
    answers = os.dup(1)
    # Libraries print about broken models; the caller prints one line of its own.
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    with open(answers, "wb") as answer:
        answer.write(_answer(sys.stdin.buffer))


def _answer(request):
    """The pickled pair of a result and an error, one of them None."""
    try:
        function, arguments, seconds, reads = pickle.load(request)
        # The process ends in time even if the caller is gone.
        signal.alarm(int(seconds) + 2)
        _limit_memory(reads)
        result = function(*arguments)
        return pickle.dumps((result, None))
    except ConfigError as error:
        failure = (error.option, error.value, error.allowed)
    except ToolFailure as error:
        failure = error
    except MemoryError:
        failure = "it takes too much memory"
    except Exception as error:  # onnx and onnxruntime raise exceptions of many types
        failure = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return pickle.dumps((None, failure))
