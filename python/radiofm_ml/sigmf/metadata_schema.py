# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The SigMF schema, from the sigmf package."""

from __future__ import annotations

from functools import cache

from sigmf import __specification__ as VERSION  # the version of the standard that the schema is of
from sigmf import schema

__all__ = ["VERSION", "check"]


def check(metadata: dict) -> None:
    """Raises ValueError that names the key where ``metadata`` breaks the schema of ``.sigmf-meta`` files.

    What the package sigmf's ``validate`` checks, but for the order of captures and annotations; the schema
    itself is prepared once (sigmf does that anew for every file, which takes 50 ms).
    """
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(metadata))
    if error is not None:
        raise ValueError(f"{error.json_path}: {error.message[:200]}")


@cache
def _validator():
    from jsonschema.validators import validator_for

    reference = schema.get_schema()
    return validator_for(reference)(reference)
