# SPDX-License-Identifier: Apache-2.0
"""What the study sees of what the paper says, in sentences that follow from the figures."""

from collections.abc import Callable, Iterable, Iterator

from ..paper.paper import STRIP
from .labels import Family
from .statistics import HIGHER, LOWER, NONE_SEEN, NOT_KNOWN
from .tables import CHOSEN
from .view import SEEN, Answer, View, signed

__all__ = ["STRIPS", "agreement", "attention", "aware", "bits", "elsewhere", "fewer_rows", "fine_tuned", "from_k_on",
           "left", "listed", "local", "location", "running", "small", "stages", "swapped", "training"]

STRIPS = f"{STRIP}xW"
UNKNOWN = "(too few seeds to tell it from chance)"
# The order in which the verdicts of a list stand.
ORDER = (LOWER, HIGHER, NONE_SEEN, NOT_KNOWN)
# The smallest tiles of the paper.
SMALLEST = ("1xW", "Hx1", "1x1")


def agreement(verdict: str, claimed: str) -> str:
    """How a verdict stands to the one that the paper claims; "" where it is not known."""
    if verdict == NOT_KNOWN:
        return ""
    if verdict == claimed:
        return "The paper sees none, either." if verdict == NONE_SEEN else "This is as in the paper."
    if verdict == NONE_SEEN:
        return "The paper's difference is not seen here."
    return "The paper sees no such difference." if claimed == NONE_SEEN else "This is the reverse of the paper's."


def listed(answers: Iterable[Answer], name: Callable = lambda answer: answer.a.name) -> list[str]:
    """A line for each verdict, with the differences that have it."""
    answers = list(answers)
    lines = {verdict: [f"{name(answer)} {answer.points}" for answer in answers if answer.verdict == verdict]
             for verdict in ORDER}
    return [f"{SEEN[verdict]}: {'; '.join(parts)}." for verdict, parts in lines.items() if parts]


def from_k_on(answers: Iterable[Answer]) -> str:
    """From which size on no loss is seen; `answers` are tilings of one family against SE. "" where it is not known."""
    lost = {answer.a.k: answer.verdict == LOWER for answer in answers
            if answer.verdict != NOT_KNOWN and answer.a.k is not None}
    if not lost:
        return ""
    if not any(lost.values()):
        return "no loss is seen with any K"
    largest = max(k for k, loses in lost.items() if loses)
    larger = [k for k in lost if k > largest]
    return (f"no loss is seen from K={min(larger)} on" if larger else
            f"even K={largest}, the largest below the whole map, loses something")


def _said(answer: Answer | None, words: dict[str, str], claimed: str | None = None) -> str:
    """What `words` have for the verdict, the difference, and whether the paper claims the same."""
    if answer is None:
        return ""
    return " ".join(filter(None, (
        f"{words[answer.verdict]}: {answer.points} points.", claimed and agreement(answer.verdict, claimed),
        _with_other_images(answer))))


def _with_other_images(answer: Answer) -> str:
    """The narrower interval of a difference whose verdict rests on the one over retraining."""
    return (f"With the same networks and other test images, the interval is {_range(answer.images)}." if answer.images
            else "")


def _range(interval: tuple[float, float]) -> str:
    return " to ".join(map(signed, interval))


def _agreeing(answers: Iterable[Answer], claimed: str) -> str:
    """How many of `answers` have the verdict that the paper claims."""
    known = [answer.verdict for answer in answers if answer.verdict != NOT_KNOWN]
    return (f"In the paper they are {claimed}; of its tilings, {known.count(claimed)} of {len(known)} are so here." if
            known else "")


def _families(view: View, question: str) -> str:
    """Of each family, from which size on no loss is seen."""
    sizes = {family.value: from_k_on(view.all(question, family=family)) for family in LISTED}
    text = "; ".join(f"{name}: {text}" for name, text in sizes.items() if text)
    return text and f"{text}."


# Those that have several sizes.
LISTED = [family for family in Family if family is not Family.WINDOW]


