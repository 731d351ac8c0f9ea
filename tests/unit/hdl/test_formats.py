# SPDX-License-Identifier: Apache-2.0
"""Types of data, and the formats that follow from them and from the ratio of the scales."""

import math

import pytest

from tiled_se.hdl.config import Config, ConfigError, Gate, GateKind
from tiled_se.hdl.data_type import INT8, UINT8, DataType

HARD = Gate(GateKind.HARDSIGMOID)


def config(**fields):
    return Config(**{"k": 2, "width": 3, "channels": 4, "squeeze": 2} | fields)


@pytest.mark.parametrize(("name", "low", "high", "offset", "numpy"), [
    ("int2", -2, 1, 0, "int8"), ("uint2", 0, 3, 2, "uint8"), ("int8", -128, 127, 0, "int8"),
    ("uint8", 0, 255, 128, "uint8"), ("int9", -256, 255, 0, "int16"), ("uint12", 0, 4095, 2048, "uint16"),
    ("int16", -32768, 32767, 0, "int16"), ("uint16", 0, 65535, 32768, "uint16")])
def test_data_type(name, low, high, offset, numpy):
    kind = DataType.parse(name)
    assert (str(kind), kind.low, kind.high, kind.offset, kind.numpy) == (name, low, high, offset, numpy)
    assert kind.steps == high - low
    assert (kind.as_signed.low, kind.as_signed.high) == (low - offset, high - offset)
    assert kind.as_signed.signed


def test_default_data_are_int8():
    assert (config().data, INT8, UINT8) == (DataType(8), DataType(8), DataType(8, signed=False))


@pytest.mark.parametrize(("bits", "lanes", "octets"), [
    (8, 3, 3), (4, 2, 1), (4, 3, 2), (2, 1, 1), (2, 5, 2), (12, 1, 2), (12, 3, 5), (16, 8, 16)])
def test_beats_are_whole_bytes(bits, lanes, octets):
    assert DataType(bits).beat_bytes(lanes) == octets


@pytest.mark.parametrize("name", ["int1", "int17", "uint0", "float8", "int08", "Int8", "int8 ", "int", "8", ""])
def test_other_names_are_refused(name):
    with pytest.raises(ConfigError) as error:
        DataType.parse(name, "y_dtype")
    assert str(error.value) == f"y_dtype={name}: must be int2 to int16 or uint2 to uint16"


@pytest.mark.parametrize("bits", [1, 17])
def test_other_widths_are_refused(bits):
    with pytest.raises(ConfigError, match=rf"^bits={bits}: must be from 2 to 16$"):
        DataType(bits)


@pytest.mark.parametrize(("fields", "message"), [
    ({"weight_bits": 1}, "weight_bits=1: must be from 2 to 8"),
    ({"weight_bits": 9}, "weight_bits=9: must be from 2 to 8"),
    ({"data": DataType(4), "zero_point": 8}, "zero_point=8: must be from -8 to 7"),
    ({"data": DataType(4, signed=False), "zero_point": -1}, "zero_point=-1: must be from 0 to 15"),
    ({"y_data": DataType(3), "y_zero_point": 4}, "y_zero_point=4: must be from -4 to 3"),
    # The input's zero point is the outputs', too, if they have none of their own.
    ({"zero_point": 100, "y_data": DataType(4)}, "y_zero_point=100: must be from -8 to 7"),
    ({"y_ratio": 0.0}, "y_ratio=0.0: must be from 2.32831e-10 to 4096 for int8 data"),
    ({"y_ratio": 5000.0}, "y_ratio=5000.0: must be from 2.32831e-10 to 4096 for int8 data"),
    ({"y_ratio": 4096.0, "residual": True}, "y_ratio=4096.0: must be from 2.32831e-10 to 2048 for int8 data"),
    ({"y_ratio": math.nan}, "y_ratio=nan: must be from 2.32831e-10 to 4096 for int8 data"),
    ({"data": DataType(16), "y_ratio": 17.0}, "y_ratio=17.0: must be from 2.32831e-10 to 16 for int16 data"),
    ({"loadable": True, "max_ratio": 5000.0}, "max_ratio=5000.0: must be from 2.32831e-10 to 4096 for int8 data"),
    ({"loadable": True, "max_ratio": math.nan}, "max_ratio=nan: must be from 2.32831e-10 to 4096 for int8 data"),
    ({"loadable": True, "max_ratio": 1.7, "y_ratio": 2.1},
     "y_ratio=2.1: must be from 2.32831e-10 to 2 for a max_ratio of 1.7"),
    ({"loadable": True, "max_ratio": 0.5}, "y_ratio=1.0: must be from 2.32831e-10 to 0.5 for a max_ratio of 0.5"),
    ({"max_ratio": 2.0}, "max_ratio=2.0: must be None for a block that is not loadable"),
    ({"data": DataType(16), "operand_bits": 17}, "operand_bits=17: must be from 18 to 44"),
    ({"data": DataType(9), "operand_bits": 45}, "operand_bits=45: must be from 11 to 44"),
    ({"operand_bits": 41}, "operand_bits=41: must be from 10 to 40")])
