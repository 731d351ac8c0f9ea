# SPDX-License-Identifier: Apache-2.0
"""Which tasks make up the document, section by section."""

import dataclasses

from ...gen.fpga.targets import Target
from ...hdl.sizing import DEFAULT_LANES, lanes_within
from ...hdl.tiling import DEFAULT_MAX_ROWS
from ..networks import BlockShape, load_networks
from ..paper.hardware import Table
from ..paper.paper import load_paper, tile_rows
from ..tasks import FORMS, RUNNING, Kind, original, running, tiled

__all__ = ["HEADLINE", "LANES_LIMITS", "Plan", "make_plan"]

# The block that the README begins with.
HEADLINE = BlockShape(56, 56, 64, 16)
HEADLINE_LANES = (8, 1)
# Networks are added up for beats of so many lanes at most.
LANES_LIMITS = (1, 2, 4, DEFAULT_LANES)
# Number formats, as options that differ from their defaults; that of all other tables is among them.
FORMATS = ({"dtype": "int4", "weight_bits": 4}, {"dtype": "int4"}, {}, {"dtype": "int16"})
SWEPT_MACS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
# Ways to size the headline block, as options that differ from their defaults.
VARIANTS = ({}, {"sram_overhead": 0.02}, {"slack": 0})
# Original squeeze-and-excite is simulated, too, where its map has so few elements.
MOST_ORIGINAL_ELEMENTS = 50_000


@dataclasses.dataclass(frozen=True)
class Plan:
    """Tasks by section; a section that wasn't asked for is empty.

    Attributes
    ----------
    networks : tuple of Network
        Those whose memory is added up.
    cycles : dict of BlockShape to Task
        A simulation for every distinct block.
    latency : dict of BlockShape to Task
        The original form of every block: a simulation where that is small, else from the parameters.
    memory : dict of (BlockShape, int) to dict of str to Task
        The FORMS of a block with that limit on the lanes.
    variants : tuple of Task
        Simulations of the headline block.
    contexts : tuple of Task
        Simulations of the headline block in RUNNING's contexts.
    formats : dict of Task to Task
        Simulations of the headline block in each of FORMATS, with its synthesis for ECP5.
    macs : dict of int to tuple of Task
        By lanes: the headline block with growing numbers of multipliers.
    occupancy : tuple of Task
        The headline block in each of FORMS, cycle by cycle.
    synth : tuple of Task
    table : Table, optional
        The paper's Table 1 in RTL.
    """

    networks: tuple = ()
    cycles: dict = dataclasses.field(default_factory=dict)
    latency: dict = dataclasses.field(default_factory=dict)
    memory: dict = dataclasses.field(default_factory=dict)
    variants: tuple = ()
    contexts: tuple = ()
    formats: dict = dataclasses.field(default_factory=dict)
    macs: dict = dataclasses.field(default_factory=dict)
    occupancy: tuple = ()
    synth: tuple = ()
    table: Table | None = None

    @property
    def tasks(self):
        """Every task once: what a synthesis tool does first, then long simulations before short ones."""
        found = [*self.synth, *self.formats.values(), *self.formats, *self.cycles.values(), *self.latency.values(),
                 *self.variants, *self.contexts, *self.occupancy,
                 *(task for forms in self.memory.values() for task in forms.values()),
                 *(task for row in self.macs.values() for task in row), *(self.table.tasks if self.table else ())]
        return sorted(dict.fromkeys(found), key=lambda task: (task.kind is not Kind.SYNTH, -task.beats))


def make_plan(networks, blocks=None, headline=True):
    """The :class:`Plan` for `networks`, or for `blocks` in their stead; `headline` adds the sweeps of one block."""
    if blocks is None:
        blocks = sorted({block for network in networks for block in network.blocks})
    else:
        networks = ()
    cycles = {block: tiled(Kind.CYCLES, block) for block in blocks}
    latency = {block: original(Kind.CYCLES if block.height * block.width * block.channels <= MOST_ORIGINAL_ELEMENTS
                               else Kind.MEMORY, block) for block in blocks}
    memory = {(block, most): _forms(block, lanes_within(block.channels, most))
              for block in blocks for most in LANES_LIMITS}
    for block in blocks:
        # Those have the netlist's memories, too.
        memory[block, DEFAULT_LANES] |= {"se": latency[block], "tse": cycles[block]}
    plan = Plan(tuple(networks), cycles, latency, memory)
    return dataclasses.replace(plan, **_headline()) if headline else plan


def _forms(block, lanes):
    strips = [form(Kind.MEMORY, block, lanes) for form in (original, tiled)]
    return dict(zip(FORMS, [*strips, *(running(Kind.MEMORY, block, context, lanes) for context in RUNNING)],
                    strict=True))


def _headline():
    return {
        "variants": tuple(tiled(Kind.CYCLES, HEADLINE, lanes, **variant)
                          for lanes in HEADLINE_LANES for variant in VARIANTS),
        # As the block is made where nobody knows the map's height.
        "contexts": tuple(running(Kind.CYCLES, HEADLINE, context, lanes, max_rows=DEFAULT_MAX_ROWS)
                          for lanes in HEADLINE_LANES for context in RUNNING),
        "formats": {tiled(Kind.CYCLES, HEADLINE, **numbers): tiled(Kind.SYNTH, HEADLINE, target=Target.ECP5, **numbers)
                    for numbers in FORMATS},
        "table": Table(tile_rows({network.name: network for network in load_networks(staged=True)}, load_paper())),
        "macs": {lanes: tuple(tiled(Kind.MEMORY, HEADLINE, lanes, macs=macs) for macs in SWEPT_MACS)
                 for lanes in HEADLINE_LANES},
        "occupancy": (*(form(Kind.CYCLES, HEADLINE, occupancy=True) for form in (original, tiled)),
                      *(running(Kind.CYCLES, HEADLINE, context, occupancy=True, max_rows=DEFAULT_MAX_ROWS)
                        for context in RUNNING)),
        "synth": tuple(task for target in Target for task in (
            *(tiled(Kind.SYNTH, HEADLINE, lanes, target=target) for lanes in HEADLINE_LANES),
            *(running(Kind.SYNTH, HEADLINE, context, target=target, max_rows=DEFAULT_MAX_ROWS)
              for context in RUNNING))),
    }
