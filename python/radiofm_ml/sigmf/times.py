# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Moments as (whole seconds since 1970, fraction), UTC: what a float cannot hold to the nanosecond."""

from __future__ import annotations

import calendar
import math
import re
import time
from datetime import datetime

_SECONDS = -30610224000, 253402300800  # the years 1000 to 9999, for core:datetime
_LONGEST = 1 << 62  # seconds: what tags and messages can say
_DATETIME = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)[Tt_ ]\s*(\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?"
    r"\s*([Zz]|UTC|GMT|[+-][01]\d(?::?[0-5]\d)?)?", re.ASCII)


def parse_datetime(text: str) -> tuple[int, float]:
    """(whole seconds since 1970, fraction) of an ISO 8601 time, to all its digits. Raises ValueError."""
    match = _DATETIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not an ISO 8601 date and time: {text!r}")
    year, month, day, hour, minute, second = (int(g or 0) for g in match.groups()[:6])
    datetime(year, month, day, hour, minute, min(second, 59))  # raises for a 13th month and the like
    if second > 60:
        raise ValueError(f"not a second: {second}")
    seconds = calendar.timegm((year, month, day, hour, minute, second))
    zone = match[8]
    if zone and zone[0] in "+-":
        minutes = int(zone[1:3]) * 60 + int(zone[3:].lstrip(":") or 0)
        seconds -= 60 * minutes if zone[0] == "+" else -60 * minutes
    fraction = float(f"0.{match[7]}") if match[7] else 0.0
    return (seconds, fraction) if fraction < 1 else (seconds + 1, 0.0)  # 0.99999999999999999 is 1.0


def format_datetime(moment: tuple[int, float]) -> str:
    """ISO 8601 in UTC, to the nanosecond, of (seconds since 1970, fraction). Raises ValueError for times
    that this cannot say."""
    if not (_SECONDS[0] <= moment[0] < _SECONDS[1] and 0 <= moment[1] < 1):
        raise ValueError(f"a time must lie in the years 1000 to 9999, got {moment[0]} s + {moment[1]} s")
    seconds, nanoseconds = divmod(int(moment[0]) * 10**9 + round(moment[1] * 1e9), 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09d}Z"


def later(moment: tuple[int, float] | None, samples: int, rate: float | None) -> tuple[int, float] | None:
    """``moment`` (seconds, fraction) plus ``samples`` at ``rate``; None where either is not known, or absurd.

    Divided into whole seconds first, so that no digit is lost.
    """
    if moment is None or samples == 0:
        return moment
    if rate is None:
        return None
    whole, rest = divmod(samples, rate)
    if not abs(whole) < _LONGEST:
        return None
    fraction = moment[1] + rest / rate
    carry = math.floor(fraction)
    return moment[0] + int(whole) + carry, fraction - carry
