# SPDX-License-Identifier: Apache-2.0
"""What a block has to stand at every single cycle, beat or word: resets, misplaced tlast, bad streams of parameters.

After each of them the next good frame is right, and the status bits are as docs/design.md has them under "Errors".
"""

import dataclasses

import numpy as np
import pytest

from tests.cosim.test_cosim import built
from tests.cosim.test_soak import wrapped
from tests.helpers.blocks import quantised, random_frame
from tests.helpers.nightly import seldom
from tiled_se.cosim.build import build_simulation
from tiled_se.cosim.job import Drain, Frame, Hold, Idle, Load, Reset, Send, Snapshot
from tiled_se.cosim.run import simulate
from tiled_se.golden.integer import IntegerModel
from tiled_se.hdl.config import Context
from tiled_se.hdl.parameters import stream_words
from tiled_se.hdl.schedule import predict
from tiled_se.hdl.timing import Timing

SMALL = dict(k=3, width=4, squeeze=3, lanes=2, macs=3, zero_point=33)
LOADABLE = dict(k=3, width=4, channels=8, squeeze=3, lanes=2, macs=3, zero_point=-20, loadable=True)
BLOCKS = {
    "RAM": dict(SMALL, channels=8), "registers": dict(SMALL, channels=4), "loadable": LOADABLE,
    "cumulative": dict(SMALL, channels=8, context=Context.CUMULATIVE, k=1, max_rows=5),
    "causal": dict(LOADABLE, context=Context.CAUSAL, prior_rows=2, k=2, slack=0),
    "window": dict(SMALL, channels=4, context=Context.WINDOW, window=(1, 2)),
    "patches": dict(SMALL, channels=8, k=2, tile_width=3),
}
FLOWING, SINK_STALLS, SOURCE_STALLS = (0, 0), (0.1, 0.97), (0.9, 0.3)
# Cycles in which a word or a beat has had its effect.
SETTLE = 5


# Small blocks of the other kinds are reset, and end frames anywhere, in the regression, too.
@pytest.fixture(scope="module", params=seldom(BLOCKS, "RAM", "loadable", "causal", "patches"))
def block(request):
    """A block of each kind."""
    return built(**BLOCKS[request.param])


@pytest.fixture(scope="module", params=[name for name, shape in BLOCKS.items() if shape.get("loadable")])
def loadable(request):
    """A loadable one, and a second set of parameters for it."""
    shape = BLOCKS[request.param]
    return built(**shape), quantised(seed=9, **shape)[1]


def frames(block, heights, seed=1):
    """Whole frames, with what comes out."""
    return block.frames(heights, np.random.default_rng(seed))


def cut_frame(block, beats, seed=2):
    """A frame of any number of beats, with what comes out."""
    x = np.random.default_rng([seed, beats]).integers(-128, 128, (beats, block.config.lanes))
    y = IntegerModel(block.config, block.parameters).run_beats(x).y.numpy()
    return Frame(x.astype(np.int8), y.astype(np.int8))


def load(block):
    """Steps that load the block's own parameters, of a loadable one."""
    return (block.load(block.parameters),) if block.config.loadable else ()


def simulated(block, runs, stalls=FLOWING):
    """The result of `runs`, each from a reset on, which has to be right."""
    result = simulate(block.simulation, block.in_turn(runs, stall_in=stalls[0], stall_out=stalls[1]))
    assert result.ok, result.failures
    return result


def bits(snapshot):
    """Those of the status ports that are there: frame_error, then loaded and load_error."""
    names = ("status_frame_error", "status_loaded", "status_load_error")
    return tuple(snapshot[name] for name in names if name in snapshot)


def assert_empty(snapshots):
    """Shortly after a reset: no error, nothing loaded, nothing held, nothing taken."""
    for name, snapshot in snapshots.items():
        assert not any(bits(snapshot)), name
        assert (snapshot["status_peak_words"], snapshot["delivered"]) == (0, 0), name


