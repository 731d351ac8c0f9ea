# SPDX-License-Identifier: Apache-2.0
"""Integers of every width in the bytes of tdata, and back."""

import numpy as np
import pytest

from tiled_se.cosim.job import Frame, Job, Send
from tiled_se.cosim.packing import pack, unpack
from tiled_se.cosim.scoreboard import Scoreboard
from tiled_se.hdl.data_type import DataType

TYPES = [DataType(bits, signed) for bits in range(2, 17) for signed in (False, True)]


@pytest.mark.parametrize("lanes", [1, 3, 5, 8, 13])
@pytest.mark.parametrize("data", TYPES, ids=str)
def test_round_trip(data, lanes):
    """Both directions, against one integer of arbitrary size for each beat."""
    rng = np.random.default_rng([data.bits, lanes])
    values = rng.integers(data.low, data.high + 1, (40, lanes))
    values[0], values[1] = data.low, data.high
    beats = pack(values, data)
    assert (beats.dtype, beats.shape) == (np.uint8, (40, data.beat_bytes(lanes)))
    for row, beat in zip(values.tolist(), beats, strict=True):
        whole = sum((value % 2**data.bits) << data.bits * lane for lane, value in enumerate(row))
        assert int.from_bytes(beat.tobytes(), "little") == whole
    assert np.array_equal(unpack(beats, data, lanes), values)


def test_none():
    assert pack(np.zeros((0, 5), np.int64), DataType(3)).shape == (0, 2)
    assert unpack(np.zeros((0, 2), np.uint8), DataType(3), 5).shape == (0, 5)


@pytest.mark.parametrize("data", [DataType(3), DataType(5, signed=False), DataType(12), DataType(15)], ids=str)
def test_padding_is_seen(data):
    """Each bit of the padding that is not 0 takes the last lane, and no other one, out of its range."""
    lanes = 3
    values = np.array([[data.low] * lanes, [data.high] * lanes])
    for bit in range(lanes * data.bits, 8 * data.beat_bytes(lanes)):
        beats = pack(values, data)
        beats[:, bit // 8] |= 1 << bit % 8
        got = unpack(beats, data, lanes)
        assert np.array_equal(got[:, :-1], values[:, :-1])
        assert (got[:, -1] > data.high).all()


@pytest.mark.parametrize(("value", "data"), [(4, DataType(3)), (-5, DataType(3)), (-1, DataType(8, signed=False)),
                                             (128, DataType(8)), (4096, DataType(12, signed=False))])
def test_out_of_range(value, data):
    with pytest.raises(ValueError, match=f"^{data}: values from .*; must be from {data.low} to {data.high}$"):
        pack(np.array([[value, 0][::1 if value > 0 else -1]]), data)


def test_widths_of_a_job():
    """Input and output may have types of their own; frames of other widths are refused, and so are other ports."""
    data, outputs = DataType(3), DataType(12, signed=False)
    x, y = np.full((2, 1, 5), -4), np.full((2, 1, 5), 4095)
    frame = Frame.of(x, y, lanes=5, data=data, outputs=outputs)
    assert (frame.beats.shape, frame.expected.shape) == ((2, 2), (2, 8))
    shape = dict(lanes=5, width=1, channels=5)
    job = Job(steps=(Send((frame,)),), data=data, outputs=outputs, **shape)
    assert np.array_equal(job.elements(frame.expected), y[:, 0])
    with pytest.raises(ValueError, match="^frames: 8 bytes a beat in expected; must be 2$"):
        Job(steps=(Send((frame,)),), data=data, **shape)
    job.check_ports({"s_axis_tdata": 16, "m_axis_tdata": 64})
    with pytest.raises(ValueError, match="^lanes=5 of uint12 are 64 bits: m_axis_tdata has 16$"):
        job.check_ports({"s_axis_tdata": 16, "m_axis_tdata": 16})


def test_job_is_read_as_it_was_written(tmp_path):
    data, outputs = DataType(3), DataType(12, signed=False)
    Job(steps=(), lanes=5, width=1, channels=5, data=data, outputs=outputs).save(tmp_path)
    again = Job.load(tmp_path)
    assert (again.data, again.outputs) == (data, outputs)


def test_scoreboard_names_lane_and_integers():
    data, lanes = DataType(3), 5
    y = np.arange(20).reshape(2, 2, 5) % 8 - 4
    frame = Frame.of(y, y, lanes=lanes, data=data)
    job = Job(steps=(), lanes=lanes, width=2, channels=5, data=data)
    lasts = np.array([0, 0, 0, 1], np.uint8)

    def found(change, unknown=None):
        beats = frame.expected.copy()
        change(beats)
        board = Scoreboard(job)
        board.expect([frame])
        board.close(beats, lasts, True, unknown)
        assert board.compared == 20
        return board.texts()

    def set_byte(beat, byte, bits):
        def change(beats):
            beats[beat, byte] ^= bits
        return change

    assert found(set_byte(0, 0, 0)) == []
    # Bits 3 to 5 are lane 1.
    assert found(set_byte(3, 0, 0b00101000)) == [
        "1 of 20 elements differ, the first in frame 0, row 1, column 1, channel 1: expected -4, got 1"]
    # Bit 15 is padding.
    assert found(set_byte(2, 1, 0x80)) == [
        "1 of 20 elements differ, the first in frame 0, row 1, column 0, channel 4: expected 2, got 10"]
    unknown = np.zeros((4, 2), np.uint8)
    unknown[1, 1] = 0x10
    assert found(set_byte(0, 0, 0), unknown) == [
        "1 of 20 elements differ, the first in frame 0, row 0, column 1, channel 4: expected -3, got X"]
