# SPDX-License-Identifier: Apache-2.0
"""A section of benchmarks.md that another command writes than the rest: found by the two comments around it."""

__all__ = ["BEGIN", "DOCUMENT", "END", "kept", "replaced", "section"]

DOCUMENT = "benchmarks.md"
BEGIN = "<!-- begin: speed of simulation, written by make bench-sim -->"
END = "<!-- end: speed of simulation -->"


def section(page):
    """The section of the text `page` with its two comments, or None if it has none.

    Raises ValueError where the comments don't make one section.
    """
    counts = page.count(BEGIN), page.count(END)
    if counts == (0, 0):
        return None
    if counts != (1, 1) or page.index(END) < page.index(BEGIN):
        raise ValueError(f"must have the two lines '{BEGIN}' and '{END}' once, in this order, or neither")
    return page[page.index(BEGIN):page.index(END) + len(END)]


def replaced(page, content):
    """`page` with the Markdown `content` as its section: in the place of the one it has, else at its end."""
    new = f"{BEGIN}\n{content.strip()}\n{END}"
    old = section(page)
    return f"{page.rstrip()}\n\n{new}\n" if old is None else page.replace(old, new)


def kept(page, old):
    """`page`, which has no section, with that of the page `old` at its end, if there is one."""
    found = section(old)
    return page if found is None else f"{page.rstrip()}\n\n{found}\n"
