# SPDX-License-Identifier: Apache-2.0
"""Invariants of a block's control in every state after a reset, which proofs of equivalence may assume.

The proofs of one or two components (``hdl/proofs``) state each of these, too. Here each is proved anew for the same
netlist before another proof relies on it. What ``Parameters.validate`` promises is assumed without a proof: the block
doesn't check it, and its behaviour with other parameters is undefined.
"""

from amaranth.hdl import Cat, Mux, Signal

from ...hdl.config import GUARD_BITS, Context
from ...hdl.proofs.proof import Inside
from ...hdl.tiled_se import TiledSE
from ...hdl.timing import TILES_UNDER_WAY

__all__ = ["ASSUMPTIONS", "INVARIANTS", "with_invariants"]

# The signals that are 1 while all invariants hold, and while parameters are as Parameters.validate demands.
INVARIANTS, ASSUMPTIONS = "tap_invariants", "tap_assumptions"


def with_invariants(config, parameters, platform):
    """A block with these two signals, and its ports."""
    block = TiledSE(config, parameters)
    inside = Inside(block, platform)
    for name, facts in ((INVARIANTS, [*_ingress(inside, config), *_gates(inside, config)]),
                        (ASSUMPTIONS, _bias(inside, config))):
        signal = Signal(name=name, attrs={"keep": 1})
        inside.elaborate(platform).add_statements("comb", signal.eq(Cat(*facts).all()))
    return inside, [port for _, _, port in block.signature.flatten(block)]


def _bias(inside, config):
    """A record's bias, which includes half an LSB of the result, leaves room for its sum with a saturated product."""
    bias, limit = inside["excite"].record.bias, 1 << (config.requant_bits - 2)
    return [bias >= -limit, bias <= limit + (1 << (GUARD_BITS - 1))]


def _ingress(inside, config):
    """As many finished tiles are queued as counted; sums wait only between two pixels, and no beat is then taken."""
    count, ready = inside["ingress/count"], inside["ingress/ready"]
    if config.banded:
        return _patches(inside, config, ready)
    level, filled, offered = (inside[f"ingress/tiles/{name}"] for name in ("level", "filled", "o_valid"))
    facts = [count <= TILES_UNDER_WAY, ~ready | (count < TILES_UNDER_WAY), level + offered == count,
             filled == (level != 0)]
    return [*facts, *_rows(inside, config), *_hand_over(inside, config, ready)]


def _patches(inside, config, ready):
    """Places in a band are counted no further than there are any; no beat is taken while sums wait, or a band's end."""
    row, column, patch = (inside[f"ingress/position/{name}"] for name in ("row", "column", "patch_count"))
    group, first = inside["ingress/position/group_count"], inside["ingress/position/first_pixel"]
    closing, waiting, flush = (inside[f"ingress/{name}"] for name in ("closing", "waiting", "flush"))
    limit = Mux(patch == config.tiles_across - 1, config.last_columns, config.columns)
    return [
        row < config.k, patch < config.tiles_across, column < limit, group < config.groups,
        inside["ingress/position/row_last"] == (row == config.k - 1),
        inside["ingress/position/patch_count_last"] == (patch == config.tiles_across - 1),
        inside["ingress/position/last_column"] == (column == limit - 1), first == (column == 0),
        inside["ingress/position/first_row"] == (row == 0),
        ~(waiting & ready), ~(closing & ready), ~(waiting & flush), ~(waiting | flush) | ((column == 0) & (group == 0)),
    ]


def _rows(inside, config):
    """Rows are counted no further than there are any; where sums go on, with the power of two that holds the count."""
    if config.context.running:
        row, most, names = inside["ingress/position/row"], config.k, ()
        count, log = (inside["ingress/position"].rows[name] for name in ("count", "log"))
        held = inside["ingress"].rows
        facts = [count <= config.most_rows, count > config.prior_rows, (1 << log) >= count, (1 << log) < count << 1,
                 inside["ingress/position/full"] == (count == config.most_rows), held["count"] <= config.most_rows]
    else:
        row, most, facts = inside["ingress/position/row"], config.most_rows, []
        names = (inside["ingress"].rows, inside["excite/waiting_rows"], inside["excite/rows"])
    return [*(number < most for number in (row, *names)), inside["ingress/position/row_last"] == (row == most - 1),
            *facts]


def _hand_over(inside, config, ready):
    """Where sums wait, no beat is taken; they are handed over if there is a place, after the last beat of a pixel."""
    place = Cat(inside[f"ingress/position/{name}"] for name in (
        "group_count", "column", *(() if config.context is Context.WINDOW else ("row",))))
    flush, held = inside["ingress/flush"], inside["excite/held"]
    if config.context is Context.CAUSAL:
        start, prior, sums = (inside[f"ingress/{name}"] for name in ("start", "waiting_prior", "waiting_sums"))
        return [~((prior | sums) & ready), ~(start & held), ~flush | start, ~(flush & sums),
                ~(sums | flush) | (place == 0)]
    waiting = inside["ingress/waiting"]
    return [~(waiting & flush), ~(flush & held), ~(waiting & ready), ~(waiting | flush) | (place == 0)]


def _gates(inside, config):
    """Arriving gates are counted by channel, by lane and by group."""
    channel, lane, group = (inside[f"scale_fifo/{name}"] for name in ("channel", "lane", "group"))
    last_lane, last_group = (inside[f"scale_fifo/{name}_last"] for name in ("lane", "group"))
    return [
        channel == group * config.lanes + lane, channel < config.channels,
        last_lane == (lane == config.lanes - 1), last_group == (group == config.groups - 1),
    ]
