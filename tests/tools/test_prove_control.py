# SPDX-License-Identifier: Apache-2.0
"""The shorter proofs of the block's control; `make prove` has all of them."""

import pytest

from tiled_se.verify.formal import attempt, model, select, source, task, tools


@pytest.mark.parametrize("fault", [
    "gates are released a cycle late",
    "a tile is read before its gates are ready",
    "the output waits for a free place for gates, which it alone can give",
])
def test_block_wired_wrong(fault):
    """The control's proofs are of the block's own wires: a wrong wire between two right components is found."""
    seeded, = (task.Task(component, number, index, fault) for component, number, proof in select(("control",))
               for index, seed in enumerate(proof.faults) if seed.name == fault)
    assert attempt(seeded)["verdict"] == task.FOUND


def test_control_step(tmp_path):
    """From any state in which the control's properties hold they continue to hold, for tiles of two beats."""
    proof = source.proofs_of("control")[0]
    model.write_model(proof.make(), tmp_path)
    assert tools.check_model(tmp_path, proof.depth).passed
    assert tools.check_model(tmp_path, proof.depth, "induction").passed


def test_progress_step(tmp_path):
    """From any such state, a beat moves in time while both sides let it."""
    proof = next(proof for proof in source.proofs_of("control") if proof.name.startswith("progress"))
    model.write_model(proof.make(), tmp_path)
    assert tools.check_model(tmp_path, proof.depth, "induction").passed
    # With a shorter induction there is a state from which the bound could be missed.
    assert not tools.check_model(tmp_path, proof.depth // 2, "induction").passed
