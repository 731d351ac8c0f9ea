# SPDX-License-Identifier: Apache-2.0
"""Compares a run's result with what the script expects of it."""

import dataclasses
import itertools
import math

from ...hdl.schedule import predict
from ...hdl.timing import Timing

__all__ = ["Verdict", "judge"]


@dataclasses.dataclass
class Verdict:
    """The verdict on a run.

    ``beats`` came out and were compared; ``lost`` did not come where they had to, ``wrong`` had other data than the
    golden model's. ``faults`` are texts: all of that, and whatever else was not as documented.
    """

    beats: int
    cycles: int
    lost: int
    wrong: int
    faults: list


def judge(script, result, stalled):
    """The :class:`Verdict` on `result` of a job with the steps of `script`; `stalled` tells whether a side paused."""
    faults = [*result.failures, *_sections(script, result), *_looks(script, result)]
    if not stalled:
        faults += _cycles(script, result)
    wrong, texts = _wrong(script, result)
    if texts and not result.mismatches:
        # Of frames that a stream of parameters came among the bench has compared the tlast alone.
        faults += texts
    return Verdict(sum(section["delivered"] for section in result.sections), result.cycles,
                   _lost(script, result), wrong, faults)


def _lost(script, result):
    """Beats that did not come where they had to: none where a reset has cut what was under way."""
    lost = 0
    for number, (section, seen) in enumerate(zip(script.sections, result.sections, strict=False)):
        if section.complete:
            lost += max(section.beats - seen["delivered"], 0)
        elif result.failures and number == len(result.sections) - 1:
            # The run ended here, and not by a reset.
            lost += max(seen["accepted"] - seen["delivered"], 0)
    return lost


def _sections(script, result):
    """Texts: sections that have another number of beats than were sent."""
    if not result.failures and len(result.sections) != len(script.sections):
        yield f"{len(result.sections)} sections where {len(script.sections)} are expected"
    for number, (section, seen) in enumerate(zip(script.sections, result.sections, strict=False)):
        if section.complete and not section.beats == seen["accepted"] == seen["delivered"]:
            yield (f"section {number}: {section.beats} beats sent, {seen['accepted']} accepted, {seen['delivered']} "
                   "delivered")


def _wrong(script, result):
    """Beats with wrong data, and texts that say of which frames."""
    wrong, texts, outputs = 0, [], iter(result.outputs)
    for section in script.sections:
        load = 0
        for number, (sent, got) in enumerate(zip(section.sent, outputs, strict=False)):
            load, differing = _compare(script, section, sent, got, max(load, sent.first))
            if differing:
                wrong += differing
                texts.append(f"{differing} of {len(got)} beats of frame {number} of a section differ from those of "
                             f"loads {sent.first} to {sent.last}")
    return wrong, texts


def _compare(script, section, sent, got, least):
    """The first of the loads from `least` on that fits, and 0; or `least`, and how many beats don't fit it."""
    fewest = len(got)
    for load in range(least, min(sent.last + 1, len(section.loads))):
        wanted = script.pool.expected(sent.sample, section.loads[load])[:len(got)]
        differing = int((got != wanted).any(axis=1).sum())
        if not differing:
            return load, 0
        fewest = min(fewest, differing)
    return least, fewest


def _looks(script, result):
    """Texts: status bits that are not as documented."""
    most, looks = Timing(script.block.config).buffer_words, {look.name: look for look in script.looks}
    ends = [_cut_end(section) for section in script.sections]
    for name, seen in result.snapshots.items():
        look, end = looks[name], ends[looks[name].section]
        for bit, value in (("loaded", look.loaded), ("load_error", look.load_error)):
            if value is not None and seen[f"status_{bit}"] != value:
                yield f"look {name}: status_{bit} is {seen[f'status_{bit}']}"
        # It rises in the cycle after the beat's.
        if bool(seen["status_frame_error"]) not in {seen["accepted"] >= end, seen["accepted"] >= end + look.moving}:
            yield f"look {name}: status_frame_error is {seen['status_frame_error']} after {seen['accepted']} beats"
        if seen["status_peak_words"] > min(most, seen["accepted"]):
            yield (f"look {name}: status_peak_words is {seen['status_peak_words']} after {seen['accepted']} beats, in "
                   f"a buffer of {most}")
        if look.as_before and result.snapshots[look.as_before]["accepted"] != seen["accepted"]:
            yield f"look {name}: a block without parameters has accepted a beat"


def _cut_end(section):
    """The number of beats that are sent up to the end of the first cut frame; infinite if no frame is cut."""
    ends = itertools.accumulate(len(sent.sample.beats) for sent in section.sent)
    return next((end for end, sent in zip(ends, section.sent, strict=True) if sent.sample.cut), math.inf)


def _cycles(script, result):
    """Texts: sections that took other times, or another part of the tile buffer, than predicted."""
    peaks = {look.section: result.snapshots[look.name]["status_peak_words"]
             for look in script.looks if look.name in result.snapshots}
    for number, (section, seen) in enumerate(zip(script.sections, result.sections, strict=False)):
        if not section.timed or number not in peaks:
            continue
        wanted = predict(script.block.config, [sent.sample.rows for sent in section.sent])
        wanted = wanted.total_cycles, wanted.first_output_latency, wanted.peak_words
        got = seen["total"], seen["first_output_latency"], peaks[number]
        if got != wanted:
            yield f"section {number}: total cycles, latency and peak are {got}, predicted {wanted}"
