# SPDX-License-Identifier: Apache-2.0
"""The forms of squeeze-and-excite that the demo compares with the original, each in float and in integers."""

import dataclasses

from ...gen.options import BlockOptions
from ...hdl.config import Context, Tiling

__all__ = ["COMPARISONS", "NAMES", "PAPER", "RTL", "Form", "forms", "titles"]

PAPER = "tse"
# Context, rows of a tile, and rows of the prior of each form beside the paper's strips.
CONTEXTS = {"cumulative_k1": (Context.CUMULATIVE, 1, 1), "cumulative_k3": (Context.CUMULATIVE, 3, 1),
            "causal_k1": (Context.CAUSAL, 1, 1)}
NAMES = (PAPER, *CONTEXTS)
# Forms of which one block is in RTL.
RTL = (PAPER, "cumulative_k1", "causal_k1")


def _comparisons():
    for name in NAMES:
        yield f"{name}_float", "se", 2.0
        yield f"{name}_integer", "se", 2.0
        yield f"{name}_integer", f"{name}_float", 1.0
    for name in CONTEXTS:
        for numbers in ("float", "integer"):
            yield f"{name}_{numbers}", f"{PAPER}_{numbers}", None


# Pairs of networks that are compared, and how much worse the first may be, in points of F-score, or None; where both
# are of one form, worse or better.
COMPARISONS = {f"{one}_to_{other}": (one, other, margin) for one, other, margin in _comparisons()}


@dataclasses.dataclass(frozen=True)
class Form:
    """One form: its name in demo.json, its title for a person, and the options of `tiled-se sim` that make it."""

    name: str
    title: str
    options: BlockOptions

    @property
    def tiling(self) -> Tiling:
        """The tiling of all its blocks."""
        return self.options.tiling()


def forms(k: int) -> tuple[Form, ...]:
    """The forms, in the order of NAMES; tiles of the paper's have `k` rows."""
    paper = Form(PAPER, f"TSE K={k}", BlockOptions(k=k))
    return (paper, *(Form(name, f"{context.value} K={rows}", BlockOptions(k=rows, context=context, prior_rows=prior))
                     for name, (context, rows, prior) in CONTEXTS.items()))


def titles(k: int) -> dict[str, str]:
    """Name to title of all networks: the original, and each form in float and in integers."""
    return {"se": "SE"} | {f"{form.name}_{numbers}": f"{form.title}, {text}" for form in forms(k)
                           for numbers, text in (("float", "float"), ("integer", "integers"))}
