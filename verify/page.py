# SPDX-License-Identifier: Apache-2.0
"""The page docs/verification.md: `make verify` writes its sections between comments, and leaves the rest as it is."""

import os
import textwrap

from ..gen.files import write_all
from ..hdl.config import ConfigError

__all__ = ["DOCUMENT", "read_page", "with_section", "wrapped", "write_page"]

DOCUMENT = "verification.md"
WIDTH = 120


def read_page(docs: str, names: list[str]) -> str:
    """The text of the page in folder `docs`.

    Raises
    ------
    ConfigError
        ("docs") where the page can't be read, or lacks the comments of one of the sections `names`.
    """
    try:
        with open(os.path.join(docs, DOCUMENT), encoding="utf-8") as file:
            page = file.read()
        for name in names:
            with_section(page, name, "")
    except (OSError, ValueError) as error:
        reason = error if isinstance(error, ValueError) else f"can't be read: {error.strerror}"
        raise ConfigError("docs", docs, f"{DOCUMENT} {reason}") from None
    return page


def write_page(docs: str, page: str) -> None:
    """Write the page into folder `docs`; ConfigError ("docs") where that fails."""
    write_all(docs, {DOCUMENT: page.encode()}, "docs")


def with_section(page: str, name: str, content: str) -> str:
    """`page` with the Markdown `content` between the comments of section `name`.

    Raises
    ------
    ValueError
        Where these comments are not there once each.
    """
    begin, end = f"<!-- verify:{name} -->", f"<!-- /verify:{name} -->"
    if (page.count(begin), page.count(end)) != (1, 1) or page.index(end) < page.index(begin):
        raise ValueError(f"must have the comments '{begin}' and '{end}' once each, in this order")
    return f"{page[:page.index(begin)]}{begin}\n{content}\n{page[page.index(end):]}"


def wrapped(text: str, indent: str = "") -> str:
    """`text` in lines of Markdown, all but the first indented."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
