"""The site's settings: `make docs` builds it into build/site. CONTRIBUTING.md says how to add a page."""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fl_server.settings.development")

project = "fl-server"
author = "the authors of fl-server"
version = release = version_of("fl-server")
language = "en"

extensions = [
    "myst_nb",  # pages in Markdown, and notebooks; it is a superset of myst_parser
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docs.generator.extension",
]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
# A command with a placeholder in it is not quite a command.
suppress_warnings = ["misc.highlighting_failure"]
exclude_patterns = ["__pycache__", "generator", "images", "diagrams", "static"]
nitpicky = True
# Types of the standard library and of others, and what is not exported.
nitpick_ignore_regex = [("py:.*", r".*")]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4
# The notebooks hold their outputs. A test runs them against a server.
nb_execution_mode = "off"
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "description"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_mock_imports = ["lightning"]

html_theme = "furo"
html_title = f"fl-server {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": False}
copybutton_exclude = ".linenos, .gp, .go"
