# SPDX-License-Identifier: Apache-2.0
"""Writing small ONNX networks, a line a node, in any operator set."""

import numpy as np
from onnx import helper, numpy_helper

__all__ = ["QONNX", "Net"]

QONNX = "qonnx.custom_op.general"
MICROSOFT = ("FusedConv", "FusedGemm", "QuickGelu")


class Net:
    """Nodes and constants of a graph, in operator set `opset`; a call adds a node and gives its output's name.

    An operator of another domain is written "DOMAIN.NAME".
    """

    def __init__(self, opset=13, kind=np.float32):
        self.opset, self.kind = opset, kind
        self.nodes, self.tensors = [], []

    def __call__(self, operator, *inputs, output=None, **about):
        name = output or f"{operator.lower().replace('.', '_')}_{len(self.nodes)}"
        domain, _, operator = operator.rpartition(".")
        domain = "com.microsoft" if operator in MICROSOFT else domain
        self.nodes.append(helper.make_node(operator, inputs, [name], f"node_{name}", domain=domain, **about))
        return name

    def several(self, operator, outputs, *inputs, **about):
        """A node with so many outputs; the first one's name."""
        names = [f"{operator.lower()}_{len(self.nodes)}_{at}" for at in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, f"node_{names[0]}", **about))
        return names[0]

    def constant(self, value, kind=None):
        """A constant of numbers: in the network's type unless `kind` is another."""
        array = np.asarray(value).astype(kind or self.kind)
        self.tensors.append(numpy_helper.from_array(array, f"number_{len(self.tensors)}"))
        return self.tensors[-1].name

    def along(self, operator, x, axes, since, **about):
        """A node with axes, which are an input from operator set `since` on and an attribute before."""
        if self.opset >= since:
            return self(operator, x, self.constant(axes, np.int64), **about)
        return self(operator, x, axes=axes, **about)

    def mean(self, x, axes, keepdims=1):
        """ReduceMean."""
        return self.along("ReduceMean", x, axes, 18, keepdims=keepdims)

    def clip(self, x, low=None, high=None):
        """Clip; an end that is None is open."""
        if self.opset >= 11:
            return self("Clip", x, *(("" if end is None else self.constant(end)) for end in (low, high)))
        return self("Clip", x, **{name: float(end) for name, end in (("min", low), ("max", high)) if end is not None})

    def reshape(self, x, *shape):
        """Reshape to constant numbers."""
        return self("Reshape", x, self.constant(shape, np.int64))

    def model(self, inputs, outputs):
        """The ModelProto; `inputs` and `outputs` map names to shapes."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.kind))
        values = [[helper.make_tensor_value_info(name, kind, shape) for name, shape in ends.items()]
                  for ends in (inputs, outputs)]
        graph = helper.make_graph(self.nodes, "network", *values, self.tensors)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1),
                  helper.make_opsetid("ai.onnx.ml", 3)]
        opsets += [helper.make_opsetid(QONNX, 1)] if any(node.domain == QONNX for node in self.nodes) else []
        model = helper.make_model(graph, opset_imports=opsets)
        model.ir_version = min(model.ir_version, 10)
        return model
