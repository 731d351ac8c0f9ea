# SPDX-License-Identifier: Apache-2.0
"""Random command lines and damaged files: none does harm, and each option said is what is built."""

import contextlib
import dataclasses
import json

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.conftest import weights
from tiled_se.cli.commands import COMMANDS
from tiled_se.evaluate.networks import load_networks
from tiled_se.evaluate.sweep.plan import load_plan
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.fields import flag, text_of
from tiled_se.gen.options import BlockOptions, describe
from tiled_se.hdl.config import ConfigError

from . import examples, plan
from .contract import results_folder
from .files import ARRAYS, HEADER, MARK, NO_CHARACTERS, damaged, good_input, good_weights, pack, with_header
from .lists import HARDWARE, WRONG_TEXTS, WRONG_TOML, damaged_manifest
from .options import EVERY, formatted, options
from .sandbox import Line
from .strategies import BLOCK, damaged_lines, right, wrong

# Commands that end at once when they are right; those whose right lines take minutes are only given wrong ones.
QUICK = ("inspect", "swap")
FRAME = dict(x_q=np.zeros((2, 3, 4), np.int8), x_scale=1.0, x_zero_point=0)


def line(command, *words, verdict="right", blames=(), files=None, planned=False, **said):
    """A Line by hand: `words` as they stand, then the options `said`."""
    texts = [f"{flag(name)}={text}" for name, text in said.items()]
    return Line(command, (command, *words, *texts), said, files or {}, verdict, frozenset(blames), planned=planned)


def reading(option, content, message=None):
    """A Line that reads a file, which is right or must be refused with this message."""
    content = content if isinstance(content, bytes) else pack(content)
    return line("verilog", k="2", width="4", files={"f.npz": content}, verdict="wrong" if message else "right",
                planned=True, blames=[f"{option.upper()}=f.npz (--{option}): {message}"], **{option: "f.npz"})


def failing(line, message, **how):
    """The `line` where something can't be written, which the message must say."""
    return dataclasses.replace(line, verdict="wrong", blames=frozenset([message]), **how)


SMALL = line("verilog", k="2", width="4", channels="2", slack="0", planned=True)


@examples(40)
@given(line=right(BLOCK))
@example(line=SMALL)
def test_each_option_said_arrives(line, run):
    """Of a block's right lines; nothing else is read a second time here."""
    outcome = run(line)
    if outcome.status == 0 and line.stdout == "file":
        assert_arrived(line, outcome)


def assert_arrived(line, outcome):
    """What the options and files of `line` say is in its plan."""
    about, arrays = plan.read(results_folder(line, outcome))
    for name, text in line.said.items():
        if formatted(name) and text not in ("", "auto"):
            value = EVERY[name].convert(text)
            if name == "macs":
                # More would have nothing to work on.
                value = min(value, max(about["channels"], about["squeeze"]))
            value = str(value) if name == "gate" else getattr(value, "value", value)
            assert about[name] == json.loads(json.dumps(value)), name
    assert_files_arrived(line, outcome, arrays)


def assert_files_arrived(line, outcome, arrays):
    """Weights are the file's within half a step (and the rounding of a scale), data within one, or exactly."""
    if line.said.get("weights"):
        with np.load(outcome.work / line.said["weights"]) as file:
            for name in ("w1", "w2"):
                real = file[name].astype(float)
                largest = 2 ** (int(line.said.get("weight_bits") or 8) - 1) - 1
                step = np.abs(real).max(axis=1, keepdims=True) / largest
                # A row that is small beside the largest has fewer bits, or none.
                assert (np.abs(arrays[name] - real) <= np.where(step < step.max() / 128, np.inf, 0.51 * step)).all()
    if line.said.get("input"):
        with np.load(outcome.work / line.said["input"]) as file:
            scale, zero, x_q = arrays["x_scale"], arrays["x_zero_point"], arrays["x_q"].reshape(-1)
            if "x_q" in file:
                assert (x_q == file["x_q"].reshape(-1)).all()
                assert (scale, zero) == (file["x_scale"], file["x_zero_point"])
            else:
                real = file["x"].astype(float).reshape(-1)
                assert (np.abs((x_q.astype(float) - zero) * scale - real) <= scale * (1 + 1e-9)).all()


@examples(12)
@given(line=right(BLOCK), other=st.sampled_from(BLOCK), data=st.data())
def test_the_same_hardware(line, other, data, run):
    """Whichever command is given the options, and whether or not one of them is its default spelt out."""
    assume(line.stdout == "file")
    outcome = run(line)
    assume(outcome.status == 0)
    folder = results_folder(line, outcome)
    first = [folder.joinpath(name).read_bytes() for name in plan.RESULTS]
    defaults = {name: text_of(about.default) for name, about in options(other).items()
                if about.default is not None and name not in line.said}
    name, text = data.draw(st.sampled_from(list(defaults.items())))
    again = dataclasses.replace(line, command=other, said=line.said | {name: text, "out": "again"}, arguments=(
        other, *line.arguments[1:], f"{flag(name)}={text}", "--out=again"))
    folder = run(again, again=True).work / "again"
    second = [folder.joinpath(name).read_bytes() for name in plan.RESULTS]
    assert json.loads(second[0]) == json.loads(first[0]) | {"out": "again"}
    assert second[1] == first[1]


