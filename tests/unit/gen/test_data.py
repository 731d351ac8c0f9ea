# SPDX-License-Identifier: Apache-2.0
"""WEIGHTS and INPUT files: what is taken, and that anything else is refused in a line."""

import io
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

from tests.conftest import weights
from tiled_se.gen.data import input_bytes, load_input, load_weights, weights_bytes, weights_of
from tiled_se.gen.options import BlockOptions
from tiled_se.golden.block import DataFormat, FloatBlock
from tiled_se.hdl.config import ConfigError, DataType, Gate, GateKind, Mid

HOLDS = "must hold float w1 (CR, C), b1 (CR), w2 (C, CR) and b2 (C)"
INPUT_HOLDS = "must hold float x, or integer x_q with x_scale and x_zero_point"


def refused(load, path, *more):
    """The text of the ConfigError that naming `path` ends in."""
    with pytest.raises(ConfigError) as caught:
        load(path, *more)
    assert caught.value.value == path
    assert caught.value.option == ("weights" if load is load_weights else "input")
    return caught.value.allowed


def x_q(values, **more):
    """Arrays of an integer INPUT."""
    return dict(x_q=np.asarray(values).reshape(1, 1, -1), x_scale=0.5, x_zero_point=0) | more


class TestWeights:
    def test_arrays_are_float64(self, npz):
        arrays = weights()
        loaded = load_weights(npz("w.npz", **arrays))
        for name, array in arrays.items():
            assert loaded.arrays[name].dtype == np.float64
            assert (loaded.arrays[name] == array).all()
        assert (loaded.mid, loaded.gate, loaded.residual) == (None, None, None)

    @pytest.mark.parametrize(("name", "value", "expected"), [
        ("mid", "relu", Mid.RELU), ("mid", "swish", Mid.SILU), ("mid", "none", Mid.IDENTITY),
        ("gate", "sigmoid", Gate()), ("gate", "hardsigmoid", Gate(GateKind.HARDSIGMOID)),
        ("gate", "hardsigmoid:0.2,0.5", Gate(GateKind.HARDSIGMOID, 0.2, 0.5)),
        ("gate", b"sigmoid", Gate()), ("gate", ["sigmoid"], Gate()),
        ("residual", True, True), ("residual", False, False), ("residual", 1, True), ("residual", 0, False)])
    def test_functions(self, npz, name, value, expected):
        found = getattr(load_weights(npz("w.npz", **weights(**{name: value}))), name)
        assert (found, type(found)) == (expected, type(expected))

    @pytest.mark.parametrize(("change", "message"), [
        (dict(w1=np.zeros((2, 9))), "w2 is [8, 2], must have the shape [9, 2] beside w1's [2, 9]"),
        (dict(b1=np.zeros((2, 1))), "b1 is [2, 1], must have the shape [2] beside w1's [2, 8]"),
        (dict(w1=np.zeros(8)), "w1 is [8], must have the shape [CR, C]"),
        (dict(w1=np.zeros((0, 8))), "w1 is [0, 8], must have the shape [CR, C]"),
        (dict(w2=np.zeros((8, 2), int)), "w2 is int64; must be float32"),
        (dict(w2=np.full((8, 2), "a")), "w2 is <U1; must be float32"),
        (dict(w2=np.zeros((8, 2), complex)), "w2 is complex128; must be float32"),
        (dict(b2=np.full(8, np.nan)), "b2 has NaN or infinite values; all must be finite"),
        (dict(b2=np.full(8, -np.inf)), "b2 has NaN or infinite values; all must be finite"),
        (dict(b2=np.full(8, 1e39)), "b2 is not finite, must hold finite float32 numbers only"),
        (dict(prior=np.zeros(7)), "prior is [7], must have the shape [8] beside w1's [2, 8]"),
        (dict(prior=np.zeros((8, 1))), "prior is [8, 1], must have the shape [8] beside w1's [2, 8]"),
        (dict(prior=np.zeros(8, int)), "prior is int64; must be float32"),
        (dict(prior=np.full(8, np.nan)), "prior has NaN or infinite values; all must be finite"),
        (dict(mid="tanh"), "mid is 'tanh': must be one of relu, relu6, silu, hardswish, identity"),
        (dict(mid=3), "mid is int64[]; must be one string"),
        (dict(gate=["sigmoid", "sigmoid"]), "gate is <U7[2]; must be one string"),
        (dict(gate="hardsigmoid:0,0"), "gate is 'hardsigmoid:0,0': a hard sigmoid's slope must be from 1e-6 to 1e6"),
        (dict(residual=2), "residual must be one bool"),
        (dict(residual="yes"), "residual must be one bool"),
        (dict(y_scale=0.0), "y_scale is 0; must be a positive number"),
        (dict(y_scale=-0.5), "y_scale is -0.5; must be a positive number"),
        (dict(y_scale=np.nan), "y_scale is float64[]; must be one finite number"),
        (dict(y_scale=[0.5, 0.5]), "y_scale is float64[2]; must be one finite number"),
        (dict(y_scale="auto"), "y_scale is <U4[]; must be one finite number"),
        (dict(y_zero_point=0.5), "y_zero_point is 0.5; must be an integer"),
    ])
    def test_refused(self, npz, change, message):
        assert refused(load_weights, npz("w.npz", **(weights() | change))) == message

    def test_outputs(self, npz):
        """Scale and zero point of the outputs may be missing."""
        loaded = load_weights(npz("w.npz", **weights(y_scale=np.float32(0.5), y_zero_point=np.int8(-3))))
        assert (loaded.y_scale, loaded.y_zero_point) == (0.5, -3)
        assert isinstance(loaded.y_zero_point, int)
        loaded = load_weights(npz("w.npz", **weights()))
        assert (loaded.y_scale, loaded.y_zero_point) == (None, None)

    def test_prior(self, npz):
        """It may be missing, and is kept by what a block's file is written from."""
        path = npz("w.npz", **weights(prior=np.arange(8, dtype=np.float32)))
        loaded = load_weights(path)
        assert (loaded.arrays["prior"] == np.arange(8)).all()
        assert loaded.arrays["prior"].dtype == np.float64
        assert "prior" not in load_weights(npz("without.npz", **weights())).arrays

    @pytest.mark.parametrize("prior", [None, np.arange(8)])
    def test_of_a_block(self, tmp_path, prior):
        block = FloatBlock(**weights(), prior=prior, mid=Mid.SILU)
        path = tmp_path / "w.npz"
        path.write_bytes(weights_bytes(block))
        loaded, made = load_weights(str(path)), weights_of(block)
        assert loaded.arrays.keys() == made.arrays.keys() == weights().keys() | (set() if prior is None else {"prior"})
        assert all((made.arrays[name] == array).all() for name, array in loaded.arrays.items())
        assert (loaded.mid, made.mid) == (Mid.SILU, Mid.SILU)

    def test_steps_and_outputs_of_a_block(self, tmp_path):
        """Those of weights that are integers, and the format to which a network quantises the output."""
        block = FloatBlock(*(np.ones(shape) for shape in ((2, 3), 2, (3, 2), 3)), w1_step=[0.5, 1], w2_step=[1, 0.5, 1])
        y_format = DataFormat(0.25, 7, DataType(4, signed=False))
        path = tmp_path / "weights.npz"
        path.write_bytes(weights_bytes(block, y_format))
        for found in (load_weights(str(path)), weights_of(block, y_format)):
            assert (found.y_scale, found.y_zero_point) == (0.25, 7)
            np.testing.assert_array_equal(found.arrays["w1_step"], [0.5, 1])
            np.testing.assert_array_equal(found.arrays["w2_step"], [1, 0.5, 1])

    def test_missing_arrays(self, npz):
        assert refused(load_weights, npz("w.npz", b1=np.zeros(2))) == f"lacks w1, w2, b2; {HOLDS}"


