# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Packages that only some blocks need. They are imported when such a block is made, not with the module."""

import importlib


def optional(module: str, block: str):
    """The module, imported. Raises ImportError that names the missing package and the cure."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = (error.name or module).partition(".")[0]
        cure = ("'pip install .' in gr-radiofm's folder" if package == "radiofm_ml"
                else f"'pip install {package}'")
        raise ImportError(f"{block} needs the Python package {package}; install it with {cure}, "
                          "into the Python that runs this flowgraph", name=error.name) from error
