# SPDX-License-Identifier: Apache-2.0
"""Parameter streams for a loadable block that exists: its manifest names it, and the stream fits it."""

import json

import numpy as np
import pytest

from tests.conftest import weights
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.manifest import manifest
from tiled_se.gen.options import BlockOptions, describe
from tiled_se.gen.verilog import Design
from tiled_se.golden.integer import IntegerModel
from tiled_se.golden.reference import squeeze_excite
from tiled_se.hdl.config import ConfigError, Context, Gate, GateKind, Mid, Order
from tiled_se.hdl.parameters import stream_words

SHAPE = dict(k=3, width=6, channels=8, loadable=True)
OUTPUTS = dict(y_dtype="uint8", y_zero_point=9)


def drawn(seed, **gains):
    """Arrays of a WEIGHTS file; some of them times a number."""
    rng = np.random.default_rng(seed)
    return {name: (rng.normal(size=array.shape) * gains.get(name, 1)).astype(np.float32)
            for name, array in weights().items()}


def with_steps(seed, **gains):
    """The same with weights that are integers times steps."""
    arrays = drawn(seed, **gains)
    for name in ("w1", "w2"):
        weight = arrays[name].astype(np.float64)
        steps = abs(weight).max(axis=1) / 128
        arrays |= {name: np.rint(weight / steps[:, None]).clip(-128, 127) * steps[:, None], f"{name}_step": steps}
    return arrays


@pytest.fixture
def made(npz, tmp_path):
    """Make hardware: its manifest's path, and its BlockSpec. The weights are loud, so that others fit."""
    def make(name="manifest.json", **more):
        spec = prepare(BlockOptions(**SHAPE | dict(weights=npz("first.npz", **drawn(1, w1=3, w2=3))) | more))
        (tmp_path / name).write_text(json.dumps(manifest(spec, Design("se", spec.config, "", (), (), ()), {})))
        return str(tmp_path / name), spec
    return make


def error_of(spec):
    """The largest distance of the integer model's outputs from float64, in steps."""
    x, config = spec.frames(), spec.config
    y = IntegerModel(config, spec.quantised.parameters).run(x).y.numpy()
    real = np.stack([squeeze_excite(frame, spec.quantised, config) for frame in spec.format.dequantise(x)])
    exact = spec.y_format.zero_point + real / spec.y_format.scale
    return np.abs(y - exact.clip(config.outputs.low, config.outputs.high)).max()


@pytest.mark.parametrize("more", [
    {}, dict(mid=Mid.SILU), dict(mid=Mid.HARDSWISH, gate=Gate(GateKind.HARDSIGMOID), residual=True),
    dict(dtype="int16", y_dtype="int16", mid=Mid.SILU), dict(context=Context.CAUSAL, dtype="uint5", zero_point=9)])
def test_streams_of_other_weights_and_scales_fit(made, npz, more):
    """From the largest ratio of the hardware down, 1 and what is default without it, too."""
    path, first = made(**OUTPUTS | more, y_scale=0.7 * prepare(BlockOptions(**SHAPE | more)).format.scale)
    step, most = first.format.scale, first.config.largest_ratio
    assert most == 2
    other = npz("other.npz", **drawn(2))
    for scale in (step / most, step / most / (1 + 1e-7), 0.7 * step, step, None, 2.3 * step, 1000 * step):
        spec = prepare(BlockOptions(**SHAPE | OUTPUTS | more | dict(weights=other, y_scale=scale, hardware=path)))
        assert spec.config.fingerprint == first.config.fingerprint
        words, its = (stream_words(one.config, one.quantised.parameters) for one in (spec, first))
        assert (words[0], len(words)) == (its[0], len(its))
        assert words[3:] != its[3:]
        assert spec.y_format.scale == (step * (2 if spec.config.residual else 1) if scale is None else scale)
        assert words[2] == round(step / spec.y_format.scale * (2 if spec.config.residual else 1)
                                 * 2 ** spec.config.gate_frac)
        assert error_of(spec) <= spec.quantised.error_bound_lsb <= 1
        # It is all of the hardware that is the same.
        for name in ("operand_bits", "hidden_frac", "segment_bits", "requant_bits", "precision", "gate_top", "macs"):
            assert getattr(spec.config, name) == getattr(first.config, name)


