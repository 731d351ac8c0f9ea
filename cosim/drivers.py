# SPDX-License-Identifier: Apache-2.0
"""AXI4-Stream source, sink and monitor, for one coroutine that calls all of them once a clock.

At a rising edge the test bench first calls every monitor's ``sample``, which sees the values before the edge, then
every ``drive``, which sets the values after it.
"""

import math

from . import texts
from .prng import Random, limit, seed

__all__ = ["Monitor", "Sink", "Source", "reader"]

_SHOWN_VIOLATIONS = 10


def reader(handle):
    """A function that returns the signal's value as a string of 0, 1 and, if the simulator has them, X and Z.

    cocotb's ``handle.value`` makes an object first. That takes ten times as long, most of the time of a cycle.
    """
    return handle._handle.get_signal_val_binstr


class Monitor:
    """Watches one stream and checks its protocol.

    Since ``restart``: ``count`` is the number of transfers; ``words`` and ``lasts`` have them as text, if ``record``;
    ``offered``, ``first`` and ``last`` are the cycles of the first tvalid, the first and the last transfer;
    ``stalled`` is the number of cycles in which tvalid waited. ``violations`` are texts, over all restarts.
    """

    def __init__(self, dut, prefix, record=False):
        self.prefix, self.record = prefix, record
        self._valid, self._ready, self._data, self._last = (
            reader(getattr(dut, f"{prefix}_{name}")) for name in ("tvalid", "tready", "tdata", "tlast"))
        self.violations, self.violation_count = [], 0
        self.restart()

    def restart(self):
        """Start counting anew. A waiting beat is forgotten, as a reset may withdraw tvalid."""
        self.words, self.lasts = [], []
        self.count = self.stalled = 0
        self.offered = self.first = self.last = None
        self.held = None
        self.moved = False

    def sample(self, cycle):
        """Check the stream in ``cycle``; returns whether a beat is transferred."""
        valid = self._valid()
        self.moved = False
        if valid != "1":
            if valid != "0":
                self._violation(cycle, f"tvalid is {valid}")
            elif self.held is not None:
                self._violation(cycle, texts.VALID_FELL)
            self.held = None
            return False
        beat = (self._data(), self._last())
        if self.held is not None and beat != self.held:
            self._violation(cycle, texts.DATA_CHANGED)
        if self.offered is None:
            self.offered = cycle
        ready = self._ready()
        self.moved = ready == "1"
        self.held = None if self.moved else beat
        if not self.moved:
            if ready != "0":
                self._violation(cycle, f"tready is {ready}")
            self.stalled += 1
            return False
        self.count += 1
        self.last = cycle
        if self.first is None:
            self.first = cycle
        if self.record:
            self.words.append(beat[0])
            self.lasts.append(beat[1])
        return True

    def _violation(self, cycle, text):
        self.violation_count += 1
        if len(self.violations) < _SHOWN_VIOLATIONS:
            self.violations.append(texts.violation(self.prefix, text, cycle))


class Source:
    """Sends beats. Before each it pauses with probability ``stall``, and then drives random tdata and tlast.

    An offered beat stays until it is taken; ``monitor`` watches the same stream and knows when. After ``most`` beats
    since the last reset no more are offered.
    """

    def __init__(self, dut, monitor, stall, number):
        prefix = monitor.prefix
        self.monitor, self._stall = monitor, limit(stall)
        self._random = Random(seed(number, prefix))
        self._valid, self._data, self._last = (
            getattr(dut, f"{prefix}_{name}") for name in ("tvalid", "tdata", "tlast"))
        self._width = len(self._data)
        self._last_value = self._last.value = 0
        self.clear()

    def feed(self, beats, lasts):
        """Queue beats: lists of integers and of 0 or 1."""
        # Drop the beats that were sent.
        self._beats, self._lasts = self._beats[self._position:] + beats, self._lasts[self._position:] + lasts
        self._position = 0

    def clear(self):
        """Drop all beats, including the offered one. The test bench calls this when it resets the block."""
        self._beats, self._lasts, self._position = [], [], 0
        self.most = math.inf
        self._offering = False
        self._valid.value = 0

    @property
    def pending(self):
        """Beats not taken yet."""
        return len(self._beats) - self._position

    def drive(self):
        """Set the signals for the next cycle."""
        if self._offering:
            if not self.monitor.moved:
                return
            self._position += 1
        offer = (self._position < len(self._beats) and self.monitor.count < self.most
                 and not self._random.chance(self._stall))
        if offer:
            self._data.value, last = self._beats[self._position], self._lasts[self._position]
        else:
            self._data.value, last = self._random.bits(self._width), self._random.next() & 1
        # Written only on a change: a write through cocotb takes longer than everything else here.
        if last != self._last_value:
            self._last.value = self._last_value = last
        if offer != self._offering:
            self._valid.value = int(offer)
            self._offering = offer


class Sink:
    """Drives tready, low with probability ``stall``, independent of tvalid."""

    def __init__(self, dut, prefix, stall, number):
        self._stall = limit(stall)
        self._random = Random(seed(number, prefix))
        self._ready = getattr(dut, f"{prefix}_tready")
        self._is_ready = False
        self._ready.value = 0

    def drive(self):
        """Set tready for the next cycle."""
        ready = not self._random.chance(self._stall)
        if ready != self._is_ready:
            self._ready.value = int(ready)
            self._is_ready = ready
