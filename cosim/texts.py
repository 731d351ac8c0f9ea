# SPDX-License-Identifier: Apache-2.0
"""Messages of failures, the same for all test benches."""

__all__ = ["DATA_CHANGED", "EXTRA", "EXTRA_BEATS", "NO_LOADER", "VALID_FELL", "hang", "unexpected", "violation"]

# The run is stopped after this many surplus beats.
EXTRA_BEATS = 16

VALID_FELL = "tvalid fell before the beat was taken"
DATA_CHANGED = "tdata or tlast changed before the beat was taken"
EXTRA = f"stopped: more than {EXTRA_BEATS} beats too many"
NO_LOADER = "the block has no w_axis to load parameters through"


def violation(prefix, text, cycle):
    """A stream breaks its protocol."""
    return f"{prefix}: {text}, cycle {cycle}"


def unexpected(early, cycle, accepted, delivered):
    """A surplus output beat or, if `early`, one that comes before its input beat."""
    what = "an output beat is offered before its input beat was accepted"
    if not early:
        what = "tvalid is high with nothing left to deliver"
    return f"m_axis: {what}, cycle {cycle}, after {accepted} beats in and {delivered} out"


def hang(cycles, waiting, delivered, expected):
    """No transfer for `cycles` cycles; names the side that waits.

    `waiting` has (prefix, beats accepted, beats to go) of each input.
    """
    sides = [f"{prefix}_tready stays low after {accepted} beats, {pending} to go"
             for prefix, accepted, pending in waiting if pending]
    if delivered < expected:
        sides.append(f"m_axis_tvalid stays low after {delivered} of {expected} beats")
    what = "; ".join(sides) or "a step waits for more beats than were sent"
    return f"hang: no beat moved for {cycles} cycles: {what}"
