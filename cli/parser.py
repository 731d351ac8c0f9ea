# SPDX-License-Identifier: Apache-2.0
"""The argument parser of `tiled-se`: help, and errors of one line."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from ..gen.fields import GROUPS, UsageError, flag, options_of
from .commands import COMMANDS, Command

__all__ = ["parse"]

DESCRIPTION = "RTL generator for a streaming tiled squeeze-and-excite block, bit-exact to a PyTorch golden model."

# Prefix of the parser's name for an option's value that stands without the option's name.
POSITIONAL = "positional:"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def _parser() -> _Parser:
    parser = _Parser(prog="tiled-se", description=DESCRIPTION, allow_abbrev=False,
                     epilog="`tiled-se COMMAND --help` lists the options of a command.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for command in COMMANDS.values():
        _add_command(commands, command)
    return parser


def _add_command(commands: Any, command: Command) -> None:
    name, options = command.name, options_of(command.load_options())
    examples = "".join(f"\n  {f'tiled-se {name} {example}'.rstrip()}" for example in command.examples)
    positional = [about.metavar for about in options.values() if about.positional]
    parser = commands.add_parser(
        name, help=command.short, description=command.description, allow_abbrev=False,
        usage=" ".join([f"tiled-se {name}", *positional, "[OPTION ...]"]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"examples:{examples}\n\nmake {name} takes every option as a variable, whose name is in brackets.")
    groups = {group: parser.add_argument_group(title) for group, title in GROUPS.items()}
    for field, about in options.items():
        # A boolean may stand without a value: --waves is --waves 1.
        optional: dict[str, Any] = {"nargs": "?", "const": "1"} if about.metavar == "0|1" else {}
        flags = ("-o", flag(field)) if field == "out" else (flag(field),)
        text = f"[{about.variable}] {about.help}".replace("%", "%%")
        groups[about.group].add_argument(*flags, dest=field, metavar=about.metavar, help=text, **optional)
        if about.positional:
            parser.add_argument(POSITIONAL + field, nargs="?", metavar=about.metavar, help=argparse.SUPPRESS)


def parse(arguments: Sequence[str]) -> tuple[str, dict[str, str | None]]:
    """The command and the texts of its options by field name; ("version", {}); ("help", {}) after printing help.

    Raises UsageError where there is no such command or option, or a value is missing; SystemExit after --help.
    """
    parser = _parser()
    texts: dict[str, Any] = vars(parser.parse_args(arguments))
    command, version = texts.pop("command"), texts.pop("version")
    for field in [name.removeprefix(POSITIONAL) for name in texts if name.startswith(POSITIONAL)]:
        text = texts.pop(POSITIONAL + field)
        if text is not None and texts[field] is not None:
            raise UsageError(f"{flag(field)} is given twice: {texts[field]} and {text}")
        texts[field] = texts[field] if text is None else text
    if version:
        return "version", {}
    if command is None:
        parser.print_help(sys.stdout)
        return "help", {}
    return command, texts
