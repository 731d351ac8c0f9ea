# SPDX-License-Identifier: Apache-2.0
"""The soak test itself: a few configurations, which are right; and planted faults, each of which it has to find."""

import collections
import copy
import dataclasses
import json
import re
from unittest import mock

import numpy as np
import pytest

from tests.helpers.blocks import quantised
from tests.helpers.measuring import InPlace
from tiled_se.cosim.build import BuildError
from tiled_se.hdl.config import ConfigError, Context
from tiled_se.verify.options import SoakOptions
from tiled_se.verify.soak import blocks, command, streaming
from tiled_se.verify.soak.blocks import BlockWithSets, draw
from tiled_se.verify.soak.judge import judge

BEATS = 12_000
CONFIGS = 3
SHAPE = dict(k=3, width=4, channels=8, squeeze=3, lanes=2, macs=3, zero_point=-20)


def options(**given):
    """Of `tiled-se soak`."""
    return SoakOptions(**dict(beats=CONFIGS * BEATS, builds=CONFIGS, seed=11, jobs=1) | given)


@pytest.fixture
def in_place(monkeypatch):
    """Soak without processes of its own."""
    monkeypatch.setattr(command, "Local", InPlace)


def small(loadable):
    """A small block, with two sets of parameters if it is loadable."""
    sets = [quantised(seed=seed, loadable=loadable, **SHAPE) for seed in ((1, 9) if loadable else (1,))]
    assert len({config.fingerprint for config, _ in sets}) == 1
    return BlockWithSets(sets[0][0], tuple(sets))


def test_a_few_configurations(in_place, monkeypatch, tmp_path, capsys):
    """Nothing is lost or wrong; what is finished is not done again; each can be repeated alone, to the same result."""
    assert command.soak(options(out=str(tmp_path)))
    found = json.loads((tmp_path / "soak.json").read_text())
    assert (found["lost"], found["wrong"], found["failed"]) == (0, 0, [])
    assert found["beats"] >= CONFIGS * BEATS
    assert [result["number"] for result in found["results"]] == list(range(CONFIGS))
    contexts = found["by_context"]
    assert sum(sums["beats"] for sums in contexts.values()) == found["beats"]
    assert {name: sums["blocks"] for name, sums in contexts.items()} == collections.Counter(
        "patches" if result["config"]["tile_width"] else result["config"]["context"] for result in found["results"])
    assert len(contexts) > 1
    for event in ("cut frames", "doubled tlast", "loads", "bad loads", "resets in mid stream"):
        assert found["counts"][event] > 0, event
    stalls = [(run["stall_in"], run["stall_out"]) for result in found["results"] for run in result["runs"]]
    assert stalls.count((0, 0)) == CONFIGS
    assert len(set(stalls)) > 3 * CONFIGS
    out = capsys.readouterr().out
    assert re.search(r"lost +0\nwrong +0\n", out)

    with monkeypatch.context() as changed:
        changed.setattr(command, "stream_through", None)
        assert command.soak(options(out=str(tmp_path)))
    assert json.loads((tmp_path / "soak.json").read_text()) == found

    assert command.soak(options(only=("1",), out=str(tmp_path)))
    again = json.loads((tmp_path / "only.json").read_text())
    assert again["results"] == found["results"][1:2]
    assert (tmp_path / "only-1" / "tiled_se.v").exists()


