# SPDX-License-Identifier: Apache-2.0
"""The gates of a band of patches: a patch's beats get that patch's gates in each row, and all are there when read.

The proof assumes that the gates of a taken patch come at the pace of `Timing`, after those of the previous patch. A
band has any number of rows and is read segment by segment, each group by group from group 0 for any number of beats.
It may end at any beat. `PatchScale` then passes the patches that its last row has not reached.
"""

import functools

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cat, Cover, Module, Mux, Signal

from ..config import Config
from ..latency import ram_latency
from ..patch_gates import PatchGates
from ..timing import DEVIATE, Timing
from .checks import any_below, around, later
from .proof import Fault, Inside, Proof

__all__ = ["PROOFS"]


class _Reader:
    """Reads bands: which ``patch`` in which row, ``offset`` patches after the oldest one that holds a place."""

    def __init__(self, m, config, fifo):
        last = config.tiles_across - 1
        self.first_row, self.last_row = Signal(init=1, name="first_row"), Signal(name="last_row")
        self.patch, self.group = Signal(range(last + 1), name="patch"), Signal(range(config.groups), name="group")
        self.skips, self.begins = Signal(name="skips"), Signal(init=1, name="begins")
        # Whether a row is its band's last is decided with its first read.
        decided = Signal(name="decided")
        cut, row_end, next_row = Signal(name="cut"), Signal(name="row_end"), Signal(name="next_row")
        m.d.comb += [
            fifo.read.eq(fifo.tile_valid & ~self.skips & AnySeq(1)), fifo.group.eq(self.group),
            decided.eq(Mux(self.begins, AnySeq(1), self.last_row)),
            cut.eq(fifo.read & decided & AnySeq(1)), fifo.passed.eq(cut | (fifo.read & AnySeq(1))),
            row_end.eq(fifo.passed & ((self.patch == last) | cut)), next_row.eq(row_end & ~decided),
            fifo.first_row.eq(self.first_row), fifo.again.eq(next_row),
            fifo.first_row_next.eq((row_end & decided) | (self.first_row & ~next_row)),
            fifo.freed.eq((fifo.passed & decided) | self.skips),
        ]
        self.decided, self.offset = decided, Mux(decided, 0, self.patch)
        with m.If(fifo.read):
            m.d.sync += [self.group.eq(Mux(fifo.passed | (self.group == config.groups - 1), 0, self.group + 1)),
                         self.begins.eq(row_end), self.last_row.eq(decided)]
        with m.If(fifo.passed):
            m.d.sync += self.patch.eq(Mux(row_end, 0, self.patch + 1))
        with m.If(row_end):
            m.d.sync += self.first_row.eq(decided)
        # In the first row the others have no beats, and so no gates.
        with m.If(cut & (self.patch != last) & ~self.first_row):
            m.d.sync += [self.skips.eq(1), self.patch.eq(self.patch + 1)]
        with m.If(self.skips):
            m.d.sync += [self.skips.eq(self.patch != last), self.patch.eq(Mux(self.patch == last, 0, self.patch + 1))]


class _Patches:
    """Patches that take a place, get their gates and give it back: like the scale FIFO's tiles.

    ``total`` have a place. ``begun`` of them have gates, or get them now: that one's next gate is that of ``channel``,
    in ``cycle`` of them; it is ``gone`` if it was given back before its last gate. ``place`` is that of the patch that
    is made or will be; ``oldest`` is the place of the oldest patch.
    """

    def __init__(self, m, config, fifo, wait, places):
        timing = Timing(config)
        passes = timing.pass_cycles[1]
        self.times = times = [channel // config.macs * passes + channel % config.macs
                              for channel in range(config.channels)]
        self.making, self.gone, self.end = Signal(name="making"), Signal(name="gone"), Signal(name="end")
        self.begin, self.cycle = Signal(name="begin"), Signal(range(times[-1] + 1), name="cycle")
        self.begun, waiting = Signal(range(places + 1), name="begun"), Signal(range(places + 1), name="waiting")
        self.place, self.oldest = Signal(range(places), name="place"), Signal(range(places), name="oldest")
        # In the block it takes much longer from taking a place to its first gate: what was read before has been read.
        under_way = [fifo.take]
        for i in range(max(0, wait - 2)):
            under_way.append(later(m, under_way[-1], 1, f"take_{i}"))
        self.total = waiting + self.begun + sum(under_way[1:])
        self.channel = Mux(self.making, sum(self.cycle > time for time in times), 0)
        m.d.comb += [
            fifo.take.eq(AnySeq(1) & fifo.free), self.begin.eq(AnySeq(1) & (waiting != 0) & (~self.making | self.end)),
            self.end.eq(self.making & (self.cycle == times[-1])),
            fifo.i_valid.eq(self.making & Cat(self.cycle == time for time in times).any()),
            fifo.i.eq(AnySeq(len(fifo.i))),
        ]
        m.d.sync += [
            waiting.eq(waiting + under_way[-1] - self.begin), self.begun.eq(self.begun + self.begin - fifo.freed),
            self.oldest.eq(around(self.oldest + fifo.freed, places)),
            self.place.eq(around(self.place + self.end, places)),
        ]
        with m.If(self.making):
            m.d.sync += [self.cycle.eq(self.cycle + 1), self.making.eq(~self.end)]
        with m.If(self.begin):
            m.d.sync += [self.cycle.eq(0), self.making.eq(1)]
        with m.If(self.making & fifo.freed & (self.begun == 1)):
            m.d.sync += self.gone.eq(1)
        with m.If(self.end):
            m.d.sync += self.gone.eq(0)


