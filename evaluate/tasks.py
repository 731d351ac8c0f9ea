# SPDX-License-Identifier: Apache-2.0
"""One measurement to make: which block, and what of it."""

import dataclasses
import enum

from ..gen.fields import options_of, text_of, variables
from ..gen.options import BlockOptions
from ..hdl.config import Context, Order
from ..hdl.sizing import DEFAULT_LANES, lanes_within

__all__ = ["FORMS", "FRAMES", "K", "RUNNING", "Kind", "Task", "forms", "original", "running", "simulated_height",
           "sizing_options", "tiled"]

# Rows of a tile in all of the document.
K = 7
# Contexts in which a row waits, or none, instead of a strip.
RUNNING = (Context.CUMULATIVE, Context.CAUSAL)
# The forms of a block that are compared: original, in strips, in those contexts.
FORMS = ("se", "tse", *(context.value for context in RUNNING))
# Frames of a simulation, back to back.
FRAMES = 2
# Input beats of a simulation that takes seconds; higher maps are simulated with fewer rows.
MOST_BEATS = 420_000


class Kind(enum.Enum):
    """What measures: the netlist for MEMORY, a simulation for CYCLES, a synthesis tool for SYNTH."""

    MEMORY = "memory"
    CYCLES = "cycles"
    SYNTH = "synth"


OPTIONS = options_of(BlockOptions)


@dataclasses.dataclass(frozen=True)
class Task:
    """A measurement.

    Attributes
    ----------
    kind : Kind
    options : BlockOptions
        Of the block, as for `tiled-se verilog` or `tiled-se sim`.
    occupancy : bool
        Whether a simulation records the beats in the block, cycle by cycle.
    most_k : int, optional
        If given, and K rows make the block slower than a beat a cycle, K is the least up to this one that doesn't. It
        remains if there is none.
    """

    kind: Kind
    options: BlockOptions
    occupancy: bool = False
    most_k: int | None = None

    @property
    def settings(self):
        """All that decides the task's result, JSON-serialisable: the value of every option of a block."""
        return {"kind": self.kind.value, "occupancy": self.occupancy, "most_k": self.most_k,
                "options": {name: text_of(getattr(self.options, name)) for name in OPTIONS}}

    @property
    def variables(self):
        """K and the options that differ from their defaults, as variables of make; frames only if simulated."""
        never = ("target",) if self.kind is Kind.CYCLES else ("target", "height", "frames")
        return variables(self.options, always=("k",), never=never)

    @property
    def beats(self):
        """Input beats of a simulation; 0 where nothing is simulated."""
        options = self.options
        if self.kind is not Kind.CYCLES:
            return 0
        return options.frames * options.height * options.width * options.channels // options.lanes

    def __str__(self):
        on = f" on {self.options.target}" if self.kind is Kind.SYNTH else ""
        return f"{self.kind.value} {self.variables}{on}"


def simulated_height(block, lanes, k=K):
    """Rows of a frame in simulation: the block's own height, or fewer with the same cycles per tile and memory.

    Cycles and memory depend on the rows of the last tile, which are kept, and on at least two full tiles in a frame.
    The result is the largest such number with which FRAMES frames have at most MOST_BEATS beats.
    """
    row = block.width * block.channels // lanes
    ragged = block.height % k
    affordable = (MOST_BEATS // (FRAMES * row) - ragged) // k
    return min(block.height, max(affordable, 2) * k + ragged)


def tiled(kind, block, lanes=None, **more):
    """The :class:`Task` for tiled squeeze-and-excite of `block` with `lanes` lanes; a simulation's height is reduced.

    `more` are further options of the block, or ``occupancy``.
    """
    lanes = lanes or lanes_within(block.channels)
    return _task(kind, block, K, lanes, simulated_height(block, lanes), more)


def original(kind, block, lanes=None, **more):
    """The :class:`Task` for the original squeeze-and-excite of `block`, the same generator's with all rows in one tile.

    Its simulations take frames of the block's own height.
    """
    return _task(kind, block, block.height, lanes or lanes_within(block.channels), block.height, more)


def running(kind, block, context, lanes=None, **more):
    """The :class:`Task` for `block` in one of RUNNING's contexts, with one row of the prior and all rows counted.

    K is 1. Where that makes gates too slow for a beat a cycle, a MEMORY task has the least K with which they keep pace.
    """
    lanes = lanes or lanes_within(block.channels)
    tiling = dict(context=context, prior_rows=1, max_rows=block.height)
    return _task(kind, block, 1, lanes, simulated_height(block, lanes, 1), tiling | more,
                 most_k=block.height if kind is Kind.MEMORY else None)


def sizing_options(options):
    """Those of a command's `options` that size each of its blocks, beside LANES."""
    return {name: getattr(options, name) for name in ("macs", "slack", "sram_overhead")}


def forms(block, options):
    """MEMORY tasks for the FORMS of `block`, by form; two are the same where a tile holds the map.

    `options` have the K of strips, unless the block has its own tiling, and what sizes the hardware; LANES is the most,
    of which the largest divisor of C is taken.
    """
    lanes = lanes_within(block.channels, options.lanes or DEFAULT_LANES)
    sized = sizing_options(options) | dict(block.form)
    tasks = [_task(Kind.MEMORY, block, block.height, lanes, 1, sized), _tiled(block, options, lanes, sized)]
    tasks += [running(Kind.MEMORY, block, context, lanes, **sized) for context in RUNNING]
    return dict(zip(FORMS, tasks, strict=True))


def _tiled(block, options, lanes, sized):
    """The MEMORY task in strips of the options' K rows, or in the block's own tiling."""
    if block.tiling is None:
        return _task(Kind.MEMORY, block, min(options.k, block.height), lanes, 1, sized)
    tiling = dict(vars(block.tiling))
    columns = block.tiling.order is Order.COLUMNS
    if not block.tiling.context.running:
        del tiling["prior_rows"]
    k = min(tiling.pop("k"), block.width if columns else block.height)
    # Of a stream by columns the height is the hardware's.
    return _task(Kind.MEMORY, block, k, lanes, 1, sized | tiling | ({"height": block.height} if columns else {}))


def _task(kind, block, k, lanes, height, more, most_k=None):
    # No frame enters the hardware: where none is simulated, it is a single row.
    frames = dict(height=height, frames=FRAMES) if kind is Kind.CYCLES else dict(height=1, frames=1)
    options = frames | more
    occupancy = options.pop("occupancy", False)
    return Task(kind, BlockOptions(k=k, width=block.width, channels=block.channels, squeeze=block.squeeze, lanes=lanes,
                                   **options), occupancy, most_k)
