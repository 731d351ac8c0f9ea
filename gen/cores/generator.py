# SPDX-License-Identifier: Apache-2.0
"""FuseSoC runs this script to make a block: the generator `tiled_se` of tiled-se.core.

It is given a file with the name of the core to make and `parameters`: options of `tiled-se verilog` by their variables
of make. Files are named from the folder of the core that asks for the block. The Python that runs it needs tiled-se.
"""

import json
import os
import pathlib
import subprocess
import sys

FILES = ("WEIGHTS", "INPUT", "HARDWARE")


def main(path: str) -> int:
    """Make the block in the working directory; returns an exit status."""
    try:
        import yaml

        from tiled_se.gen.fields import flag, options_of
        from tiled_se.gen.options import VerilogOptions
    except ImportError as error:
        print(f"tiled-se: error: {sys.executable} lacks {error.name}; `python3` must be that of the environment with "
              "tiled-se and fusesoc, as in an activated .venv", file=sys.stderr)
        return 2
    asked = yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8"))
    flags = {about.variable: flag(name) for name, about in options_of(VerilogOptions).items()}
    arguments = []
    for variable, value in (asked["parameters"] or {}).items():
        if variable not in flags:
            print(f"tiled-se: error: parameter {variable}: must be one of {', '.join(flags)}", file=sys.stderr)
            return 2
        text = str(int(value) if isinstance(value, bool) else value)
        text = os.path.join(asked["files_root"], text) if variable in FILES else text
        arguments.append(f"{flags[variable]}={text}")
    done = subprocess.run([sys.executable, "-m", "tiled_se.cli", "verilog", *arguments, "--out=."], check=False)
    if done.returncode == 0:
        rename(json.loads(pathlib.Path("manifest.json").read_text(encoding="utf-8"))["top"], asked["vlnv"])
    return done.returncode


def rename(name: str, vlnv: str) -> None:
    """Give the core the name that is asked for; who simulates a core that depends on it has its bench, too."""
    file = pathlib.Path(f"{name}.core")
    lines = file.read_text(encoding="utf-8").splitlines()
    lines = [f"name: {vlnv}" if line.startswith("name: ") else line for line in lines]
    default = lines.index("  default:") + 1
    if "  bench:" in lines:
        lines[default] = '    filesets: [rtl, "target_sim ? (bench)"]'
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
