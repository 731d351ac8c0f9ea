# SPDX-License-Identifier: Apache-2.0
"""The waveforms of docs/how.md, of blocks in Amaranth's simulator: `.venv/bin/python docs/waves.py` writes them."""

import io
import itertools
import pathlib
import random

from amaranth.sim import Simulator

from tiled_se.gen import VerilogOptions, prepare
from tiled_se.hdl import Context, TiledSE

__all__ = ["DRAWINGS", "svg"]

DOCS = pathlib.Path(__file__).parent
CLOCK, COLOURS = "clk", "345"  # COLOURS are WaveDrom's, one for each tile


def simulate(options, rows, source=(), sink=()):
    """The values of all signals by path, in each cycle from the first beat on; and the block's Config.

    One frame of random beats passes through the block. In the cycles `source` no new beat is offered, and in the cycles
    `sink` none is taken. The path of a port is its name.
    """
    spec = prepare(options)
    config, block = spec.config, TiledSE(spec.config, spec.baked)
    beats, numbers = rows * config.width * config.groups, random.Random(1)
    cycle = itertools.count()

    async def send(ctx):
        now = next(cycle)
        for number in range(beats):
            while now in source:
                ctx.set(block.s_axis_tvalid, 0)
                await ctx.tick()
                now = next(cycle)
            ctx.set(block.s_axis_tvalid, 1)
            ctx.set(block.s_axis_tdata, numbers.getrandbits(8 * config.data.beat_bytes(config.lanes)))
            ctx.set(block.s_axis_tlast, number == beats - 1)
            ready = False
            while not ready:
                *_, ready = await ctx.tick().sample(block.s_axis_tready)
                now = next(cycle)
        ctx.set(block.s_axis_tvalid, 0)

    async def receive(ctx):
        done = False
        for now in itertools.count():
            ctx.set(block.m_axis_tready, now not in sink)
            *_, valid, ready, last = await ctx.tick().sample(
                block.m_axis_tvalid, block.m_axis_tready, block.m_axis_tlast)
            if done:
                return await ctx.tick()
            done = valid and ready and last

    simulator, file = Simulator(block), io.StringIO()
    simulator.add_clock(1e-8)
    simulator.add_testbench(send, background=True)
    simulator.add_testbench(receive)
    with simulator.write_vcd(file):
        simulator.run()
    return _cycles(file.getvalue())[1:], config


def _cycles(text):
    """The values before each rising edge of the clock, from the text of a VCD file."""
    scopes, names, values, cycles = [], {}, {}, []
    for line in text.splitlines():
        first, *rest = line.split() or [""]
        if first == "$scope":
            scopes.append(rest[1])
        elif first == "$upscope":
            scopes.pop()
        elif first == "$var":
            names.setdefault(rest[2], []).append(".".join([*scopes[2:], *rest[3:-1]]))
        elif first[:1] in tuple("b01"):
            value, name = (first[1:], rest[0]) if first[0] == "b" else (first[0], first[1:])
            if CLOCK in names[name] and value == "1":
                cycles.append(dict(values))
            values |= dict.fromkeys(names[name], int(value, 2))
    return cycles


def handshake():
    """Both streams of a block in which no row waits, with pauses of the source and of the sink."""
    options = VerilogOptions(k=1, width=6, channels=1, squeeze=1, context=Context.CAUSAL, loadable=False, macs=1)
    cycles, _ = simulate(options, 1, source={3, 4}, sink={70, 71, 72, 74})
    first = next(number for number, cycle in enumerate(cycles) if cycle["m_axis_tvalid"])
    parts = [(f"{stream}, cycle {start}", stream, cycles[start:start + length])
             for stream, start, length in (("s_axis", 0, 14), ("m_axis", first - 2, 14))]
    return {"signal": [line for title, stream, shown in parts for line in (
        {"name": title}, {"name": CLOCK, "wave": "p" + "." * (len(shown) - 1)},
        _bit(shown, f"{stream}_tvalid"), _bit(shown, f"{stream}_tready"),
        _word(shown, f"{stream}_tdata", f"{stream}_tvalid"), _bit(shown, f"{stream}_tlast"), {})][:-1],
        "config": {"skin": "narrow"}}


def two_tiles():
    """A frame of two tiles on its way through the block, a beat per cycle."""
    options = VerilogOptions(k=2, width=8, channels=4, squeeze=2, lanes=2, macs=4, loadable=False)
    cycles, config = simulate(options, 2 * options.k)

    def moves(stream):
        return lambda cycle: cycle[f"{stream}_tvalid"] and cycle[f"{stream}_tready"]

    def layer(number):
        return lambda cycle: cycle["excite.sequencer.o_valid"] and cycle["excite.sequencer.\\o.layer"] == number

    return {"signal": [
        _tiles(cycles, "s_axis", moves("s_axis"), config.tile_words),
        _tiles(cycles, "sums copied", lambda cycle: cycle["accumulate.o_valid"], config.groups),
        _tiles(cycles, "layer 1", layer(0), config.passes[0] * config.channels),
        _tiles(cycles, "layer 2", layer(1), config.passes[1] * config.squeeze),
        _tiles(cycles, "gates", lambda cycle: cycle["excite.tap_gates_valid"], config.channels),
        _tiles(cycles, "buffer read", lambda cycle: cycle["scale.read"], config.tile_words),
        _tiles(cycles, "m_axis", moves("m_axis"), config.tile_words),
    ], "config": {"skin": "narrowerer"}}


def _bit(cycles, name):
    """A line of one bit."""
    return {"name": name.partition("_axis_")[2], "wave": _runs([str(cycle[name]) for cycle in cycles])}


def _word(cycles, name, valid):
    """A line of a word in hexadecimal, shown while the bit `valid` is 1."""
    marks = [f"{cycle[name]:02x}" if cycle[valid] else "x" for cycle in cycles]
    return {"name": name.partition("_axis_")[2], "wave": _runs(marks, "2"),
            "data": [mark for mark, _ in itertools.groupby(marks) if mark != "x"]}


def _tiles(cycles, name, active, steps):
    """A line of bars, one for each tile; `active` tells when something moves, and a tile has `steps` of that."""
    moved, marks = 0, []
    for cycle in cycles:
        marks.append(COLOURS[moved // steps] if active(cycle) else "x")
        moved += active(cycle)
    return {"name": name, "wave": _runs(marks).replace("x", "0"),
            "data": [f"{COLOURS.index(mark)}" for mark, _ in itertools.groupby(marks) if mark != "x"]}


def _runs(marks, letter=None):
    """WaveDrom's letters of `marks`, a dot where a mark stays; if `letter` is given, it stands for all but x."""
    return "".join("." if number and mark == marks[number - 1] else letter if letter and mark != "x" else mark
                   for number, mark in enumerate(marks))


DRAWINGS = {"how-handshake.svg": handshake, "how-tiles.svg": two_tiles}


def svg(drawing):
    """The drawing as WaveDrom draws it, for light pages; the site turns it round for dark ones."""
    from yowasp_wavedrom import render

    return render(drawing).replace("<style>@media(prefers-color-scheme:dark){:root{filter:invert(1)}}</style>", "")


if __name__ == "__main__":
    for name, make in DRAWINGS.items():
        (DOCS / name).write_text(svg(make()) + "\n", encoding="utf-8")
