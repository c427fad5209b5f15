# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a number is: for everything that checks its arguments or what a file says; and a dataclass's fields
that say what they are.

True and False are no numbers here, although Python counts with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import field
from numbers import Integral, Real
from typing import Any


def is_whole(value: object, low: float = -math.inf, high: float = math.inf) -> bool:
    """Is it a whole number (Python's or NumPy's) from ``low`` to ``high``?"""
    return isinstance(value, Integral) and not isinstance(value, bool) and low <= value <= high


def is_number(value: object, low: float = -math.inf, high: float = math.inf) -> bool:
    """Is it a finite number (Python's or NumPy's) from ``low`` to ``high``?"""
    return (isinstance(value, Real) and not isinstance(value, bool) and -math.inf < value < math.inf
            and low <= value <= high)


def whole(name: str, value: object, low: int, high: int | None = None) -> int:
    """``value`` as an int. Raises ValueError that names it, unless it is a whole number from low to high."""
    if not is_whole(value, low, math.inf if high is None else high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be a whole number {bounds}, got {value!r}")
    return int(value)


def setting(default: Any, help: str, *, low: float | None = None, high: float | None = None,
            flags: str = "", parse: Callable[[str], Any] | None = None) -> Any:
    """A dataclass's field with a text that says what it is: ``cli.options`` makes an option of it.

    low, high: bounds that the option keeps. flags: of the option, where not its name's ('--on/--off').
    parse: makes the value of what is typed, or raises ValueError.
    """
    return field(default=default, metadata={"help": help, "min": low, "max": high, "flags": flags,
                                            "parse": parse})
