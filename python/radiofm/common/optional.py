# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Packages that only some blocks need. They are imported when such a block is made, not with the module."""

import importlib
import os
import shlex
import sys
import sysconfig


def optional(module: str, block: str):
    """The module, imported. Raises ImportError that names the missing package and the cure."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = (error.name or module).partition(".")[0]
        raise ImportError(f"{block} needs the Python package {package}; {_cure(package)}",
                          name=error.name) from error


def _cure(package: str) -> str:
    what, where = (("install .", " in gr-radiofm's folder") if package == "radiofm_ml"
                   else (f"install {package}", ""))
    if not _externally_managed():
        return f"install it into the Python that runs this flowgraph: '{_python()} -m pip {what}'{where}"
    return ("pip does not install into this system's own Python, so make a virtual environment that sees GNU "
            f"Radio, '{_python()} -m venv --system-site-packages .venv', install it there, '.venv/bin/pip "
            f"{what}'{where}, and run the flowgraph (or GNU Radio Companion) with .venv/bin/python")


def _python() -> str:
    return shlex.quote(sys.executable or "python3")


def _externally_managed() -> bool:
    """Does pip refuse to install here (PEP 668), as on Debian and Ubuntu outside virtual environments?"""
    return (sys.prefix == sys.base_prefix
            and os.path.exists(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")))
