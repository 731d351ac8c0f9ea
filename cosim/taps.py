# SPDX-License-Identifier: Apache-2.0
"""Stage taps: the values of the stages inside the block, compared with the golden model's stages.

A tap is a dict, made by the generator:

- ``stage``: one of ``STAGES`` except outputs, which need no tap;
- ``module_path``: the module's instance path, which is also its name in the Verilog, like "tiled_se.accumulate";
- ``valid``, ``index``, ``data``: names of signals in it. In each cycle in which ``valid`` is high, ``data`` holds value
  ``index`` of the current tile's vector; ``index`` may be None, where it could only be 0;
- optionally ``signed`` (default False) and ``lanes`` (default 1): ``data`` then holds that many values, the first in
  its lowest bits, and ``index`` counts groups of them;
- optionally ``repeats`` (default 1): how many times a value comes for each tile.
"""

import collections
import dataclasses

import numpy as np

from .drivers import reader

__all__ = ["STAGES", "Difference", "Recorder", "first_difference", "recorded", "storage_bytes", "unpack"]

# In the order in which they are computed (docs/design.md, "Numbers").
STAGES = ("sums", "means", "hidden", "logits", "gates", "outputs")


@dataclasses.dataclass(frozen=True)
class Difference:
    """The first value that differs; ``got`` is None if the value is missing or X."""

    stage: str
    frame: int
    tile: int
    index: int
    expected: int
    got: int | None

    def __str__(self):
        place = f"stage {self.stage}, frame {self.frame}, tile {self.tile}, index {self.index}"
        return f"{place}: expected {self.expected}, got {'nothing' if self.got is None else self.got}"


class Recorder:
    """Collects a tap's values in the simulator, as bit strings."""

    def __init__(self, dut, tap):
        self.tap = tap
        module = dut
        for name in tap["module_path"].split(".")[1:]:
            module = getattr(module, name)
        self._valid, self._data = (reader(getattr(module, tap[role])) for role in ("valid", "data"))
        self._index = reader(getattr(module, tap["index"])) if tap["index"] else lambda: "0"
        self._values, self._sections = [], []

    def sample(self):
        """Read the tap; called once a cycle, at the rising edge."""
        if self._valid() == "1":
            self._values.append((self._index(), self._data()))

    def restart(self):
        """End a section: later values belong to the next one."""
        self._sections.append(self._values)
        self._values = []

    def result(self):
        """JSON-serialisable: for each ended section a list of [index, value], value None for an X."""
        lanes, signed = self.tap.get("lanes", 1), self.tap.get("signed", False)
        sections = []
        for section in self._sections:
            values = []
            for index, data in section:
                bits = len(data) // lanes
                first = int(index, 2) * lanes if set(index) <= {"0", "1"} else -1
                values += [[first + lane, _integer(data[len(data) - bits * (lane + 1):len(data) - bits * lane], signed)]
                           for lane in range(lanes)]
            sections.append(values)
        return sections


def _integer(text, signed):
    if not set(text) <= {"0", "1"}:
        return None
    return int(text, 2) - ((1 << len(text)) if signed and text[0] == "1" else 0)