def attention(view: View) -> Iterator[str]:
    """Whether SE helps at all."""
    answer = view.one("attention")
    yield _said(answer, {
        HIGHER: "SE helps", LOWER: "SE does harm", NONE_SEEN: "No difference between SE and no attention is seen",
        NOT_KNOWN: f"SE less no attention {UNKNOWN}"}, HIGHER)
    if answer and answer.verdict == NONE_SEEN:
        yield ("So where a trained tiling is not seen to differ from SE, whether it does what SE does can't be told "
               "here: networks without attention are not seen to differ from SE, either. A swap is another matter: "
               "those networks rely on the gates that they were trained with.")


def local(view: View) -> Iterator[str]:
    """Training with the paper's strips against training with SE."""
    words = f"etworks trained with strips of {STRIP} rows"
    yield _said(view.one("trained", name=STRIPS), {
        HIGHER: f"N{words} are better than those trained with SE",
        LOWER: f"N{words} are worse than those trained with SE",
        NONE_SEEN: f"No difference between n{words} and with SE is seen",
        NOT_KNOWN: f"Strips of {STRIP} rows less SE {UNKNOWN}"}, NONE_SEEN)
    verdicts = [answer.verdict for answer in view.all("trained")]
    counts = ", ".join(f"{SEEN[verdict]} {verdicts.count(verdict)}" for verdict in ORDER)
    yield f"All {len(verdicts)} tilings that were trained, to SE: {counts}." if verdicts else ""


def small(view: View) -> Iterator[str]:
    """Training with the smallest tiles."""
    found = [answer for answer in view.all("trained") if answer.a.name in SMALLEST]
    yield from listed(found)
    yield _agreeing(found, LOWER)
    yield _families(view, "trained")


def location(view: View) -> Iterator[str]:
    """Which rows the one strip of a window has."""
    yield _said(view.one("location"), {
        HIGHER: "The middle rows are better than the upper ones",
        LOWER: "The upper rows are better than the middle ones",
        NONE_SEEN: "No difference between the middle rows and the upper ones is seen",
        NOT_KNOWN: f"The middle rows less the upper ones {UNKNOWN}"}, HIGHER)


def swapped(view: View) -> Iterator[str]:
    """The paper's strips in networks that were trained with SE."""
    yield _said(view.one("swapped", name=STRIPS), {
        HIGHER: f"Strips of {STRIP} rows are better than SE in the same networks",
        LOWER: f"Strips of {STRIP} rows lose something", NONE_SEEN: f"No loss with strips of {STRIP} rows is seen",
        NOT_KNOWN: f"Strips of {STRIP} rows less SE, without an interval"}, LOWER)


def fewer_rows(view: View) -> Iterator[str]:
    """Other tilings there."""
    few = [answer for family in LISTED for answer in view.all("swapped", family=family) if answer.a.k in (1, 3)]
    yield from listed(few)
    yield _agreeing([answer for answer in few if answer.a.context == "tile"], LOWER)
    yield _families(view, "swapped")


def training(view: View) -> Iterator[str]:
    """Training with the smallest tiles against swapping them in."""
    found = [answer for answer in view.all("gap") if answer.a.name in SMALLEST]
    yield from listed(found)
    images = "; ".join(f"{answer.a.name} {_range(answer.images)}" for answer in found if answer.images)
    yield f"With the same networks and other test images, the intervals are: {images}." if images else ""
    yield _agreeing(found, HIGHER)


def running(view: View) -> Iterator[str]:
    """What is left of the loss with running means, if the network is trained with them."""
    for name in CHOSEN[1:]:
        before, after, gap = (view.one(question, name=name) for question in ("swapped", "trained", "gap"))
        if before and after and gap:
            yield " ".join(filter(None, (
                f"{name}: swapped {before.points}; trained {after.points} points to SE.",
                f"{CHANGES[gap.verdict]}: {gap.points}.", _with_other_images(gap), left(before, after, gap))))


CHANGES = {HIGHER: "Training wins back", LOWER: "Training makes it worse", NONE_SEEN: "No change by training is seen",
           NOT_KNOWN: "What training changes has no interval"}


def left(before: Answer, after: Answer, gap: Answer) -> str:
    """What is left of a loss: `before` and `after` are to SE, swapped and trained; `gap` is the change by training."""
    if (before.verdict, gap.verdict, after.verdict) == (LOWER, HIGHER, NONE_SEEN):
        return "So training closes the gap, as far as can be seen."
    trained = {HIGHER: "Trained, it is better than SE.", LOWER: "Trained, it still loses something.",
               NONE_SEEN: "Trained, no difference from SE is seen.", NOT_KNOWN: ""}[after.verdict]
    seeds = before.by_seed or ()
    if len(seeds) > 1 and before.verdict == LOWER and gap.verdict == NONE_SEEN and max(seeds) < 0:
        return (f"All {len(seeds)} swapped networks lose something, but amounts so different that other networks might "
                f"lose nothing. {trained}")
    return trained


