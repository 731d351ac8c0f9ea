# SPDX-License-Identifier: Apache-2.0
"""What was proved, as a table for the terminal and as a section of the documentation."""

from ...gen.page import wrapped
from ...gen.text_table import aligned, markdown
from .source import select
from .task import ERROR, FAILED, FOUND, PROVED

__all__ = ["complaint", "complete", "passed", "section", "table"]


def complaint(record: dict) -> str | None:
    """What is wrong with a proof or a fault, by its record; None if nothing is."""
    verdict = record["verdict"]
    if verdict in (PROVED, FOUND):
        return None
    if verdict == ERROR:
        return record["reason"]
    if verdict == FAILED:
        return ", ".join(record["failed"]) + (" (in the step of induction)" if record["failed_in"] else "")
    missed = [cover["name"] for cover in record.get("covers", ()) if cover["cycle"] is None]
    return f"{verdict}: {', '.join(missed)}" if missed else verdict


def passed(proofs: list[dict]) -> bool:
    """Whether prove.json's proofs all hold, and all their faults are found."""
    return not any(complaint(record) for proof in proofs for record in (proof, *proof["faults"]))


def table(proofs: list[dict]) -> str:
    """A line for each of prove.json's proofs, a line for each complaint, and a sum."""
    rows = [["proof", "method", "properties", "covers", "faults", "seconds", "verdict"]]
    for proof in proofs:
        found = sum(fault["verdict"] == FOUND for fault in proof["faults"])
        seconds = sum(record["seconds"] or 0 for record in (proof, *proof["faults"]))
        rows.append([proof["name"], f"{proof['method']} {proof['depth']}", str(len(proof.get("properties", ()))),
                     str(len(proof.get("covers", ()))), f"{found}/{len(proof['faults'])}", f"{seconds:.1f}",
                     proof["verdict"]])
    faults = [(f"{proof['name']}: {fault['name']}", fault) for proof in proofs for fault in proof["faults"]]
    named = [(proof["name"], proof) for proof in proofs] + faults
    proved = [proof for proof in proofs if proof["verdict"] == PROVED]
    return "\n".join([
        *aligned(rows, left=(0, 1, 6)),
        *(f"{name}: {complaint(record)}" for name, record in named if complaint(record)),
        f"proved      {sum(len(proof['properties']) for proof in proved)} properties in {len(proved)} of "
        f"{len(proofs)} proofs; {sum(fault['verdict'] == FOUND for _, fault in faults)} of {len(faults)} faults found"])


def complete(document: dict) -> bool:
    """Whether prove.json has every proof."""
    return [proof["name"] for proof in document["proofs"]] == [proof.name for _, _, proof in select(None)]


def section(document: dict) -> str:
    """prove.json as a paragraph and a table of Markdown, a row for each kind of proof."""
    proofs = document["proofs"]
    proved = [proof for proof in proofs if proof["verdict"] == PROVED]
    faults = [fault for proof in proofs for fault in proof["faults"]]
    covers = [cover for proof in proofs for cover in proof.get("covers", ())]
    different = {record["name"] for proof in proved for record in proof["properties"]}
    broken = {fault["breaks"] for fault in faults}
    kinds: dict[str, list[dict]] = {}
    for proof in proofs:
        kinds.setdefault(" ".join(_words(proof)[0]), []).append(proof)
    text = (f"It proved {sum(len(proof['properties']) for proof in proved):,} properties ({len(different)} different "
            f"ones) in {len(proved)} of {len(proofs)} proofs of {len(kinds)} kinds, in {document['seconds']:.0f} s. It "
            f"reached {sum(cover['cycle'] is not None for cover in covers)} of {len(covers)} covers and found "
            f"{sum(fault['verdict'] == FOUND for fault in faults)} of {len(faults)} planted faults. "
            f"{len(broken)} of the different properties have a planted fault.")
    rows = [[kind, len(alike), *(sum(len(proof.get(key, ())) for proof in alike)
                                 for key in ("properties", "covers", "faults")),
             ", ".join(_depths(alike)), _sizes(alike)]
            for kind, alike in kinds.items()]
    header = ["kind of proof", "proofs", "properties", "covers", "faults", "cycles of induction", "sizes"]
    return wrapped(text) + "\n\n" + markdown([header, *rows])


def _depths(proofs):
    """The numbers of cycles that `proofs` of a kind look at; those of bounded proofs say so."""
    return [f"{depth} (bounded)" if method == "bounded" else str(depth)
            for depth, method in sorted({(proof["depth"], proof["method"]) for proof in proofs})]


def _words(proof):
    """The words of a proof's name: those that say its kind, and those that say its size."""
    words = proof["name"].split()
    place = next((place for place, word in enumerate(words) if "=" in word), len(words))
    return words[:place], words[place:]


def _sizes(proofs):
    """The values of each parameter in the names of `proofs`, as text."""
    values: dict[str, list[str]] = {}
    for word in (word for proof in proofs for word in _words(proof)[1]):
        name, _, value = word.rpartition("=")
        if value not in values.setdefault(name, []):
            values[name].append(value)
    return "; ".join(f"{name} {', '.join(sorted(texts, key=lambda text: (len(text), text)))}".strip()
                     for name, texts in values.items())