def test_draws_are_of_every_kind():
    """Among 160 blocks are those whose control is special, every number format, and no two are alike."""
    blocks = [draw(1, number) for number in range(160)]
    assert len({str(block) for block in blocks}) == 160
    configs = [block.config for block in blocks]
    for name in ("loadable", "residual", "requantised", "rescales"):
        assert {getattr(c, name) for c in configs} == {True, False}
    assert {c.data.signed for c in configs} == {True, False}
    assert {c.data.bits for c in configs} == {c.outputs.bits for c in configs} == set(range(2, 17))
    assert {c.weight_bits for c in configs} == set(range(2, 9))
    assert {c.multiplier_bits for c in configs} > {16, 18, 24}
    least = {int(layer.weight.min()) - block.config.least_weight for block in blocks for _, values in block.sets
             for layer in (values.layer1, values.layer2)}
    assert 0 in least
    assert {c.groups for c in configs} > {1, 2, 3, 4, 5}
    assert len({c.mid for c in configs}) == 5
    assert len({c.operand_bits for c in configs}) > 10
    for wanted in (lambda c: c.tile_words == 1, lambda c: c.tile_words > 2000, lambda c: c.slack == 0,
                   lambda c: c.macs > c.channels, lambda c: c.groups > 512, lambda c: 32 < c.groups <= 512,
                   lambda c: c.squeeze > 512, lambda c: 32 < c.squeeze <= 512, lambda c: c.k == c.width == 1,
                   lambda c: c.macs == 1 and c.channels > 4, lambda c: c.width == 1 and c.k > 1,
                   lambda c: c.context is Context.CUMULATIVE and not c.prior_rows,
                   lambda c: c.context is Context.CUMULATIVE and c.prior_rows and c.k == 1,
                   lambda c: c.context is Context.CAUSAL and c.slack == 0, lambda c: c.max_rows < c.k,
                   lambda c: c.tiles_across > 1 and c.k == 1, lambda c: c.banded and c.loadable,
                   lambda c: c.banded and c.columns != c.last_columns, lambda c: c.banded and c.slack == 0,
                   lambda c: c.context is Context.CAUSAL and c.loadable and c.k == 1,
                   lambda c: c.window is not None and c.window[0]):
        assert any(map(wanted, configs))
    assert str(draw(1, 17)) == str(blocks[17])
    assert str(draw(2, 17)) != str(blocks[17])


@pytest.fixture(scope="module")
def judged():
    """Script and result of a run that is right, without stalls, through a small loadable block."""
    seen = []
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(streaming, "draw", lambda seed, number: small(True))
        changed.setattr(streaming, "RUNS", 1)
        changed.setattr(streaming, "judge", lambda *given: seen.append(given) or judge(*given))
        assert not streaming.stream_through(1, 0, 4000)["faults"]
    (script, result, stalled), = seen
    assert not stalled
    return script, result


def test_judge_looks_at_status_bits(judged):
    """Each bit of each kind, wrong in a single look, shows; so do beats that an unloaded block takes."""
    script, result = judged
    for look in script.looks:
        for bit in ("loaded", "load_error", "frame_error"):
            if look.moving if bit == "frame_error" else getattr(look, bit) is None:
                continue
            snapshots = copy.deepcopy(result.snapshots)
            snapshots[look.name][f"status_{bit}"] ^= 1
            faults = judge(script, dataclasses.replace(result, snapshots=snapshots), False).faults
            assert any(fault.startswith(f"look {look.name}: status_{bit} is") for fault in faults), (look, bit)
    look = next(look for look in script.looks if look.as_before)
    snapshots = copy.deepcopy(result.snapshots)
    snapshots[look.name]["accepted"] += 1
    faults = judge(script, dataclasses.replace(result, snapshots=snapshots), False).faults
    assert f"look {look.name}: a block without parameters has accepted a beat" in faults


def test_judge_counts_what_is_lost_and_wrong(judged):
    """A beat that is missing, other data, other parameters' data, another number of cycles, another peak."""
    script, result = judged
    sections = copy.deepcopy(result.sections)
    number = next(number for number, section in enumerate(script.sections) if section.complete)
    sections[number]["delivered"] -= 1
    verdict = judge(script, dataclasses.replace(result, sections=sections), False)
    assert (verdict.lost, len(verdict.faults)) == (1, 1)
    sections = copy.deepcopy(result.sections)
    number = next(number for number, section in enumerate(script.sections) if section.timed)
    sections[number]["total"] += 1
    assert "predicted" in judge(script, dataclasses.replace(result, sections=sections), False).faults[0]
    assert not judge(script, dataclasses.replace(result, sections=sections), True).faults

    sent = [(section, one) for section in script.sections for one in section.sent]
    for number, (section, one) in enumerate(sent):
        if one.first == one.last < len(section.loads) and len(result.outputs[number]) > 1:
            others = [script.pool.expected(one.sample, which) for which in (0, 1)]
            other = others[1 - section.loads[one.first]][:len(result.outputs[number])]
            if not np.array_equal(other, result.outputs[number]):
                break
    outputs = [other if n == number else output for n, output in enumerate(result.outputs)]
    verdict = judge(script, dataclasses.replace(result, outputs=outputs), False)
    assert verdict.wrong == (other != result.outputs[number]).any(axis=1).sum()
    assert len(verdict.faults) == 1


