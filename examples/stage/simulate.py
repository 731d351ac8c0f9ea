# SPDX-License-Identifier: Apache-2.0
"""Runs frames through the stage in Amaranth's simulator, with pauses on both sides."""

import random

import numpy as np
from amaranth.sim import Simulator

__all__ = ["simulate"]


def simulate(stage, frames, pause_in=0.0, pause_out=0.0, seed=1, patience=400):
    """Send the integer `frames` (H, W, C) to a ``stage.Stage``, back to back.

    Each side pauses in a cycle with its probability; the payload is random meanwhile. Returns the output beats, an
    array (beats, lanes), the numbers of those with ``last``, and of each input and output beat the cycle in which it
    moved. Raises AssertionError if an output beat changes while it waits. The run ends after `patience` cycles without
    a beat.
    """
    lanes = stage.lanes
    beats = [(row, number == len(rows)) for rows in (frame.reshape(-1, lanes).tolist() for frame in frames)
             for number, row in enumerate(rows, 1)]
    rng = random.Random(seed)
    outputs, lasts, moved_in, moved_out = [], [], [], []

    async def bench(ctx):
        cycle, idle, offered, waiting = 0, 0, False, None
        while idle < patience:
            offered = len(moved_in) < len(beats) and (offered or rng.random() >= pause_in)
            idle_beat = rng.choices(range(-128, 128), k=lanes), rng.random() < 0.5
            row, last = beats[len(moved_in)] if offered else idle_beat
            ready = rng.random() >= pause_out
            ctx.set(stage.i.p, {"lanes": row, "last": last})
            ctx.set(stage.i.valid, offered)
            ctx.set(stage.o.ready, ready)
            valid, payload = ctx.get(stage.o.valid), ctx.get(stage.o.p.as_value())
            assert waiting is None or valid and payload == waiting, f"the output changed in cycle {cycle}"
            waiting = payload if valid and not ready else None
            idle += 1
            if offered and ctx.get(stage.i.ready):
                moved_in.append(cycle)
                offered, idle = False, 0
            if valid and ready:
                outputs.append([ctx.get(stage.o.p.lanes[lane]) for lane in range(lanes)])
                lasts.append(ctx.get(stage.o.p.last))
                moved_out.append(cycle)
                idle = 0
            cycle += 1
            await ctx.tick()

    simulator = Simulator(stage)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(outputs), np.flatnonzero(lasts).tolist(), moved_in, moved_out
