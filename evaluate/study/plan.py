# SPDX-License-Identifier: Apache-2.0
"""Which networks are trained, and what is done with those that are: all of it, and a quick part of it."""

import dataclasses

from ...hdl.config import Context, Order
from .attention import MIDDLE, NONE, SE, Attention
from .conditions import CONDITIONS
from .training import Schedule

__all__ = ["BITS", "Plan", "Quantising", "Run", "Setup", "Tuning", "make_plan"]

ROWS, COLUMNS = Order.ROWS.value, Order.COLUMNS.value
TILE, WINDOW = Context.TILE.value, Context.WINDOW.value
CUMULATIVE, CAUSAL = Context.CUMULATIVE.value, Context.CAUSAL.value
MAIN, SECOND = "regnet", "residual"
CANVAS, EXPOSURE = "canvas", "exposure"

STRIPS, ROW, THREE = Attention(TILE, 7), Attention(TILE, 1), Attention(TILE, 3)
CUMULATIVE_1, CAUSAL_1 = (Attention(context, 1, prior_rows=1) for context in (CUMULATIVE, CAUSAL))
# What every network and condition gets, and what the main ones get with several seeds.
CORE = (NONE, SE, STRIPS, CUMULATIVE_1, CAUSAL_1)
# The rest of the paper's Table 1, and more rows in the contexts that it has not.
OTHERS = (
    *(Attention(TILE, k) for k in (1, 3, 5, 9)),
    *(Attention(TILE, k, order=COLUMNS) for k in (1, 3, 5, 7, 9)),
    *(Attention(TILE, k, k) for k in (1, 3, 5, 7, 9, 11, 13)),
    *(Attention(WINDOW, window=window) for window in ("0:7", MIDDLE)),
    *(Attention(context, k, prior_rows=1) for context in (CUMULATIVE, CAUSAL) for k in (3, 7)),
)
# What networks with squeeze-and-excite get without training; the whole map is the control, and of causal it shows what
# gates are worth that depend on no image.
CHANGED = (STRIPS, CUMULATIVE_1, CAUSAL_1, *OTHERS, Attention(TILE), *(
    Attention(context, prior_rows=1) for context in (CUMULATIVE, CAUSAL)))
# The same in one stage at a time.
STAGED = (STRIPS, ROW, CUMULATIVE_1)
# Those that networks are fine-tuned with. Squeeze-and-excite itself is the control.
TUNED = (SE, STRIPS, THREE, ROW, CUMULATIVE_1, CAUSAL_1)
# Trained with these, blocks are quantised: data and weights of so many bits.
INTEGERS, BITS = (STRIPS, CUMULATIVE_1), (8, 4)
# Fewer, for a quick run.
QUICKLY_CHANGED = (STRIPS, CUMULATIVE_1, CAUSAL_1, ROW, Attention(TILE, 3, 3), Attention(WINDOW, window="0:7"))
QUICKLY_TUNED = (SE, STRIPS, CUMULATIVE_1)


@dataclasses.dataclass(frozen=True)
class Setup:
    """Numbers of images, and schedules of training and of fine-tuning. ``name`` begins the names of kept networks."""

    name: str
    train: int
    test: int
    training: Schedule
    tuning: Schedule


SEEDS = (1, 2, 3)
FULL = Setup("full", 20_000, 10_000, Schedule(2_000, 0.1), Schedule(500, 0.01))
QUICK = Setup("quick", 2_000, 1_000, Schedule(100, 0.1), Schedule(20, 0.01))


