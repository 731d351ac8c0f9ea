# SPDX-License-Identifier: Apache-2.0
"""Pages of the documentation with sections that commands write: each is found by the two comments around it."""

import dataclasses
import os
import textwrap
from collections.abc import Iterable

from ..hdl.config import ConfigError
from ..hdl.errors import reason

__all__ = ["Section", "read_page", "wrapped"]

WIDTH = 120


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of a page in Markdown, between the lines `begin` and `end`."""

    begin: str
    end: str

    def find(self, page: str) -> str | None:
        """The section with its two lines, None if `page` has none; ValueError where only one is there, or several."""
        counts = page.count(self.begin), page.count(self.end)
        if counts == (0, 0):
            return None
        if counts != (1, 1) or page.index(self.end) < page.index(self.begin):
            raise ValueError(
                f"must have the lines '{self.begin}' and '{self.end}' once each, in this order, or neither")
        return page[page.index(self.begin):page.index(self.end) + len(self.end)]

    def placed(self, page: str, content: str) -> str:
        """`page` with `content` as this section, in the place of the one that it has, else at its end."""
        old, new = self.find(page), f"{self.begin}\n{content.strip()}\n{self.end}"
        return f"{page.rstrip()}\n\n{new}\n" if old is None else page.replace(old, new)


def read_page(docs: str, name: str, sections: Iterable[Section]) -> str | None:
    """The text of page `name` in folder `docs`, None where there is none.

    Raises ConfigError ("docs") where it can't be read, or the lines of a section are not as they should be.
    """
    try:
        with open(os.path.join(docs, name), encoding="utf-8") as file:
            page = file.read()
        for section in sections:
            section.find(page)
        return page
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError("docs", docs, f"{name} can't be read: {reason(error)}") from None
    except ValueError as error:
        raise ConfigError("docs", docs, f"{name} {error}") from None


def wrapped(text: str, indent: str = "") -> str:
    """`text` in lines of Markdown, all but the first indented."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
