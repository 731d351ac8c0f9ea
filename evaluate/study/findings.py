# SPDX-License-Identifier: Apache-2.0
"""What the paper says, beside the answers of the study."""

import dataclasses

from ..paper.paper import STRIP, load_paper
from . import answers
from .answers import STRIPS
from .tables import paper_stages, paper_tiles
from .view import View, signed

__all__ = ["TITLES", "Finding", "findings"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """A question with two answers: the paper's, and sentences of ours."""

    title: str
    paper: str
    here: tuple[str, ...]


def findings(view: View) -> list[Finding]:
    """Those that `view` has runs for, in the order of TITLES."""
    found = [Finding(title, paper(), tuple(text.strip() for text in here(view) if text))
             for title, (paper, here) in FINDINGS.items()]
    return [finding for finding in found if finding.here]


def _losses(*names: str) -> str:
    """Of Table 1, to SE."""
    tiles = paper_tiles()
    return ", ".join(f"{name} {signed(tiles[name][0] - tiles['SE'][0])}" for name in names)


def _attention() -> str:
    tiles = paper_tiles()
    return (f"SE less no attention in RegNetY-800MF is {signed(tiles['SE'][0] - tiles['no attention'][0])} points "
            "(Table 1).")


def _swapped() -> str:
    losses = {row["network"]: row["swapped_loss"] for row in load_paper()["swapped"]["rows"]}
    return (f"Strips of {STRIP} rows, without any training, lose {losses['RegNetY-800MF']} points in RegNetY-800MF, "
            f"{min(losses.values(), key=float)} to {max(losses.values(), key=float)} in {len(losses)} networks "
            "(Table 2).")


def _fine_tuned() -> str:
    losses = [row["fine_tuned_loss"] for row in load_paper()["swapped"]["rows"]]
    return (f"After a short training with strips of {STRIP} rows, {min(losses, key=float)} to {max(losses, key=float)} "
            f"points are lost in {len(losses)} networks, to SE without that training (Table 2).")


def _stages() -> str:
    row = paper_stages()
    losses = ", ".join(f"stage {number} {signed(-float(loss))}" for number, loss in enumerate(row["stage_losses"], 1))
    return (f"In {row['network']}, strips of {STRIP} rows in one stage: {losses}. The losses add up, and most of them "
            "are in later stages (Table 3).")


def _nothing() -> str:
    return "It does not have this."


FINDINGS = {
    "Does attention help?": (_attention, answers.attention),
    "Is local context enough?": (
        lambda: f"Trained with strips of {STRIP} rows, to SE: {_losses(STRIPS)} points (Table 1).", answers.local),
    "Do the smallest tiles lose something, if networks are trained with them?": (
        lambda: f"To SE: {_losses(*answers.SMALLEST)} points (Table 1).", answers.small),
    "Are all rows equal?": (
        lambda: f"With one strip for all rows, to SE: {_losses('7xW-upper', '7xW-middle')} points (Table 1).",
        answers.location),
    "What does a swap without training cost?": (_swapped, answers.swapped),
    "And one with fewer rows, or with running means?": (
        lambda: f"Tiles smaller than {STRIP} lose much (Figure 5, without figures). It does not have running means.",
        answers.fewer_rows),
    "Is a small tile better if the network is trained with it?": (
        lambda: "Yes (Figure 5): other gates are learned.", answers.training),
    "Does training close the gap of running means?": (_nothing, answers.running),
    "Which stages lose something?": (_stages, answers.stages),
    "Does fine-tuning win it back?": (_fine_tuned, answers.fine_tuned),
    "What do integers cost?": (_nothing, answers.bits),
    "Is quantisation-aware training better than quantising after as much training?": (_nothing, answers.aware),
    "Is it the same in other conditions and networks?": (_nothing, answers.elsewhere),
}
TITLES = tuple(FINDINGS)