@dataclasses.dataclass(frozen=True)
class Run:
    """A network to train from new weights.

    ``swapped`` are the tilings that it is tested with afterwards, and ``staged`` those for one stage at a time.
    """

    network: str
    condition: str
    attention: Attention
    seed: int
    swapped: tuple[Attention, ...] = ()
    staged: tuple[Attention, ...] = ()

    def __str__(self) -> str:
        return f"{self.network}-{self.condition}-{self.attention}-seed{self.seed}"

    @property
    def name(self) -> str:
        """As a part of a file's name."""
        return str(self)

    @property
    def cost(self) -> float:
        """How long it takes, roughly: long ones start first, so that all cores end together."""
        return ((1.4 if CONDITIONS[self.condition].canvas else 1.0) * (0.6 if self.network == "residual" else 1.0)
                + 0.02 * (len(self.swapped) + 4 * len(self.staged)) + 0.1 * (self.attention.kind == "tse"))

    @property
    def fields(self) -> dict:
        """Fields of a row of study.json."""
        return {"network": self.network, "condition": self.condition, "seed": self.seed}

    @property
    def settings(self) -> dict:
        """What decides its weights and its rows, beside the setup and the images; JSON-serialisable."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Tuning:
    """A network of `start`, with squeeze-and-excite, that is fine-tuned with `attention` in its blocks."""

    start: Run
    attention: Attention

    def __str__(self) -> str:
        return f"{self.start}, fine-tuned with {self.attention}"

    @property
    def settings(self) -> dict:
        """As of :class:`Run`."""
        return {"start": str(self.start), "tuned": dataclasses.asdict(self.attention)}


@dataclasses.dataclass(frozen=True)
class Quantising:
    """A network of `start`, with tiles, whose blocks become integers.

    With `aware` it is fine-tuned in integers of so many bits. Without, its blocks are quantised as they are, and also
    after it has been fine-tuned in float: with each of BITS.
    """

    start: Run
    aware: int | None = None

    def __str__(self) -> str:
        how = f"fine-tuned in {self.aware} bits" if self.aware else f"quantised to {' and '.join(map(str, BITS))} bits"
        return f"{self.start}, {how}"

    @property
    def name(self) -> str:
        """As a part of a file's name."""
        return f"{self.start}-{f'aware{self.aware}' if self.aware else 'quantised'}"

    @property
    def settings(self) -> dict:
        """As of :class:`Run`."""
        return {"start": str(self.start), "quantised": self.aware or BITS}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is trained first, and what begins with the weights of these."""

    setup: Setup
    runs: tuple[Run, ...]
    later: tuple[Tuning | Quantising, ...]

    @property
    def example(self) -> Quantising | None:
        """What trains the network of ``EXAMPLE=``: the first one with integers."""
        return next((task for task in self.later if isinstance(task, Quantising) and task.aware is not None), None)


def make_plan(quick: bool) -> Plan:
    """The whole study, or the quick part of it, the tasks that take longest first."""
    def runs(network, condition, attentions, seeds=SEEDS[:1], staged=()):
        changed = (QUICKLY_CHANGED if quick else CHANGED), staged
        return [Run(network, condition, attention, seed, *(changed if attention == SE else ()))
                for attention in attentions for seed in seeds]

    if quick:
        several = runs(MAIN, EXPOSURE, (NONE, SE, STRIPS), SEEDS, STAGED)
        single = [*runs(MAIN, EXPOSURE, (CUMULATIVE_1, CAUSAL_1, ROW)), *runs(SECOND, EXPOSURE, (SE,)),
                  *runs(MAIN, "shifted", (NONE, SE))]
    else:
        several = runs(MAIN, CANVAS, CORE, SEEDS, STAGED)
        single = [*runs(MAIN, CANVAS, OTHERS), *runs(SECOND, CANVAS, CORE), *runs(MAIN, "plain", (NONE, SE))]
        for condition in ("upside-down", "shifted", EXPOSURE):
            single += runs(MAIN, condition, CORE)
    starts = [run for run in several if not quick or run.seed == SEEDS[0]]
    later = [*(Quantising(run, bits) for run in starts if run.attention in INTEGERS for bits in (*BITS, None)),
             *(Tuning(run, attention) for run in starts if run.attention == SE
               for attention in (QUICKLY_TUNED if quick else TUNED))]
    return Plan(QUICK if quick else FULL, tuple(sorted(several + single, key=lambda run: -run.cost)), tuple(later))
