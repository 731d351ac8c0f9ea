# SPDX-License-Identifier: Apache-2.0
"""`tiled-se inspect`: the squeeze-and-excite blocks of an ONNX network, as a table and as JSON."""

import os

from ...gen.files import check_file, json_bytes, write_all
from ...gen.text_table import aligned, number
from ..network import open_network, parse_shape

__all__ = ["about", "inspect"]

INTEGER = ("ConvInteger", "MatMulInteger", "com.microsoft.DynamicQuantizeMatMul")


def inspect(options):
    """List the blocks of ``options.model``; ConfigError where something is wrong with it. Returns True."""
    folder, name = os.path.split(options.json or "")
    if options.json:
        check_file(options.json, "json")
    network = open_network(options.model, parse_shape(options.input) if options.input else None)
    contents = about(network, options.k)
    if options.json:
        write_all(folder or ".", {name: json_bytes(contents)}, "json")
    print(_table(contents))
    if options.json:
        print(f"wrote {options.json}")
    return True


def about(network, k):
    """What `tiled-se inspect` knows of a :class:`~.blocks.Network`, JSON-serialisable.

    ``blocks`` has a dict for each block: ``name``; ``H`` and ``W``, None where the input's size leaves them open;
    ``C``, ``CR``; ``mid``, ``gate`` and ``residual`` as WEIGHTS has them; ``parameters``, how many; ``se_elements``
    and ``tse_elements``, which wait in the block, the latter with tiles of `k` rows; ``quantised``, whether the network
    rounds to integers in the block; ``layout`` of the tensors; ``input`` and ``output``, their names.
    ``others`` maps what is like a block but isn't supported to the reason. ``unread`` lists operators on integers or
    for one runtime only, which blocks may hide behind.
    """
    blocks = [_block(sized, k) for sized in network.blocks]
    dims = None if network.dims is None else network.dims[1:]
    return {"model": network.path, "input": dims, "opset": network.graph.opset, "k": k, "blocks": blocks,
            "others": network.others, "unread": unread(network.graph)}


def unread(graph):
    """Names of operators in `graph` that blocks may be spelt with which aren't found: quantised and hardware's own."""
    names = {graph.default(node) for node in graph.nodes}
    return sorted(name for name in names if name in INTEGER or name.split(".")[-1].startswith("QLinear")
                  or "nchwc" in name)


def _block(sized, k):
    form = sized.block.float_block
    known = None not in (sized.height, sized.width)
    row = sized.width * sized.channels if known else None
    return {
        "name": sized.name, "H": sized.height, "W": sized.width, "C": sized.channels, "CR": sized.squeeze,
        "mid": form.mid.value, "gate": str(form.gate), "residual": form.residual, "parameters": sized.block.parameters,
        "se_elements": row and sized.height * row, "tse_elements": row and min(k, sized.height) * row,
        "quantised": sized.block.quantised, "layout": "NHWC" if sized.block.channels_last else "NCHW",
        "input": sized.block.x, "output": sized.block.y,
    }


COLUMNS = ("name", "H", "W", "C", "CR", "mid", "gate", "residual", "parameters", "HxWxC", "kxWxC")


def _table(contents):
    blocks = contents["blocks"]
    count = f"{len(blocks)} squeeze-and-excite block{'' if len(blocks) == 1 else 's'}"
    lines = [f"{contents['model']}: {count}, k = {contents['k']}"]
    if blocks:
        rows = [COLUMNS] + [
            (block["name"], *(number(block[name]) for name in ("H", "W", "C", "CR")), block["mid"], block["gate"],
             "yes" if block["residual"] else "no",
             *(number(block[name]) for name in ("parameters", "se_elements", "tse_elements"))) for block in blocks]
        sums = {name: [block[name] for block in blocks] for name in ("parameters", "se_elements", "tse_elements")}
        rows.append(("sum", *[""] * 7, *(number(None if None in column else sum(column)) for column in sums.values())))
        lines += aligned(rows, left=(0, 5, 6, 7))
    if any(block["H"] is None or block["W"] is None for block in blocks):
        lines.append("? depends on the input's size: --input CxHxW tells it")
    if contents["unread"]:
        lines.append(f"blocks of {', '.join(contents['unread'])} aren't found: take the float model")
    lines += [f"left out: {name}: {reason}" for name, reason in contents["others"].items()]
    return "\n".join(lines)
