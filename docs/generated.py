# SPDX-License-Identifier: Apache-2.0
"""Directives of Sphinx for what the code itself says: commands and their options, ports, public names."""

import importlib
import pathlib

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from tiled_se.cli.commands import COMMANDS
from tiled_se.gen import generate
from tiled_se.gen.block_spec import assemble
from tiled_se.gen.fields import flag, options_of
from tiled_se.gen.options import BlockOptions

__all__ = ["setup"]

# For the page's ports: loadable, as any block without weights is.
SHAPE = {"k": 2, "width": 4, "channels": 8}


def _cell(text):
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def _table(*rows):
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def _command(command):
    rows = [(f"`{flag(name)}` `{about.variable}=`", _cell(about.help))
            for name, about in options_of(command.load_options()).items()]
    statuses = [(str(status), meaning)
                for status, meaning in sorted((command.statuses | {2: "bad input"}).items())]
    return "\n\n".join([f"### {command.name}", _cell(" ".join(command.text.split())),
                        _table(("option, variable", "meaning"), *rows),
                        _table(("exit status", "meaning"), *statuses)])


def _anew(directive, text):
    # The page is read in each build: what is in it depends on the code, which Sphinx does not watch.
    directive.env.note_reread()
    return directive.parse_text_to_nodes(text, allow_section_headings=True)


class Commands(SphinxDirective):
    """A section for each command: its text, options and exit statuses."""

    def run(self):
        return _anew(self, "\n\n".join(map(_command, COMMANDS.values())))


class Ports(SphinxDirective):
    """A table of the ports of a loadable block."""

    def run(self):
        ports = generate(assemble(BlockOptions(**SHAPE)).config).ports
        rows = [(f"`{port.name}`", port.direction, str(port.width), _cell(port.meaning)) for port in ports]
        return _anew(self, _table(("port", "direction", "bits", "meaning"), *rows))


class Public(SphinxDirective):
    """The names that a package exports, with their docstrings."""

    required_arguments = 1

    def run(self):
        package = importlib.import_module(self.arguments[0])
        parts = [f"## {package.__name__}", package.__doc__.split("\n\n")[0]]
        for name in sorted(package.__all__):
            kind = "autoclass" if isinstance(getattr(package, name), type) else "autofunction"
            parts.append(f"```{{eval-rst}}\n.. {kind}:: {package.__name__}.{name}\n```")
        return _anew(self, "\n\n".join(parts))


def list_external_links(app, error):
    """Write the links that leave the site, with their pages, into external-links.txt; nothing follows them."""
    links = {(link["refuri"], page) for page in app.env.found_docs
             for link in app.env.get_doctree(page).findall(nodes.reference) if "://" in link.get("refuri", "")}
    pathlib.Path(app.outdir, "external-links.txt").write_text(
        "".join(f"{address}  {page}\n" for address, page in sorted(links)), encoding="utf-8")


def setup(app):
    """Add the directives and the list."""
    app.connect("build-finished", list_external_links)
    app.add_directive("commands", Commands)
    app.add_directive("ports", Ports)
    app.add_directive("public", Public)
    return {"parallel_read_safe": True}