def _model(config, wait, places):
    m = Module()
    fifo = PatchGates(config)
    m.submodules.fifo = inside = Inside(fifo)
    reader, patches = _Reader(m, config, fifo), _Patches(m, config, fifo, wait, places)
    _counters(m, config, fifo, inside, reader, patches, places)
    _gate(m, config, fifo, inside, reader, patches, wait, places)
    return m


def _counters(m, config, fifo, inside, reader, patches, places):
    """The relations between the registers of component, reader and source."""
    trigger, groups, across = Timing(config).trigger, config.groups, config.tiles_across
    number = patches.channel // config.lanes
    readable = patches.begun - (patches.making & ~patches.gone & (patches.channel <= trigger))
    # The patch that is read, counted from the oldest one.
    place = Mux(reader.begins | ~reader.last_row, reader.patch, 0)
    # Patches whose beats of the first row were read, of those that hold a place.
    held = Mux(reader.first_row & ~reader.skips, place, across - Mux(reader.skips | ~(reader.begins | ~reader.last_row),
                                                                     reader.patch, 0))
    behind = reader.group + patches.times[trigger] < patches.cycle
    early = patches.making & ~patches.gone & fifo.tile_valid & ~reader.skips & (place + 1 == patches.begun)
    m.d.comb += [
        Assert(patches.total <= places, "no more patches hold a place than there are"),
        Assert((inside["taken"] == patches.total) & (fifo.free == (patches.total != places)),
               "a place is free unless patches hold them all"),
        Assert((held <= readable) & (inside["ahead"] == (readable - held)[:len(inside["ahead"])]),
               "patches that were not read yet are counted"),
        Assert(reader.skips | (fifo.tile_valid == (~reader.first_row | (readable != held))),
               "in a band's first row a patch can be read as soon as no gate can come too late, in others at once"),
        Assert(~early | behind, "groups are not read faster than they come"),
        Assert(fifo.tile_valid | (reader.group == 0), "a patch's first read is of group 0"),
        Assert(~patches.gone | (patches.making & (patches.begun == 0) & (patches.channel > trigger)),
               "a patch may go while its last gates come"),
        Assert(~patches.making | (patches.cycle <= patches.times[-1]), "a patch's gates come to their end"),
        Assert((patches.place < places) & (patches.oldest < places) & (reader.patch < across)
               & (reader.group < groups), "all counts are within their limits"),
        Assert(patches.place == around(patches.oldest + patches.begun + places - patches.making, 2 * places)
               % places, "places go round"),
        Assert((inside["channel"] == patches.channel) & (inside["here"] == (patches.channel == trigger)),
               "the gate is known with which reading may start"),
        Assert((inside["address"] == patches.place * groups + number) & (inside["group"] == number)
               & (inside["lane"] == patches.channel % config.lanes), "a patch's gates go to its place"),
        Assert((inside["last_lane"] == (inside["lane"] == config.lanes - 1))
               & (inside["last_group"] == (number == groups - 1))
               & (inside["address_last"] == (inside["address"] == places * groups - 1)),
               "counters know where they wrap"),
        Assert(inside["oldest"] == patches.oldest * groups, "the oldest patch's place is known"),
        Assert(reader.skips | (inside["origin"] == around(
            patches.oldest + place, places) * groups),
               "so is that of the patch that is read"),
        Assert(~reader.skips | (inside["origin"] == inside["oldest"]), "and while patches are passed"),
        Assert(~reader.begins | (((reader.group == 0) & (reader.patch == 0)) | reader.skips),
               "a row begins with its first patch"),
        Assert(~reader.skips | (reader.begins & reader.first_row & (reader.patch != 0) & (reader.group == 0)),
               "patches are passed after a band's end"),
        Assert((reader.patch == 0) | (reader.group == 0) | ~reader.begins, "segments begin with group 0"),
        Cover(fifo.read & ~reader.first_row & ~reader.decided & (patches.total == places), "a later row is read"),
        Cover(reader.skips & fifo.take, "patches are passed while another one takes a place"),
    ]


