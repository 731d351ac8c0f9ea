# SPDX-License-Identifier: Apache-2.0
"""`tiled-se inspect`: lists the squeeze-and-excite blocks of an ONNX network as a table and as JSON."""

import math
import os

from ...gen.files import check_file, json_bytes, write_all
from ...gen.text_table import aligned, number
from ...gen.wording import prior_alone
from ...hdl.tiling import Order, Tiling
from ..match.match import NetworkBlock
from ..match.numbers import OtherWeights
from ..match.ranges import STAGES
from ..network import Network, open_network
from .options import InspectOptions
from .wording import fields, tiles

__all__ = ["format_fields", "inspect", "summary"]

# Operators on integers in which blocks are not found.
INTEGER = ("ConvInteger", "MatMulInteger", "com.microsoft.DynamicQuantizeMatMul")
SUMS = ("parameters", "se_elements", "tse_elements")


def inspect(options: InspectOptions) -> bool:
    """Print the blocks of ``options.model``, and write them to ``options.json`` if that is given. Returns True.

    Raises ConfigError if the model or an option is wrong.
    """
    folder, name = os.path.split(options.json or "")
    if options.json:
        check_file(options.json, "json")
    network = open_network(options.model, options.input_shape, check=options.check_blocks)
    tiling = options.tiling()
    size = "W" if tiling.order is Order.COLUMNS else "H"
    contents = summary(network, tiling)
    if options.json:
        write_all(folder or ".", {name: json_bytes(contents)}, "json")
    alone = [f"{block['name']}: {why}" for block in contents["blocks"]
             if block[size] and (why := prior_alone(tiling, block[size]))]
    print("\n".join([_table(contents, tiling), *alone, *network.left_out]))
    if options.json:
        print(f"wrote {options.json}")
    return True


def summary(network: Network, k: int | Tiling) -> dict:
    """The blocks of `network`, JSON-serialisable, with the fields of the tiling.

    ``blocks`` has a dict for each block: ``name``; ``H`` and ``W``, None if the input's size leaves them open; ``C``,
    ``CR``; ``mid``, ``gate`` and ``residual`` as in a WEIGHTS file; ``parameters``, their number; ``se_elements`` and
    ``tse_elements`` that wait for their gate, the latter in the tiling `k`, of which a number stands for tiles of so
    many rows; ``quantised``, whether the network rounds to integers in the block; ``ranges`` of these integers, [low,
    high] with None for an end that cuts nothing, by stage: "mean", "sums" of layer 1, "hidden", "logits", "gates";
    ``formats`` of the integers, see :func:`format_fields`; ``layout`` of the tensors; ``input`` and ``output``, their
    names. ``seconds`` has the time of "reading", with the inference of shapes, and of "checking" the blocks by running
    them. ``others`` maps the name of what is like a block but not supported to the reason. ``unread`` lists operators
    on integers or for one runtime only: blocks that are written with them are not found.
    """
    tiling = Tiling.of(k)
    blocks = [{"name": block.name, **block.shape, "mid": block.float_block.mid.value,
               "gate": str(block.float_block.gate), "residual": block.float_block.residual,
               "parameters": block.parameters, **block.waiting(tiling), "quantised": block.quantised,
               "ranges": {stage: [end if math.isfinite(end) else None for end in ends]
                          for stage, ends in block.ranges.stages.items()}, "formats": format_fields(block),
               "layout": "NHWC" if block.channels_last else "NCHW", "input": block.x, "output": block.y}
              for block in network.blocks]
    dims = None if network.dims is None else network.dims[1:]
    unread = {name for name in map(network.graph.operator, network.graph.nodes)
              if name in INTEGER or name.split(".")[-1].startswith("QLinear") or "nchwc" in name}
    return {"model": network.path, "input": dims, "opset": network.graph.opset, **fields(tiling), "blocks": blocks,
            "others": network.unsupported, "unread": sorted(unread), "seconds": network.seconds}


