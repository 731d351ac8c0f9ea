# SPDX-License-Identifier: Apache-2.0
"""Stage taps: what the stages inside of the block computed, against the golden model's stages.

A tap is a dict that the generator gives:

- ``stage``: one of ``STAGES`` except outputs, which are seen without a tap;
- ``module_path``: the module's place below the top and its name in the Verilog alike, "tiled_se.accumulate";
- ``valid``, ``index``, ``data``: names of signals in it. In each cycle in which ``valid`` is high, ``data`` holds value
  ``index`` of the current tile's vector; ``index`` may be None, where it could only be 0;
- optionally ``signed`` (default False) and ``lanes`` (default 1): ``data`` then holds that many values, the first in
  its lowest bits, and ``index`` counts groups of them;
- optionally ``repeats`` (default 1): how many times a value comes for each tile.
"""

import dataclasses

import numpy as np

from .drivers import reader

__all__ = ["STAGES", "Difference", "Recorder", "first_difference", "recorded", "storage_bytes", "unpack"]

# In the order in which they are computed (docs/design.md, "Numbers").
STAGES = ("sums", "means", "hidden", "logits", "gates", "outputs")


@dataclasses.dataclass(frozen=True)
class Difference:
    """The first value that differs; ``got`` is None where a value has not come (or was X)."""

    stage: str
    frame: int
    tile: int
    index: int
    wanted: int
    got: int | None

    def __str__(self):
        place = f"stage {self.stage}, frame {self.frame}, tile {self.tile}, index {self.index}"
        return f"{place}: wanted {self.wanted}, got {'nothing' if self.got is None else self.got}"


class Recorder:
    """Collects a tap's values inside of the simulator, as bit strings."""

    def __init__(self, dut, tap):
        self.tap = tap
        module = dut
        for name in tap["module_path"].split(".")[1:]:
            module = getattr(module, name)
        self._valid, self._data = (reader(getattr(module, tap[role])) for role in ("valid", "data"))
        self._index = reader(getattr(module, tap["index"])) if tap["index"] else lambda: "0"
        self._values, self._sections = [], []

    def sample(self):
        """Look at the tap once a cycle, at the rising edge."""
        if self._valid() == "1":
            self._values.append((self._index(), self._data()))

    def restart(self):
        """End a section: what comes belongs to the next one."""
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
    """The bytes in which Verilator keeps a signal of `bits`."""
    return next((size for size in (1, 2, 4, 8) if bits <= 8 * size), 4 * (-(-bits // 32)))


def unpack(data, tap, bits):
    """What the compiled transactor recorded of a tap: the same list of [index, value] as a :class:`Recorder`'s.

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


def recorded(taps, frames, stages, outputs, signed):
    """What a run has recorded, as :func:`first_difference` takes it; ``outputs`` has each frame's beats, in uint8."""
    outputs = [output.reshape(-1).view(np.int8 if signed else np.uint8) for output in outputs]
    return {"frames": frames, "stages": stages, "outputs": outputs,
            "repeats": {tap["stage"]: tap.get("repeats", 1) for tap in taps}}


def first_difference(recorded, golden):
    """The first difference between what a run computed and the golden stages, as a Difference, or None.

    Parameters
    ----------
    recorded : dict
        ``frames``: for each section (from reset to reset) its frames' numbers. ``stages``: for each tapped stage and
        each section a list of [index, value]; the n-th value with an index belongs to the section's n-th tile.
        ``repeats``: how many such values are one tile's, for stages where it is not 1.
        ``outputs``: for each frame a flat array of what came. All sections but the last were cut short by a reset.
    golden : dict
        For each stage one entry a frame: an integer array (tiles, index), or a list with an array for each tile where
        tiles differ in size, as those of ``outputs`` do. Stages missing on either side are left out, indices beyond the
        vector are ignored (the last pass of a layer may have idle multipliers).

    Stages come in the order of ``STAGES``, whatever the tile: what is wrong first explains what is wrong later.
    A value that never came counts only if no stage has a wrong one.
    """
    missing = None
    for stage in STAGES[:-1]:
        if stage not in recorded["stages"] or stage not in golden:
            continue
        for frames, values in zip(recorded["frames"], recorded["stages"][stage], strict=True):
            wrong, absent = _compare_section(stage, frames, values, golden[stage], recorded["repeats"].get(stage, 1))
            if wrong:
                return wrong
        # Only the last section's: what a reset cut short may well lack something.
        missing = missing or absent
    return _compare_outputs(recorded["outputs"], golden.get("outputs", ())) or missing


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
        for index, wanted in enumerate(vector):
            if counts.get(index, -1) < (number + 1) * times - 1:
                return None, Difference(stage, frame, tile, index, int(wanted), None)
    return None, None


def _compare_outputs(outputs, golden):
    for frame, (got, tiles) in enumerate(zip(outputs, golden, strict=False)):
        start = 0
        for tile, vector in enumerate(tiles):
            wanted = np.ravel(vector)
            part = got[start:start + len(wanted)]
            start += len(wanted)
            wrong = np.flatnonzero(part != wanted[:len(part)])
            if len(wrong):
                index = int(wrong[0])
                return Difference("outputs", frame, tile, index, int(wanted[index]), int(part[index]))
    return None