def _gate(m, config, fifo, inside, reader, patches, wait, places):
    """Any one gate of any one patch."""
    ram, groups = inside["ram"], config.groups
    group, lane = any_below(m, groups, "watched_group"), any_below(m, config.lanes, "watched_lane")
    mark, watched, mine = (Signal(name=name) for name in ("mark", "watched", "mine"))
    value, ahead, place = Signal(config.gate_bits), Signal(range(places)), Signal(range(places))
    hit = watched & fifo.read & (ahead == reader.offset) & (fifo.group == group)
    reads = [hit]
    for i in range(wait + ram.latency):
        reads.append(later(m, reads[-1], 1, f"reads_{i}"))
    under_way = Cat(reads[1:]).any()
    m.d.comb += mark.eq(patches.begin & ~watched & ~under_way & AnySeq(1))
    with m.If(patches.end):
        m.d.sync += mine.eq(0)
    with m.If(fifo.freed):
        m.d.sync += [watched.eq(watched & (ahead != 0)), ahead.eq(Mux(ahead == 0, 0, ahead - 1))]
    with m.If(mark):
        m.d.sync += [watched.eq(1), mine.eq(1), ahead.eq(patches.begun - fifo.freed),
                     place.eq(around(patches.place + patches.end, places))]
    with m.If(fifo.i_valid & mine & (patches.channel == group * config.lanes + lane)):
        m.d.sync += value.eq(fifo.i)
    address = place * groups + group
    written = ~mine | (patches.channel // config.lanes > group)
    word = inside.word(m, "ram/storage", address)
    m.d.comb += [
        Assert(place < places, "the watched patch has a place"),
        Assert(~watched | (ahead < patches.begun), "a patch that was not given back holds a place"),
        Assert(~watched | (place == around(patches.oldest + ahead, places)), "places are given back in their order"),
        Assert(~mine | (patches.making & (patches.place == place)), "gates go to their patch's place"),
        Assert(~watched | (mine == (patches.making & ~patches.gone & (ahead == patches.begun - 1))),
               "the newest patch gets gates"),
        Assert(~((watched | under_way) & written) | (word.word_select(lane, config.gate_bits) == value),
               "gates are not overwritten until their patch has been read"),
        Assert(~reads[wait] | written, "every gate is there when it is read"),
        Assert(~(reads[wait] & ram.we) | (ram.waddr != address), "no gates are written where gates are being read"),
        Assert(~reads[-1] | (fifo.o[lane] == value), "a patch is read with its own gates in each row"),
        Cover(reads[-1] & (value != 0) & ~fifo.free, "the watched gate is given"),
    ]
    if config.lanes > 1:
        # The gates of an incomplete group, the newest at the top.
        here, at = mine & (patches.channel // config.lanes == group), patches.channel % config.lanes
        kept = inside["earlier"].word_select((config.lanes - 1 + lane - at).as_unsigned(), config.gate_bits)
        m.d.comb += Assert(~(here & (lane < at)) | (kept == value), "a group's gates are collected")


_READ = "a patch is read with its own gates in each row"
_FAULTS = (
    Fault("later rows begin with the second patch", "patch_gates.py", "m.d.sync += origin.eq(oldest)",
          "pass", _READ, 30),
    Fault("a patch of the first row is read as soon as the one before", "patch_gates.py", "(ahead == 1) & ~used",
          "ahead == 1", "every gate is there when it is read", 30),
    Fault("places are given back in each row", "patch_gates.py", "taken + self.take - self.freed",
          "taken + self.take - self.passed", "a place is free unless patches hold them all"),
)
_SIZES = (
    ({"channels": 2, "macs": 2, "width": 2}, _FAULTS), ({"channels": 3, "macs": 1, "lanes": 3, "width": 3}, ()),
    ({"channels": 4, "macs": 2, "lanes": 2, "squeeze": 2, "width": 2}, ()),
    ({"channels": 2, "macs": 1, "width": 60, "tile_width": 30}, ()),
)


def _proof(config, faults):
    places = Timing(config).gate_places
    wait = Timing(config).read_latency + DEVIATE - ram_latency(places * config.groups)
    name = f"patch gates patches={config.tiles_across} places={places} groups={config.groups} lanes={config.lanes}"
    return Proof(f"{name} macs={config.macs} wait={wait}", functools.partial(_model, config, wait, places),
                 depth=2 + wait, cover=40, faults=faults)


PROOFS = tuple(_proof(Config(**{"k": 2, "tile_width": 1, "squeeze": 1, "slack": 0} | fields), faults)
               for fields, faults in _SIZES)