@examples(70)
@given(line=wrong(tuple(COMMANDS)))
@example(line=line("verilog", k="2", width="4", channels="4", out="a/" + "x" * 256, verdict="wrong", blames=["OUT="]))
def test_what_is_wrong_is_refused(line, run):
    run(line)


@examples(45)
@given(line=damaged_lines(BLOCK))
@example(line=reading("weights", weights(mid=NO_CHARACTERS[-1]), "mid is damaged; must be one string"))
@example(line=reading("weights", weights(gate="g" * 100_000), "gate is "))
@example(line=reading("weights", weights(w1=ARRAYS["object"](np.zeros((1, 2)))), "w1 holds Python objects"))
@example(line=reading("weights", dict(w1=np.broadcast_to(np.float16(0), (1, (1 << 24) + 1))),
                      "w1 has the shape [1, 16777217]; may have 16777216 elements at most"))
# A header of Python 2, which numpy reads with a warning.
@example(line=reading("weights", with_header(weights(), "b1", HEADER.replace("SHAPE", "(2L,)"))))
# Numbers that float64 lacks.
@example(line=reading("input", FRAME | dict(x_scale=np.longdouble("1e4000")), "x_scale is "))
@example(line=reading("input", FRAME | dict(x_zero_point=np.longdouble("1e4000")), "x_zero_point is "))
def test_damaged_arrays(line, run):
    run(line)


@examples(400)
@given(data=st.data(), option=st.sampled_from(("weights", "input")))
def test_many_damaged_arrays(data, option, tmp_path, monkeypatch):
    """In this process, so that there are many: one exception, whatever a library raises, and nothing is unpickled."""
    monkeypatch.chdir(tmp_path)
    good = good_weights(data.draw, 4, 2, {"mid": "relu"}) if option == "weights" else good_input(
        data.draw, (2, 3, 4), data.draw(st.sampled_from((None, "int8"))))
    content, refused = damaged(data.draw, good)
    (tmp_path / "f.npz").write_bytes(content)
    with contextlib.suppress(ConfigError):
        prepare(BlockOptions(width=3, channels=4, **{option: str(tmp_path / "f.npz")}))
        assert not refused
    assert not (tmp_path / MARK).exists()


@examples(600)
@given(data=st.data())
def test_many_damaged_manifests(data, tmp_path):
    """In this process, so that there are many: one exception, which names the option; or the stream still fits."""
    path = tmp_path / "manifest.json"
    path.write_bytes(damaged_manifest(data.draw))
    own, refused = prepare(BlockOptions(**HARDWARE)), None
    try:
        spec = prepare(BlockOptions(**HARDWARE, hardware=str(path)))
    except ConfigError as error:
        refused = error
    if refused is None:
        assert spec.config.fingerprint == own.config.fingerprint
    else:
        assert refused.option == "hardware"
        assert "\n" not in describe(refused)


@pytest.mark.parametrize(("function", "text"), [
    *((load_plan, text) for text in WRONG_TOML), *((load_networks, text) for text in WRONG_TEXTS)],
    ids=lambda value: ascii(value)[:30] if isinstance(value, str) else value.__name__)
def test_wrong_lists(tmp_path, function, text):
    (tmp_path / "list").write_text(text)
    with pytest.raises(ConfigError) as found:
        function(str(tmp_path / "list"))
    assert len(str(found.value)) < 1000


@examples(15)
@given(line=damaged_lines((*QUICK, "sweep")))
def test_damaged_lists_and_networks(line, run):
    run(line)


@examples(6)
@given(line=right(QUICK))
def test_networks(line, run):
    run(line)


BARE = [Line("", arguments) for arguments in (("sim", "--help"), ("-h",), ("sim", "--k", "no", "--help"), ())] + [
    Line("", (text,), verdict="wrong", blames=frozenset(["COMMAND", "argument", "unrecognized"])) for text in (
        "--k", "--out=x", "-o", "--versio", "-x", "---", "--\u00e9", "--help=1", "simulate", "", " ", "SIM", "sim ",
        "ver\nilog", "\udcff", "\U0001f600", "x" * 9000, "0")]


NO_SPACE = "standard output can't be written: No space left on device"
# More than messages take, less than the files do.
ROOM = 1 << 14


@pytest.mark.parametrize("line", [
    *BARE, failing(Line("", ("--version",)), NO_SPACE, stdout="full"), failing(SMALL, NO_SPACE, stdout="full"),
    dataclasses.replace(SMALL, stdout="closed"),
    failing(line("verilog", k="2", width="4", channels="64", squeeze="64", planned=True),
            "can't be written: File too large", room=ROOM),
    failing(dataclasses.replace(SMALL, planned=False), "can't be written, for temporary files: File too large",
            room=ROOM),
], ids=repr)
def test_help_unknown_commands_and_full_disks(line, run):
    outcome = run(line)
    assert outcome.out.strip() or outcome.status
