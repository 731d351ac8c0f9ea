# SPDX-License-Identifier: Apache-2.0
"""benchmarks.md and the one section of it that `make simspeed` writes, found by the two comments around it.

`make bench` writes all the rest. Each command keeps what the other has written.
"""

import os

from ..hdl.config import ConfigError

__all__ = ["BEGIN", "DOCUMENT", "END", "read_page", "with_section", "with_section_of"]

DOCUMENT = "benchmarks.md"
BEGIN = "<!-- begin: speed of simulation, written by make simspeed -->"
END = "<!-- end: speed of simulation -->"


def read_page(docs):
    """The text of the page in folder `docs`, None where there is none.

    Raises ConfigError ("docs") where it can't be read, or its comments don't make one section.
    """
    try:
        with open(os.path.join(docs, DOCUMENT), encoding="utf-8") as file:
            page = file.read()
        _section(page)
        return page
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError("docs", docs, f"{DOCUMENT} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError("docs", docs, f"{DOCUMENT} {error}") from None


def with_section(page, content):
    """`page` with the Markdown `content` as its section: in the place of the one it has, else at its end."""
    return _placed(page, f"{BEGIN}\n{content.strip()}\n{END}")


def with_section_of(page, old):
    """`page`, written anew, with the section that the page `old` has, if any; `old` may be None."""
    section = _section(old or "")
    return page if section is None else _placed(page, section)


def _placed(page, new):
    old = _section(page)
    return f"{page.rstrip()}\n\n{new}\n" if old is None else page.replace(old, new)


def _section(page):
    """The section with its two comments, or None."""
    counts = page.count(BEGIN), page.count(END)
    if counts == (0, 0):
        return None
    if counts != (1, 1) or page.index(END) < page.index(BEGIN):
        raise ValueError(f"must have the lines '{BEGIN}' and '{END}' once each, in this order, or neither")
    return page[page.index(BEGIN):page.index(END) + len(END)]
