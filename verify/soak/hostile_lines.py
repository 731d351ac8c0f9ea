# SPDX-License-Identifier: Apache-2.0
"""Command lines, each of a seed and a number: right ones, wrong ones, and ones that may be either."""

import dataclasses
import random
import signal

from .hostile_drafts import Draft, loadable, right
from .hostile_sins import commit
from .hostile_values import COMMANDS, FILES, FLAGS, SWITCHES, right_text

__all__ = ["Line", "line"]

# How often a command comes; those on a block have most options.
WEIGHTS = {"sim": 24, "verilog": 26, "synth": 12, "bench": 3, "simspeed": 5, "sweep": 6, "inspect": 4, "swap": 4,
           "build": 4, "report": 5, "sensitivity": 3, "demo": 2, "prove": 1,
           "mutate": 1, "crosscheck": 1, "soak": 1, "": 6}
# Of right lines of a block, those that are built; of these `sim` few, because a simulation takes ten seconds. Of those
# of `verilog`, the ones whose simulation is built once for all: see :func:`.hostile_drafts.loadable`.
WHOLE, SIMULATED, SHARED = 0.045, 0.02, 0.05
FRESH, TWINS = 0.03, 0.15
# Commands that take minutes at least, or are no use to run again and again, and what comes in their place.
LONG = {"bench": 0.01, "simspeed": 0.0, "demo": 0.0, "synth": 0.0, "build": 0.03, "sensitivity": 0.2, "sweep": 0.1,
        "report": 0.05, "inspect": 0.3, "swap": 0.3, "prove": 0.0, "mutate": 0.0, "crosscheck": 0.0, "soak": 0.0}


@dataclasses.dataclass(frozen=True)
class Line:
    """A command line, and what must become of it.

    Attributes
    ----------
    number : int
    command : str
        Empty where none is named.
    arguments : tuple of str
    files : dict of str to bytes or str
        What the working directory has: contents; or ``folder``, ``fifo``, ``-> TARGET``, ``secret CONTENT``.
    said : dict of str to str
        Options as the line says them in the end, by field.
    verdict : str
        ``right``, ``wrong``, or ``either`` where what decides isn't known here.
    blames : frozenset of str
        Of a wrong line: its message must have one of these.
    stdout : str
        ``file``, ``full`` or ``closed``.
    interrupted : (int, float) or None
        A signal, and after how many seconds it comes.
    fresh : bool
        Whether an interpreter of its own runs it.
    planned : bool
        Whether it ends when the configuration is known.
    twin : str or None
        The command that then must make the same of the same arguments.
    """

    number: int
    command: str
    arguments: tuple
    files: dict
    said: dict
    verdict: str
    blames: frozenset
    stdout: str = "file"
    interrupted: tuple | None = None
    fresh: bool = False
    planned: bool = False
    twin: str | None = None


def line(seed, number):
    """The :class:`Line` of this seed and number."""
    rng = random.Random(f"{seed} {number}")
    command = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    if not command:
        return _bare(rng, number)
    sins = rng.choices((0, 1, 2), (38, 52, 10))[0]
    if not sins and rng.random() >= LONG.get(command, 1):
        command = "verilog"
    draft = Draft(command)
    if not sins and command == "verilog" and rng.random() < SHARED:
        loadable(rng, draft)
        return _run(rng, number, draft, _spelt(rng, draft), 1)
    right(rng, draft)
    for index in range(sins):
        commit(rng, draft, first=not index)
    if draft.verdict != "wrong" and LONG.get(draft.command, 1) < 0.02:
        # What may be right would take minutes.
        commit(rng, draft, first=False)
    return _run(rng, number, draft, _spelt(rng, draft), SIMULATED if draft.command == "sim" else WHOLE)


