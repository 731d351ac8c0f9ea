# SPDX-License-Identifier: Apache-2.0
"""Block and mutant side by side for some cycles: a proof of equivalence by what a pipeline forgets.

Through some cycles, what a register of a pipeline holds has become a function of what has gone in: then it can be told
that a mutant's differ from the block's where nothing comes of it, without an invariant about them. As in
:mod:`.miter`, some registers have a copy for the mutant; all others are one for both, as long as nothing has differed
that is not copied. That it never does takes two proofs:

- Sooner: the registers of both start with anything, the same, and there are a cycle and ``CYCLES`` more of reset:
  pipelines hold what they may hold then, in the block and in the mutant's copies. In none of as many cycles anything
  differs.
- Later: from any state of the block and of the copies, in the last of ``CYCLES`` cycles, reset or not, nothing differs.
  What was before that cycle is either that again or the first proof.

In both, what is known of the block holds behind the first cycle of reset. What is given is taken for granted in each
cycle: also of a memory that has not been loaded yet, of which nothing is used.

So nothing is said of a block that was switched on with a shorter reset; nor of what, outside of the copies, the mutant
makes of that first long one.
"""

from .aig import FALSE, TRUE, write

__all__ = ["CYCLES", "granted", "later", "sooner"]

# As many as there are registers between a record that is read and the last result that it is in.
CYCLES = 16


def sooner(faults, number, copied):
    """Combinational AIGER whose output can be 1 where the first proof of fault `number` fails; None if it can't."""
    states, holds, found = _any(faults), TRUE, []
    copies = {node: states[node] for node in copied}
    for place in range(1 + 2 * CYCLES):
        cycle = faults.run(states, TRUE if place <= CYCLES else FALSE)
        compared = faults.compare(cycle, number, copies)
        if place:
            holds = _still(faults, holds, cycle)
        if place > CYCLES:
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


def granted(faults):
    """Combinational AIGER whose output can be 1 where what is known and given can hold through so many cycles.

    None if it always does. Where it never can, anything at all would be proved.
    """
    states, holds = faults.run(_any(faults), TRUE).next, TRUE
    for _ in range(CYCLES):
        cycle = faults.run(states)
        holds, states = _still(faults, holds, cycle), cycle.next
    return None if holds == TRUE else write(faults.graph, {}, holds)


def _written(faults, bad):
    return None if bad == FALSE else write(faults.graph, {}, bad)


def _any(faults):
    return {node: faults.graph.leaf() for node, _ in faults.machine.registers}


def _still(faults, holds, cycle):
    """Whether what is known and given has held up to `cycle`."""
    return faults.graph.land(holds, faults.graph.land(cycle.broken ^ 1, cycle.given))