@pytest.mark.parametrize("dtype", ["int8", "uint16"])
def test_weights_with_steps(made, npz, dtype):
    """Hardware for them takes any others, too; other hardware has too narrow multipliers for them."""
    more = dict(dtype=dtype, y_scale=0.04 if dtype == "int8" else 1e-3)
    path, first = made(**more, weights=npz("stepped.npz", **with_steps(1, w1=3, w2=3)))
    others = {"stepped": npz("others.npz", **with_steps(3)), "plain": npz("plain.npz", **drawn(2))}
    for other in others.values():
        spec = prepare(BlockOptions(**SHAPE | more, weights=other, hardware=path))
        assert spec.config.fingerprint == first.config.fingerprint
        assert spec.config.shifts == first.config.shifts
        assert error_of(spec) <= spec.quantised.error_bound_lsb <= 1
    if dtype == "uint16":
        path, _ = made("narrow.json", **more)
        message = r"^hardware=.*: its multiplier_bits of 16 must be at least 30 to keep 1 LSB \(now [0-9.]+\)$"
        with pytest.raises(ConfigError, match=message):
            prepare(BlockOptions(**SHAPE | more, weights=others["stepped"], hardware=path))


def test_default_outputs_of_hardware_that_has_a_scale_of_its_own(made, npz):
    path, first = made(y_scale=0.04)
    spec = prepare(BlockOptions(**SHAPE, weights=npz("other.npz", **drawn(2)), hardware=path))
    assert spec.y_format == spec.format
    assert spec.config.fingerprint == first.config.fingerprint
    assert spec.quantised.parameters.factor == 1 << spec.config.gate_frac
    assert prepare(BlockOptions(**SHAPE)).config.fingerprint != first.config.fingerprint


@pytest.mark.parametrize(("dtype", "mid", "draw", "seed", "gain"), [
    ("int16", Mid.RELU, drawn, 1, 3), ("int16", Mid.SILU, drawn, 1, 3), ("int16", Mid.SILU, with_steps, 1, 3),
    # The largest ratio needs wider multipliers, and so a smaller table, than the smallest of the same power of two.
    ("int8", Mid.RELU, with_steps, 1, 16), ("int8", Mid.SILU, with_steps, 2, 9),
    ("uint4", Mid.SILU, with_steps, 2, 16)])
def test_ratios_of_the_same_power_of_two_need_no_name(made, npz, dtype, mid, draw, seed, gain):
    """The widths are those of the largest ratio, if that has any; OPERAND_BITS may say less."""
    more = dict(dtype=dtype, mid=mid, weights=npz("these.npz", **draw(seed, w1=gain, w2=gain)))
    step = prepare(BlockOptions(**SHAPE | more)).format.scale
    specs = []
    for ratio in (1.0001, 1.02, 1.4, 2 / 1.00001, 2.0):
        path, spec = made(**more, y_scale=step / ratio)
        specs.append(spec)
        # The hardware takes the ratios above its own, and far below.
        for other in (1e-3, 2.0):
            fitted = prepare(BlockOptions(**SHAPE | more, y_scale=step / other, hardware=path))
            assert fitted.config.fingerprint == spec.config.fingerprint
            assert fitted.quantised.error_bound_lsb <= 1
    assert len({spec.config.fingerprint for spec in specs}) == 1


def test_few_operand_bits_may_do_for_a_small_ratio(made):
    more = dict(dtype="int16")
    step = prepare(BlockOptions(**SHAPE | more)).format.scale
    bits = made(**more, y_scale=step / 1.02)[1].config.operand_bits
    assert made(**more, y_scale=step / 1.02, operand_bits=bits - 1)[1].config.operand_bits == bits - 1


