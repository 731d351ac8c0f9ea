# SPDX-License-Identifier: Apache-2.0
"""Runs models as they are written: by onnxruntime, and by ONNX's own evaluator where onnxruntime lacks an operator."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnx.reference

from ..read.shapes import open_session

__all__ = ["CannotRun", "runner"]


class CannotRun(Exception):
    """A model can't be run; the text says why."""


def runner(model: onnx.ModelProto, tensors: Sequence[str], threads: int | None = None, fallback: bool = True
           ) -> Callable[[dict], list[np.ndarray]]:
    """A function that runs `model` on arrays by their names and returns those of `tensors`, on `threads` or all cores.

    Only with `fallback` it may be ONNX's evaluator. Raises CannotRun, as the function does.
    """
    try:
        session = open_session(model, taps=tensors, threads=threads, optimise=False)
    except Exception as error:  # onnxruntime raises exceptions of many types
        reason = _line(error)
        if not fallback:
            raise CannotRun(reason) from None
        try:
            session = onnx.reference.ReferenceEvaluator(model)
        except Exception:
            raise CannotRun(reason) from None

    def run(feeds):
        try:
            return session.run(list(tensors), feeds)
        except Exception as error:
            raise CannotRun(_line(error)) from None

    return run


def _line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
