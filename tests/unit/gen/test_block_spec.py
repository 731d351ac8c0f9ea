# SPDX-License-Identifier: Apache-2.0
"""From options to a job: defaults, shapes from files, and that only what should decides the hardware."""

import numpy as np
import pytest

from tests.conftest import weights
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.options import BlockOptions, VerilogOptions
from tiled_se.gen.simulation import _by_tile
from tiled_se.golden.block import DataFormat, FloatBlock
from tiled_se.golden.reference import squeeze_excite
from tiled_se.hdl.config import ConfigError, Context, DataType, Gate, GateKind, Mid, Order, Tiling
from tiled_se.hdl.data_type import UINT8
from tiled_se.hdl.parameters import stream_words


def prepared(**more):
    return prepare(BlockOptions(k=3, width=6, channels=12, **more))


def hardware(job):
    """All that decides what is built and what is loaded into it."""
    return job.config, stream_words(job.config, job.quantised.parameters)


class TestPrepare:
    @pytest.mark.parametrize("more", [dict(height=50), dict(frames=5), dict(stall=0.5), dict(waves=True),
                                      dict(sim="icarus"), dict(out="elsewhere")])
    def test_data_and_run_leave_the_hardware_alone(self, more):
        assert hardware(prepared(**more)) == hardware(prepared())

    def test_seed_changes_weights_and_data(self):
        first, second = prepared(), prepared(seed=2)
        assert (first.quantised.w1 != second.quantised.w1).any()
        assert (first.frames() != second.frames()).any()
        assert (first.frames() == prepared().frames()).all()

    def test_more_frames_begin_with_the_fewer(self):
        assert (prepared(frames=3).frames()[:2] == prepared().frames()).all()

    def test_defaults(self):
        job = prepared()
        assert job.config.loadable
        assert (job.config.lanes, job.config.squeeze, job.config.operand_bits) == (6, 3, 18)
        assert job.frames().shape == (2, 6, 6, 12)
        assert job.frames().dtype == np.int8
        assert (job.format.scale, job.format.zero_point) == (1 / 16, 0)

    def test_uint8(self):
        job = prepared(dtype="uint8")
        assert job.frames().dtype == np.uint8
        assert job.format.zero_point == 128

    def test_shape_from_files(self, npz):
        job = prepare(BlockOptions(k=2, weights=npz("w.npz", **weights()), input=npz("x.npz", x=np.ones((3, 4, 5, 8)))))
        shape = job.shape
        assert (shape.frames, shape.height, shape.width, shape.channels, shape.squeeze) == (3, 4, 5, 8, 2)
        assert not job.config.loadable
        assert job.baked is job.quantised.parameters

    def test_loadable_with_weights(self, npz):
        job = prepare(BlockOptions(k=2, width=4, weights=npz("w.npz", **weights()), loadable=True))
        assert job.config.loadable
        assert job.config.operand_bits >= 18
        assert job.baked is None

    def test_options_may_repeat_the_file(self, npz):
        path = npz("w.npz", **weights(mid="silu", gate="hardsigmoid:0.2,0.5", residual=True))
        job = prepare(BlockOptions(width=4, weights=path))
        gate = Gate(GateKind.HARDSIGMOID, 0.2, 0.5)
        assert (job.config.mid, job.config.gate, job.config.residual) == (Mid.SILU, gate, True)
        again = prepare(BlockOptions(width=4, weights=path, mid=Mid.SILU, gate=gate, residual=True, channels=8))
        assert hardware(again) == hardware(job)

    def test_warnings_about_the_prior(self, npz):
        """A prior that the tiling doesn't count, and frames of which nothing else counts."""
        path = npz("w.npz", **weights(prior=np.zeros(8)))
        (ignored,) = prepare(BlockOptions(width=4, lanes=8, weights=path)).warnings
        assert ignored == (f"WEIGHTS={path} has a prior, which this block ignores, as it counts no rows of it: "
                           "CONTEXT=tile PRIOR=0")
        causal = {"context": Context.CAUSAL, "weights": path, "k": 3, "width": 4, "lanes": 8}
        assert prepare(BlockOptions(height=4, **causal)).warnings == []
        (alone,) = prepare(BlockOptions(height=3, **causal)).warnings
        assert alone.endswith("all of its gates come from the prior alone")
        # The hardware alone takes maps of any height.
        assert prepare(VerilogOptions(**causal | {"width": 3})).warnings == []
        assert prepare(VerilogOptions(height=3, **causal)).warnings == [alone]


