# SPDX-License-Identifier: Apache-2.0
"""The scale FIFO: a tile's beats get that tile's gates, and every gate is there when it is read.

The proof assumes that the gates of a taken tile come at the pace of `Timing`, after those of the previous tile, and
that a tile is read group by group from group 0, any number of rounds, and released at any read.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cat, Cover, Module, Mux, Signal

from ..config import Config
from ..latency import ram_latency
from ..scale_fifo import ScaleFifo
from ..timing import DEVIATE, GATE_TILES, Timing
from .checks import any_below, later
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS"]


class _Tiles:
    """Tiles that are taken, then get their gates, are read, and are released.

    ``total`` is the number of tiles that hold a place, ``begun`` of those whose first gate has come or comes next.
    ``begin`` is high in the cycle before a tile's first gate, ``making`` while its gates come, ``end`` with the last.
    Of that tile, ``channel`` is the next gate's (0 if there is none), ``times`` has each gate's cycle, counted from the
    first one's, and ``cycle`` is the current one. ``gone`` tells that it has been released already, ``place`` is the
    half of the memory that it has, or that the next tile gets.
    """

    def __init__(self, m, config, fifo, wait):
        self.making, self.end, self.gone = Signal(name="making"), Signal(name="end"), Signal(name="gone")
        self.begin, self.begun, self.place = Signal(name="begin"), Signal(2, name="begun"), Signal(name="place")
        waiting = Signal(2, name="waiting")
        # In the block it takes much longer from taking a place to its first gate: the previous tile was read by then.
        under_way = [fifo.take]
        for i in range(max(0, wait - 2)):
            under_way.append(later(m, under_way[-1], 1, f"take_{i}"))
        self.total = waiting + self.begun + sum(under_way[1:])
        m.d.comb += [
            fifo.take.eq(AnySeq(1) & fifo.free),
            self.begin.eq(AnySeq(1) & (waiting != 0) & (~self.making | self.end)),
        ]
        m.d.sync += [
            waiting.eq(waiting + under_way[-1] - self.begin), self.begun.eq(self.begun + self.begin - fifo.release),
            self.place.eq(self.place ^ self.end),
        ]
        with m.If(self.making & fifo.release & (self.begun == 1)):
            m.d.sync += self.gone.eq(1)
        with m.If(self.end):
            m.d.sync += self.gone.eq(0)
        self._gates(m, config, fifo)

    def _gates(self, m, config, fifo):
        """Each gate in its cycle, counted from the tile's first one."""
        passes = Timing(config).pass_cycles[1]
        times = [channel // config.macs * passes + channel % config.macs for channel in range(config.channels)]
        self.times, self.cycle = times, (cycle := Signal(range(times[-1] + 1), name="cycle"))
        self.channel = Signal(range(config.channels), name="next_channel")
        m.d.comb += [
            self.end.eq(self.making & (cycle == times[-1])),
            fifo.i_valid.eq(self.making & Cat(cycle == time for time in times).any()),
            fifo.i.eq(AnySeq(len(fifo.i))),
            self.channel.eq(Mux(self.making, sum(cycle > time for time in times), 0)),
            Assert(~self.making | (cycle <= times[-1]), "a tile's gates come to their end"),
        ]
        with m.If(self.making):
            m.d.sync += [cycle.eq(cycle + 1), self.making.eq(~self.end)]
        with m.If(self.begin):
            m.d.sync += [cycle.eq(0), self.making.eq(1)]


def _model(config, wait):
    m = Module()
    fifo = ScaleFifo(config)
    m.submodules.fifo = inside = Inside(fifo)
    tiles = _Tiles(m, config, fifo, wait)
    group = Signal(range(config.groups))
    m.d.comb += [
        fifo.read.eq(fifo.tile_valid & AnySeq(1)), fifo.release.eq(fifo.read & AnySeq(1)), fifo.group.eq(group),
    ]
    with m.If(fifo.read):
        m.d.sync += group.eq(Mux(fifo.release | (group == config.groups - 1), 0, group + 1))
    _counters(m, config, fifo, inside, tiles)
    behind = group + tiles.times[Timing(config).trigger] < tiles.cycle
    read_early = tiles.making & ~tiles.gone & (tiles.begun == 1) & fifo.tile_valid
    m.d.comb += [
        Assert(~read_early | behind, "groups are not read faster than they come"),
        Assert(fifo.tile_valid | (group == 0), "a tile's first read is of group 0"),
    ]
    _places(m, config, inside, tiles)
    _gate(m, config, fifo, inside, tiles, wait)
    return m


def _counters(m, config, fifo, inside, tiles):
    trigger = Timing(config).trigger
    readable = tiles.begun - (tiles.making & (tiles.channel <= trigger))
    m.d.comb += [
        Assert(tiles.total <= GATE_TILES, "two tiles at most hold a place"),
        Assert(fifo.free == (tiles.total != GATE_TILES), "a place is free unless two tiles hold them"),
        Assert(inside["taken"] == tiles.total, "taken counts tiles that hold a place"),
        Assert(inside["ready"] == readable, "ready counts tiles whose gates can be read"),
        Assert(fifo.tile_valid == (readable != 0), "a tile can be read as soon as no gate can come too late"),
        Assert(inside["channel"] == tiles.channel, "the channel is the next gate's"),
        Assert(inside["here"] == (tiles.channel == trigger), "the gate is known with which reading may start"),
        Assert(~tiles.gone | (tiles.making & (tiles.begun == 0)), "a tile may go while its gates come"),
        Cover((readable == GATE_TILES) & fifo.read, "a tile is read while another one is ready"),
        Cover(fifo.i_valid & fifo.read & (tiles.begun == GATE_TILES), "a tile is read while another one is made"),
    ]
    if tiles.times[-1] > tiles.times[trigger] + 1:
        m.d.comb += Cover(tiles.gone & fifo.i_valid, "a tile has gone while its gates come")


def _places(m, config, inside, tiles):
    """Which tile has which half of the memory, and the relations between the registers."""
    address, lane, second = inside["address"], inside["lane"], inside["second"]
    number = tiles.channel // config.lanes
    others = tiles.begun - (tiles.making & ~tiles.gone)
    m.d.comb += [
        Assert(second == tiles.place ^ others[0] ^ (tiles.making & tiles.gone), "the oldest tile's place is known"),
        Assert(address == Mux(tiles.place, config.groups, 0) + number, "a tile's gates go to its place"),
        Assert((lane == tiles.channel % config.lanes) & (inside["group"] == number), "groups and lanes are counted"),
        Assert((inside["last_lane"] == (lane == config.lanes - 1))
               & (inside["last_group"] == (number == config.groups - 1))
               & (inside["address_last"] == (address == GATE_TILES * config.groups - 1)),
               "counters know where they wrap"),
    ]


def _gate(m, config, fifo, inside, tiles, wait):
    """Any one gate of any one tile."""
    ram = inside["ram"]
    group, lane = any_below(m, config.groups, "group"), any_below(m, config.lanes, "lane")
    mark, watched, mine, half = (Signal(name=name) for name in ("mark", "watched", "mine", "half"))
    value, ahead = Signal(config.gate_bits, name="value"), Signal(range(GATE_TILES))
    reads = [watched & fifo.read & (ahead == 0) & (fifo.group == group)]
    for i in range(wait + ram.latency):
        reads.append(later(m, reads[-1], 1, f"reads_{i}"))
    under_way = Cat(reads[1:]).any()
    m.d.comb += mark.eq(tiles.begin & ~watched & ~under_way & AnySeq(1))
    with m.If(tiles.end):
        m.d.sync += mine.eq(0)
    with m.If(fifo.release):
        m.d.sync += [watched.eq(watched & (ahead != 0)), ahead.eq(0)]
    with m.If(mark):
        m.d.sync += [watched.eq(1), mine.eq(1), half.eq(tiles.place ^ tiles.end), ahead.eq(tiles.begun - fifo.release)]
    with m.If(fifo.i_valid & mine & (tiles.channel == group * config.lanes + lane)):
        m.d.sync += value.eq(fifo.i)

    address = Mux(half, config.groups, 0) + group
    written = ~mine | (tiles.channel // config.lanes > group)
    word = inside.word(m, "ram/storage", address)
    behind = tiles.begun - ahead - 1 - (tiles.making & ~tiles.gone & ~mine)
    m.d.comb += [
        Assert(~watched | (behind >= 0), "a tile that was not released holds a place"),
        Assert(~watched | (inside["second"] == half ^ ahead[0]), "tiles are read in their order"),
        Assert(~mine | (tiles.making & (tiles.place == half)), "gates go to their tile's place"),
        Assert(~watched | mine | (tiles.place == ~(half ^ behind[0])), "places go round"),
        Assert(~(watched & mine) | (tiles.gone == 0), "a tile that has gone is not read"),
        Assert(~((watched | under_way) & written) | (word.word_select(lane, config.gate_bits) == value),
               "gates are not overwritten until their tile is released and read"),
        Assert(~reads[wait] | written, "every gate is there when it is read"),
        Assert(~(reads[wait] & ram.we) | (ram.waddr != address), "no gates are written where gates are being read"),
        Assert(~reads[-1] | (fifo.o[lane] == value), "a tile is read with its own gates, group by group"),
        Cover(reads[-1] & (value != 0) & ~fifo.free, "the watched gate is given"),
    ]
    if config.lanes > 1:
        # The gates of an incomplete group, the newest at the top.
        here, at = mine & (tiles.channel // config.lanes == group), tiles.channel % config.lanes
        kept = inside["earlier"].word_select((config.lanes - 1 + lane - at).as_unsigned(), config.gate_bits)
        m.d.comb += Assert(~(here & (lane < at)) | (kept == value), "a group's gates are collected")


_READ = "a tile is read with its own gates, group by group"
_FAULTS = (
    Fault("places change when one is taken, not when a tile is released", "scale_fifo.py", "with m.If(self.release):",
          "with m.If(self.take):", _READ),
    Fault("a third tile is let in", "scale_fifo.py", "taken != GATE_TILES", "taken != GATE_TILES + 1",
          "gates are not overwritten until their tile is released and read"),
    Fault("the next tile is read for the one that is released", "scale_fifo.py", "((ready == 1) & ~self.release)",
          "(ready == 1)", "a tile can be read as soon as no gate can come too late"),
    Fault("the write pointer wraps one late", "scale_fifo.py", "gate_places * config.groups, group_end",
          "gate_places * config.groups + 1, group_end", _READ, 30),
    Fault("a place is never given back", "scale_fifo.py", "taken.eq(taken + self.take - self.release)",
          "taken.eq(taken + self.take)", "a place is free unless two tiles hold them"),
    Fault("the first place is never read again", "scale_fifo.py", "second.eq(~second)", "second.eq(1)",
          "tiles are read in their order", 30),
)
_EARLY = (
    Fault("reading starts with an earlier gate", "scale_fifo.py", "channel == trigger - 1", "channel == trigger - 2",
          "every gate is there when it is read"),
    Fault("a group's gates are written a gate early", "scale_fifo.py", "ram.waddr.eq(address), ram.wdata.eq(word)",
          "ram.waddr.eq(address), ram.wdata.eq(earlier)", _READ),
    Fault("a group's first gate is lost", "scale_fifo.py", "earlier.eq(word[config.gate_bits:])", "earlier.eq(word)",
          "a group's gates are collected"),
)
_SIZES = (
    ({"channels": 3, "macs": 3, "slack": 0}, _FAULTS),
    ({"channels": 6, "lanes": 2, "macs": 2, "squeeze": 3, "slack": 0}, _EARLY),
    ({"channels": 6, "lanes": 2, "macs": 2, "squeeze": 3, "slack": 600}, ()),
    ({"channels": 3, "lanes": 3, "squeeze": 2, "slack": 0}, ()),
)


def _proof(config, faults):
    wait = Timing(config).read_latency + DEVIATE - ram_latency(GATE_TILES * config.groups)
    return Proof(f"scale FIFO groups={config.groups} lanes={config.lanes} macs={config.macs} wait={wait}",
                 functools.partial(_model, config, wait), depth=2 + wait, cover=30, faults=faults)


PROOFS = tuple(_proof(Config(**{"k": 1, "width": 1, "squeeze": 1} | fields), faults) for fields, faults in _SIZES)
