# SPDX-License-Identifier: Apache-2.0
"""Access to the inside of a submodule, so that a component's properties can also be checked inside the whole block."""

__all__ = ["Part"]


class Part:
    """The submodule `name` of `inside`, an :class:`~tiled_se.hdl.proofs.proof.Inside`."""

    def __init__(self, inside, name):
        self._inside, self._name = inside, name

    def __getitem__(self, name):
        return self._inside[f"{self._name}/{name}"]

    def word(self, m, memory, address):
        return self._inside.word(m, f"{self._name}/{memory}", address)
