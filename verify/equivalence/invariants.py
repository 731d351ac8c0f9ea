# SPDX-License-Identifier: Apache-2.0
"""What is known of a block's control, in every state behind a reset: proofs of equivalence may take it for granted.

Each of these is an invariant of one or two components that their proofs state, too (``hdl/proofs``); but here it is
proved anew, for the very netlist, before anything rests on it. What parameters promise (``Parameters.validate``) is
given: no part of the block sees to it, and one that is loaded with others is on its own.
"""

from amaranth.hdl import Cat, Signal

from ...hdl.config import GUARD_BITS
from ...hdl.proofs.proof import Inside
from ...hdl.tiled_se import TiledSE
from ...hdl.timing import TILES_UNDER_WAY

__all__ = ["GIVEN", "KNOWN", "with_known"]

# The signals that are 1 where all of it holds, and where parameters are as they have to be.
KNOWN, GIVEN = "tap_known", "tap_given"


def with_known(config, parameters, platform):
    """A block with these signals in it, and its ports."""
    block = TiledSE(config, parameters)
    inside = Inside(block, platform)
    for name, facts in ((KNOWN, [*_ingress(inside, config), *_gates(inside, config)]), (GIVEN, _bias(inside, config))):
        signal = Signal(name=name, attrs={"keep": 1})
        inside.elaborate(platform).add_statements("comb", signal.eq(Cat(*facts).all()))
    return inside, [port for _, _, port in block.signature.flatten(block)]


def _bias(inside, config):
    """A record's bias, with half a result's LSB in it, leaves room for the sum with a product that is saturated."""
    bias, limit = inside["excite"].record.bias, 1 << (config.requant_bits - 2)
    return [bias >= -limit, bias <= limit + (1 << (GUARD_BITS - 1))]


def _ingress(inside, config):
    """Finished tiles are queued, as many as are counted; sums wait only between two tiles; rows are less than k."""
    count, waiting, flush = (inside[f"ingress/{name}"] for name in ("count", "waiting", "flush"))
    level, filled, offered = (inside[f"ingress/tiles/{name}"] for name in ("level", "filled", "o_valid"))
    ready, held = inside["ingress/ready"], inside["excite/held"]
    row, last_row = inside["ingress/position/row"], inside["ingress/position/row_last"]
    rows = (row, inside["ingress"].rows, inside["excite/waiting_rows"], inside["excite/rows"])
    place = Cat(inside[f"ingress/position/{name}"] for name in ("group_count", "column", "row"))
    return [
        count <= TILES_UNDER_WAY, ~ready | (count < TILES_UNDER_WAY),
        level + offered == count, filled == (level != 0),
        *(number < config.k for number in rows), last_row == (row == config.k - 1),
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
