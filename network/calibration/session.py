# SPDX-License-Identifier: Apache-2.0
"""onnxruntime sessions that also give tensors from inside of the network."""

import onnx

__all__ = ["numpy_type", "open_session"]


def numpy_type(value):
    """The numpy type of a ValueInfoProto's elements."""
    return onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def open_session(model, taps=(), threads=None):
    """An InferenceSession on the CPU.

    Parameters
    ----------
    model : ModelProto or bytes
    taps : iterable of str
        Tensors that are outputs, too.
    threads : int, optional
        None for one on each core.
    """
    import onnxruntime

    if isinstance(model, bytes):
        model = onnx.ModelProto.FromString(model)
    else:
        model = _copy(model)
    present = {value.name for value in model.graph.output}
    # Without a type, which onnxruntime finds out.
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(taps) if name not in present)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _copy(model):
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied
