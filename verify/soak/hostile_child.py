# SPDX-License-Identifier: Apache-2.0
"""What a forked process does to be like one that the shell has started, and to tell what it changes."""

import atexit
import io
import os
import resource
import signal
import sys
import tempfile
import threading
import traceback
import warnings

__all__ = ["become", "call"]

# Beyond what the process has when it starts; what a run may take at most is the caller's business.
ADDRESS_SPACE = 6 << 30
# Operations that make, change or remove what the path says, as Python's auditing names them; how many paths each has.
CHANGES = {"os.mkdir": 1, "os.rmdir": 1, "os.remove": 1, "os.rename": 2, "os.symlink": 2, "os.link": 2,
           "os.truncate": 1, "os.chmod": 1, "os.chown": 1, "os.utime": 1}


def become(place, output, errors, seen):
    """Make a forked process one as the shell starts it."""
    os.setsid()
    for number, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), output, errors)):
        os.dup2(descriptor, number)
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), encoding="utf-8", errors="strict")
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), encoding="utf-8", errors="backslashreplace",
                                  line_buffering=True)
    os.chdir(place.work)
    os.environ.update(place.environment)
    tempfile.tempdir = None
    # What the parent has registered is its own business.
    atexit._clear()
    for number in (signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
    warnings.showwarning = warnings._showwarning_orig
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ADDRESS_SPACE, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _watch(os.open(seen, os.O_WRONLY | os.O_APPEND))


def _watch(descriptor):
    """Note what this process changes in file systems, and what it unpickles, in the file `descriptor`."""
    busy = threading.local()

    def note(kind, text):
        text = os.path.abspath(os.fsdecode(text)) if kind == "changed" else text
        os.write(descriptor, f"{kind} {text}\0".encode(errors="surrogateescape"))

    def hook(event, arguments):
        if getattr(busy, "now", False):
            return
        busy.now = True
        try:
            if event == "open":
                path, _, flags = arguments
                writing = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
                if writing and not isinstance(path, int):
                    note("changed", path)
            elif event in CHANGES:
                for path in arguments[:CHANGES[event]]:
                    if not isinstance(path, int):
                        note("changed", path)
            elif event == "pickle.find_class":
                note("unpickled", ".".join(map(str, arguments)))
        finally:
            busy.now = False

    sys.addaudithook(hook)


def call(main, arguments):
    """The exit status of ``main(arguments)``, with all that the interpreter does at its end."""
    try:
        status = main(list(arguments))
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        print("Exception ignored at the end:", file=sys.stderr)
        traceback.print_exc()
        status = 120
    return (status or 0) & 0xFF