def module_changed(verilog, module, pattern, replacement, count=1):
    """`verilog` with `pattern` replaced in a module, which must be found so often (None: at all)."""
    start = verilog.index(f"module \\tiled_se.{module} (")
    end = verilog.index("endmodule", start)
    text, found = re.subn(pattern, replacement, verilog[start:end])
    assert found == count or (count is None and found), found
    return verilog[:start] + text + verilog[end:]


def one_more(match):
    """A hexadecimal constant, and one."""
    return f"{match[1]}{int(match[2], 16) + 1:0{len(match[2])}x}"


# Faults by the arguments of module_changed. The tile buffer takes a word more than it has.
OVERFULL_BUFFER = "tile_buffer", r"(= level == \d+'h)(?!0*1;)([0-9a-f]+)", one_more
# The scale FIFO, which has room for two tiles' gates, takes those of a third one.
THREE_TILES_OF_GATES = "scale_fifo", r"(assign free = .* != 2'h)(2)", one_more
# Where in its tile a beat stands is not forgotten in a reset.
POSITION_SURVIVES_RESET = "ingress.position", r"= rst \?", "= 1'h0 ?", None


def parameters_survive_reset(verilog):
    """A loadable block that was loaded stays so in a reset."""
    written = re.search(r"loaded <= (_\d+_);", verilog)[1]
    return module_changed(verilog, "loader", rf"(assign {written} =) rst \?", r"\1 1'h0 ?")


def cut_frames_unnoticed(verilog):
    """A misplaced tlast doesn't show."""
    return module_changed(verilog, "ingress", r"(    error <=) \w+;", r"\1 1'h0;")


def wrapped(verilog, behaviour, changed=("m_axis_tdata", "m_axis_tvalid", "m_axis_tlast")):
    """The block inside of a module between whose `changed` ports and the block's own, inner_NAME, is `behaviour`."""
    body = verilog[verilog.index("module tiled_se ("):]
    body = body[:body.index("endmodule")]
    ports = {name: f"{direction} {width or ''}{name}" for direction, width, name in re.findall(
        r"^  (input|output) wire (\[\d+:0\] )?(\w+),?  //", body, re.M)}
    inner = ", ".join(f".{name}({'inner_' if name in changed else ''}{name})" for name in ports)
    wires = "".join(f"  wire {ports[name].split(' ', 1)[1].replace(name, f'inner_{name}')};\n" for name in changed)
    return (verilog.replace("module tiled_se (", "module tiled_se_inner (") +
            f"\nmodule tiled_se({', '.join(ports.values())});\n{wires}  tiled_se_inner inner({inner});\n"
            f"{behaviour}\nendmodule\n")


COUNT = """
  reg [11:0] count = 0;
  wire moves = inner_m_axis_tvalid & m_axis_tready;
  always @(posedge clk) if (moves) count <= count + 1;
"""


def tlast_dropped(verilog):
    """One tlast in some hundreds doesn't come."""
    return wrapped(verilog, COUNT + """
  assign m_axis_tvalid = inner_m_axis_tvalid, m_axis_tdata = inner_m_axis_tdata;
  assign m_axis_tlast = inner_m_axis_tlast & (count[8:5] != 5);""")


def beat_dropped(verilog):
    """One beat in 4096 doesn't come."""
    return wrapped(verilog, COUNT + """
  assign m_axis_tvalid = inner_m_axis_tvalid & (count != 999), m_axis_tdata = inner_m_axis_tdata;
  assign m_axis_tlast = inner_m_axis_tlast;""")


def plant_into(monkeypatch, plant, loadable=False):
    """Have the soak build a small block with a fault, and stream through it without stalls and with strong ones."""
    generate = streaming.generate

    def faulty(*given):
        design = generate(*given)
        return dataclasses.replace(design, verilog=plant(design.verilog))

    monkeypatch.setattr(streaming, "generate", faulty)
    monkeypatch.setattr(streaming, "draw", lambda seed, number: small(loadable))
    monkeypatch.setattr(streaming, "RUNS", 2)
    monkeypatch.setattr(streaming, "_stalls", lambda rng: (0.2, 0.9))