@pytest.mark.parametrize("stalls", [FLOWING, SINK_STALLS], ids=str)
def test_reset_at_every_cycle(block, stalls):
    """From before a short run's first beat to behind its last one, for one cycle and for several."""
    lost = (*frames(block, (4,)), cut_frame(block, 5), *frames(block, (1,)))
    kept = frames(block, (1, 4), seed=3)
    cycles = predict(block.config, (4, 1, 1)).total_cycles + 20
    runs = [(Send(lost, wait=False), Idle(cycle), Reset(length), Idle(1), Snapshot(f"{length} after {cycle}"),
             *load(block), Send(kept), Drain(), Idle(SETTLE), Snapshot(f"{length} after {cycle}, behind"))
            for cycle in range(cycles) for length in (1, 3)]
    snapshots = simulated(block, runs, stalls).snapshots
    assert len(snapshots) == 4 * cycles
    behind = {name: snapshots.pop(name) for name in list(snapshots) if name.endswith("behind")}
    assert_empty(snapshots)
    for name, snapshot in behind.items():
        assert bits(snapshot) == ((0, 1, 0) if block.config.loadable else (0,)), name
        assert snapshot["delivered"] == sum(len(frame.beats) for frame in kept), name


def test_sources_that_go_on_in_reset(loadable):
    """Beats and words offered while rst is high, the first of which still sees tready, leave nothing behind."""
    block, _ = loadable
    names = "s_axis_tvalid", "w_axis_tvalid"
    text = wrapped(block.simulation.text, "".join(f"assign inner_{name} = {name} | rst;\n" for name in names), names)
    pushed = dataclasses.replace(block, simulation=build_simulation(text, block.simulation.top))
    lost, kept = frames(block, (4, 1)), frames(block, (1, 4), seed=3)
    cycles = predict(block.config, (4, 1)).total_cycles + 20
    words = len(stream_words(block.config, block.parameters))
    runs = [(Send(lost, wait=False), Idle(cycle), Reset(1 + cycle % 3), Idle(1), Snapshot(f"after {cycle}"),
             *load(block), Send(kept)) for cycle in range(cycles)]
    runs += [(block.load(block.parameters, wait=False), Idle(cycle), Reset(1 + cycle % 3), Idle(1),
              Snapshot(f"after {cycle} of loading"), *load(block), Send(kept)) for cycle in range(words + 5)]
    assert_empty(simulated(pushed, runs).snapshots)


def test_resets_follow_each_other(block):
    """A second reset at every cycle behind the first, while frames come in again at once."""
    lost, kept = frames(block, (3, 1)), frames(block, (4,), seed=3)
    cycles = Timing(block.config).output_latency + block.config.tile_words + 20
    runs = [(Send(lost, wait=False), Idle(40), Reset(1), *load(block), Send(lost, wait=False), Idle(cycle), Reset(1),
             Idle(cycle % 3), Reset(1), *load(block), Send(kept)) for cycle in range(cycles)]
    simulated(block, runs)


def test_reset_at_every_cycle_of_loading(loadable):
    """With a frame that waits and a bad stream before: neither error nor a word stays, and the next frame waits."""
    block, other = loadable
    frame, = frames(block, (4,))
    words = len(stream_words(block.config, other))
    foreign = np.array([0x12345678], np.uint32)
    runs = [(Load(foreign), Send((frame,), wait=False), block.load(other, wait=False), Idle(cycle), Reset(length),
             Send((frame,), wait=False), Idle(SETTLE), Snapshot(f"{length} after {cycle}"), *load(block))
            for cycle in range(words + 20) for length in (1, 2)]
    snapshots = simulated(block, runs).snapshots
    assert_empty(snapshots)
    assert not any(snapshot["accepted"] for snapshot in snapshots.values())


def test_tlast_at_every_position(block):
    """Early, late and, where whole rows go on, missing: once with a good frame behind, once with tlast doubled."""
    row, k = block.config.width * block.config.groups, block.config.k
    good, single = frames(block, (1, k + 1)), cut_frame(block, 1)
    lengths = range(1, (2 * k + 1) * row + 2)
    runs = []
    for frame in (cut_frame(block, beats) for beats in lengths):
        for doubled in (0, 1 + 2 * (len(frame.beats) % 2)):
            name = f"{len(frame.beats)} and {doubled}"
            runs.append((Send((frame, *doubled * (single,))), Drain(), Idle(SETTLE), Snapshot(name), Send(good)))
    for stalls in (FLOWING, SINK_STALLS, SOURCE_STALLS):
        snapshots = simulated(block, runs, stalls).snapshots
        assert len(snapshots) == 2 * len(lengths)
        for name, snapshot in snapshots.items():
            beats, doubled = map(int, name.split(" and "))
            assert snapshot["status_frame_error"] == int(beats % row > 0 or doubled > 0), name