def test_few_operand_bits_may_do_with_wider_multipliers(npz):
    """By default a baked block has a bit more, so that a DSP block takes its multipliers."""
    more = SHAPE | dict(loadable=False, dtype="uint4", mid=Mid.SILU, weights=npz("w.npz", **with_steps(2, w1=3, w2=3)))
    default = prepare(BlockOptions(**more)).config
    assert default.multiplier_bits <= 18
    fewer = prepare(BlockOptions(**more, operand_bits=default.operand_bits - 1)).config
    assert fewer.operand_bits == default.operand_bits - 1
    assert fewer.multiplier_bits > 18


def test_the_rounding_of_a_factor_has_room(made, npz):
    """The factor of the largest ratio is exact, and so its error may be less than that of a slightly smaller one."""
    more = dict(weights=npz("these.npz", **drawn(2)), y_dtype="uint8", y_zero_point=9)
    step = prepare(BlockOptions(**SHAPE | more)).format.scale
    exact = made(**more, y_scale=step / 2)[1]
    scale = step / (2 - 2.0**-exact.config.factor_bits)
    limit = exact.quantised.error_bound_lsb + 1e-3
    assert prepare(BlockOptions(**SHAPE | more, y_scale=scale)).quantised.error_bound_lsb > limit
    path, first = made(**more, y_scale=step / 2, error=limit)
    spec = prepare(BlockOptions(**SHAPE | more, y_scale=scale, error=limit, hardware=path))
    assert spec.config.fingerprint == first.config.fingerprint


def test_loadable_is_the_default(made, npz):
    path, first = made()
    shape = {name: value for name, value in SHAPE.items() if name != "loadable"}
    spec = prepare(BlockOptions(**shape, weights=npz("other.npz", **drawn(2)), hardware=path))
    assert spec.config.loadable
    assert spec.config.fingerprint == first.config.fingerprint


@pytest.mark.parametrize(("more", "message"), [
    (dict(k=2), "K=2 (--k): must be 3, as HARDWARE={path} has it"),
    (dict(macs=2), "MACS=2 (--macs): must be 8, as HARDWARE={path} has it"),
    (dict(mid=Mid.RELU), "MID=relu (--mid): must be silu, as HARDWARE={path} has it"),
    (dict(residual=True), "RESIDUAL=1 (--residual): must be 0, as HARDWARE={path} has it"),
    (dict(dtype="int4"), "DTYPE=int4 (--dtype): must be int8, as HARDWARE={path} has it"),
    (dict(weight_bits=4), "WEIGHT_BITS=4 (--weight-bits): must be 8, as HARDWARE={path} has it"),
    (dict(context=Context.WINDOW, window=(0, 2)),
     "CONTEXT=window (--context): must be tile, as HARDWARE={path} has it"),
    (dict(tile_width=2), "TILE_W=2 (--tile-width): must be none, as HARDWARE={path} has it"),
    (dict(y_dtype="uint4"), "Y_DTYPE=uint4 (--y-dtype): must be uint8, as HARDWARE={path} has it"),
    (dict(operand_bits=30), "OPERAND_BITS=30 (--operand-bits): must be {bits}, as HARDWARE={path} has it"),
    (dict(loadable=False), "LOADABLE=0 (--loadable): must be 1 for HARDWARE={path}"),
    (dict(y_scale=0.02), "Y_SCALE=0.02 (--y-scale): must be from 0.03125 to 2.68435e+08, as the input's step is 0.0625 "
                         "and HARDWARE={path} takes ratios up to 2"),
    # The ratio is too large, because the type is another one.
    (dict(dtype="int4", y_scale=0.04), "DTYPE=int4 (--dtype): must be int8, as HARDWARE={path} has it"),
    (dict(channels=4, weights=None), "C=4 (--channels): must be 8, as HARDWARE={path} has it"),
])
def test_what_does_not_fit_is_named(made, npz, more, message):
    path, first = made(**OUTPUTS, mid=Mid.SILU, y_scale=0.04)
    with pytest.raises(ConfigError) as error:
        prepare(BlockOptions(**SHAPE | OUTPUTS | dict(weights=npz("w.npz", **drawn(2)), mid=Mid.SILU,
                                                      hardware=path) | more))
    assert describe(error.value) == message.format(path=path, bits=first.config.operand_bits)


