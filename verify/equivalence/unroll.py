# SPDX-License-Identifier: Apache-2.0
"""Block and mutant side by side over several cycles, through which pipelines forget their initial values.

After some cycles the registers of a pipeline hold functions of its inputs. So the proof needs no invariant about them
to see that a difference between mutant and block has no effect. As in :mod:`.miter`, some registers have a copy for the
mutant; all others are shared, as long as nothing without a copy has differed. That it never does takes two proofs:

- Sooner: the registers of both start with any value, the same in both, and there are a cycle and ``CYCLES`` more of
  reset, after which the pipelines of the block and of the mutant's copies hold what they can hold then. Nothing differs
  in the next ``CYCLES`` cycles.
- Later: from any state of the block and of the copies, nothing differs in the last of ``CYCLES`` cycles, with or
  without a reset. The cycles before that one are covered by the same proof or by the first one.

In both, the invariants hold after the first cycle of reset. The assumptions on parameters hold in each cycle, also for
a memory that has not been loaded yet, of which nothing is used.

So nothing is proved of a block whose first reset is shorter, nor of the effect that the mutant's first long reset has
outside of the copies.
"""

from .aig import FALSE, TRUE, write
from .miter import Faults

__all__ = ["CYCLES", "assumable", "later", "sooner"]

# The number of registers between a record that is read and the last result that depends on it.
CYCLES = 16


def sooner(faults: Faults, number: int, copied: frozenset[int]) -> bytes | None:
    """Combinational AIGER whose output can be 1 if the first proof of fault `number` fails; None if it can't fail."""
    states, holds, bad = faults.any_states(), TRUE, []
    copies = {node: states[node] for node in copied}
    for place in range(1 + 2 * CYCLES):
        cycle = faults.run(states, TRUE if place <= CYCLES else FALSE)
        compared = faults.compare(cycle, number, copies)
        if place:
            holds = _still(faults, holds, cycle)
        if place > CYCLES:
            bad.append(faults.graph.land(holds, compared.bad))
        states, copies = cycle.next, compared.next
    return _written(faults, faults.graph.some(bad))


def later(faults: Faults, number: int, copied: frozenset[int]) -> bytes | None:
    """The same as :func:`sooner` for the second proof."""
    states, copies = faults.any_states(), {node: faults.graph.leaf() for node in copied}
    holds, bad = TRUE, TRUE
    for _ in range(CYCLES):
        cycle = faults.run(states)
        compared = faults.compare(cycle, number, copies)
        holds, bad = _still(faults, holds, cycle), compared.bad
        states, copies = cycle.next, compared.next
    return _written(faults, faults.graph.land(holds, bad))


def assumable(faults: Faults) -> bytes | None:
    """Combinational AIGER whose output can be 1 if invariants and assumptions can hold for ``CYCLES``.

    None if they always do. If they never can, they would prove anything.
    """
    states, holds = faults.run(faults.any_states(), TRUE).next, TRUE
    for _ in range(CYCLES):
        cycle = faults.run(states)
        holds, states = _still(faults, holds, cycle), cycle.next
    return None if holds == TRUE else write(faults.graph, {}, holds)


def _written(faults, bad):
    return None if bad == FALSE else write(faults.graph, {}, bad)


def _still(faults, holds, cycle):
    """Whether invariants and assumptions have held up to `cycle`."""
    return faults.graph.land(holds, faults.graph.land(cycle.broken ^ 1, cycle.assumed))
