# SPDX-License-Identifier: Apache-2.0
"""A job is the list of steps for a test bench. The caller saves it to a folder, and the simulator's process reads it.

A step starts when the previous one is done. ``Send`` and ``Load`` are done when their last beat was accepted, or at
once with ``wait=False``; several streams are then driven at the same time.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..hdl.config import Config, Order
from ..hdl.data_type import INT8, DataType
from ..hdl.timing import Timing
from .packing import pack, unpack

__all__ = ["JOB_VARIABLE", "OUTPUTS", "PROGRESS", "RESULT", "Drain", "Frame", "Hold", "Idle", "Job", "Load", "Reset",
           "ResetAfter", "Send", "Snapshot", "load_facts", "save_facts"]

# The environment variable that names the job's folder, and the files that the test bench writes there.
JOB_VARIABLE = "TILED_SE_JOB"
PROGRESS, RESULT, OUTPUTS = "progress.json", "result.json", "outputs.npz"
_ARRAYS, _JOB, _FACTS = "arrays.npz", "job.json", "facts.json"


def _beats(name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim != 2 or not len(array) or array.dtype not in (np.uint8, np.int8):
        raise ValueError(f"{name}: shape {array.shape}, {array.dtype}; must be (beats, bytes) of uint8 or int8")
    return np.ascontiguousarray(array).view(np.uint8)


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """One frame: the input ``beats`` (n, bytes of tdata), the last of them with tlast. n need not be whole rows.

    ``expected`` are the output beats, as many; their tdata may have other bytes. If it is None, only tlast and the
    number of beats are compared. Lanes of 8 bits are bytes; :meth:`of` packs all others.
    """

    beats: np.ndarray
    expected: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "beats", _beats("beats", self.beats))
        if self.expected is not None:
            object.__setattr__(self, "expected", _beats("expected", self.expected))
            if len(self.expected) != len(self.beats):
                raise ValueError(f"expected: {len(self.expected)} beats; must be as many as go in, {len(self.beats)}")

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray | None = None, *, lanes: int, data: DataType | None = None,
           outputs: DataType | None = None) -> "Frame":
        """A frame of feature maps ``x`` and ``y``, integers (H, W, C) each, of the types ``data`` and ``outputs``.

        By default these are the arrays' own types, int8 or uint8. Raises ValueError for integers out of range.
        """
        data = data or DataType.parse(str(x.dtype))
        beats = pack(x.reshape(-1, lanes), data)
        return cls(beats, None if y is None else pack(y.reshape(-1, lanes), outputs or data))


@dataclasses.dataclass(frozen=True)
class Reset:
    """Hold ``rst`` for some cycles. Beats that are queued or in flight are lost, and no longer expected."""

    op: ClassVar[str] = "reset"
    cycles: int = 4


@dataclasses.dataclass(frozen=True)
class ResetAfter:
    """Reset once ``beats`` input beats were accepted since the last reset; follows a ``Send(wait=False)``."""

    op: ClassVar[str] = "reset_after"
    beats: int
    cycles: int = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Load:
    """Send 32-bit ``words`` to ``w_axis``, tlast on word ``tlast_at``: the last if None, never if -1."""

    op: ClassVar[str] = "load"
    words: np.ndarray
    tlast_at: int | None = None
    wait: bool = True

    def __post_init__(self) -> None:
        if not len(self.words):
            raise ValueError("words: none; must be at least one")

    @property
    def tlast(self) -> int:
        """The word with tlast, or -1."""
        return len(self.words) - 1 if self.tlast_at is None else self.tlast_at


@dataclasses.dataclass(frozen=True, eq=False)
class Send:
    """Send frames to ``s_axis``, back to back except for the job's random pauses."""

    op: ClassVar[str] = "send"
    frames: tuple
    wait: bool = True


@dataclasses.dataclass(frozen=True)
class Drain:
    """Wait until every beat expected so far has come. Every job ends with an implicit one."""

    op: ClassVar[str] = "drain"


@dataclasses.dataclass(frozen=True)
class Idle:
    """Let some cycles pass. Streams with beats left to send continue."""

    op: ClassVar[str] = "idle"
    cycles: int


