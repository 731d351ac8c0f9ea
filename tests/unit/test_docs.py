# SPDX-License-Identifier: Apache-2.0
"""What README, docs and CONTRIBUTING name exists: files, links, commands, variables, options, figures, versions."""

import pathlib
import re

import pytest

from tiled_se.cli.commands import COMMANDS
from tiled_se.gen.fields import flag, options_of

ROOT = pathlib.Path(__file__).parents[2]
# The changelog also names what was there once.
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in (
    *ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/**/*.*")) if path.name != "CHANGELOG.md"}
OPTIONS = {field: about for command in COMMANDS.values()
           for field, about in options_of(command.load_options()).items()}
VARIABLES = {about.variable for about in OPTIONS.values()} | {"PYTHON", "PIP_ARGS"}
# Of the programs of Python, pip, pytest, dask and FuseSoC.
OTHER_OPTIONS = {"--version", "--help", "--extra-index-url", "--numprocesses", "--dist", "--nworkers", "--nthreads",
                 "--yes", "--binary", "--timing", "--quiet", "--top-module", "--no-deps", "--nightly", "--tool"}
TARGETS = set(COMMANDS) | {name for line in re.findall(r"^([a-z][\w -]*):(?!=)", (ROOT / "Makefile").read_text(), re.M)
                           for name in line.split()}

on_each_page = pytest.mark.parametrize("page", sorted(PAGES))


def code(page):
    """Each line of code and each code span of a page."""
    text = PAGES[page]
    if not page.endswith(".md"):
        return text.splitlines()
    fence = re.compile(r"^```\w*\n(.*?)^```$", re.M | re.S)
    text = re.sub(r"^```\{.*?^```$", "", text, flags=re.M | re.S)  # directives of the site, which checks them itself
    rest = fence.sub("", text)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest)]
    return [*"".join(fence.findall(text)).splitlines(), *re.findall(r"^ {4}.*$", rest, re.M), *spans]


def anchors(text):
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@on_each_page
def test_links(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), target


@on_each_page
def test_paths(page):
    suffixes = "py|md|v|sv|cpp|toml|json|txt|cff|yml"
    for path in re.findall(rf"(?<![\w/.=])((?:[\w.-]+/)+[\w.-]+\.(?:{suffixes}))\b", "\n".join(code(page))):
        if path.split("/")[0] in ("OUT", "DOCS", "build", "rtl", "se") or "NAME" in path:
            continue
        assert (ROOT / path).exists(), path


@on_each_page
def test_commands(page):
    for text in code(page):
        for program, name in re.findall(r"(?:^|[\s;])(make|tiled-se) ([a-z][a-z-]*)\b", text):
            assert name in (TARGETS if program == "make" else COMMANDS), text


@on_each_page
def test_variables(page):
    for text in code(page):
        if re.search(r"(?:^|[\s;])make ", text) or re.fullmatch(r"[A-Z_]+=\S*", text):
            for name in re.findall(r"(?<![\w-])([A-Z][A-Z_]*)=", text):
                assert name in VARIABLES, text


@on_each_page
def test_options(page):
    known = {flag(field) for field in OPTIONS} | OTHER_OPTIONS
    for text in code(page):
        for name in re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", text):
            assert name in known, text


@pytest.mark.parametrize(("heading", "page"), [
    ("**Whole networks.**", "docs/benchmarks.md"), ("**And the accuracy?**", "docs/demo.md"),
    ("**Down to no buffer.**", "docs/contexts.md"),
    ("## Area and clock on an FPGA", "docs/benchmarks.md")])
def test_figures_of_the_readme(heading, page):
    """Figures that the README quotes are on the page that a command writes, or that says how they were measured."""
    text = PAGES["README.md"].split(heading)[1].split("\n## ")[0].split("\n**")[0]
    figures = re.findall(r"\d+[.,]\d+", re.sub(r"\]\([^)]*\)", "", text))
    assert figures
    assert [figure for figure in figures if figure not in PAGES[page]] == []


@pytest.mark.parametrize(("heading", "page", "least"), [
    ("**Pages of text, in this project.**", "docs/demo.md", 16),
    ("**Small pictures of garments, in this project.**", "docs/study.md", 17)])
def test_figures_of_the_contexts(heading, page, least):
    """Figures that docs/contexts.md quotes are on the page that a command writes."""
    text = PAGES["docs/contexts.md"].split(heading)[1].split("\n**")[0]
    figures = re.findall(r"[-+]?\d+[.,]\d+ \([^)]*\)|[-+]?\d+[.,]\d+", text)
    assert len(figures) >= least
    assert [figure for figure in figures if figure not in PAGES[page]] == []


def test_versions():
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