class TestNumbers:
    """The formats of data, weights and outputs."""

    @pytest.mark.parametrize(("dtype", "scale", "zero"), [
        (None, 2**-4, 0), ("int2", 4, 0), ("uint4", 1, 8), ("int10", 2**-6, 0), ("uint16", 2**-12, 1 << 15)])
    def test_random_frames_span_the_same(self, dtype, scale, zero):
        """The integers of every type stand for -8 to 8, and random frames use them."""
        spec = prepared(dtype=dtype)
        data, real = spec.config.data, spec.format.dequantise(spec.frames())
        assert (spec.format.scale, spec.format.zero_point) == (scale, zero)
        assert spec.frames().dtype == data.numpy
        assert -8 <= real.min() <= -4
        assert 4 <= real.max() <= 8 or data.bits == 2

    @pytest.mark.parametrize(("residual", "scale"), [(False, 1 / 16), (True, 1 / 8)])
    def test_default_outputs(self, residual, scale):
        """They are the input's, or have twice its scale; saying so changes nothing."""
        spec = prepared(residual=residual, zero_point=5)
        assert spec.y_format == DataFormat(scale, 5)
        assert not spec.config.requantised
        assert hardware(prepared(residual=residual, zero_point=5, y_scale=scale, y_zero_point=5, y_dtype="int8")) == (
            hardware(spec))

    @pytest.mark.parametrize("loadable", [False, True])
    def test_own_outputs(self, loadable):
        spec = prepared(loadable=loadable, y_dtype="uint4", y_scale=0.25, y_zero_point=3)
        assert spec.y_format == DataFormat(0.25, 3, DataType(4, signed=False))
        config = spec.config
        assert (str(config.outputs), config.outputs_zero_point, config.ratio) == ("uint4", 3, 0.25)
        assert (config.requantised, config.rescales) == (True, loadable)

    def test_of_weights(self, npz):
        """The file's scale and zero point are the outputs'; options may repeat them."""
        path = npz("w.npz", **weights(y_scale=np.float32(0.02), y_zero_point=3))
        spec = prepare(BlockOptions(width=4, weights=path))
        assert spec.y_format == DataFormat(float(np.float32(0.02)), 3)
        again = prepare(BlockOptions(width=4, weights=path, y_scale=0.02, y_zero_point=3))
        assert again.y_format == DataFormat(0.02, 3)

    @pytest.mark.parametrize("more", [
        {}, dict(y_dtype="uint8"), dict(y_dtype="int12", y_zero_point=-9), dict(y_zero_point=100),
        dict(residual=True, y_dtype="int4"), dict(order=Order.COLUMNS), dict(context=Context.CAUSAL),
        dict(dtype="uint6", y_dtype="int6")])
    def test_auto(self, npz, more):
        """The float block's outputs fit, and the largest is at an end of the range."""
        x = np.random.default_rng(3).normal(0.5, 2, (2, 5, 4, 8))
        path = npz("w.npz", **weights(prior=np.full(8, 0.5, np.float32)))
        spec = prepare(BlockOptions(**dict(k=2, weights=path, input=npz("x.npz", x=x), y_scale="auto") | more))
        y = float_outputs(spec, path)
        data, steps = spec.y_format.data, spec.y_format.zero_point + y / spec.y_format.scale
        spare = 1e-9
        assert steps.min() >= data.low - spare
        assert steps.max() <= data.high + spare
        assert min(steps.min() - data.low, data.high - steps.max()) <= spare
        if "y_zero_point" not in more:
            # A zero point is an integer, which costs up to a step.
            assert data.steps - 1 <= (y.max() - y.min()) / spec.y_format.scale <= data.steps + 1e-9
        assert data == (DataType.parse(more["y_dtype"]) if "y_dtype" in more else spec.config.data)
        assert more.get("y_zero_point") in (None, spec.y_format.zero_point)

    def test_default_zero_point_may_be_no_output(self):
        with pytest.raises(ConfigError, match="^y_dtype=int8: needs a Y_ZERO_POINT: the input's, 128, is no int8$"):
            prepared(dtype="uint8", y_dtype="int8")

    @pytest.mark.parametrize(("more", "y_format"), [
        ({}, DataFormat(1 / 16, 0)), (dict(residual=True, zero_point=5), DataFormat(1 / 8, 5)),
        (dict(y_dtype="uint8"), DataFormat(1 / 16, 128, UINT8)),
        (dict(y_dtype="int4", y_zero_point=-3), DataFormat(8 / 5, -3, DataType(4))),
        (dict(dtype="uint4", zero_point=0, y_dtype="uint8"), DataFormat(15 / 255, 0, UINT8))], ids=str)
    def test_auto_without_frames(self, more, y_format):
        """The outputs of all integers fit: no random number decides the hardware, and no size of a frame."""
        assert prepared(y_scale="auto", **more).y_format == y_format
        spec = prepared(y_scale="auto", height=100, frames=9, seed=5, **more)
        assert spec.y_format == y_format
        assert hardware(prepare(VerilogOptions(k=3, width=6, channels=12, y_scale="auto", **more))) == hardware(
            prepared(y_scale="auto", **more))

    def test_auto_holds_frames_of_any_size(self):
        assert prepare(VerilogOptions(k=1, width=65536, channels=8, y_scale="auto")).y_format == DataFormat(1 / 16, 0)

    def test_auto_of_gates_that_are_0(self, npz):
        """The ratio of the scales has a limit."""
        path = npz("w.npz", **weights(w2=np.zeros((8, 2), np.float32), b2=np.full(8, -40, np.float32)))
        x = npz("x.npz", x=np.ones((4, 4, 8), np.float32))
        spec = prepare(BlockOptions(k=2, weights=path, input=x, y_scale="auto"))
        assert spec.config.ratio == 2.0**12

    @pytest.mark.parametrize(("dtype", "baked", "loadable"), [
        ("int2", 8, 12), ("int4", 10, 14), (None, 14, 18), ("int16", 22, 26)])
    def test_operands(self, dtype, baked, loadable):
        """No wider than the data need; loadable ones have room for other parameters."""
        assert [prepared(dtype=dtype, loadable=kind).config.operand_bits for kind in (False, True)] == [baked, loadable]

    @pytest.mark.parametrize(("bits", "largest"), [(2, 1), (4, 7), (8, 127)])
    def test_weight_bits(self, bits, largest):
        parameters = prepared(weight_bits=bits).quantised.parameters
        assert {int(np.abs(layer.weight).max()) for layer in (parameters.layer1, parameters.layer2)} == {largest}