def test_bad_formats_are_refused(fields, message):
    with pytest.raises(ConfigError) as error:
        config(**fields)
    assert str(error.value) == message


@pytest.mark.parametrize("name", ["data", "y_data"])
def test_data_must_be_a_data_type(name):
    with pytest.raises(TypeError, match=f"{name}='int8': must be a DataType"):
        config(**{name: "int8"})


@pytest.mark.parametrize("residual", [False, True])
def test_default_outputs_are_no_format_of_their_own(residual):
    """Stating the default makes the same block."""
    plain = config(data=UINT8, zero_point=3, residual=residual)
    same = config(data=UINT8, zero_point=3, residual=residual, y_data=UINT8, y_zero_point=3,
                  y_ratio=0.5 if residual else 1)
    assert same == plain
    assert same.fingerprint == plain.fingerprint
    assert (plain.y_data, plain.y_zero_point, plain.y_ratio) == (None, None, None)
    assert not plain.requantised
    assert (plain.outputs, plain.outputs_zero_point, plain.ratio) == (UINT8, 3, 0.5 if residual else 1.0)
    for fields in ({"y_data": INT8}, {"y_zero_point": 4}, {"y_ratio": 0.7}):
        other = config(data=UINT8, zero_point=3, residual=residual, **fields)
        assert other.requantised
        assert other.fingerprint != plain.fingerprint


def test_signed_zero_points():
    block = config(data=UINT8, zero_point=3, y_data=DataType(4, signed=False), y_zero_point=15)
    assert (block.signed_zero_point, block.signed_outputs_zero_point) == (-125, 7)


@pytest.mark.parametrize(("fields", "precision", "logit_range"), [
    ({}, 8, 8), ({"residual": True}, 8, 8), ({"data": DataType(2)}, 2, 4), ({"data": DataType(4)}, 4, 8),
    ({"data": DataType(9)}, 9, 16), ({"data": DataType(16)}, 16, 16),
    ({"y_ratio": 2.0}, 9, 16), ({"y_ratio": 2.001}, 10, 16), ({"y_ratio": 0.5}, 7, 8), ({"y_ratio": 0.501}, 8, 8),
    ({"y_ratio": 1.0, "residual": True}, 9, 16), ({"y_ratio": 0.001}, 2, 4),
    # Ratios of scales that are float32 are powers of two but for their rounding.
    ({"y_ratio": 1 + 1e-7}, 8, 8), ({"y_ratio": 1 - 1e-7}, 8, 8), ({"y_ratio": 1 + 1e-5}, 9, 16),
    ({"y_ratio": 1 - 1e-5}, 8, 8), ({"y_ratio": 2 + 1e-7}, 9, 16), ({"y_ratio": 2 - 1e-7}, 9, 16),
    ({"y_ratio": 0.5 + 1e-7}, 7, 8), ({"y_ratio": 0.5 - 1e-7}, 7, 8), ({"y_ratio": 0.5 + 5e-8, "residual": True}, 8, 8),
    ({"data": DataType(16), "y_ratio": 1 + 9e-7}, 16, 16), ({"data": DataType(16), "y_ratio": 16 * (1 + 1e-7)}, 20, 32),
    ({"y_ratio": 0.3, "max_ratio": 3.0, "loadable": True}, 10, 16), ({"max_ratio": 2 + 1e-7, "loadable": True}, 9, 16),
    ({"data": DataType(16), "y_ratio": 16.0}, 20, 32)])
