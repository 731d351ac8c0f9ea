# SPDX-License-Identifier: Apache-2.0
"""Calls of compiled libraries on files that may be anything, in a process of their own with bounded time and memory.

Shape inference and the runtime are compiled code that a crafted file can crash or keep busy: the process that ends then
is not ours, and its end is bad input.
"""

import contextlib
import os
import pickle
import resource
import signal
import subprocess
import sys

from ...hdl.config import ConfigError

__all__ = ["allow_memory_for", "guarded"]

# The process runs this and nothing of the caller's own script, which multiprocessing would run again. It finds modules
# where we do, and none in the working directory.
SERVE = "import sys; sys.path[:] = {path!r}; from {module} import _serve; _serve()"
# What large networks take for one run.
SECONDS = 300
# Address space of the process: of the machine's memory so much, and no less than it takes to start.
MEMORY_SHARE = 0.75
LEAST_MEMORY = 4 << 30
# Of a process that reads files: beyond what it has when it starts so much for messages, and for each byte read. A
# weight is held as it was read, in its message, in numpy, in the library that infers shapes, and in the answer.
READING_MEMORY = 2 << 30
EACH_BYTE = 8


def guarded(function, *arguments, what, seconds=SECONDS, reads=None):
    """What `function(*arguments)` returns; all of these cross a pipe.

    Parameters
    ----------
    what : str
        What can't be done if it fails, for the message.
    seconds : float
        How long it may take.
    reads : int, optional
        Bytes of the file that the function reads, which bound its memory; else a share of the machine's does.

    Raises
    ------
    ConfigError
        ("model") with `what`, where the function fails, the process dies or takes too long. A ConfigError of the
        function's own is handed on.
    """
    request = pickle.dumps((function, arguments, seconds, reads))
    command = SERVE.format(path=[*map(str, sys.path)], module=__name__)
    # Its standard error is ours until it has begun: what is wrong with an installation should be seen.
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
    if error is not None:
        raise ConfigError(*error) if isinstance(error, tuple) else ConfigError("model", what, error)
    return result


def allow_memory_for(size):
    """Let this process, if its memory is limited for reading, have what `size` bytes from more files take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft not in (resource.RLIM_INFINITY, hard):
        resource.setrlimit(resource.RLIMIT_AS, (min(soft + size * EACH_BYTE, hard), hard))


def _address_space():
    """Bytes that this process has mapped: libraries map much for each of many cores."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return 0


def _limit_memory(reads):
    limit = max(LEAST_MEMORY, int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * MEMORY_SHARE))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    soft = limit if reads is None else min(limit, _address_space() + READING_MEMORY + reads * EACH_BYTE)
    # Not every system limits it.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (soft, limit))


def _serve():
    """What the process does: a request from standard input, its answer to standard output."""
    answers = os.dup(1)
    # What libraries print of a broken model is no line of ours.
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    with open(answers, "wb") as answer:
        answer.write(_answer(sys.stdin.buffer))


def _answer(request):
    """The pickled pair of a result and an error, one of them None."""
    try:
        function, arguments, seconds, reads = pickle.load(request)
        # It ends in time even if nobody waits for it any more.
        signal.alarm(int(seconds) + 2)
        _limit_memory(reads)
        result = function(*arguments)
        return pickle.dumps((result, None))
    except ConfigError as error:
        found = (error.option, error.value, error.allowed)
    except MemoryError:
        found = "it takes too much memory"
    except Exception as error:  # whatever onnx and onnxruntime raise
        found = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return pickle.dumps((None, found))