def format_fields(block: NetworkBlock) -> dict | None:
    """The formats of the network's integers in `block`, JSON-serialisable; None if it has none.

    ``x`` and ``y`` have ``dtype``, ``scale`` and ``zero_point``; ``w1`` and ``w2`` have ``dtype``, ``symmetric`` and
    ``scale``: a number, a list, or None where it is "in blocks"; ``scales`` tells which, "one", "per output", "per
    input" or "in blocks". What the network has in float is None. ``rounded`` has for each stage of ``ranges`` the
    formats to which the network rounds it, in order.
    """
    numbers, roundings = block.numbers, block.ranges.roundings
    if not (numbers.known or roundings):
        return None

    def about(data_format):
        return data_format and {"dtype": str(data_format.data), "scale": data_format.scale,
                                "zero_point": data_format.zero_point}

    layers = [_weight_fields(stored or other) for stored, other in zip(numbers.layers, numbers.others, strict=True)]
    return {"x": about(numbers.x), "y": about(numbers.y), "w1": layers[0], "w2": layers[1],
            "rounded": {stage: [about(rounding.format) for rounding in roundings[stage]]
                        for stage in STAGES if stage in roundings}}


def _weight_fields(weights):
    if weights is None:
        return None
    if isinstance(weights, OtherWeights):
        scales = "in blocks" if weights.steps is None else "per input"
        scale = None if weights.steps is None else weights.steps.tolist()
    else:
        scales = "per output" if weights.several else "one"
        scale = weights.steps.tolist() if weights.several else float(weights.steps[0])
    return {"dtype": str(weights.type), "symmetric": weights.symmetric, "scales": scales, "scale": scale}


COLUMNS = ("name", "H", "W", "C", "CR", "mid", "gate", "residual", "parameters", "HxWxC")


# What is said of several scales.
WEIGHTS = {"per output": "per channel", "per input": "per input", "in blocks": "in blocks"}
FORMATS = ("formats", "x", "y", "w1", "w2", "rounded inside")


def _formats(name, formats):
    """A row of FORMATS."""
    if formats is None:
        return name, *["float"] * 4, "nothing"
    cells = []
    for part in ("x", "y", "w1", "w2"):
        about = formats[part] or {"dtype": "float"}
        scale = about.get("scale")
        text = f"{scale:.4g}" if isinstance(scale, float) else WEIGHTS.get(about.get("scales"), "")
        zero = about.get("zero_point", 0)
        cells.append(" ".join(filter(None, (about["dtype"], text, zero and f"zero {zero}",
                                            "" if about.get("symmetric", True) else "asymmetric"))))
    inside = ", ".join(f"{stage} {'/'.join(item['dtype'] for item in items)}"
                       for stage, items in formats["rounded"].items())
    return name, *cells, inside or "nothing"


def _table(contents, tiling):
    blocks = contents["blocks"]
    count = f"{len(blocks)} squeeze-and-excite block{'' if len(blocks) == 1 else 's'}"
    strips = tiling == Tiling(k=tiling.k)
    lines = [f"{contents['model']}: {count}, {f'k = {tiling.k}' if strips else tiles(tiling)}"]
    if blocks:
        rows = [(*COLUMNS, "kxWxC" if strips else "waiting")] + [
            (block["name"], *(number(block[name]) for name in ("H", "W", "C", "CR")), block["mid"], block["gate"],
             "yes" if block["residual"] else "no", *(number(block[name]) for name in SUMS)) for block in blocks]
        sums = [[block[name] for block in blocks] for name in SUMS]
        rows.append(("sum", *[""] * 7, *(number(None if None in column else sum(column)) for column in sums)))
        lines += aligned(rows, left=(0, 5, 6, 7))
    if any(block["formats"] for block in blocks):
        lines += ["", *aligned([FORMATS, *(_formats(block["name"], block["formats"]) for block in blocks)],
                               left=range(len(FORMATS)))]
    if any(block["H"] is None or block["W"] is None for block in blocks):
        lines.append("? depends on the input's size: give it with --input-shape CxHxW")
    if contents["unread"]:
        lines.append(f"blocks of {', '.join(contents['unread'])} are not found: take the float model")
    return "\n".join(lines)
