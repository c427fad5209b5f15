# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Checks of the blocks' numbers, as those of ``radiofm_ml.arguments``, which is not there on every machine.

True and False are no numbers here, although Python counts with them.
"""

import math
from numbers import Integral, Real


def is_whole(value, low: float = -math.inf, high: float = math.inf) -> bool:
    """Is it a whole number (Python's or NumPy's) from ``low`` to ``high``?"""
    return isinstance(value, Integral) and not isinstance(value, bool) and low <= value <= high


def whole(name: str, value, low: int, high: int | None = None) -> int:
    """``value`` as an int. Raises ValueError that begins with ``name``, the block's and the parameter's."""
    if not is_whole(value, low, math.inf if high is None else high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be a whole number {bounds}, got {value!r}")
    return int(value)


def number(name: str, value, low: float = -math.inf, high: float = math.inf) -> float:
    """``value`` as a float, if it is a finite number from low to high. Raises ValueError as ``whole``."""
    fits = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or not low <= value <= high:
        bounds = f" in {low:g}..{high:g}"
        if math.isinf(low) or math.isinf(high):
            bounds = f" of at least {low:g}" if math.isfinite(low) else (
                f" of at most {high:g}" if math.isfinite(high) else ", finite")
        raise ValueError(f"{name} must be a number{bounds}, got {value!r}")
    return float(value)