@pytest.mark.parametrize("mids", [(Mid.RELU, Mid.SILU), (Mid.HARDSWISH, Mid.IDENTITY)])
def test_another_mid_is_named_before_the_widths(made, npz, mids):
    """Widths of one mid may be illegal for another."""
    path, _ = made(mid=mids[0])
    with pytest.raises(ConfigError) as error:
        prepare(BlockOptions(**SHAPE, weights=npz("w.npz", **drawn(2), mid=mids[1].value), hardware=path))
    assert describe(error.value) == (f"MID={mids[1].value} (--mid): must be {mids[0].value}, as HARDWARE={path} has it")


def test_what_a_window_ignores_is_not_blamed(made, npz):
    more = dict(context=Context.WINDOW, window=(0, 2))
    path, first = made(**more)
    other = dict(weights=npz("w.npz", **drawn(2)), k=5, max_rows=9, hardware=path)
    assert prepare(BlockOptions(**SHAPE | more | other)).config.fingerprint == first.config.fingerprint
    with pytest.raises(ConfigError, match="^mid=silu: must be relu, as HARDWARE="):
        prepare(BlockOptions(**SHAPE | more | other, mid=Mid.SILU))


def test_multipliers_of_the_hardware_are_the_default(made, npz):
    """MACS=auto would follow from LANES, on which streams do not depend."""
    path, first = made(lanes=8)
    spec = prepare(BlockOptions(**SHAPE, lanes=1, weights=npz("w.npz", **drawn(2)), hardware=path))
    assert spec.config.fingerprint == first.config.fingerprint
    assert spec.config.macs == first.config.macs != prepare(BlockOptions(**SHAPE, lanes=1)).config.macs


def test_a_default_scale_that_is_too_fine(made, npz):
    path, first = made(y_scale=0.2)
    assert first.config.largest_ratio == 0.5
    message = (r"^hardware=.*: takes ratios of the scales up to 0.5, and that of the default Y_SCALE is 1; Y_SCALE "
               r"must be from 0.125 to 2.68435e\+08$")
    with pytest.raises(ConfigError, match=message):
        prepare(BlockOptions(**SHAPE, weights=npz("w.npz", **drawn(2)), hardware=path))
    with pytest.raises(ConfigError, match=r"^weights=.*: y_scale is 0.06; must be from 0.125 to "):
        prepare(BlockOptions(**SHAPE, weights=npz("w.npz", **drawn(2), y_scale=0.06), hardware=path))


@pytest.mark.parametrize(("name", "gain", "wrong"), [("w2", 300, "operand_bits"), ("w1", 1000, "hidden_frac")])
def test_weights_that_need_other_widths_are_refused(made, npz, name, gain, wrong):
    path, first = made(mid=Mid.SILU)
    loud = npz("w.npz", **drawn(2, **{name: gain}))
    with pytest.raises(ConfigError, match=rf"^hardware=.*: its {wrong} of {getattr(first.config, wrong)} must be at "):
        prepare(BlockOptions(**SHAPE, weights=loud, mid=Mid.SILU, hardware=path))


def test_weights_for_which_no_widths_are_enough_are_refused(made, npz):
    path, _ = made()
    with pytest.raises(ConfigError) as error:
        prepare(BlockOptions(**SHAPE, weights=npz("w.npz", **drawn(2, b2=1e30)), hardware=path))
    assert describe(error.value).startswith("ERROR=1 (--error): no widths keep this for these parameters (")