def stages(view: View) -> Iterator[str]:
    """Where a swap loses something, and whether the losses add up."""
    found, whole = view.all("stage", name=STRIPS), view.whole_stages(STRIPS)
    if not found:
        return
    yield f"Strips of {STRIP} rows in one stage: {'; '.join(f'{one.a.stage} {one.points}' for one in found)}."
    if whole:
        yield (f"The maps of {', '.join(whole)} have {STRIP} rows or fewer: strips are SE there and lose nothing. The "
               "nearer the maps of another stage are to that, the less it can lose.")
    lost = [answer for answer in found if answer.verdict == LOWER]
    if lost:
        most = min(lost, key=lambda answer: answer.difference)
        near = [answer.a.stage for answer in lost
                if answer.interval[0] <= most.interval[1] and answer.a.stage not in whole]
        worst = most.a.stage
        able = sorted({answer.a.stage for answer in found} - set(whole))
        later = 2 * able.index(worst) - (len(able) - 1)
        place = ("a later one, as in the paper" if later > 0 else "an early one, unlike in the paper" if later < 0 else
                 "the one in the middle; in the paper it is a later one")
        others = "Of the others, " if whole else ""
        yield (f"{others}{', '.join(near)} lose the most; which of them more can't be told." if len(near) > 1 else
               f"{others}{worst} loses the most" + ("." if len(able) == 1 else f", {place}."))
    elif any(answer.verdict != NOT_KNOWN for answer in found):
        yield "No stage is seen to lose anything."
    yield _said(view.one("stages", name=STRIPS), {
        HIGHER: "All stages together lose less than each alone, added up",
        LOWER: "All stages together lose more than each alone, added up",
        NONE_SEEN: "No difference between all stages together and each alone, added up, is seen",
        NOT_KNOWN: "All stages together less each alone, added up, without an interval"}, NONE_SEEN)


def fine_tuned(view: View) -> Iterator[str]:
    """What fine-tuning leaves of a swap's loss."""
    for question, text in (("recovered", "The change after fine-tuning, less the change before"),
                           ("fine-tuned", "What is left, to SE that was trained as much longer")):
        for line in listed(view.all(question)):
            yield f"{text}, {line}"
    yield _agreeing([answer for answer in view.all("recovered") if answer.a.name == STRIPS], HIGHER)


def _with_bits(answer: Answer) -> str:
    return f"{answer.a.name} with {answer.a.bits} bits"


def bits(view: View) -> Iterator[str]:
    """Blocks in integers, quantised after training or trained longer with them."""
    for method, text in (("after", "Quantised after training, to float"),
                         ("tuned", "Trained longer in float and then quantised, to float that was trained as long"),
                         ("aware", "Quantisation-aware, to float that was trained as long")):
        for line in listed(view.all("bits", method=method), _with_bits):
            yield f"{text}, {line}"


def aware(view: View) -> Iterator[str]:
    """Quantisation-aware training against quantising after it."""
    yield from listed(view.all("aware"), _with_bits)


def elsewhere(view: View) -> Iterator[str]:
    """How many networks and conditions have the verdict of the main ones."""
    places = [{"network": place.network, "condition": place.condition} for place in view.places()]
    for text, question, wanted in [
            ("SE to no attention", "attention", {}),
            *((f"{name}, trained, to SE", "trained", {"name": name}) for name in CHOSEN),
            *((f"{name}, swapped, to SE", "swapped", {"name": name}) for name in CHOSEN)]:
        found = [answer for place in places if (answer := view.one(question, **place, **wanted))]
        if len(found) > 1:
            verdicts = {verdict: [answer.a.where for answer in found if answer.verdict == verdict] for verdict in ORDER}
            yield f"{text}: " + "; ".join(
                f"{SEEN[verdict]} in {f'all {len(places)}' if len(places) == len(found) else ', '.join(places)}"
                for verdict, places in verdicts.items() if places) + "."
