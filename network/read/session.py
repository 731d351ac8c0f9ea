# SPDX-License-Identifier: Apache-2.0
"""onnxruntime sessions that also return tensors from inside the network."""

import typing
from collections.abc import Iterable

import numpy as np
import onnx

from .graph import copied

if typing.TYPE_CHECKING:
    import onnxruntime

__all__ = ["numpy_type", "open_session"]


def numpy_type(value: onnx.ValueInfoProto) -> np.dtype:
    """The numpy type of a tensor's elements."""
    return onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def open_session(model: onnx.ModelProto | bytes, taps: Iterable[str] = (),
                 threads: int | None = None) -> "onnxruntime.InferenceSession":
    """An InferenceSession on the CPU with the tensors `taps` as further outputs.

    `threads` are one for each core by default.
    """
    import onnxruntime

    model = onnx.ModelProto.FromString(model) if isinstance(model, bytes) else copied(model)
    present = {value.name for value in model.graph.output}
    # onnxruntime infers the types of outputs that declare none.
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(taps) if name not in present)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4
    # Each session has threads of its own: those that have nothing to do must not take another's cores.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