@dataclasses.dataclass(frozen=True)
class Hold:
    """Offer no input beat after the first ``beats`` since the last reset; None ends that. Done at once."""

    op: ClassVar[str] = "hold"
    beats: int | None = None


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Put the status ports and the numbers of accepted and delivered beats into the result, under ``name``."""

    op: ClassVar[str] = "snapshot"
    name: str


Step = Drain | Hold | Idle | Load | Reset | ResetAfter | Send | Snapshot
_STEPS = {step.op: step for step in (Drain, Hold, Idle, Load, Reset, ResetAfter, Send, Snapshot)}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """Steps, and how to run them.

    ``lanes``, ``width``, ``channels``, ``data`` and ``outputs`` (None: as ``data``) describe the block, to name a wrong
    element; ``width`` is the length of a line of the stream: of a row, or of a column if ``by_columns``. Frames must
    have as many bytes a beat as the types and lanes need. ``stall_in`` and ``stall_out`` are the
    probabilities that a source or the sink pauses in a cycle. The run fails if no beat moves for ``hang_cycles``, which
    must be longer than the block takes for a tile's gates. The run ends ``drain_cycles`` after the last beat, so that
    surplus beats are seen. ``occupancy`` records the number of beats in flight in each cycle, ``taps`` the stages'
    values (see :mod:`.taps`).
    """

    steps: tuple
    lanes: int
    width: int
    channels: int
    data: DataType = INT8
    outputs: DataType = None  # type: ignore[assignment]  # None is replaced on construction
    by_columns: bool = False
    stall_in: float = 0.0
    stall_out: float = 0.0
    seed: int = 1
    hang_cycles: int = 100_000
    drain_cycles: int = 200
    occupancy: bool = False
    taps: tuple = ()

    def __post_init__(self) -> None:
        for name in ("stall_in", "stall_out"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be at least 0 and less than 1")
        for place, name in ((self, "hang_cycles"), (self, "drain_cycles"), *(
                (step, name) for step in self.steps for name in ("cycles", "beats"))):
            value = getattr(place, name, None)
            if value is not None and value < 0:
                raise ValueError(f"{name}={value!r}: must be at least 0")
        if self.outputs is None:
            object.__setattr__(self, "outputs", self.data)
        for frame in self.frames:
            for name, beats, size in (("beats", frame.beats, self.in_bytes), ("expected", frame.expected,
                                                                               self.out_bytes)):
                if beats is not None and beats.shape[1] != size:
                    raise ValueError(f"frames: {beats.shape[1]} bytes a beat in {name}; must be {size}")

    @classmethod
    def of(cls, config: Config, steps: Iterable[Step], **options: Any) -> "Job":
        """The job of `steps` for a block. By default ``hang_cycles`` is about ten times the latency of a tile."""
        return cls(**{"steps": tuple(steps), "lanes": config.lanes, "width": config.width, "channels": config.channels,
                      "data": config.data, "outputs": config.outputs, "by_columns": config.order is Order.COLUMNS,
                      "hang_cycles": 2000 + 10 * Timing(config).tile_latency, **options})

    @property
    def in_bytes(self) -> int:
        """Bytes of an input beat."""
        return self.data.beat_bytes(self.lanes)

    @property
    def out_bytes(self) -> int:
        """Bytes of an output beat."""
        return self.outputs.beat_bytes(self.lanes)

    def check_ports(self, ports: Mapping[str, int]) -> None:
        """Raise ValueError unless the block's streams, whose bits `ports` has, are as wide as the beats."""
        for name, data, size in (("s_axis_tdata", self.data, self.in_bytes),
                                 ("m_axis_tdata", self.outputs, self.out_bytes)):
            if ports[name] != 8 * size:
                raise ValueError(f"lanes={self.lanes} of {data} are {8 * size} bits: {name} has {ports[name]}")

    def elements(self, beats: np.ndarray) -> np.ndarray:
        """The integers (n, lanes) of output beats, as :func:`.packing.unpack` makes them."""
        return unpack(beats, self.outputs, self.lanes)

    @property
    def frames(self) -> list[Frame]:
        """All frames, in order: a frame's number is its place here."""
        return [frame for step in self.steps if isinstance(step, Send) for frame in step.frames]

    def save(self, folder: Path) -> None:
        """Write the job into an existing folder."""
        arrays: dict[str, np.ndarray] = {}
        names: dict[int, str] = {}

        def plain(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                # An array that is used many times is written once.
                name = names.setdefault(id(value), f"array{len(arrays)}")
                arrays[name] = value
                return name
            if dataclasses.is_dataclass(value):
                record = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
                return {"op": value.op, **record} if hasattr(value, "op") else record
            return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value

        text = json.dumps(plain(self))
        np.savez(folder / _ARRAYS, **arrays)  # type: ignore[arg-type]
        (folder / _JOB).write_text(text)

    @classmethod
    def load(cls, folder: Path) -> "Job":
        """The job that ``save`` wrote."""
        record = json.loads((folder / _JOB).read_text())
        with np.load(folder / _ARRAYS, allow_pickle=False) as file:
            arrays = dict(file)
        steps = tuple(_step(step, arrays) for step in record.pop("steps"))
        data, outputs = (DataType(**record.pop(name)) for name in ("data", "outputs"))
        return cls(steps=steps, data=data, outputs=outputs, **record)


def save_facts(folder: Path, **facts: Any) -> None:
    """Write facts about the build, for the test bench that runs in it."""
    (folder / _FACTS).write_text(json.dumps(facts))


def load_facts(folder: Path) -> dict[str, Any]:
    """The facts that :func:`save_facts` wrote."""
    return json.loads((folder / _FACTS).read_text())


def _step(record: dict, arrays: dict[str, np.ndarray]) -> Step:
    kind = _STEPS[record.pop("op")]
    if kind is Load:
        record["words"] = arrays[record["words"]]
    if kind is Send:
        record["frames"] = tuple(
            Frame(arrays[frame["beats"]], None if frame["expected"] is None else arrays[frame["expected"]])
            for frame in record["frames"])
    return kind(**record)
