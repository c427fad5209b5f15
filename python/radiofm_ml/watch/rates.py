# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How often chance alone looks like news. Pure arithmetic; times in seconds, rates per second.

**What was never heard.** Sources come by chance, each at a rate of its own that nobody knows. The rate at
which those turn up that a stretch of length T did not show is the number that it showed exactly once, over T
(Good, Biometrika 40, 1953; in continuous time Efron and Thisted, Biometrika 63, 1976). The same holds for
sources that were never heard and then come m times within a window w: one with rate r does that with a rate
of r (r w)^(m-1) / (m-1)! and has escaped with probability e^(-r T), and the number N_m that was heard
exactly m times has the mean sum of e^(-r T) (r T)^m / m!. So the rate is m N_m w^(m-1) / T^m. N_m + 1
stands for N_m: a number that is 0 by luck promises nothing.

**Silence.** A source that came n times in T by chance alone (Poisson) is silent for longer than g with
probability (1 + g/T)^-n, the error of the estimated rate included (the predictive with the prior 1/rate).
Where visits come in clusters, which their intervals tell by a coefficient of variation c above 1, it is not
the visits that are independent but the clusters: if intervals are either short ones within a cluster or long
ones between two, each exponential, there are 2 n / (1 + c^2) of these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MAX_VISITS = 12  # more are not waited for


def first_heard_rate(seen: Sequence[int], visits: int, length: float, window: float) -> float:
    """Rate at which sources that ``length`` seconds have not shown come ``visits`` times within ``window``.

    seen: how many sources those seconds have shown exactly m times, for each m from 0 on (as far as known).
    """
    once = (seen[visits] if visits < len(seen) else 0) + 1
    return visits * once * (window / length)**(visits - 1) / length


def visits_needed(seen: Sequence[int], length: float, window: float, rate: float) -> int | None:
    """How many visits within ``window`` chance makes at no more than ``rate``; None where it is more than
    MAX_VISITS."""
    return next((m for m in range(1, MAX_VISITS + 1) if first_heard_rate(seen, m, length, window) <= rate),
                None)


def independent_visits(intervals: int, total: float, squares: float) -> float:
    """How many of the visits behind so many ``intervals`` (their sum and sum of squares) are independent."""
    if intervals < 2 or total <= 0:
        return float(intervals)
    mean = total / intervals
    variation = max(squares / intervals - mean**2, 0.0) * intervals / (intervals - 1) / mean**2
    return intervals * min(1.0, 2.0 / (1.0 + variation))


def longest_silence(visits: float, length: float, rate: float) -> float:
    """After how many seconds a silence is longer than chance makes it at ``rate``: of a source that was heard
    ``visits`` independent times in ``length`` seconds. 0 where even its visits are rarer than ``rate``."""
    each = visits / length  # silences begin so often
    if each <= rate:
        return 0.0 if visits else math.inf
    try:
        return length * ((each / rate)**(1.0 / visits) - 1.0)
    except OverflowError:
        return math.inf
