# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How often does the drift test fire, with and without drift? By simulation of p-values.

Without drift, at the edge of what the test assumes: known signals with uniform p-values, as many unknown ones
as are allowed. With drift: the p-values of all signals, or of many, become smaller.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from radiofm_ml.fewshot.drift import DriftMonitor

_BLOCK, _SHARE = DriftMonitor.BLOCK, DriftMonitor.UNKNOWN_SHARE


def _known_and_unknown(share: float) -> Callable:
    return lambda rng: np.where(rng.random(_BLOCK) < share, 0.0, rng.random(_BLOCK))


def _all_alike(share: float) -> Callable:
    return lambda rng: np.full(_BLOCK, 0.0 if rng.random() < share else rng.random())


WITHOUT = {
    "no unknown signal": _known_and_unknown(0.0),
    f"{_SHARE:.0%} unknown": _known_and_unknown(_SHARE),
    f"{_SHARE:.0%} unknown, the {_BLOCK} tiles of a block all alike": _all_alike(_SHARE),
}
WITH = {
    "nothing fits any more (p = 0)": lambda rng: np.zeros(_BLOCK),
    "p-values a tenth": lambda rng: 0.1 * rng.random(_BLOCK),
    "p-values a third": lambda rng: rng.random(_BLOCK) / 3,
    "p-values cubed": lambda rng: rng.random(_BLOCK)**3,
    "60% fit nothing": _known_and_unknown(0.6),
    "45% fit nothing": _known_and_unknown(0.45),
}


def run_lengths(draw: Callable, rate: float, runs: int, limit: int, seed: int = 0) -> np.ndarray:
    """Tiles until the alarm in each run, ``limit`` where none came. draw(rng) -> p-values of a block."""
    lengths = []
    for run in range(runs):
        rng, monitor, tiles = np.random.default_rng([seed, run]), DriftMonitor(rate), 0
        while tiles < limit and not monitor.drifting:
            monitor.update(draw(rng))
            tiles += _BLOCK
        lengths.append(tiles)
    return np.array(lengths)


def simulate(rate: float, runs: int = 40, seed: int = 0, track: Callable = lambda items,
             label: items) -> list[dict]:
    """Rows {stream, drift, runs, alarms, limit, mean, longest}: tiles to the alarm, cut at ``limit``.

    The mean without drift must be at least 1 / rate; runs there last up to 5 / rate."""
    rows = []
    plan = [(False, *item) for item in WITHOUT.items()] + [(True, *item) for item in WITH.items()]
    for drift, stream, draw in track(plan, "simulating"):
        limit = 200 * _BLOCK if drift else int(5 / rate)
        lengths = run_lengths(draw, rate, runs, limit, seed)
        rows.append({"stream": stream, "drift": drift, "runs": runs, "alarms": int((lengths < limit).sum()),
                     "limit": limit, "mean": float(lengths.mean()), "longest": int(lengths.max())})
    return rows


def print_table(rows: list[dict], rate: float) -> None:
    from rich.table import Table

    from radiofm_ml.terminal import console

    table = Table(title=f"drift test, stated: at least {1 / rate:,.0f} tiles to a false alarm")
    for name in ("stream", "alarms", "tiles to the alarm, mean"):
        table.add_column(name, justify="left" if name == "stream" else "right")
    for row in rows:
        cut = "" if row["alarms"] == row["runs"] else f"> (cut at {row['limit']:,}) "
        name = ("drift: " if row["drift"] else "") + row["stream"]
        table.add_row(name, f"{row['alarms']} of {row['runs']}", f"{cut}{row['mean']:,.0f}")
    console().print(table)
