# SPDX-License-Identifier: Apache-2.0
"""Place and route, through nextpnr: which part has room, and how fast each seed's result is."""

import concurrent.futures
import os
import re
from collections.abc import Sequence

from .targets import GOAL_MHZ, Part
from .timing_report import Timing, parse
from .tools import TOOLS, Workbench

__all__ = ["lacking", "place"]


def lacking(bench: Workbench, placer: str, part: Part, top: str, log: str) -> list[str]:
    """The resources of which `part` has too few for the netlist in ``TOP.json``, as texts; none if it has room.

    Raises
    ------
    ToolError
    """
    text, _ = bench.run(TOOLS[placer], [*part.arguments, "--json", f"{top}.json", "--pack-only"], log)
    used = re.findall(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+\d+%$", text.split("Device utilisation:")[-1], re.M)
    return [f"{need} of {room} {kind}" for kind, need, room in used if int(need) > int(room)]


def place(bench: Workbench, placer: str, part: Part, top: str, scopes: frozenset[str], framed: bool,
          seeds: Sequence[int]) -> dict[int, Timing]:
    """Place and route ``TOP.json`` once a seed, on all cores; `scopes` and `framed` as in :func:`.timing_report.parse`.

    Raises
    ------
    ToolError
        The first failure; the other runs are stopped.
    """
    def run(seed: int) -> Timing:
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
