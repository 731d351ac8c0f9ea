# SPDX-License-Identifier: Apache-2.0
"""benchmarks.md and the one section of it that `make simspeed` writes.

`make bench` writes all the rest. Each command keeps what the other has written.
"""

from ..gen import page as pages

__all__ = ["BEGIN", "DOCUMENT", "END", "read_page", "with_section", "with_section_of"]

DOCUMENT = "benchmarks.md"
BEGIN = "<!-- begin: speed of simulation, written by make simspeed -->"
END = "<!-- end: speed of simulation -->"
SECTION = pages.Section(BEGIN, END)


def read_page(docs: str) -> str | None:
    """The text of the page in folder `docs`, None where there is none; ConfigError ("docs") where it is broken."""
    return pages.read_page(docs, DOCUMENT, [SECTION])


def with_section(page: str, content: str) -> str:
    """`page` with the Markdown `content` as its section: in the place of the one it has, else at its end."""
    return SECTION.placed(page, content)


def with_section_of(page: str, old: str | None) -> str:
    """`page`, written anew, with the section that the page `old` has, if any."""
    section = SECTION.find(old or "")
    return page if section is None else with_section(page, section.removeprefix(BEGIN).removesuffix(END))
