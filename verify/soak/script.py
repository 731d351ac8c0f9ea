# SPDX-License-Identifier: Apache-2.0
"""Steps for the bench, and what the block must show after each, as docs/design.md has it under "Errors"."""

import collections
import dataclasses

import numpy as np

from ...cosim.job import Drain, Frame, Hold, Idle, Load, Reset, ResetAfter, Send, Snapshot
from ...hdl.parameters import stream_words

__all__ = ["Look", "Script", "Section", "Sent"]

# Cycles in which a beat, or a word of parameters, has had its effect on the status bits.
SETTLE = 10
# Cycles after the last output in which nothing more may come.
QUIET = 40


@dataclasses.dataclass(eq=False)
class Sent:
    """A frame that was sent; it gets one of its section's `loads`, from number `first` to `last`."""

    sample: object
    first: int
    last: int


@dataclasses.dataclass(eq=False)
class Section:
    """What is sent from one reset to the next.

    ``loads`` are the sets of parameters that were loaded, in order; or the one that is baked in. If it is ``complete``,
    everything sent has to come out. If it is ``timed``, its frames are whole ones and were sent back to back into an
    empty block, so that their cycles are known.
    """

    loads: list[int]
    sent: list[Sent] = dataclasses.field(default_factory=list)
    complete: bool = False
    timed: bool = False

    @property
    def beats(self):
        """Beats that were sent."""
        return sum(len(sent.sample.beats) for sent in self.sent)


@dataclasses.dataclass(frozen=True)
class Look:
    """A snapshot: its name, its section's number, and what it must show (None: either).

    With `moving`, a beat may have been accepted in the same cycle. With `as_before`, the name of an earlier one, none
    may have been accepted since.
    """

    name: str
    section: int
    loaded: bool | None
    load_error: bool | None
    moving: bool
    as_before: str | None = None


class Script:
    """Steps of one job, put together section by section.

    ``counts`` tells how often each event occurs; ``loaded``, whether the block has parameters when all that was sent so
    far is taken.
    """

    def __init__(self, block, pool):
        self.block, self.pool = block, pool
        self.sections, self.looks, self.counts = [], [], collections.Counter()
        self._steps = []
        # The streams of the block's sets of parameters.
        self.words = [np.array(stream_words(*given), np.uint32) for given in block.sets]

    @property
    def section(self):
        """The present one."""
        return self.sections[-1]

    @property
    def steps(self):
        """The bench's steps, in a tuple."""
        return tuple(self._send(*step) if isinstance(step, tuple) else step for step in self._steps)

    def _send(self, section, sent, wait):
        """A Send: only in the end it is known which frames' parameters are certain."""
        def frame(one):
            certain = one.first == one.last < len(section.loads)
            return Frame(one.sample.beats,
                         self.pool.expected(one.sample, section.loads[one.first]) if certain else None)

        return Send(tuple(map(frame, sent)), wait)

    # Resets.

    def reset(self, cycles):
        """Hold the reset; a new section."""
        self._steps.append(Reset(cycles))
        self._begin()

    def reset_after(self, beats, cycles):
        """The same when `beats` of the section were accepted."""
        self._steps.append(ResetAfter(beats, cycles))
        self._begin()

    def _begin(self):
        self.counts["resets"] += 1
        baked = not self.block.config.loadable
        self.sections.append(Section([0] if baked else []))
        self.loaded, self.load_error, self._certain = baked, False, True
        # Frames that a stream of parameters may still come before; the load that the next frame gets at least.
        self._open, self._settled = [], 0

    # Frames.

    def send(self, samples, wait):
        """Send frames; with `wait` until their last beat was accepted, which needs a block that is loaded."""
        loads = self.section.loads
        # Without parameters frames wait for the next ones.
        first, last = (self._settled, len(loads) - 1) if self.loaded else (len(loads), len(loads))
        sent = [Sent(sample, first, last) for sample in samples]
        self.section.sent += sent
        self._steps.append((self.section, sent, wait))
        self._open = [] if wait else self._open + sent
        self.counts["frames"] += len(sent)
        self.counts["cut frames"] += sum(sample.cut for sample in samples)

    def hold(self, beats):
        """Offer no more than the section's first `beats` for now; None: go on."""
        self._steps.append(Hold(beats))

    def idle(self, cycles):
        """Let cycles pass."""
        self._steps.append(Idle(int(cycles)))

    def drain(self):
        """Wait until everything sent has come out, and all parameters are taken."""
        self._steps.append(Drain())
        self._open, self._settled, self._certain = [], max(len(self.section.loads) - 1, 0), True

    def finish(self):
        """The same at a section's end; nothing may come after it."""
        self.drain()
        self.idle(QUIET)
        self.look()
        self.section.complete = True

    # Parameters.

    def load(self, number, wait=True):
        """Load a set of parameters; with `wait` until the last word is taken. Frames that are open may get it."""
        self._steps.append(Load(self.words[number], wait=wait))
        loads = self.section.loads
        loads.append(number)
        for sent in self._open:
            sent.last = len(loads) - 1
        if wait or not self.loaded:
            self._settled = len(loads) - 1
        self.loaded = True
        self._certain = self._certain and wait
        self.counts["loads"] += 1

    def load_badly(self, words):
        """Send a stream that must be refused, to its end: no frame is taken after it."""
        self._steps.append(Load(words))
        self.loaded, self.load_error, self._certain = False, True, True
        self.counts["bad loads"] += 1

    def load_endlessly(self, words, refused):
        """Send a stream without an end; `refused` tells whether it is wrong up to there. Only a reset helps."""
        self._steps.append(Load(words, tlast_at=-1))
        self.loaded, self.load_error, self._certain = False, self.load_error or refused, True
        self.counts["endless loads"] += 1

    def look(self, as_before=None):
        """Look at the status bits, when they have settled; returns the snapshot's name."""
        self.idle(SETTLE)
        name = f"{len(self.looks)} in section {len(self.sections) - 1}"
        self._steps.append(Snapshot(name))
        bits = (self.loaded if self._certain else None, self.load_error) if self.block.config.loadable else (None, None)
        self.looks.append(Look(name, len(self.sections) - 1, *bits, bool(self._open), as_before))
        return name