def storage_bytes(bits):
    """The bytes of a signal of `bits` in Verilator's model."""
    return next((size for size in (1, 2, 4, 8) if bits <= 8 * size), 4 * (-(-bits // 32)))


def unpack(data, tap, bits):
    """A tap's values from the compiled transactor: the same list of [index, value] as a :class:`Recorder`'s.

    ``data`` (uint8) has for each valid cycle the index in four bytes and the tap's `bits` in their
    :func:`storage_bytes`, all little-endian. A value has at most 63 bits.
    """
    lanes, width = tap.get("lanes", 1), bits // tap.get("lanes", 1)
    rows = data.reshape(-1, 4 + storage_bytes(bits))
    first = np.ascontiguousarray(rows[:, :4]).view("<u4").astype(np.int64) * lanes
    ones = np.unpackbits(rows[:, 4:], axis=1, bitorder="little")[:, :bits].reshape(-1, lanes, width).astype(np.int64)
    weights = 1 << np.arange(width, dtype=np.int64)
    if tap.get("signed", False):
        weights[-1] *= -1
    return np.stack([first + np.arange(lanes), ones @ weights], axis=-1).reshape(-1, 2).tolist()


def recorded(taps, frames, stages, outputs, job):
    """A run's recorded values, as :func:`first_difference` takes them; ``outputs`` has each frame's beats, in uint8."""
    outputs = [job.elements(output).reshape(-1) for output in outputs]
    return {"frames": frames, "stages": stages, "outputs": outputs,
            "repeats": {tap["stage"]: tap.get("repeats", 1) for tap in taps}}


def first_difference(recorded, golden):
    """The first Difference between a run's values and the golden stages, or None.

    The dict `recorded` has in ``frames`` for each section (from reset to reset) its frames' numbers, in ``stages`` for
    each tapped stage and each section a list of [index, value]; the n-th value with an index belongs to the section's
    n-th tile. ``repeats`` is how many such values belong to one tile, for stages where it is not 1, ``outputs`` has for
    each frame a flat array of its output. A reset ended each section but the last.

    The dict `golden` has for each stage one entry a frame: an integer array (tiles, index), or a list of arrays if
    tiles differ in size. Stages missing on either side are skipped. Indices beyond the vector are ignored: the last
    pass of a layer may have idle multipliers. ``outputs`` are in the order of the stream. Where the elements of several
    tiles alternate in it, their arrays are pieces of tiles, and ``tiles`` has each frame's list of the pieces' tiles.

    Stages are compared in the order of ``STAGES``, for all tiles, as an early wrong stage explains the later ones. A
    missing value counts only if no stage has a wrong one.
    """
    missing = None
    for stage in STAGES[:-1]:
        if stage not in recorded["stages"] or stage not in golden:
            continue
        for frames, values in zip(recorded["frames"], recorded["stages"][stage], strict=True):
            wrong, absent = _compare_section(stage, frames, values, golden[stage], recorded["repeats"].get(stage, 1))
            if wrong:
                return wrong
        # Only the last section's: a section that a reset ended may lack values.
        missing = missing or absent
    outputs = golden.get("outputs", ())
    tiles = golden.get("tiles") or [range(len(pieces)) for pieces in outputs]
    return _compare_outputs(recorded["outputs"], outputs, tiles) or missing


def _compare_section(stage, frames, values, golden, times):
    """The first wrong and the first missing value of one section."""
    tiles = [(frame, tile, vector) for frame in frames for tile, vector in enumerate(golden[frame])]
    counts = {}
    for index, value in values:
        number = counts[index] = counts.get(index, -1) + 1
        if number < len(tiles) * times:
            frame, tile, vector = tiles[number // times]
            if 0 <= index < len(vector) and value != vector[index]:
                return Difference(stage, frame, tile, index, int(vector[index]), value), None
    for number, (frame, tile, vector) in enumerate(tiles):
        for index, expected in enumerate(vector):
            if counts.get(index, -1) < (number + 1) * times - 1:
                return None, Difference(stage, frame, tile, index, int(expected), None)
    return None, None


def _compare_outputs(outputs, golden, tiles):
    for frame, (got, pieces, numbers) in enumerate(zip(outputs, golden, tiles, strict=False)):
        start, before = 0, collections.Counter()
        for tile, vector in zip(numbers, pieces, strict=True):
            expected = np.ravel(vector)
            part = got[start:start + len(expected)]
            start += len(expected)
            wrong = np.flatnonzero(part != expected[:len(part)])
            if len(wrong):
                index = int(wrong[0])
                return Difference("outputs", frame, tile, before[tile] + index, int(expected[index]), int(part[index]))
            before[tile] += len(expected)
    return None
