# SPDX-License-Identifier: Apache-2.0
"""Parts of a job for one block: frames with their expected output, parameter streams, and the steps that start it."""

import dataclasses
import functools

import numpy as np

from ...cosim.job import Frame, Idle, Job, Load, Reset
from ...golden.integer import IntegerModel
from ...hdl.parameters import stream_words

__all__ = ["Stimulus"]

# The stages that the block has taps for.
_STAGES = ("sums", "means", "hidden", "logits", "gates")


class Stimulus:
    """Makes parts of jobs, and remembers what the block's stages compute for each frame.

    `parameters` are baked in, or loaded; `rng` draws the data, and `seed` the pauses.
    """

    def __init__(self, config, parameters, rng, seed):
        self.config, self.parameters, self.rng, self.seed = config, parameters, rng, seed
        self.row = config.width * config.groups
        # Beats of a row of a tile.
        self.segment = config.columns * config.groups
        self.model = IntegerModel(config, parameters)
        self._stages = {}

    def start(self):
        """The steps that bring a block from any state to waiting for frames."""
        return (Reset(), self.load(self.parameters)) if self.config.loadable else (Reset(),)

    def load(self, parameters, **options):
        """The step that loads `parameters`."""
        return Load(np.array(stream_words(self.config, parameters), np.uint32), **options)

    @functools.cached_property
    def other(self):
        """Other parameters of the same formats: (Parameters, IntegerModel).

        They have other zero points, another factor and another prior, where the block has them.
        """
        second = self.parameters.layer2
        turned = {field.name: getattr(second, field.name)[::-1].copy() for field in dataclasses.fields(second)}
        parameters = dataclasses.replace(self.parameters, layer2=dataclasses.replace(second, **turned),
                                         signed_zero_point=-1 - self.parameters.signed_zero_point)
        if parameters.signed_outputs_zero_point is not None:
            parameters = dataclasses.replace(parameters,
                                             signed_outputs_zero_point=-1 - parameters.signed_outputs_zero_point)
        if parameters.factor is not None:
            parameters = dataclasses.replace(parameters, factor=(2 << self.config.factor_bits) - 1 - parameters.factor)
        if parameters.prior is not None:
            elements = self.config.prior_rows * self.config.columns
            parameters = dataclasses.replace(parameters, prior=-elements - parameters.prior)
        return parameters, IntegerModel(self.config, parameters)

    def frame(self, x, model=None):
        """A Frame of `x`, an integer array (H, W, C), with the golden model's output."""
        return self._kept(x, (model or self.model).run(x))

    def random(self, height, model=None):
        """A Frame of `height` rows with random data."""
        shape = (height, self.config.width, self.config.channels)
        return self.frame(self._values(shape), model)

    def cut(self, beats):
        """A Frame of any number of beats with random data."""
        x = self._values((beats, self.config.lanes))
        return self._kept(x, self.model.run_beats(x))

    def _values(self, shape):
        return self.rng.integers(self.config.data.low, self.config.data.high + 1, shape)

    def _kept(self, x, stages):
        config = self.config
        frame = Frame.of(x, stages.y.numpy(), lanes=config.lanes, data=config.data, outputs=config.outputs)
        self._stages[frame] = {name: getattr(stages, name).numpy()[0] for name in _STAGES}
        return frame

    def stages(self, job):
        """What the block's stages compute for a job of such frames, as models with taps compare it."""
        return {name: [self._stages[frame][name] for frame in job.frames] for name in _STAGES}

    def job(self, *steps, stalls=(0, 0), idle=0):
        """A Job that starts the block, waits `idle` cycles, and does `steps` with these (source, sink) stalls."""
        pause = (Idle(idle),) if idle else ()
        return Job.of(self.config, (*self.start(), *pause, *steps), stall_in=stalls[0], stall_out=stalls[1],
                      seed=self.seed)
