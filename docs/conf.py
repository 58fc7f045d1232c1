"""How Sphinx builds these pages, offline: `make docs`.  site_links.py checks links; a wrong one fails the build."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from sertools import __version__  # noqa: E402

project = "sertools"
copyright = "the sertools authors, Apache 2.0"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "site_links"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"sertools {__version__}"
html_static_path = ["pictures"]
html_copy_source = False
html_show_sphinx = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
# only imported, never needed to read docstrings
autodoc_mock_imports = ["k2", "kaldifeat", "transformers", "opensmile", "audformat"]
napoleon_attr_annotations = False