class TestHostileFiles:
    def test_nothing_is_unpickled(self, npz):
        path = npz("w.npz", **weights(b2=np.array([{}], object)))
        assert refused(load_weights, path) == "b2 holds Python objects, which are never read"

    @pytest.mark.parametrize(("path", "text"), [
        ("w.npz", "there is no such file"), (".", "is not a regular file"), ("/dev/zero", "is not a regular file")])
    def test_no_file(self, tmp_path, path, text):
        assert refused(load_weights, str(tmp_path / path)) == f"{text}; must be an .npz file"

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no", b"\x93NUMPY\x01\x00", b"\0" * 1000,
                                         pickle.dumps({"w1": 1})])
    def test_garbage(self, tmp_path, content):
        path = tmp_path / "w.npz"
        path.write_bytes(content)
        assert refused(load_weights, str(path)).startswith("is damaged or no .npz file (")

    def test_every_truncation(self, tmp_path, npz):
        whole = pathlib.Path(npz("whole.npz", **weights())).read_bytes()
        path = tmp_path / "w.npz"
        for length in range(0, len(whole), 97):
            path.write_bytes(whole[:length])
            assert "\n" not in refused(load_weights, str(path))

    @staticmethod
    def declare(path, header, dtype="<f4"):
        """A file whose w1 has that header and 16 bytes of data."""
        file = io.BytesIO()
        np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": header})
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("w1.npy", file.getvalue() + bytes(16))
        return str(path)

    @pytest.mark.parametrize(("shape", "dtype"), [
        ((1 << 20, 1 << 20), "<f4"), ((1 << 62, 1 << 62), "<f4"), ((1 << 31,), "<f4"), ((100,), "<U100000000")])
    def test_declared_size_is_not_allocated(self, tmp_path, shape, dtype):
        path = self.declare(tmp_path / "w.npz", shape, dtype)
        assert refused(load_weights, path) == "w1 makes it larger than 4 GiB, the most that is read"

    def test_more_declared_than_there_is(self, tmp_path):
        path = self.declare(tmp_path / "w.npz", (100, 8))
        assert refused(load_weights, path).startswith("is damaged or no .npz file (")

    def test_negative_dimension(self, tmp_path):
        assert refused(load_weights, self.declare(tmp_path / "w.npz", (-1, 8))) == "w1 has the shape (-1, 8)"


