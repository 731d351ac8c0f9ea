# SPDX-License-Identifier: Apache-2.0
"""What the Makefile takes from the rows of commands.py: `python -m tiled_se.cli.makefile` writes commands.mk."""

import pathlib
import shlex
import textwrap

from ..gen.fields import Option, options_of, text_of
from .commands import COMMANDS, Command
from .parser import parse

__all__ = ["FILE", "content"]

FILE = pathlib.Path(__file__).parents[1] / "commands.mk"
# Columns of help, of group names, and of variables with their defaults.
WIDTH, GROUP, VARIABLE = 112, 13, 16
# Commands that take the same options are described together.
SAME = ("sim", "verilog", "synth")

HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# Written by `.venv/bin/python -m tiled_se.cli.makefile` from cli/commands.py. Do not edit.
#
"""


def content() -> str:
    """The text of commands.mk: help as comments that start with ##, then variables for the Makefile."""
    options = {name: about for command in COMMANDS.values() for name, about in _options(command).items()}
    pairs = [f"{about.variable}:{name.replace('_', '-')}" for name, about in options.items()]
    extras = [f"{name}:{command.extra}" for name, command in COMMANDS.items() if command.extra]
    variables = {
        "COMMANDS": list(COMMANDS),
        "OPTIONS": pairs,
        "NEED_TOOLS": [name for name, command in COMMANDS.items() if command.tools],
        "EXTRAS": extras,
        "OPTIONAL": sorted({command.extra for command in COMMANDS.values() if command.extra and command.optional}),
        "OPTION_EXTRAS": [f"{about.variable}:{about.extra}" for about in options.values() if about.extra]}
    comments = {"OPTIONS": "Make's variable and the option of tiled-se that it stands for.",
                "EXTRAS": "A command and the extra that it needs; commands run without those that are optional.",
                "OPTION_EXTRAS": "A variable and the extra that it needs where it is given."}
    lines = [f"## {line}".rstrip() for line in (*_targets(), "", *_variables())]
    for name, values in variables.items():
        lines += ["", *([f"# {comments[name]}"] if name in comments else []),
                  " \\\n  ".join(textwrap.wrap(f"{name} := {' '.join(values)}", WIDTH, break_on_hyphens=False))]
    return HEAD + "\n".join(lines) + "\n"


def _options(command: Command) -> dict[str, Option]:
    return options_of(command.load_options())


def _targets() -> list[str]:
    """A line for each command: its first example as Make takes it, and what it is for."""
    lines = ["tiled-se: a streaming tiled squeeze-and-excite block as RTL", ""]
    for name, command in COMMANDS.items():
        _, texts = parse([name, *shlex.split(command.examples[0])])
        about = _options(command)
        values = [f"{about[field].variable}={text}" for field, text in texts.items() if text is not None]
        lines += _columns(" ".join(["  make", name, *values]), 32, command.short)
    return lines


def _variables() -> list[str]:
    """The variables of each command; those that commands share are described once."""
    lines: list[str] = []
    told: dict[str, str] = {}
    for name, command in COMMANDS.items():
        if name in SAME[1:]:
            continue
        options = _options(command)
        known = [about.variable for field, about in options.items() if told.get(field) == about.text]
        new = {field: about for field, about in options.items() if told.get(field) != about.text}
        title = "sim, verilog and synth (the same ones make the same hardware)" if name in SAME else name
        besides = f", besides {', '.join(known)}" if known else ""
        lines += textwrap.wrap(f"Variables of {title}{besides}", WIDTH) + [""]
        group = ""
        for field, about in new.items():
            told.setdefault(field, about.text)
            first = f"  {'' if about.group == group else about.group:<{GROUP}}{about.variable}={text_of(about.default)}"
            group = about.group
            lines += _columns(first, 2 + GROUP + VARIABLE, about.text)
        lines += [""] if new else []
    return lines


def _columns(first: str, width: int, text: str) -> list[str]:
    """`first`, and from column `width` on `text`, in as many lines as it takes."""
    lines = textwrap.wrap(text, WIDTH - width, break_on_hyphens=False)
    if len(first) >= width - 1:
        lines.insert(0, "")
    return [f"{first if number == 0 else '':<{width}}{line}".rstrip() for number, line in enumerate(lines)]


if __name__ == "__main__":
    FILE.write_text(content())