def float_outputs(spec, weights_file):
    """What the block of the file gives in float64 on the frames of `spec`."""
    with np.load(weights_file) as file:
        arrays = {name: file[name] for name in ("w1", "b1", "w2", "b2", "prior")}
    block = FloatBlock(**arrays, residual=spec.config.residual)
    return np.stack([squeeze_excite(spec.format.dequantise(frame), block, spec.config) for frame in spec.frames()])


class TestTiling:
    @pytest.mark.parametrize("options", [
        dict(context=Context.CUMULATIVE, max_rows=9), dict(context=Context.CUMULATIVE, prior_rows=3),
        dict(context=Context.CAUSAL, prior_rows=2), dict(tile_width=4), dict(context=Context.WINDOW, window=(1, 2)),
        dict(order=Order.COLUMNS)])
    def test_is_the_options(self, options):
        tiling = BlockOptions(k=3, **options).tiling(6)
        assert {name: getattr(tiling, name) for name in options} == options

    @pytest.mark.parametrize(("context", "prior", "given", "rows"), [
        (Context.CAUSAL, False, None, 1), (Context.CAUSAL, True, None, 1), (Context.CAUSAL, True, 4, 4),
        (Context.CUMULATIVE, False, None, 0), (Context.CUMULATIVE, True, None, 1), (Context.CUMULATIVE, True, 0, 0),
        (Context.CUMULATIVE, False, 2, 2), (Context.TILE, True, 3, 0)])
    def test_rows_of_the_prior(self, context, prior, given, rows):
        assert BlockOptions(k=3, context=context, prior_rows=given).tiling(6, prior).prior_rows == rows

    @pytest.mark.parametrize("width", [6, 7, 65536])
    def test_a_tile_as_wide_as_the_map_is_a_strip(self, width):
        assert hardware(prepared(tile_width=width)) == hardware(prepared())

    @pytest.mark.parametrize(("tiling", "allowed"), [
        (dict(context=Context.CUMULATIVE), "at most 37 for means of 4096 rows of 1000"),
        (dict(context=Context.CAUSAL, max_rows=1000), "at most 39 for means of 1001 rows of 1000"),
        (dict(context=Context.WINDOW, window=(2, 60000)), "at most 33 for means of 60000 rows of 1000")])
    def test_operands_too_wide_for_the_means(self, tiling, allowed):
        """The option that was given is refused, not one that has its default."""
        with pytest.raises(ConfigError, match=f"^operand_bits=40: {allowed}$"):
            prepare(BlockOptions(k=1, width=1000, channels=4, operand_bits=40, **tiling))

    def test_a_bound_that_no_width_keeps(self):
        with pytest.raises(ConfigError, match="^error=0.500001: no operand width up to 40 bits keeps this for these "):
            prepare(BlockOptions(k=1, width=65, channels=4, context=Context.CUMULATIVE, error=0.500001))

    def test_columns_turn_the_map(self, npz):
        """H is the hardware's, W is free, and the stream has one column after the other."""
        x = np.arange(2 * 3 * 5 * 8).reshape(2, 3, 5, 8) % 251
        path = npz("x.npz", x_q=x.astype(np.uint8), x_scale=1 / 16, x_zero_point=0)
        spec = prepare(BlockOptions(k=2, input=path, order=Order.COLUMNS))
        assert (spec.shape.height, spec.shape.width, spec.config.width, spec.lines) == (3, 5, 3, 5)
        assert (spec.frames() == x).all()
        assert (spec.streamed(x)[1, 4, 2] == x[1, 2, 4]).all()
        assert (spec.streamed(spec.streamed(x)) == x).all()
        strips = prepare(BlockOptions(k=2, width=3, channels=8, dtype="uint8", zero_point=0))
        assert hardware(strips)[1][1:] == hardware(spec)[1][1:]
        assert spec.config.tiling == Tiling(k=2, order=Order.COLUMNS)

    @pytest.mark.parametrize(("given", "height", "width"), [
        (dict(height=4), 4, 4), (dict(width=5), 5, 5), (dict(height=4, width=5), 4, 5)])
    def test_columns_size(self, given, height, width):
        spec = prepare(BlockOptions(k=2, channels=8, order=Order.COLUMNS, **given))
        assert (spec.shape.height, spec.shape.width, spec.config.width) == (height, width, height)

    @pytest.mark.parametrize("tiling", [
        Tiling(k=2), Tiling(k=9), Tiling(k=2, tile_width=3), Tiling(k=1, tile_width=1), Tiling(k=2, tile_width=7),
        Tiling(k=2, context=Context.CAUSAL, prior_rows=1), Tiling(k=1, context=Context.WINDOW, window=(1, 2))])
    def test_outputs_by_tile(self, tiling):
        """Each piece's tile is that of its elements, and the pieces are the frame in the order of the stream."""
        lines, line = 5, 7
        rows, columns = np.mgrid[:lines, :line]
        band = rows // (lines if tiling.context is Context.WINDOW else tiling.k)
        width = tiling.tile_width or line
        expected = band * -(-line // width) + columns // width
        pieces, tiles = _by_tile(tiling, expected[..., None])
        assert (np.concatenate([piece.reshape(-1) for piece in pieces]) == expected.reshape(-1)).all()
        assert all((piece == tile).all() for piece, tile in zip(pieces, tiles, strict=True))
