# SPDX-License-Identifier: Apache-2.0
"""From options to a job: defaults, shapes from files, and that only what should decides the hardware."""

import numpy as np
import pytest

from tests.conftest import weights
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.options import BlockOptions
from tiled_se.hdl.config import Gate, GateKind, Mid
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
