# SPDX-License-Identifier: Apache-2.0
"""Takes memories and multipliers out of block and mutant before a proof of equivalence (:mod:`.miter`)."""

__all__ = ["cut"]

_MEMORY, _MULTIPLIER = "$mem_v2", "$mul"


def cut(module: dict, most: int = 0) -> None:
    """Take memories, and multipliers of two variables, out of `module`, a module of yosys' write_json, in place.

    Multipliers whose variable operands have at most `most` bits together stay.

    The n-th cell that is taken out leaves ports ``cutN.key``, an output, and ``cutN.value``, an input. A memory
    with a write port also leaves ``cutN.enable`` (a bit for each data bit), ``cutN.address`` and ``cutN.data``.
    """
    names = sorted(name for name, cell in module["cells"].items() if _is_cut(cell, most))
    for number, name in enumerate(names):
        cell = module["cells"].pop(name)
        wires = cell["connections"]
        if cell["type"] == _MULTIPLIER:
            ends = {"key": wires["A"] + wires["B"], "value": wires["Y"]}
        else:
            ends = {"key": wires["RD_ADDR"], "value": wires["RD_DATA"]}
            if int(cell["parameters"]["WR_PORTS"], 2):
                written = [(enable, data) for enable, data in zip(wires["WR_EN"], wires["WR_DATA"], strict=True)
                           if isinstance(data, int)]
                ends |= {"enable": [enable for enable, _ in written], "address": wires["WR_ADDR"],
                         "data": [data for _, data in written]}
        for end, bits in ends.items():
            # Constants are the same in block and mutant.
            bits = bits if end == "enable" else [bit for bit in bits if isinstance(bit, int)]
            module["ports"][f"cut{number}.{end}"] = {
                "direction": "input" if end == "value" else "output", "bits": bits}


def _is_cut(cell, most):
    """Whether `cell` is a memory, or a multiplier of two variables: a constant factor makes it some adders."""
    if cell["type"] != _MULTIPLIER:
        return cell["type"] == _MEMORY
    bits = [sum(isinstance(bit, int) for bit in cell["connections"][port]) for port in "AB"]
    return all(bits) and sum(bits) > most
