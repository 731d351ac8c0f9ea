# SPDX-License-Identifier: Apache-2.0
"""An ONNX network of which some tensors are computed by Python: it runs in segments between them."""

import dataclasses
import graphlib

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

__all__ = ["Hybrid"]


@dataclasses.dataclass(frozen=True)
class _Cut:
    """A step that is no node: `y` from `x`, by a function."""

    name: str
    x: str
    y: str


class Hybrid:
    """A network in onnxruntime, with a function of Python's in place of each cut.

    A cut is a pair of tensors (x, y): y is not computed by the network's own nodes, but from x by a function that
    :meth:`run` is given. Nodes that only the old y needed are not run.

    A tensor's level is the number of functions that are called, one after the other, before it is there. Nodes of one
    level are one onnxruntime session, which is made when it runs first: its inputs' element types are known then.

    Parameters
    ----------
    model : onnx.ModelProto
        Any network whose tensors between levels are dense; it must not be changed afterwards.
    cuts : dict of str to (str, str)
        Name to the names of x and y. Cuts may follow each other and lie in parallel branches; x may be read by nodes
        outside the cut, and either may be an output of the network.
    threads : int, optional
        Of onnxruntime, for one operator; None is as many as there are cores.

    Raises
    ------
    ValueError
        Where a cut names no tensor of the network, two cuts have the same y, a y is an input or a constant, or an x
        depends on its own y.
    """

    def __init__(self, model, cuts, *, threads=None):
        self._model, self._threads, graph = model, threads, model.graph
        self._outputs = [value.name for value in graph.output]
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._constants |= {node.output[0]: node for node in graph.node if _is_constant(node)}
        self._inputs = [value.name for value in graph.input if value.name not in self._constants]
        self._cuts = {name: _Cut(name, x, y) for name, (x, y) in cuts.items()}
        self._makers = {name: node for node in graph.node if not _is_constant(node) for name in node.output if name}
        self._check_cuts()
        self._levels = _levels(self._ordered_steps())
        self._last_use = {name: level for level, steps in enumerate(self._levels)
                          for step in steps for name in _reads(step)}
        self._last_use |= dict.fromkeys(self._outputs, len(self._levels))
        self._sessions = {}

    def run(self, inputs, functions, until=None):
        """The network's outputs.

        Parameters
        ----------
        inputs : dict of str to array
        functions : dict of str to callable
            By the name of a cut: takes x, an array in the network's own layout, as (N, C, H, W), and gives y, which is
            converted to the type of x.
        until : str, optional
            Name of a cut: the run ends as soon as its x is there, and gives nothing but that. Only the functions that
            are called before are needed.

        Returns
        -------
        dict of str to array
        """
        last = None if until is None else self._cuts[until].x
        values = {name: np.asarray(inputs[name]) for name in self._inputs}
        for level, steps in enumerate(self._levels):
            values.update(self._run_nodes(level, values))
            cuts = [step for step in steps if isinstance(step, _Cut)]
            if any(cut.name == until for cut in cuts):
                return {last: self._value(last, values)}
            for cut in cuts:
                x = self._value(cut.x, values)
                values[cut.y] = np.ascontiguousarray(functions[cut.name](x), x.dtype)
            values = {name: value for name, value in values.items() if self._last_use.get(name, -1) > level}
        return {name: self._value(name, values) for name in self._outputs}

    def _check_cuts(self):
        known = {*self._inputs, *self._constants, *self._makers}
        made = [cut.y for cut in self._cuts.values()]
        for cut in self._cuts.values():
            for tensor in (cut.x, cut.y):
                if tensor not in known:
                    raise ValueError(f"cut {cut.name}: the network has no tensor {tensor}")
            if cut.y not in self._makers:
                raise ValueError(f"cut {cut.name}: {cut.y} is an input or a constant, which nothing computes")
            if made.count(cut.y) > 1:
                raise ValueError(f"cut {cut.name}: {cut.y} is another cut's, too")

    def _ordered_steps(self):
        """The nodes and cuts that the outputs need, each after those that it depends on."""
        makers = {**self._makers, **{cut.y: cut for cut in self._cuts.values()}}
        steps, needs, wanted = {}, {}, list(self._outputs)
        while wanted:
            step = makers.get(wanted.pop())
            if step is None or id(step) in steps:
                continue
            reads = _reads(step)
            steps[id(step)], wanted = step, wanted + reads
            needs[id(step)] = {id(makers[name]) for name in reads if name in makers}
        try:
            order = list(graphlib.TopologicalSorter(needs).static_order())
        except graphlib.CycleError as error:
            names = [steps[key].name for key in error.args[1] if isinstance(steps[key], _Cut)]
            raise ValueError(f"cut {names[0]}: x depends on y" if names else "the network has a cycle") from None
        replaced = {cut.y for cut in self._cuts.values()}
        return [_without(steps[key], replaced) for key in order]

    def _value(self, name, values):
        """A tensor that a function reads or that is an output: perhaps a constant, which no session gives."""
        if name in values:
            return values[name]
        constant = self._constants[name]
        return numpy_helper.to_array(constant) if isinstance(constant, onnx.TensorProto) else self._evaluated(constant)

    def _run_nodes(self, level, values):
        """Of what the nodes of a level compute, all that something after them reads."""
        if level not in self._sessions:
            self._sessions[level] = self._session(level, values)
        session, reads, writes = self._sessions[level]
        if session is None:
            return {}
        return dict(zip(writes, session.run(writes, {name: values[name] for name in reads}), strict=True))

    def _session(self, level, values):
        """The session of a level, None where it has no nodes, and the names of its inputs and outputs."""
        nodes = [step for step in self._levels[level] if not isinstance(step, _Cut)]
        if not nodes:
            return None, [], []
        made = dict.fromkeys(name for node in nodes for name in node.output if name)
        read = dict.fromkeys(name for node in nodes for name in _reads(node))
        called = {step.x for step in self._levels[level] if isinstance(step, _Cut)}
        writes = [name for name in made if name in called or self._last_use.get(name, -1) > level]
        reads = [name for name in read if name not in self._constants and name not in made]
        constants = [self._constants[name] for name in read if name in self._constants]
        return self._open(nodes, constants, {name: values[name] for name in reads}, writes), reads, writes

    def _evaluated(self, node):
        """The value of a node that reads nothing."""
        return self._open([node], [], {}, node.output[:1]).run(None, {})[0]

    def _open(self, nodes, constants, inputs, outputs):
        """A session of `nodes` and `constants`, for `inputs` of the types and ranks that the arrays have."""
        described = [onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), [None] * value.ndim)
            for name, value in inputs.items()]
        graph = onnx.helper.make_graph(
            [c for c in constants if isinstance(c, onnx.NodeProto)] + nodes, "segment", described,
            [onnx.ValueInfoProto(name=name) for name in outputs],
            [c for c in constants if isinstance(c, onnx.TensorProto)])
        part = onnx.helper.make_model(graph, opset_imports=self._model.opset_import, functions=self._model.functions,
                                      ir_version=self._model.ir_version)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads or 0
        # Each session has threads of its own: those that have nothing to do must not take the next one's cores.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        return onnxruntime.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _levels(steps):
    """`steps` by level, in their order. A cut's level is that of its x; its y is there one level later."""
    there, levels = {}, [[]]
    for step in steps:
        level = max((there.get(name, 0) for name in _reads(step)), default=0)
        is_cut = isinstance(step, _Cut)
        there.update(dict.fromkeys([step.y] if is_cut else step.output, level + is_cut))
        levels += [[] for _ in range(level + 1 - len(levels))]
        levels[level].append(step)
    return levels


def _is_constant(node):
    return node.op_type == "Constant" and node.domain in ("", "ai.onnx")


def _reads(step):
    """Names of the tensors that a cut or a node reads, those that the graphs within a node take from outside, too."""
    if isinstance(step, _Cut):
        return [step.x]
    names = [name for name in step.input if name]
    for attribute in step.attribute:
        for graph in (attribute.g, *attribute.graphs):
            own = {tensor.name for tensor in (*graph.initializer, *graph.input)}
            own |= {name for node in graph.node for name in node.output}
            inside = [name for node in graph.node for name in _reads(node)] + [value.name for value in graph.output]
            names += [name for name in inside if name not in own]
    return names


def _without(step, replaced):
    """A node that makes more than the tensors `replaced`, with other names for these; any other step as it is."""
    if isinstance(step, _Cut) or not replaced & set(step.output):
        return step
    node = onnx.NodeProto()
    node.CopyFrom(step)
    node.output[:] = [f"{name}:replaced" if name in replaced else name for name in step.output]
    return node