class TestFloatInput:
    def test_calibrated_from_its_range(self, npz):
        x = np.linspace(-1, 3, 24, dtype=np.float32).reshape(2, 3, 4)
        loaded = load_input(npz("x.npz", x=x), BlockOptions())
        assert loaded.x.shape == (1, 2, 3, 4)
        assert loaded.x.dtype == np.int8
        assert (loaded.x.min(), loaded.x.max()) == (-128, 127)
        assert np.abs(loaded.format.dequantise(loaded.x) - x).max() <= loaded.format.scale

    @pytest.mark.parametrize("dtype", ["int2", "uint4", "int12", "uint16"])
    def test_other_types(self, npz, dtype):
        """The whole range of the type is used."""
        x, data = np.linspace(-1, 3, 24, dtype=np.float32).reshape(2, 3, 4), DataType.parse(dtype)
        loaded = load_input(npz("x.npz", x=x), BlockOptions(dtype=dtype))
        assert loaded.x.dtype == data.numpy
        assert loaded.format.data == data
        assert (loaded.x.min(), loaded.x.max()) == (data.low, data.high)
        assert np.abs(loaded.format.dequantise(loaded.x) - x).max() <= loaded.format.scale

    def test_uint8(self, npz):
        loaded = load_input(npz("x.npz", x=np.ones((2, 1, 2, 3))), BlockOptions(dtype="uint8"))
        assert loaded.x.dtype == np.uint8
        assert (loaded.x == 255).all()
        assert loaded.format.zero_point == 0

    @pytest.mark.parametrize(("low", "high", "zero"), [
        (-1, 3, 0), (-1, 3, -100), (0, 5, -128), (-5, 0, 127), (0, 0, 3)])
    def test_given_zero_point(self, npz, low, high, zero):
        x = np.linspace(low, high, 8).reshape(1, 2, 4)
        loaded = load_input(npz("x.npz", x=x), BlockOptions(zero_point=zero))
        assert loaded.format.zero_point == zero
        assert np.abs(loaded.format.dequantise(loaded.x[0]) - x).max() <= loaded.format.scale

    def test_zero_point_without_room(self, npz):
        path = npz("x.npz", x=np.array([[[-1.0, 1.0]]]))
        with pytest.raises(ConfigError, match="^zero_point=127: leaves no integers for numbers from -1 to 1$"):
            load_input(path, BlockOptions(zero_point=127))
        with pytest.raises(ConfigError, match="^zero_point=200: must be from -128 to 127$"):
            load_input(path, BlockOptions(zero_point=200))

    @pytest.mark.parametrize(("x_bits", "dtype", "expected"), [
        (4, None, "int4"), (12, None, "int12"), (5, "uint5", "uint5"), (12, "int12", "int12"), (None, None, "int8")])
    def test_bits(self, npz, x_bits, dtype, expected):
        """Those of the file tell the type, too: its integers are used up to the last one."""
        more = {} if x_bits is None else dict(x_bits=x_bits)
        loaded = load_input(npz("x.npz", x=np.linspace(0, 1, 4).reshape(1, 2, 2), **more), BlockOptions(dtype=dtype))
        data = DataType.parse(expected)
        assert loaded.format == DataFormat(1 / data.steps, data.low, data)
        assert (loaded.x.min(), loaded.x.max()) == (data.low, data.high)

    def test_bits_contradict(self, npz):
        x = np.ones((1, 2, 2))
        with pytest.raises(ConfigError, match="^dtype=int8: must have 4 bits, as x_bits of INPUT=.*x.npz says$"):
            load_input(npz("x.npz", x=x, x_bits=4), BlockOptions(dtype="int8"))
        assert refused(load_input, npz("y.npz", x=x, x_bits=17), BlockOptions()) == "x_bits is 17; must be from 2 to 16"

    @pytest.mark.parametrize("shape", [(0, 2, 2), (2, 2), (1, 1, 1, 2, 2), ()])
    def test_shape(self, npz, shape):
        assert refused(load_input, npz("x.npz", x=np.zeros(shape)), BlockOptions()) == (
            f"x has the shape {list(shape)}; must be (H, W, C) or (N, H, W, C)")