def _run(rng, number, draft, arguments, whole):
    """The line with how it is run; `whole` is how often a block's line doesn't end at the plan."""
    block = draft.command in ("sim", "verilog", "synth")
    legal = draft.verdict != "wrong"
    # What may be right, as a damaged file is now and then, ends at the plan at the latest, too.
    planned = block and rng.random() >= whole or draft.command == "synth"
    stdout = rng.choices(("file", "full", "closed"), (97, 1.5, 1.5))[0] if legal else "file"
    interrupted = None
    if draft.command == "verilog" and not planned and legal and rng.random() < 0.15:
        interrupted = rng.choice((signal.SIGTERM, signal.SIGINT)), rng.uniform(0.05, 3)
    fresh = not planned and rng.random() < FRESH
    twin = None
    if block and draft.verdict == "right" and stdout == "file" and not interrupted and not fresh:
        # A simulation's twin costs little beside it.
        twin = rng.choice(("sim", "verilog", "synth")) if planned else "verilog"
        twin = twin if draft.command == "sim" and not planned or rng.random() < TWINS else None
    return Line(number, draft.command, tuple(arguments), draft.files, draft.values, draft.verdict,
                frozenset(draft.blames), stdout, interrupted, fresh, planned, twin)


def _bare(rng, number):
    """Help, version, no command, or none that is known."""
    kind = rng.choice(("help", "help", "version", "none", "unknown", "unknown", "option"))
    if kind == "help":
        command = rng.choice(COMMANDS)
        arguments = rng.choice(([command, "--help"], [command, "-h"], ["--help"], ["-h"],
                                ["sim", "--k", "no", "--help"]))
    elif kind in ("version", "none"):
        arguments = ["--version"] if kind == "version" else []
    elif kind == "option":
        arguments = [rng.choice(("--k", "--out=x", "-o", "--versio", "--", "-x", "---", "--\u00e9", "--help=1"))]
        if arguments == ["--"]:
            arguments += ["nothing"]
    else:
        arguments = [rng.choice(("simulate", "", " ", "SIM", "sim ", "ver\nilog", "\udcff", "\U0001f600", "x" * 9000,
                                 "0", "sim,verilog", "swee"))]
    wrong = kind in ("option", "unknown")
    return Line(number, "", tuple(arguments), {}, {}, "wrong" if wrong else "right",
                frozenset(["COMMAND", "argument", "unrecognized"]) if wrong else frozenset(), fresh=rng.random() < 0.2)


def _spelt(rng, draft):
    """The arguments of a draft: any order, any spelling."""
    groups = []
    # What stands alone is the first, then the second: either all of them or none.
    alone = rng.random() < 0.8
    for name, text in draft.values.items():
        if name in draft.standing and alone:
            continue
        groups.append(_group(rng, draft, name, text))
    stands = [draft.values[name] for name in draft.standing
              if name in draft.values and not any(group[0] == name for group in groups)]
    groups = [tokens for _, tokens in groups]
    rng.shuffle(groups)
    if rng.random() < 0.06:
        # The last one counts.
        names = [name for name in draft.values if name not in draft.standing and name != "scheduler"]
        if names:
            name = rng.choice(names)
            groups.insert(0, [f"{FLAGS[name]}={'earlier' if name in FILES else right_text(rng, name)}"])
    tokens = [token for group in groups for token in group]
    # One may come behind the options; no option may come between two.
    behind = len(stands) == 1 and rng.random() < 0.2
    return [draft.command, *(tokens + stands if behind else stands + tokens), *draft.tail, *draft.cut]


def _group(rng, draft, name, text):
    flag = "-o" if name == "out" and rng.random() < 0.3 else FLAGS[name]
    if name in SWITCHES and text == "1" and not draft.standing and rng.random() < 0.5:
        return name, [flag]
    apart = not text.startswith("-") or text[1:].isdigit() and len(text) < 9
    if (apart and rng.random() < 0.4) or flag == "-o":
        return name, [flag, text] if apart else [FLAGS[name] + "=" + text]
    return name, [f"{flag}={text}"]