def test_precision(fields, precision, logit_range):
    """Bits of the largest output in steps, and the magnitude from which a sigmoid is 1 for all outputs."""
    block = config(**fields)
    assert (block.precision, block.logit_range) == (precision, logit_range)
    assert block.logit_frac == precision + 2
    # A sign, and magnitudes below the range.
    assert 2.0 ** (block.logit_bits - 1 - block.logit_frac) == logit_range
    assert 2**precision / (1 + math.exp(logit_range)) < 0.1


@pytest.mark.parametrize(("fields", "gate_frac", "gate_top"), [
    ({}, 12, 4096.0), ({"residual": True}, 12, 4096.0), ({"data": DataType(4)}, 8, 256.0),
    ({"y_ratio": 0.3}, 12, 0.3 * 4096), ({"y_ratio": 0.3, "residual": True}, 12, 0.6 * 4096),
    ({"y_ratio": 0.3, "loadable": True}, 12, 2048.0),
    ({"y_ratio": 0.3, "residual": True, "loadable": True}, 12, 4096.0),
    ({"y_ratio": 2.0, "loadable": True}, 12, 8192.0), ({"y_zero_point": 1, "loadable": True}, 12, 4096.0),
    ({"y_ratio": 0.3, "max_ratio": 3.0, "loadable": True}, 12, 16384.0),
    ({"max_ratio": 1.0, "loadable": True}, 12, 4096.0),
    ({"max_ratio": 1.0, "residual": True, "loadable": True}, 12, 8192.0),
    # Less than the narrowest table has.
    ({"data": DataType(2), "y_ratio": 0.1, "max_ratio": 0.2, "loadable": True}, 6, 64.0)])
def test_gates(fields, gate_frac, gate_top):
    """The largest gate is the ratio's; of a block that loads the ratio, it is the next power of two."""
    block = config(**fields)
    assert (block.gate_frac, block.gate_top) == (gate_frac, gate_top)
    assert block.rescales == ("loadable" in fields)
    assert 1 << (block.gate_bits - 1) <= round(gate_top) < 1 << block.gate_bits
    assert config(gate=HARD, **fields).logit_bits == block.gate_bits + 1


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("bits", [2, 8, 16])
def test_hardware_of_many_ratios(bits, residual):
    """All ratios up to the largest are of one hardware: 1 too, and outputs that have no other format of their own."""
    fields = {"data": DataType(bits), "residual": residual, "loadable": True}
    most = 1.0 if bits == 16 else 8.0
    hardware = config(**fields, y_ratio=0.7 * most)
    assert (hardware.largest_ratio, hardware.max_ratio) == (most, None)
    for ratio in (most, most * (1 + 1e-7), 1.0, 0.5, 1e-3 * most, 2.0**-32):
        block = hardware.with_ratio(ratio)
        assert (block.ratio, block.largest_ratio, block.fingerprint) == (ratio, most, hardware.fingerprint)
        assert (block.gate_top, block.gate_bits, block.factor_bits, block.requant_bits) == (
            hardware.gate_top, hardware.gate_bits, hardware.factor_bits, hardware.requant_bits)
        assert block.requantised
        assert block.rescales
    # Stating what is so anyway changes nothing.
    assert config(**fields, y_ratio=0.7 * most, max_ratio=0.8 * most) == hardware
    assert config(**fields, y_ratio=0.1 * most).fingerprint != hardware.fingerprint
    assert config(**fields).fingerprint != config(**fields, max_ratio=1.0).fingerprint
