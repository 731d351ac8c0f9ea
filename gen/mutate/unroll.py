# SPDX-License-Identifier: Apache-2.0
"""Block and mutant side by side for some cycles: a proof of equivalence by what a pipeline forgets.

Through some cycles, what a register of a pipeline holds has become a function of what has gone in: then it can be told
that a mutant's differ from the block's where nothing comes of it, without an invariant about them. As in
:mod:`.miter`, some registers have a copy for the mutant; all others are one for both, as long as nothing has differed
that is not copied. That it never does takes two proofs:

- Sooner: the block's registers start with anything, and there are a cycle and ``CYCLES`` more of reset: its pipelines
  hold what they may hold then. The mutant's copies start with that. In none of as many cycles anything differs.
- Later: from any state of the block and of the copies, in the last of ``CYCLES`` cycles nothing differs. What was
  before that cycle is either that again or the first proof.

In both, what is known of the block holds behind the first cycle of reset, and so does what is given, throughout.
"""

from .aig import FALSE, TRUE, write

__all__ = ["CYCLES", "later", "sooner"]

# More than there are registers between a record that is read and the last result that it is in.
CYCLES = 16


def sooner(faults, number, copied):
    """Combinational AIGER whose output can be 1 where the first proof of fault `number` fails; None if it can't."""
    states, holds, found = faults.run(_any(faults), TRUE).next, TRUE, []
    for _ in range(CYCLES):
        cycle = faults.run(states, TRUE)
        holds, states = _still(faults, holds, cycle), cycle.next
    copies = {node: states[node] for node in copied}
    for _ in range(CYCLES):
        cycle = faults.run(states)
        compared = faults.compare(cycle, number, copies)
        holds = _still(faults, holds, cycle)
        found.append(faults.graph.land(holds, compared.bad))
        states, copies = cycle.next, compared.next
    return _written(faults, faults.graph.some(found))


def later(faults, number, copied):
    """The same of the second proof."""
    states, copies = _any(faults), {node: faults.graph.leaf() for node in copied}
    holds, bad = TRUE, TRUE
    for _ in range(CYCLES):
        cycle = faults.run(states)
        compared = faults.compare(cycle, number, copies)
        holds, bad = _still(faults, holds, cycle), compared.bad
        states, copies = cycle.next, compared.next
    return _written(faults, faults.graph.land(holds, bad))


def _written(faults, bad):
    return None if bad == FALSE else write(faults.graph, {}, bad)


def _any(faults):
    return {node: faults.graph.leaf() for node, _ in faults.machine.registers}


def _still(faults, holds, cycle):
    """Whether what is known and given has held up to `cycle`."""
    return faults.graph.land(holds, faults.graph.land(cycle.broken ^ 1, cycle.given))
