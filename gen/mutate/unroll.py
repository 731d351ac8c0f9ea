# SPDX-License-Identifier: Apache-2.0
"""Block and mutant side by side for some cycles: a proof of equivalence by what a pipeline forgets.

Through some cycles, what a register of a pipeline holds has become a function of what has gone in: then it can be told
that a mutant's differ from the block's where nothing comes of it, without an invariant about them. That takes two
proofs:

- Later: from any state of the block and any of the mutant's own registers, in the last of ``CYCLES`` cycles nothing
  differs that is not copied, whatever was before.
- Sooner: from a state that ``CYCLES`` cycles of reset have left in the block (its pipelines hold what they may hold,
  and not just anything, as behind a cycle of reset), in which the mutant's registers start with the block's, nothing
  differs in each of as many cycles.

In both, what is known of the block, and given, holds.
"""

from .aig import FALSE, TRUE, write

__all__ = ["CYCLES", "later", "sooner"]

# More than there are registers between a record that is read and the last result that it is in.
CYCLES = 16


def later(faults, number, copied):
    """Combinational AIGER whose output can be 1 where the first proof of fault `number` fails; None if it can't."""
    states, copies = _any(faults), {node: faults.graph.leaf() for node in copied}
    holds, bad = TRUE, TRUE
    for _ in range(CYCLES):
        cycle = faults.run(states)
        compared = faults.compare(cycle, number, copies)
        holds, bad = _still(faults, holds, cycle), compared.bad
        states, copies = cycle.next, compared.next
    return _written(faults, faults.graph.land(holds, bad))


def sooner(faults, number, copied):
    """The same of the second proof."""
    states, holds, found = _any(faults), TRUE, []
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


def _written(faults, bad):
    return None if bad == FALSE else write(faults.graph, {}, bad)


def _any(faults):
    return {node: faults.graph.leaf() for node, _ in faults.machine.registers}


def _still(faults, holds, cycle):
    """Whether what is known and given has held up to `cycle`."""
    return faults.graph.land(holds, faults.graph.land(cycle.broken ^ 1, cycle.given))
