# SPDX-License-Identifier: Apache-2.0
"""A proof: a model with properties, the method, and the faults that it must find."""

import dataclasses
import sys
from collections.abc import Callable

from amaranth.hdl import Const, Elaboratable, Fragment, MemoryInstance, Module, Signal, Value, ValueCastable
from amaranth.lib import wiring

__all__ = ["Fault", "Inside", "Proof"]


@dataclasses.dataclass(frozen=True)
class Fault:
    """A change of a component's source that breaks a property; ``name`` says in words what is broken.

    In ``file``, of the folder of components, the source text ``old``, which must occur exactly once, becomes ``new``.
    The property ``breaks`` must then fail within ``depth`` cycles; all others are left out.
    """

    name: str
    file: str
    old: str
    new: str
    breaks: str
    depth: int = 20


@dataclasses.dataclass(frozen=True)
class Proof:
    """Properties of a component of one size; ``name`` has both, like ``queue depth=3``.

    ``make()`` returns the model, a Module: the component, its drivers (``AnySeq`` of amaranth.asserts is free in every
    cycle, ``AnyConst`` is free but constant), and ``Assert``, ``Assume`` and ``Cover`` statements with unique messages,
    which are their names. Registers and memories start with any value. The first cycle is a reset; after it the reset
    input is free, so properties hold whenever a reset comes.

    ``depth`` is the cycles of induction, or of the whole proof if it is bounded; ``why`` is then the reason that it is
    no induction. Each ``Cover``, of which there must be at least one, must be reached within ``cover`` cycles.
    """

    name: str
    make: Callable[[], Module]
    depth: int = 2
    cover: int = 20
    faults: tuple = ()
    why: str = ""

    @property
    def method(self):
        """``induction`` or ``bounded``."""
        return "bounded" if self.why else "induction"


class Access:
    """Access to the internal signals and memories of a component."""

    def __init__(self, fragment, variables):
        self._fragment, self._locals = fragment, variables

    def __getitem__(self, name):
        """A signal or a component, under the name of a local variable of the component's methods or the signal's own.

        A name with slashes leads into submodules: ``"ram/we"``.
        """
        *path, last = name.split("/")
        fragment = self._find(path)
        owner = next((id(part) for part in fragment.origins or () if id(part) in self._locals), None)
        found = self._locals.get(owner, {}).get(last)
        if not found:
            found = {id(signal): signal for statements in fragment.statements.values() for statement in statements
                     for signal in statement._lhs_signals() if signal.name == last}
        if len(found) != 1:
            raise KeyError(f"{name}: {len(found)} of that name")
        return next(iter(found.values()))

    def part(self, name):
        """The same access to the submodule `name`, so that its properties can be checked inside the whole block."""
        return Access(self._find([name]), self._locals)

    def word(self, m, memory, address):
        """The word at `address` of the memory in the submodule with the path `memory`, through an added read port."""
        instance, = (part for part in _walk(self._find(memory.split("/"))) if isinstance(part, MemoryInstance))
        where, word = Signal(range(instance._data.depth)), Signal(instance._data.shape)
        m.d.comb += where.eq(address)
        instance.read_port(domain="comb", addr=where, data=word, en=Const(1), transparent_for=())
        return word

    def _find(self, path):
        fragment = self._fragment
        for part in path:
            fragment = fragment.find_subfragment(part)
        return fragment


class Inside(Access, Elaboratable):
    """A component as a submodule of a model, with access to its inside. It is elaborated now, for `platform`."""

    def __init__(self, component, platform=None):
        super().__init__(*_elaborated(component, platform))

    def elaborate(self, platform):
        return self._fragment


def _walk(fragment):
    yield fragment
    for part, *_ in fragment.subfragments:
        yield from _walk(part)


def _elaborated(component, platform):
    """Elaborate `component`, and record the local variables of all methods called on it and on its submodules.

    Returns the fragment and, by component id and variable name, all recorded values by their ids.
    """
    variables = {}

    def note(frame, event, _):
        if event == "return" and isinstance(owner := frame.f_locals.get("self"), wiring.Component):
            for name, value in frame.f_locals.items():
                if isinstance(value, Value | ValueCastable | wiring.Component):
                    variables.setdefault(id(owner), {}).setdefault(name, {})[id(value)] = value

    previous = sys.getprofile()
    sys.setprofile(note)
    try:
        return Fragment.get(component, platform), variables
    finally:
        sys.setprofile(previous)
