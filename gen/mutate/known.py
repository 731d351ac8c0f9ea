# SPDX-License-Identifier: Apache-2.0
"""What is known of a block's control, in every state behind a reset: proofs of equivalence may take it for granted.

Each of these is an invariant of one or two components that their proofs state, too (``hdl/proofs``); but here it is
proved anew, for the very netlist, before anything rests on it.
"""

from amaranth.hdl import Cat, Signal

from ...hdl.proofs.proof import Inside
from ...hdl.tiled_se import TiledSE
from ...hdl.timing import TILES_UNDER_WAY

__all__ = ["KNOWN", "with_known"]

# The signal that is 1 where all of it holds.
KNOWN = "tap_known"


def with_known(config, parameters, platform):
    """A block with that signal in it, and its ports."""
    block = TiledSE(config, parameters)
    inside = Inside(block, platform)
    known = Signal(name=KNOWN, attrs={"keep": 1})
    all_of_it = Cat(*_ingress(inside), *_gates(inside, config)).all()
    inside.elaborate(platform).add_statements("comb", known.eq(all_of_it))
    return inside, [port for _, _, port in block.signature.flatten(block)]


def _ingress(inside):
    """Finished tiles are in their queue, as many as are counted; sums wait only between two tiles."""
    count, waiting, flush = (inside[f"ingress/{name}"] for name in ("count", "waiting", "flush"))
    level, filled, offered = (inside[f"ingress/tiles/{name}"] for name in ("level", "filled", "o_valid"))
    ready, held = inside["ingress/ready"], inside["excite/held"]
    place = Cat(inside[f"ingress/position/{name}"] for name in ("group_count", "column", "row"))
    return [
        count <= TILES_UNDER_WAY, ~ready | (count < TILES_UNDER_WAY),
        level + offered == count, filled == (level != 0),
        ~(waiting & flush), ~(flush & held), ~(waiting & ready), ~(waiting | flush) | (place == 0),
    ]


def _gates(inside, config):
    """Gates that come are counted by channel, by lane and by group."""
    channel, lane, group = (inside[f"scale_fifo/{name}"] for name in ("channel", "lane", "group"))
    last_lane, last_group = (inside[f"scale_fifo/{name}_last"] for name in ("lane", "group"))
    return [
        channel == group * config.lanes + lane, channel < config.channels,
        last_lane == (lane == config.lanes - 1), last_group == (group == config.groups - 1),
    ]
