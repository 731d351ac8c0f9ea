# SPDX-License-Identifier: Apache-2.0
"""Choice of lanes and multipliers: SRAM against DSPs."""

import dataclasses

from .config import Config, ConfigError, Context, Order
from .tiling import PAPER_ROWS
from .timing import BANDS_UNDER_WAY, TILES_UNDER_WAY, Timing

__all__ = ["DEFAULT_LANES", "DEFAULT_OVERHEAD", "choose_macs", "doubts", "lanes_within", "memory_bits",
           "memory_limit", "yardstick"]

# Most lanes of a block, unless the user says how many.
DEFAULT_LANES = 8
# Memory that MACS=auto may spend on fewer multipliers, see `memory_limit`.
DEFAULT_OVERHEAD, PATCH_OVERHEAD = 0.05, 0.1
# Where no number of multipliers reaches the overhead, more are added only if they save more than this factor.
WORTHWHILE = 1.01
# More bits than any FPGA has in memories of its own. The most are in AMD's Versal Premium VP1802 and VP2802: 174 Mb of
# block RAM and 717 Mb of UltraRAM (product selection guide XMP463).
FPGA_BITS = 1 << 30
# A choice of more multipliers than MANY, and over FAR times those of full rate, is worth a warning. Up to FAR times is
# what SRAM_OVERHEAD asks of ordinary blocks. The largest FPGAs have over 10,000; of the parts that `synth` knows, the
# largest has 156.
MANY, FAR = 64, 8
MOST_LANES = 64
FEWER = "a larger SRAM_OVERHEAD has auto take fewer"


def lanes_within(channels, most=DEFAULT_LANES):
    """The most lanes up to `most` that divide `channels`."""
    return max(lanes for lanes in range(1, most + 1) if channels % lanes == 0)


def memory_bits(config):
    """Bits of all memories except the parameters', by the components' formulas.

    For choosing among configurations. ``gen.inventory`` reads a block's real memories from its netlist.
    """
    beat = config.data.bits * config.lanes
    timing = Timing(config)
    sums = (2 + config.banded * config.tiles_across) * config.channels * config.sum_bits
    gates = timing.gate_places * config.channels * config.gate_bits
    record = (timing.buffer_words - 1).bit_length() + 2
    tiles = TILES_UNDER_WAY * record
    if config.banded:
        tiles = BANDS_UNDER_WAY * (record + (config.k - 1).bit_length())
    hidden = config.squeeze * config.hidden_bits
    queue = (timing.credits - 1) * (config.outputs.bits * config.lanes + 1)
    return timing.buffer_words * beat + sums + gates + hidden + queue + tiles


def memory_limit(config, overhead=None):
    """Bits of all memories except the parameters' that are worth fewer multipliers.

    They are ``(1 + overhead)`` times the bound (``Config.bound_bits``) for tiles. In other contexts the bound may
    be a row, or 0, and the memories beside the tile buffer are then most of all; there `overhead` is a fraction of the
    paper's seven rows (``Config.tse7_bits``), beyond the bound. None stands for `DEFAULT_OVERHEAD`; for tiles side by
    side, which have sums and gates for a whole row of them, it stands for `PATCH_OVERHEAD`.
    """
    if overhead is None:
        overhead = PATCH_OVERHEAD if config.tiles_across > 1 else DEFAULT_OVERHEAD
    if config.context is Context.TILE:
        return (1 + overhead) * config.bound_bits
    return config.bound_bits + overhead * config.tse7_bits


def yardstick(config: Config) -> tuple[str, int]:
    """The bits with which a block's memory is compared, as (text, bits): its bound, or the paper's if that is 0."""
    if config.bound_bits:
        return f"the bound {config.data.bits}*{config.waiting_formula}", config.bound_bits
    lines = "columns" if config.order is Order.COLUMNS else "rows"
    return f"{PAPER_ROWS} {lines}, {config.data.bits}*{PAPER_ROWS}*{config.line_name}*C", config.tse7_bits