@pytest.mark.parametrize(("plant", "loadable", "found"), [
    *((lambda verilog, change=change: module_changed(verilog, *change), False, "wrong")
      for change in (OVERFULL_BUFFER, THREE_TILES_OF_GATES, POSITION_SURVIVES_RESET)),
    (parameters_survive_reset, True, "status_loaded is 1"),
    (cut_frames_unnoticed, False, "status_frame_error is 0"),
    (tlast_dropped, False, "m_axis_tlast is missing"),
])
def test_planted_faults(plant, loadable, found, monkeypatch):
    plant_into(monkeypatch, plant, loadable)
    result = streaming.stream_through(1, 0, 6000)
    assert result["faults"]
    if found == "wrong":
        assert result["wrong"] > 0
    else:
        assert any(found in fault for fault in result["faults"]), result["faults"]


def test_a_fault_fails_the_command(in_place, monkeypatch, tmp_path, capsys):
    """It ends in False, tells what was lost, and how to see it again; the next run does it once more."""
    plant_into(monkeypatch, beat_dropped)
    given = options(builds=1, beats=6000, out=str(tmp_path))
    for _ in range(2):
        assert command.soak(given) is False
        assert not list((tmp_path / "configurations").glob("*.json"))
        out = capsys.readouterr().out
        assert re.search(r"^lost +[1-9]", out, re.M)
        assert re.search(r"^failed +configuration 0: run 0: hang", out, re.M)
        assert re.search(r"^repeat +tiled-se soak --seed 11 --beats 6000 --builds 1 --only 0$", out, re.M)


@pytest.mark.parametrize("text", ["3", "-1", "1.0", "one", "\u0661", "0000000011", "9" * 5000])
def test_a_number_that_is_no_configuration(text, tmp_path):
    with pytest.raises(ConfigError, match=f"^only={text}: must be the number of a configuration, less than BUILDS=3$"):
        command.soak(options(only=("1", text), out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_a_block_that_cannot_be_built(in_place, monkeypatch, tmp_path):
    """Where a tool is missing nothing was tested: that is no result."""
    monkeypatch.setattr(command, "stream_through", mock.Mock(side_effect=BuildError("no compiler")))
    with pytest.raises(BuildError, match="^no compiler$"):
        command.soak(options(out=str(tmp_path)))
    assert not (tmp_path / "soak.json").exists()


def test_blocks_that_are_all_refused(in_place, monkeypatch, tmp_path):
    """That is a fault of ours, not of a tool: each is told."""
    monkeypatch.setattr(command, "stream_through", mock.Mock(side_effect=ConfigError("k", 7, "is not wanted")))
    assert command.soak(options(out=str(tmp_path))) is False
    found = json.loads((tmp_path / "soak.json").read_text())
    assert list(found["without_result"]) == ["0", "1", "2"]
    assert "is not wanted" in found["without_result"]["0"]


def test_beats_that_are_missing(in_place, monkeypatch, tmp_path, capsys):
    few = dict(number=0, block="", config={"context": "tile", "tile_width": None}, runs=[], beats=BEATS - 1,
               cycles=9, lost=0, wrong=0, redraws=2, faults=[], counts={})
    monkeypatch.setattr(command, "stream_through", lambda seed, number, *_: few | {"number": number})
    assert command.soak(options(out=str(tmp_path))) is False
    assert re.search(r"^failed +35,997 beats came out, of 36,000$", capsys.readouterr().out, re.M)
    assert json.loads((tmp_path / "soak.json").read_text())["redraws"] == 6


@pytest.mark.parametrize(("option", "raised"), [("error_lsb", False), ("lanes", True)])
def test_blocks_that_are_not_drawn(option, raised, monkeypatch):
    """Only where no width keeps the error bound another block is drawn, which is counted; all else is a fault."""
    drawn = mock.Mock(wraps=blocks._draw, side_effect=[ConfigError(option, 1, "no"), mock.DEFAULT])
    monkeypatch.setattr(blocks, "_draw", drawn)
    if raised:
        with pytest.raises(ConfigError, match="^lanes=1"):
            draw(1, 3)
    else:
        assert draw(1, 3).redraws == 1
