# SPDX-License-Identifier: Apache-2.0
"""Calls of compiled libraries on files that may be anything, in a process of their own with bounded time and memory.

Shape inference and the runtime are compiled code that a crafted file can crash or keep busy: the process that ends then
is not ours, and its end is bad input.
"""

import multiprocessing
import os
import resource

from ...hdl.config import ConfigError

__all__ = ["allow_memory_for", "guarded"]

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
    """What `function(*arguments)` returns; both cross a pipe.

    Parameters
    ----------
    what : str
        What can't be done if it fails, for the message.
    seconds : float
        How long it may take.
    reads : int, optional
        Bytes of the file that the function reads, which bound its memory; it is a share of the machine's else.

    Raises
    ------
    ConfigError
        ("model") with `what`, where the function fails, the process dies or takes too long. A ConfigError of the
        function's own is handed on.
    """
    # Spawned, as a fork would have the locks of our threads.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, function, arguments, reads), daemon=True)
    process.start()
    theirs.close()
    try:
        # The pipe ends with the process.
        if not ours.poll(seconds):
            raise ConfigError("model", what, f"it takes more than {seconds:g} s")
        result, error = ours.recv()
    except (EOFError, OSError):
        process.join()
        raise ConfigError("model", what, f"the process ended with status {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        ours.close()
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
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _limit_memory(reads):
    limit = max(LEAST_MEMORY, int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * MEMORY_SHARE))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    soft = limit if reads is None else min(limit, _address_space() + READING_MEMORY + reads * EACH_BYTE)
    resource.setrlimit(resource.RLIMIT_AS, (soft, limit))


def _work(pipe, function, arguments, reads):
    try:
        _limit_memory(reads)
        # What libraries print of a broken model is no line of ours.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        pipe.send((function(*arguments), None))
    except ConfigError as error:
        pipe.send((None, (error.option, error.value, error.allowed)))
    except MemoryError:
        pipe.send((None, "it takes too much memory"))
    except Exception as error:  # whatever onnx and onnxruntime raise
        pipe.send((None, (str(error).strip() or type(error).__name__).splitlines()[0][:200]))