def test_no_tlast_position_hurts_the_next(block):
    """The same without a reset in between: cut frames of every length, back to back and with good ones among them."""
    row = block.config.width * block.config.groups
    cut = [cut_frame(block, beats) for beats in range(1, 3 * row + 2)]
    order = np.random.default_rng(5).permutation(len(cut))
    good = frames(block, (1, 4, 2))
    mixed = [frame for i in order for frame in (cut[i], good[i % 3])]
    runs = [(Send((*cut, *cut[::-1], *(cut[i] for i in order), *mixed)),)]
    assert simulated(block, runs).status["status_frame_error"] == 1
    simulated(block, runs, SINK_STALLS)


def test_frame_error_rises_behind_its_beat(block):
    """In the next cycle, and not before."""
    beats = block.config.width * block.config.groups + 3
    # A block without slack takes the last beats when it has gates.
    cycles = beats + Timing(block.config).tile_latency + 10
    looks = [step for cycle in range(cycles) for step in (Snapshot(str(cycle)), Idle(1))]
    snapshots = simulated(block, [(Idle(SETTLE), Send((cut_frame(block, beats),), wait=False), *looks)]).snapshots
    errors = [snapshot["status_frame_error"] for snapshot in snapshots.values()]
    accepted = [snapshot["accepted"] for snapshot in snapshots.values()]
    assert errors == [0] + [int(count == beats) for count in accepted[:-1]]
    assert sum(errors) > 2


def bad_streams(block, parameters):
    """By name: all that must be refused."""
    words = np.array(stream_words(block.config, parameters), np.uint32)
    more = np.random.default_rng(6).integers(0, 1 << 32, 3 * len(words), np.uint32)
    streams = {f"cut to {count} words": words[:count] for count in range(1, len(words))}
    for surplus in (1, 2, 3, 50, len(words), len(more)):
        streams[f"{surplus} words too long"] = np.concatenate([words, more[:surplus]])
    for bit in (0, 13, 31):
        foreign = words.copy()
        foreign[0] ^= 1 << bit
        streams[f"foreign in bit {bit}"] = foreign
        streams[f"foreign in bit {bit}, of a word"] = foreign[:1]
        streams[f"foreign in bit {bit}, too long"] = np.concatenate([foreign, more])
    return streams


@pytest.mark.parametrize("stalls", [FLOWING, SOURCE_STALLS], ids=str)
def test_bad_streams(loadable, stalls):
    """Cut at every word, too long, foreign: refused, taken to their end; no beat gets in before a good stream."""
    block, other = loadable
    frame, = frames(block, (4,))
    after, = frames(block, (2,))
    streams = bad_streams(block, other)
    runs = [(Send((frame,)), Load(words), Send((after,), wait=False), Idle(30), Snapshot(name),
             block.load(block.parameters), Drain(), Idle(SETTLE), Snapshot(f"{name}: loaded"))
            for name, words in streams.items()]
    snapshots = simulated(block, runs, stalls).snapshots
    for name, words in streams.items():
        refused, loaded = snapshots[name], snapshots[f"{name}: loaded"]
        own = len(stream_words(block.config, block.parameters))
        assert (bits(refused), bits(loaded)) == ((0, 0, 1), (0, 1, 1)), name
        assert (refused["loaded"], loaded["loaded"]) == (own + len(words), 2 * own + len(words)), name
        assert refused["accepted"] == len(frame.beats), name


def test_streams_back_to_back(loadable):
    """Without a pause between them: a bad one and a good one, two good ones, three; the last counts."""
    block, other = loadable
    x = random_frame(block.config, 4, np.random.default_rng(7))
    old, new = (Send((block.frame(x, parameters),)) for parameters in (block.parameters, other))
    good = block.load(other, wait=False)
    runs = [(old, Drain(), Load(words, wait=False), good, Drain(), Idle(SETTLE), Snapshot(name), new)
            for name, words in bad_streams(block, block.parameters).items()]
    snapshots = simulated(block, runs).snapshots
    assert {bits(snapshot) for snapshot in snapshots.values()} == {(0, 1, 1)}
    own = block.load(block.parameters, wait=False)
    runs = [(old, Drain(), *loads, Drain(), Idle(SETTLE), Snapshot(str(number)), new)
            for number, loads in enumerate([(own, good), (good, good), (good, own, good)])]
    snapshots = simulated(block, runs).snapshots
    assert [bits(snapshot) for snapshot in snapshots.values()] == 3 * [(0, 1, 0)]


