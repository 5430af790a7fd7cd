"""Sphinx configuration: MyST pages, executed tutorials, numpydoc API reference; a warning is an error in CI."""

import sciinf

project = "sciinf"
author = "the sciinf developers"
copyright = "2026, the sciinf developers"
release = version = sciinf.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "numpydoc",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "**/jupyter_execute", "**/.ipynb_checkpoints"]
html_theme = "furo"
html_title = f"sciinf {release}"

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_validation_checks = set()
nitpicky = False
