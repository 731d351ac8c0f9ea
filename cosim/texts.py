# SPDX-License-Identifier: Apache-2.0
"""What failures are called, whichever bench has found them."""

__all__ = ["DATA_CHANGED", "EXTRA_BEATS", "NO_LOADER", "VALID_FELL", "extra", "hang", "unexpected", "violation"]

# Beats too many after which a block is taken to run wild.
EXTRA_BEATS = 16

VALID_FELL = "tvalid fell before the beat was taken"
DATA_CHANGED = "tdata or tlast changed before the beat was taken"
NO_LOADER = "the block has no w_axis to load parameters through"


def violation(prefix, text, cycle):
    """A stream that breaks its protocol."""
    return f"{prefix}: {text}, cycle {cycle}"


def unexpected(early, cycle, accepted, delivered):
    """An output beat too many, or one that comes before the input beat that it belongs to: if `early`."""
    what = "an output beat is offered before its input beat was accepted"
    if not early:
        what = "tvalid is high with nothing left to deliver"
    return f"m_axis: {what}, cycle {cycle}, after {accepted} beats in and {delivered} out"


def extra():
    """Why a run was stopped whose block gives beats without end."""
    return f"stopped: more than {EXTRA_BEATS} beats too many"


def hang(cycles, waiting, delivered, expected):
    """Which side waits for which, after `cycles` without a transfer.

    `waiting` has (prefix, beats accepted, beats to go) of each input.
    """
    sides = [f"{prefix}_tready stays low after {accepted} beats, {pending} to go"
             for prefix, accepted, pending in waiting if pending]
    if delivered < expected:
        sides.append(f"m_axis_tvalid stays low after {delivered} of {expected} beats")
    what = "; ".join(sides) or "a step waits for more beats than were sent"
    return f"hang: no beat moved for {cycles} cycles: {what}"
