# SPDX-License-Identifier: Apache-2.0
"""An ONNX network of which some tensors are computed by Python: it runs in segments between them."""

import copy

import numpy as np
from onnx import helper, numpy_helper

from ...hdl.config import ConfigError
from ...network.read.graph import Graph
from ...network.read.shapes import open_session

__all__ = ["Hybrid"]

# A cut is a node of this domain, which no session gets.
CUT = "tiled_se.cut"


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
    optimise : bool
        Whether onnxruntime may optimise.

    Raises
    ------
    ValueError
        Where a cut names no tensor of the network, two cuts have the same y, a y is an input or a constant, or an x
        depends on its own y.
    """

    def __init__(self, model, cuts, *, threads=None, optimise=True):
        graph = Graph(model)
        self._model, self._cuts, self._threads, self._optimise = model, cuts, threads, optimise
        self._inputs = [value.name for value in graph.inputs]
        self._outputs = [value.name for value in model.graph.output]
        self._constants = graph.initializers | {
            name: numpy_helper.from_array(value, name) for name, node in graph.producer.items()
            if graph.operator(node) == "Constant" and (value := graph.constant(name)) is not None}
        _check_cuts(cuts, {*self._inputs, *self._constants}, graph.producer)
        self._levels = _levels(self._steps())
        # What the steps after each level read.
        self._later = [{*self._outputs}.union(*(Graph.reads(step) for steps in self._levels[level + 1:]
                                                for step in steps)) for level in range(len(self._levels))]
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
        values = {name: np.asarray(inputs[name]) for name in self._inputs}
        for level, steps in enumerate(self._levels):
            values |= self._run_nodes(level, values)
            cuts = [step for step in steps if step.domain == CUT]
            if any(cut.name == until for cut in cuts):
                x, _ = self._cuts[until]
                return {x: self._value(x, values)}
            for cut in cuts:
                x = self._value(cut.input[0], values)
                values[cut.output[0]] = np.ascontiguousarray(functions[cut.name](x), x.dtype)
            values = {name: value for name, value in values.items() if name in self._later[level]}
        return {name: self._value(name, values) for name in self._outputs}

    def _steps(self):
        """The nodes and cuts that the outputs need, each after those that it depends on."""
        cut = copy.deepcopy(self._model)
        replaced = {y for _, y in self._cuts.values()}
        for node in cut.graph.node:
            # A node may make other tensors beside a y.
            node.output[:] = [f"{name}:replaced" if name in replaced else name for name in node.output]
        cut.graph.node.extend(helper.make_node("Cut", [x], [y], name, domain=CUT)
                              for name, (x, y) in self._cuts.items())
        try:
            nodes = Graph(cut).nodes
        except ConfigError:
            raise ValueError(f"cut {' or '.join(self._cuts)}: x depends on y") from None
        needed, steps = set(self._outputs), []
        for node in reversed(nodes):
            if not needed.isdisjoint(node.output) and self._constants.keys().isdisjoint(node.output):
                needed |= Graph.reads(node)
                steps.insert(0, node)
        return steps

    def _value(self, name, values):
        """A tensor that a function reads or that is an output: perhaps a constant, which no session gives."""
        return values[name] if name in values else numpy_helper.to_array(self._constants[name])

    def _run_nodes(self, level, values):
        """Of what the nodes of a level compute, all that something after them reads."""
        if level not in self._sessions:
            self._sessions[level] = self._session(level, values)
        session = self._sessions[level]
        if session is None:
            return {}
        writes = [value.name for value in session.get_outputs()]
        return dict(zip(writes, session.run(None, {value.name: values[value.name] for value in session.get_inputs()}),
                        strict=True))

    def _session(self, level, values):
        """The session of a level, for inputs of the types and ranks that `values` have; None where it has no nodes."""
        nodes = [step for step in self._levels[level] if step.domain != CUT]
        if not nodes:
            return None
        made = {name for node in nodes for name in node.output if name}
        read = set().union(*map(Graph.reads, nodes))
        called = {step.input[0] for step in self._levels[level] if step.domain == CUT}
        inputs = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values[name].dtype),
                                                [None] * values[name].ndim)
                  for name in sorted(read - made - self._constants.keys())]
        graph = helper.make_graph(nodes, "segment", inputs, [],
                                  [self._constants[name] for name in sorted(read & self._constants.keys())])
        segment = helper.make_model(graph, opset_imports=self._model.opset_import, functions=self._model.functions,
                                    ir_version=self._model.ir_version)
        return open_session(segment, sorted(made & (called | self._later[level])), self._threads,
                            self._optimise)


def _check_cuts(cuts, given, producer):
    """Raise ValueError for a cut that names no tensor, or whose y can't be replaced."""
    for name, (x, y) in cuts.items():
        for tensor in (x, y):
            if tensor not in given and tensor not in producer:
                raise ValueError(f"cut {name}: the network has no tensor {tensor}")
        if y in given:
            raise ValueError(f"cut {name}: {y} is an input or a constant, which nothing computes")
        if [other for _, other in cuts.values()].count(y) > 1:
            raise ValueError(f"cut {name}: {y} is another cut's, too")


def _levels(steps):
    """`steps` by level, in their order. A cut's level is that of its x; its y is there one level later."""
    there, levels = {}, [[]]
    for step in steps:
        level = max((there.get(name, 0) for name in Graph.reads(step)), default=0)
        there.update(dict.fromkeys(step.output, level + (step.domain == CUT)))
        levels += [[] for _ in range(level + 1 - len(levels))]
        levels[level].append(step)
    return levels
