# SPDX-License-Identifier: Apache-2.0
"""Place and route, through nextpnr: which part has room, and how fast each seed's result is."""

import concurrent.futures
import os
import re

from .targets import GOAL_MHZ
from .timing_report import parse
from .tools import TOOLS

__all__ = ["lacking", "place"]


def lacking(bench, placer, part, top, log):
    """What `part` has too little of for the netlist in ``TOP.json``: texts, none if it has room.

    Raises
    ------
    ToolError
    """
    text, _ = bench.run(TOOLS[placer], [*part.arguments, "--json", f"{top}.json", "--pack-only"], log)
    used = re.findall(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+\d+%$", text.split("Device utilisation:")[-1], re.M)
    return [f"{need} of {room} {kind}" for kind, need, room in used if int(need) > int(room)]


def place(bench, placer, part, top, scopes, framed, seeds):
    """Place and route ``TOP.json`` once a seed, on all cores; `scopes` and `framed` are what paths.parse takes.

    Returns
    -------
    dict of int to Timing

    Raises
    ------
    ToolError
        The first failure; the other runs are stopped.
    """
    def run(seed):
        report = f"report_seed{seed}.json"
        arguments = [*part.arguments, "--json", f"{top}.json", "--report", report, "--seed", str(seed),
                     "--freq", str(GOAL_MHZ), "--timing-allow-fail"]
        return parse(bench.run(TOOLS[placer], arguments, f"{placer}_seed{seed}.log", report)[1],
                     scopes, framed)

    with concurrent.futures.ThreadPoolExecutor(min(len(seeds), os.cpu_count() or 1)) as pool:
        try:
            runs = {seed: pool.submit(run, seed) for seed in seeds}
            for done in concurrent.futures.as_completed(runs.values()):
                done.result()
        except BaseException:
            bench.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return {seed: done.result() for seed, done in runs.items()}
