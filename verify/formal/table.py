# SPDX-License-Identifier: Apache-2.0
"""What was proved, as a table for the terminal."""

from .work import ERROR, FAILED, FOUND, PROVED

__all__ = ["complaint", "table"]


def complaint(record):
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


def table(proofs):
    """A line for each of prove.json's proofs, one for each thing that is wrong, and a sum."""
    width = max(len(proof["name"]) for proof in proofs)
    lines = [f"{'proof':{width}}  {'method':<12} properties covers faults seconds  verdict"]
    for proof in proofs:
        faults = f"{sum(fault['verdict'] == FOUND for fault in proof['faults'])}/{len(proof['faults'])}"
        seconds = sum(part["seconds"] or 0 for part in (proof, *proof["faults"]))
        lines.append(f"{proof['name']:{width}}  {proof['method'] + ' ' + str(proof['depth']):<12} "
                     f"{len(proof.get('properties', ())):>10} {len(proof.get('covers', ())):>6} {faults:>6} "
                     f"{seconds:>7.1f}  {proof['verdict']}")
    faults = [(f"{proof['name']}: {fault['name']}", fault) for proof in proofs for fault in proof["faults"]]
    named = [(proof["name"], proof) for proof in proofs] + faults
    lines += [f"{name}: {complaint(record)}" for name, record in named if complaint(record)]
    proved = [proof for proof in proofs if proof["verdict"] == PROVED]
    lines.append(f"proved      {sum(len(proof['properties']) for proof in proved)} properties in {len(proved)} of "
                 f"{len(proofs)} proofs; {sum(fault['verdict'] == FOUND for _, fault in faults)} of {len(faults)} "
                 "faults found")
    return "\n".join(lines)