class TestIntegerInput:
    @pytest.mark.parametrize(("values", "zero", "dtype"), [
        (np.array([-3, 3], np.int8), 0, "int8"),
        (np.array([3, 4], np.uint8), 0, "uint8"),
        (np.array([-3, 3]), 0, "int8"),
        (np.array([3, 200]), 0, "uint8"),
        (np.array([3, 4]), 128, "uint8"),
        (np.array([3, 4]), -1, "int8"),
        (np.array([3, 4]), 0, "int8"),
    ])
    def test_signedness(self, npz, values, zero, dtype):
        loaded = load_input(npz("x.npz", **x_q(values, x_zero_point=zero)), BlockOptions())
        assert loaded.x.dtype == dtype
        assert (loaded.x.reshape(-1) == values).all()
        assert (loaded.format.scale, loaded.format.zero_point) == (0.5, zero)

    def test_dtype_decides_what_values_leave_open(self, npz):
        assert load_input(npz("x.npz", **x_q([3])), BlockOptions(dtype="uint8")).x.dtype == np.uint8

    @pytest.mark.parametrize(("stored", "values", "x_bits", "dtype", "expected"), [
        ("int8", [-8, 7], 4, None, "int4"), ("uint8", [0, 7], 4, None, "uint4"), ("int16", [-8, 7], 12, None, "int12"),
        ("uint16", [0, 7], 12, None, "uint12"), ("int64", [-8, 7], 16, None, "int16"),
        ("int64", [0, 65535], 16, None, "uint16"), ("uint16", [0, 7], 4, None, "uint4"),
        ("int8", [-8, 7], 4, "int4", "int4"), ("int8", [-8, 7], None, "int4", "int4"),
        ("int8", [0, 15], None, "uint4", "uint4"), ("int8", [-8, 7], None, "int12", "int12"),
        ("int64", [0, 15], None, "uint4", "uint4"), ("int16", [0, 15], None, "uint12", "uint12"),
        ("uint32", [0, 65535], None, "uint16", "uint16")])
    def test_type(self, npz, stored, values, x_bits, dtype, expected):
        """By DTYPE, or by x_bits and the type or the integers of the array."""
        more = {} if x_bits is None else dict(x_bits=x_bits)
        loaded = load_input(npz("x.npz", **x_q(np.array(values, stored), **more)), BlockOptions(dtype=dtype))
        assert str(loaded.format.data) == expected
        assert loaded.x.dtype == DataType.parse(expected).numpy
        assert (loaded.x.reshape(-1) == values).all()

    @pytest.mark.parametrize(("stored", "x_bits", "dtype", "message"), [
        ("int8", 4, "int8", "dtype=int8: must have 4 bits, as x_bits of INPUT="),
        ("int8", 4, "uint4", "dtype=uint4: must be int4, as x_q of INPUT="),
        ("uint16", 12, "int12", "dtype=int12: must be uint12, as x_q of INPUT="),
        ("int16", None, "uint16", "dtype=uint16: must be int16, as x_q of INPUT=")])
    def test_type_contradicts(self, npz, stored, x_bits, dtype, message):
        more = {} if x_bits is None else dict(x_bits=x_bits)
        with pytest.raises(ConfigError, match="^" + message):
            load_input(npz("x.npz", **x_q(np.array([1], stored), **more)), BlockOptions(dtype=dtype))

    def test_type_that_is_too_narrow(self, npz):
        """The line names what told the type."""
        assert refused(load_input, npz("x.npz", **x_q([0, 9])), BlockOptions(dtype="int4")) == (
            "x_q goes from 0 to 9; must fit int4, as DTYPE says")

    @pytest.mark.parametrize("dtype", ["int2", "uint4", "int12", "uint16"])
    def test_of_its_own_bytes(self, tmp_path, dtype):
        """What is written of integers is read as the same."""
        data = DataType.parse(dtype)
        x = np.array([data.low, data.high], data.numpy).reshape(1, 1, 1, 2)
        path = tmp_path / "x.npz"
        path.write_bytes(input_bytes(x, DataFormat(0.5, data.high, data)))
        loaded = load_input(str(path), BlockOptions())
        assert loaded.format == DataFormat(0.5, data.high, data)
        assert (loaded.x == x).all()

    @pytest.mark.parametrize(("arrays", "message"), [
        (dict(x=np.zeros((1, 1, 2), np.int8)), "x is int8; must be float32"),
        (dict(x=np.full((1, 1, 2), np.inf)), "x has NaN or infinite values; all must be finite"),
        (dict(y=np.zeros(1)), f"lacks x; {INPUT_HOLDS}"),
        (x_q([1], x=np.zeros((1, 1, 1))), f"has both x and x_q; {INPUT_HOLDS}"),
        (x_q([-1, 200]), "x_q goes from -1 to 200; must fit int8, or DTYPE or x_bits must tell another type"),
        (x_q([256]), "x_q goes from 256 to 256; must fit uint8, or DTYPE or x_bits must tell another type"),
        (x_q([-8, 8], x_bits=4), "x_q goes from -8 to 8; must fit int4, as x_bits says"),
        (x_q(np.array([16], np.uint8), x_bits=4), "x_q goes from 16 to 16; must fit uint4, as x_bits says"),
        (x_q([1], x_bits=17), "x_bits is 17; must be from 2 to 16"),
        (x_q([1], x_bits=4.5), "x_bits is 4.5; must be an integer"),
        (x_q([1], x_bits=[4, 4]), "x_bits is int64[2]; must be one finite number"),
        (x_q(np.array([1], np.int8), x_bits=4, x_zero_point=8), "x_zero_point is 8; must be from -8 to 7"),
        (x_q([1.0]), "x_q is float64; must be of an integer type"),
        (x_q([True]), "x_q is bool; must be of an integer type"),
        (x_q([1], x_scale=0.0), "x_scale is 0.0; must be from 2**-40 to 2**40"),
        (x_q([1], x_scale=-1.0), "x_scale is -1.0; must be from 2**-40 to 2**40"),
        (x_q([1], x_scale=np.nan), "x_scale is float64[]; must be one finite number"),
        (x_q([1], x_scale=[1.0, 2.0]), "x_scale is float64[2]; must be one finite number"),
        (x_q([1], x_zero_point=0.5), "x_zero_point is 0.5; must be an integer"),
        (x_q([1], x_zero_point=300), "x_zero_point is 300; must be from 0 to 255"),
        (dict(x_q=np.ones((1, 1, 1), int)), f"lacks x_scale, x_zero_point; {INPUT_HOLDS}"),
    ])
    def test_refused(self, npz, arrays, message):
        assert refused(load_input, npz("x.npz", **arrays), BlockOptions()) == message

    def test_contradictions(self, npz):
        path = npz("x.npz", **x_q(np.array([1], np.int8)))
        with pytest.raises(ConfigError, match="^dtype=uint8: must be int8, as x_q of INPUT=.*x.npz is$"):
            load_input(path, BlockOptions(dtype="uint8"))
        with pytest.raises(ConfigError, match="^zero_point=4: must be 0, as x_zero_point of INPUT=.*x.npz is$"):
            load_input(path, BlockOptions(zero_point=4))