def choose_macs(config, overhead=None):
    """The fewest MAC units with which the block has full rate and its memory stays within a bound.

    Full rate means that tiles of k rows follow each other at a beat a cycle. While a tile's gates are computed
    (``Timing.tile_latency`` cycles) beats continue to arrive, so fewer units need more slack in the tile buffer.

    The ``macs`` of `config` is ignored. The memory without parameters may have :func:`memory_limit` bits. If no number
    of units reaches that, the result is the fewest within 1 % of the least memory; if none reaches full rate, the
    fewest within 1 % of the shortest period of tiles. If ``config.slack`` is given, `overhead` bounds the period
    instead: a tile may take ``1 + overhead`` times its beats.
    """
    if overhead is not None and not overhead >= 0:
        raise ConfigError("sram_overhead", overhead, "must be at least 0")
    most = min(max(config.channels, config.squeeze), 4096)
    candidates = [dataclasses.replace(config, macs=macs) for macs in range(1, most + 1)]
    if config.slack is None:
        fast = [c for c in candidates if Timing(c).keeps_pace]
        if fast:
            return _fewest(fast, [memory_bits(c) for c in fast], memory_limit(config, overhead))
    periods = [Timing(c).period(c.tile_words) for c in candidates]
    longest = (1 + (DEFAULT_OVERHEAD if overhead is None else overhead)) * config.tile_words
    return _fewest(candidates, periods, 0 if config.slack is None else longest)


def _fewest(candidates, costs, limit):
    """MAC units of the first candidate whose cost is within `limit` or, if there is none, within 1 % of the least."""
    if min(costs) > limit:
        limit = WORTHWHILE * min(costs)
    return next(c.macs for c, cost in zip(candidates, costs, strict=True) if cost <= limit)


def doubts(config, lanes_chosen, macs_chosen):
    """What a user would perhaps not want of a block, as lines of text.

    `lanes_chosen` and `macs_chosen` tell whether LANES and MACS are the user's own: these are not doubted.
    """
    found = []
    bits = config.data.bits * config.lanes * Timing(config).buffer_words
    if bits > FPGA_BITS:
        found.append(f"the tile buffer has {bits:,} bits, and no FPGA has {FPGA_BITS:,}{_less_buffer(config)}")
    if not lanes_chosen and config.lanes == 1 < config.channels:
        divisor = next((n for n in range(2, MOST_LANES + 1) if config.channels % n == 0), None)
        found.append(f"LANES=1, one channel a cycle, as C={config.channels} has no divisor from 2 to {DEFAULT_LANES}"
                     + (f"; LANES={divisor} is possible, with beats of {config.data.bits * divisor} bits"
                        if divisor else ""))
    if not macs_chosen and config.macs > MANY:
        found += _many_macs(config)
    return found


def _less_buffer(config):
    """What makes the tile buffer smaller, as the end of a sentence; empty where a row must wait and takes most of it.
    """
    timing = Timing(config)
    if timing.buffer_slack > timing.waiting_words:
        return "; a smaller SLACK takes less"
    if config.window is not None:
        return "; a WINDOW that ends earlier takes less"
    if config.tiles_across > 1 and config.k == 1:
        return "; a smaller TILE_W takes less"
    return "; a smaller K takes less" if config.k > 1 else ""


def _many_macs(config):
    """Why `choose_macs` took so many, and what fewer would give; nothing where they are needed."""
    others = (dataclasses.replace(config, macs=macs) for macs in range(1, config.macs))
    fewest = None if config.slack is not None else next((c for c in others if Timing(c).keeps_pace), config)
    if fewest is None or not Timing(fewest).keeps_pace:
        words, fewer = config.tile_words, dataclasses.replace(config, macs=config.macs // FAR)
        return [f"MACS=auto takes {config.macs:,} multipliers, with which a tile of {words:,} beats takes "
                f"{Timing(config).period(words):,.0f} cycles; MACS={fewer.macs} takes "
                f"{Timing(fewer).period(words):,.0f}"
                + ("" if config.slack is None else f", and {FEWER}")]
    if config.macs <= FAR * fewest.macs:
        return []
    text, bits = yardstick(config)
    before, after = (memory_bits(c) / bits for c in (fewest, config))
    # Once with its formula, then without.
    name = text.partition(f" {config.data.bits}*")[0].rstrip(",")
    return [f"MACS=auto takes {config.macs:,} multipliers for a memory of {after:.2f} x {text}; "
            f"MACS={fewest.macs} is as fast with {before:.2f} x {name}, and {FEWER}"]
