# SPDX-License-Identifier: Apache-2.0
"""Compares the output beats with the expected ones, in order."""

import numpy as np

__all__ = ["Scoreboard", "figures", "to_beats", "to_lasts"]

_SHOWN = 10
_UNKNOWN = 2
_LONG = 4096


def to_beats(words, size):
    """Convert strings of bits to ``(beats, unknown)``, uint8 (n, size) each; a bit of `unknown` is 1 for an X or Z."""
    characters = np.frombuffer("".join(words).encode("ascii"), np.uint8).reshape(-1, size, 8)
    # The string begins with the highest byte's most significant bit.
    beats, unknown = (np.packbits(where, axis=2)[:, ::-1, 0]
                      for where in (characters == ord("1"), characters > ord("1")))
    return beats, unknown


def to_lasts(values):
    """Convert tlast, "0", "1" or anything else, to uint8: 0, 1 or 2."""
    return np.array([{"0": 0, "1": 1}.get(value, _UNKNOWN) for value in values], np.uint8)


def figures(accepted, delivered, stalled, offered, first_in, first_out, last_out):
    """A section's entry in ``SimResult.sections``.

    The arguments are numbers of beats and of stalled input cycles, then the cycles of the first input tvalid, the first
    input beat, the first and the last output beat.
    """
    both = bool(delivered and accepted)
    return {"accepted": accepted, "delivered": delivered, "in_stall_cycles": stalled,
            "total": last_out - offered + 1 if both else None,
            "first_output_latency": first_out - first_in if both else None,
            "steady_throughput": (delivered - 1) / (last_out - first_out) if delivered > 1 else None}


def same(got, expected):
    """Whether two uint8 arrays of the same shape are equal. Comparing 64-bit words is much faster than bytes."""
    got, expected = np.ravel(got), np.ravel(expected)
    words = len(got) // 8 * 8
    return (np.array_equal(got[:words].view(np.uint64), expected[:words].view(np.uint64))
            and np.array_equal(got[words:], expected[words:]))


class Scoreboard:
    """Compares the output with the frames' expected beats, section by section. A reset ends a section.

    ``failures`` are texts, ``mismatches`` is the number of wrong elements, ``first`` has the first ten of them as dicts
    (frame, row, column, channel, expected, got; got is None for an X), ``compared`` is the number of compared elements.
    A beat's padding counts as upper bits of its last lane. ``outputs`` has the output beats of each frame, as many as
    came.
    """

    def __init__(self, job):
        self._job = job
        self._frames, self._numbers = [], 0
        self.beats = 0
        self.failures, self.first, self.outputs = [], [], []
        self.mismatches = self.compared = 0
        self.section_frames = []

    def expect(self, frames):
        """Add frames; ``beats`` is the number of beats that the section expects so far."""
        for frame in frames:
            self._frames.append((self._numbers, frame))
            self._numbers += 1
            self.beats += len(frame.beats)

    def close(self, beats, lasts, complete, unknown=None):
        """End a section with ``beats`` (n, bytes) and their tlast, ``lasts`` (n,): 0, 1, or 2 where it was neither.

        Both are uint8. If ``complete``, all expected beats must have come. ``unknown``, optional and of the shape of
        ``beats``, has a 1 for each bit of which the simulator showed an X or Z.
        """
        if len(beats) > self.beats:
            self.failures.append(f"output has {len(beats)} beats where {self.beats} are expected")
        elif complete and len(beats) < self.beats:
            self.failures.append(f"output has only {len(beats)} of {self.beats} beats")
        right = unknown is None and self._all_right(beats, lasts)
        start = 0
        for number, frame in self._frames:
            part = slice(start, start + len(frame.beats))
            start = part.stop
            self.outputs.append(beats[part])
            if not right:
                self._check(number, frame, beats[part], None if unknown is None else unknown[part])
                self._check_last(number, lasts[part], len(frame.beats))
        if right:
            self.compared += len(beats) * self._job.lanes
        self.section_frames.append([number for number, _ in self._frames])
        self._frames, self.beats = [], 0

    def _all_right(self, beats, lasts):
        """Whether the whole section is as expected: the usual case, much faster than frame by frame."""
        frames = [frame for _, frame in self._frames]
        if not frames or len(beats) != self.beats or any(frame.expected is None for frame in frames):
            return False
        # For long frames, copying the expected beats costs more than it saves.
        if beats.size > _LONG * len(frames):
            return False
        right = np.zeros(len(lasts), np.uint8)
        right[np.cumsum([len(frame.beats) for frame in frames]) - 1] = 1
        return np.array_equal(lasts, right) and same(beats, np.concatenate([frame.expected for frame in frames]))

    def _check(self, number, frame, beats, unknown):
        if frame.expected is None:
            return
        expected = frame.expected[:len(beats)]
        self.compared += len(beats) * self._job.lanes
        if unknown is None and same(beats, expected):
            return
        elements, right = self._job.elements(beats), self._job.elements(expected)
        unknown = np.zeros(elements.shape, bool) if unknown is None else self._job.elements(unknown) != 0
        wrong = np.flatnonzero((elements != right) | unknown)
        self.mismatches += len(wrong)
        for element in wrong[:_SHOWN - len(self.first)]:
            pixel, channel = divmod(int(element), self._job.channels)
            row, column = divmod(pixel, self._job.width)
            if self._job.by_columns:
                row, column = column, row
            got = None if unknown.flat[element] else int(elements.flat[element])
            self.first.append({"frame": number, "row": row, "column": column, "channel": channel,
                               "expected": int(right.flat[element]), "got": got})

    def _check_last(self, number, lasts, count):
        right = np.zeros(len(lasts), np.uint8)
        right[count - 1:] = 1
        for beat in np.flatnonzero(lasts != right)[:1]:
            what = "is missing" if beat == count - 1 else f"is {'01X'[lasts[beat]]}"
            self.failures.append(f"m_axis_tlast {what} on beat {beat} of frame {number}, which has {count}")

    def texts(self):
        """All failures; the wrong elements come first."""
        if not self.mismatches:
            return self.failures
        first = self.first[0]
        place = ", ".join(f"{name} {first[name]}" for name in ("frame", "row", "column", "channel"))
        got = "X" if first["got"] is None else first["got"]
        return [f"{self.mismatches} of {self.compared} elements differ, the first in {place}: "
                f"expected {first['expected']}, got {got}", *self.failures]