def test_a_stream_without_end(loadable):
    """Of every length: it is taken, nothing else is, until a reset makes the block as new."""
    block, other = loadable
    frame, = frames(block, (4,))
    words = np.array(stream_words(block.config, other), np.uint32)
    endless = np.concatenate([words, words, words])
    counts = [*range(1, len(words) + 8), len(endless)]
    runs = [(Send((frame,)), Load(endless[:count], tlast_at=-1), Send((frame,), wait=False), Idle(30),
             Snapshot(str(count)), Reset(1), Idle(1), Snapshot(f"reset behind {count}"), block.load(block.parameters),
             Send((frame,))) for count in counts]
    snapshots = simulated(block, runs).snapshots
    for count in counts:
        seen = snapshots.pop(str(count))
        # That it doesn't end where it should shows with the word that should be its last.
        assert bits(seen) == (0, 0, int(count >= len(words))), count
        assert seen["accepted"] == len(frame.beats), count
    assert_empty(snapshots)


@pytest.mark.parametrize("stall_out", [0, 0.9])
def test_streams_in_mid_frame(loadable, stall_out):
    """Offered at every cycle of a frame: the frame is all of the old parameters, the next one of the new ones."""
    block, other = loadable
    x = random_frame(block.config, 4, np.random.default_rng(8))
    old, new = (block.frame(x, parameters) for parameters in (block.parameters, other))
    cycles = predict(block.config, (4,)).total_cycles + 10
    runs = [(Idle(SETTLE), Send((old,), wait=False), Idle(cycle), block.load(other), Idle(SETTLE),
             Snapshot(f"{cycle}"), Send((new,))) for cycle in range(cycles)]
    snapshots = simulated(block, runs, (0, stall_out)).snapshots
    for cycle, snapshot in snapshots.items():
        # It waited for the frame's last output.
        assert (bits(snapshot), snapshot["delivered"]) == ((0, 1, 0), len(old.beats)), cycle


def test_a_frame_close_behind_a_stream(loadable):
    """Both come to an idle block, the frame some cycles later: all of it is of the old parameters, or of the new."""
    block, other = loadable
    # Its tile ends before a stream does that begins with it.
    x = random_frame(block.config, 1, np.random.default_rng(8))
    frame, *wanted = (block.frame(x, parameters) for parameters in (block.parameters, block.parameters, other))
    waits = range(12)
    runs = [(Idle(SETTLE), block.load(other, wait=False), Idle(wait), Send((Frame(frame.beats),)), Drain(),
             Send((wanted[1],))) for wait in waits]
    outputs = simulated(block, runs).outputs[::2]
    fits = [[np.array_equal(output, one.expected) for one in wanted] for output in outputs]
    # Where the stream was there first, it comes first.
    assert sorted(fits, reverse=True) == fits
    assert {tuple(fit) for fit in fits} == {(True, False), (False, True)}


@pytest.mark.parametrize("kind", ["cut to 1 words", "cut to 40 words", "1 words too long", "foreign in bit 0"])
def test_bad_streams_in_mid_frame(loadable, kind):
    """Offered at every cycle of a frame: it is delivered whole, and the next one waits for good parameters."""
    block, other = loadable
    x = random_frame(block.config, 4, np.random.default_rng(8))
    old, new = (block.frame(x, parameters) for parameters in (block.parameters, other))
    bad = bad_streams(block, other)[kind]
    cycles = predict(block.config, (4,)).total_cycles + 10
    runs = [(Idle(SETTLE), Send((old,), wait=False), Idle(cycle), Load(bad), Send((new,), wait=False), Idle(30),
             Snapshot(str(cycle)), block.load(other)) for cycle in range(cycles)]
    for cycle, snapshot in simulated(block, runs).snapshots.items():
        assert bits(snapshot) == (0, 0, 1), cycle
        assert (snapshot["accepted"], snapshot["delivered"]) == (len(old.beats), len(old.beats)), cycle


def test_load_waits_for_a_frame_that_pauses(loadable):
    """A frame stops between two tiles until all that came is delivered: a stream still has to wait for its end."""
    block, other = loadable
    config = block.config
    tile = config.tile_words
    x = random_frame(config, 2 * config.k, np.random.default_rng(13))
    steps = (Hold(tile), Send((block.frame(x),), wait=False), Idle(20 + 2 * tile + Timing(config).output_latency),
             Snapshot("paused"), block.load(other, wait=False), Idle(50), Snapshot("waiting"), Hold(None), Drain(),
             Send((block.frame(x, other),)))
    result = simulate(block.simulation, block.job(*steps))
    assert result.ok, result.failures
    assert result.snapshots["paused"]["delivered"] == tile
    assert result.snapshots["waiting"]["loaded"] == result.snapshots["paused"]["loaded"]
