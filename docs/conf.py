# SPDX-License-Identifier: Apache-2.0
"""The documentation site: `make docs` builds it from README, docs/, and the examples' pages, as they are on GitHub.

The source folder is the project's own, so that links between its pages need no change.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

project = "tiled-se"
author = "the authors of tiled-se"
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "examples/*/README.md"]
exclude_patterns = ["build", ".venv"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]

myst_heading_anchors = 4  # as GitHub has them
myst_links_external_new_tab = False
# Lines that Pygments cannot colour are shown as they are; all other warnings are errors.
suppress_warnings = ["misc.highlighting_failure"]
highlight_language = "none"
nitpicky = False

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_param = False

html_theme = "furo"
html_title = "tiled-se"
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_extra_path = ["site/index.html"]