def test_hardware_without_a_format_of_the_outputs(made, npz):
    path, _ = made()
    with pytest.raises(ConfigError, match=r"^hardware=.*: loads no format of the outputs; Y_DTYPE, Y_SCALE and "):
        prepare(BlockOptions(**SHAPE, weights=npz("w.npz", **drawn(2)), hardware=path, y_scale=0.1))


def test_another_version(made, npz, tmp_path):
    path, _ = made()
    about = json.loads((tmp_path / "manifest.json").read_text())
    about["parameters"]["fingerprint"] = "01234567"
    (tmp_path / "manifest.json").write_text(json.dumps(about))
    with pytest.raises(ConfigError, match=r"^hardware=.*: has the fingerprint 01234567, its config [0-9a-f]{8}: "):
        prepare(BlockOptions(**SHAPE, weights=npz("first.npz", **drawn(2)), hardware=path))


def change(about, place, value):
    """`about`, a manifest, with another value in the `place`, or without it if the value is None."""
    *path, last = place
    inner = about
    for key in path:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return about


# What no manifest has in the place of a number, a name or a list, and what some have.
ODD = (None, "", "x", "int8", [], [1], [[0]] * 2, [[0] * 9] * 2, [[64], [0]], {}, {"0": 1}, True, 0, 1, -1, 2.5, 1e300,
       1 << 70, 10**400, float("nan"), float("inf"))


@pytest.mark.parametrize("more", [{}, dict(y_scale=0.04, mid=Mid.SILU), dict(
    context=Context.WINDOW, window=(1, 2), gate=Gate(GateKind.HARDSIGMOID), order=Order.COLUMNS, height=5)])
def test_a_config_of_a_manifest_is_checked(made, tmp_path, more):
    """Every field of it: the file is refused, or the field has no influence on streams."""
    path, first = made(**more)
    text = (tmp_path / "manifest.json").read_text()
    for name, stored in json.loads(text)["config"].items():
        for value in (*ODD, "missing"):
            about = json.loads(text)
            about["config"][name] = value
            if value == "missing":
                del about["config"][name]
            (tmp_path / "manifest.json").write_text(json.dumps(about))
            refused = None
            try:
                spec = prepare(BlockOptions(**SHAPE | more, hardware=path))
            except ConfigError as error:
                refused = error
            if refused is None:
                assert spec.config.fingerprint == first.config.fingerprint
                assert value == stored or {type(value), type(stored)} <= {int, float}, (name, value)
            else:
                assert refused.option == "hardware", (name, value)


def test_another_config_with_its_own_fingerprint_is_described_rightly(made, tmp_path):
    """What is said of a manifest of other hardware is about the options, and not about the file."""
    path, _ = made(k=4, mid=Mid.SILU)
    with pytest.raises(ConfigError, match="^k=3: must be 4, as HARDWARE=.* has it$"):
        prepare(BlockOptions(**SHAPE, hardware=path))


@pytest.mark.parametrize("text", [
    "", "{", "[]", "3", '"x"', "{}", '{"config": 3, "parameters": 4}', "\xff", "[" * 100000,
    *((place, value) for place in (("config", "operand_bits"), ("config", "max_ratio"), ("parameters", "fingerprint"))
      for value in (None, [1], {}, True)),
    (("config", "hidden_frac"), "3"), (("config", "requant_bits"), 27.0), (("parameters", "fingerprint"), 7),
    (("parameters",), {"kind": "baked"})])
def test_other_files_are_refused(made, npz, tmp_path, text):
    path, _ = made()
    if isinstance(text, tuple):
        text = json.dumps(change(json.loads((tmp_path / "manifest.json").read_text()), *text))
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as error:
        prepare(BlockOptions(**SHAPE, hardware=path))
    assert str(error.value) == f"hardware={path}: must be the manifest.json of a loadable block"
