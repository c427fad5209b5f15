# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Does a watch keep the rate of false alarms that it states, and how soon does it see what is new? On
simulated streams.

Sources come by chance, each at a rate of its own, from one in two days to one a minute, in bursts of a few
packets, at frequencies that jitter; a label has one or several, and one hops. Nothing changes after the watch
has learned, so every alarm is false. Then the same with one thing changed, which the watch has to find.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from radiofm_ml.watch.events import KINDS, MOVED, SILENT, Event
from radiofm_ml.watch.settings import Settings
from radiofm_ml.watch.watch import Watch

_HOUR = 3600.0
LEVEL = 0.95
WATCHED = 8.0  # hours after the learning


@dataclass(frozen=True)
class World:
    """What is on the air.

    sources, rates  how many, and between which visits per hour theirs lie, uniform in the logarithm
    shared          labels that several of them share
    packets, between  of a visit: how many, and seconds between them, both means
    talks, turns    share of visits that are conversations, and mean seconds between their transmissions
    hops            of one label that is everywhere, per hour
    daily           how much more comes by day than on the average; 0: nothing depends on the time of day
    """

    sources: int = 30
    rates: tuple[float, float] = (0.02, 60.0)
    shared: int = 8
    packets: float = 2.5
    between: float = 3.0
    talks: float = 0.0
    turns: float = 60.0
    hops: float = 300.0
    daily: float = 0.0


WORLDS = {
    "bursts": World(),
    "many rare sources": World(sources=150, rates=(0.005, 5.0), hops=0.0),
    "30 % of visits are conversations of minutes (longer than the pause)": World(talks=0.3),
    "rates that change by day": World(daily=1.0),
}


def stream(world: World, hours: float, rng: np.random.Generator) -> list[Event]:
    """What is heard in so many hours, in the order in which it ends."""
    events = []
    for number in range(world.sources):
        label = f"shared {rng.integers(world.shared)}" if number % 2 else f"label {number}"
        frequency = 433e6 + 25e3 * rng.integers(400)
        rate = np.exp(rng.uniform(*np.log(world.rates)))
        events += emissions(world, label, frequency, _times(rate, hours, world.daily, rng), rng)
    for time in _times(world.hops, hours, 0.0, rng):
        events.append(_event(time, 0.01, "hopper", 440e6 + rng.uniform(0.0, 5e6), 1e6))
    return sorted(events, key=lambda event: event.stop)


def _times(rate: float, hours: float, daily: float, rng: np.random.Generator) -> np.ndarray:
    """Beginnings of visits in seconds, Poisson at a ``rate`` per hour."""
    time = np.sort(rng.uniform(0.0, hours * _HOUR, rng.poisson(rate * hours)))
    likely = (1.0 + daily * np.sin(2 * np.pi * time / (24 * _HOUR))) / (1.0 + daily)
    return time[rng.uniform(size=len(time)) <= likely]


def emissions(world: World, label: str, frequency: float, times: np.ndarray,
              rng: np.random.Generator) -> list[Event]:
    """Visits of a source, each with all that is sent in it."""
    found = []
    for time in times:
        talk = rng.uniform() < world.talks
        count = int(rng.integers(2, 8)) if talk else int(rng.geometric(1.0 / world.packets))
        starts = time + np.cumsum(rng.exponential(world.turns if talk else world.between, count))
        found += [_event(start, rng.exponential(0.3), label, frequency + rng.normal(0.0, 500.0), 10e3)
                  for start in starts]
    return found


def _event(start: float, seconds: float, label: str, frequency: float, width: float) -> Event:
    return Event(float(start), float(start + seconds), label, float(frequency - width / 2),
                 float(frequency + width / 2))


def false_alarms(world: World, settings: Settings, runs: int, seed: int) -> Counter:
    """How many alarms of each kind there are in ``runs`` of WATCHED hours after the learning."""
    counts: Counter = Counter()
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        watch = Watch(settings)
        end = settings.learn / _HOUR + WATCHED
        found = watch.feed(stream(world, end, rng)) + watch.advance(end * _HOUR)
        counts.update(alarm.kind for alarm in found)
    return counts


def seconds_to_find(kind: str, world: World, settings: Settings, rate: float, runs: int,
                    seed: int) -> np.ndarray:
    """Seconds to the alarm in each run, infinite without one within WATCHED hours. A source with ``rate``
    visits per hour begins ('new'), with a label that is known ('moved'), or ends ('silent'), an hour after
    the learning."""
    found = []
    for run in range(runs):
        rng = np.random.default_rng([seed, 1, run])
        end, change = settings.learn + WATCHED * _HOUR, settings.learn + _HOUR
        events = stream(world, end / _HOUR, rng)
        if kind == MOVED:
            events += emissions(world, "changed", 460e6, _times(rate, end / _HOUR, 0.0, rng), rng)
        times = _times(rate, end / _HOUR, 0.0, rng)
        times = times[times < change] if kind == SILENT else times[times >= change]
        own = emissions(world, "changed", 450e6, times, rng)
        if kind == SILENT:
            own = [event for event in own if event.stop < change]
        watch = Watch(settings)
        alarms = watch.feed(sorted(events + own, key=lambda event: event.stop)) + watch.advance(end)
        hits = [alarm.time - change for alarm in alarms
                if (alarm.kind, alarm.label) == (kind, "changed") and alarm.time >= change
                and abs(alarm.freq_lower - 450e6) < 50e3]
        found.append(min(hits, default=np.inf))
    return np.array(found)


def interval(count: int, hours: float) -> tuple[float, float]:
    """Exact interval of a Poisson rate, per hour, at LEVEL (Garwood, Biometrika 28, 1936)."""
    from scipy.stats import chi2

    tail = (1.0 - LEVEL) / 2
    lower = chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    return float(lower / hours), float(chi2.ppf(1.0 - tail, 2 * count + 2) / 2 / hours)


def simulate(rates: Sequence[float] = (0.1, 1.0), runs: int = 40, learn: float = _HOUR, seed: int = 0,
             track: Callable = lambda items, label: items) -> tuple[list[dict], list[dict]]:
    """Rows {world, stated, hours, counts, rate, lower, upper}, then {kind, visits, stated, found, median}:
    the share of runs in which the change was found, and the median of the seconds that took."""
    kept, found = [], []
    for name, rate in track([(name, rate) for name in WORLDS for rate in rates], "false alarms"):
        counts = false_alarms(WORLDS[name], Settings(rate, learn), runs, seed)
        total, hours = sum(counts.values()), runs * WATCHED
        lower, upper = interval(total, hours)
        kept.append({"world": name, "stated": rate, "hours": hours, "counts": dict(counts),
                     "rate": total / hours, "lower": lower, "upper": upper})
    plan = [(kind, visits, rate) for kind in KINDS for visits in (6, 20, 60) for rate in rates]
    for kind, visits, rate in track(plan, "changes"):
        seconds = seconds_to_find(kind, World(), Settings(rate, learn), visits, max(runs // 4, 1), seed)
        found.append({"kind": kind, "visits": visits, "stated": rate, "found": np.isfinite(seconds).mean(),
                      "median": float(np.median(seconds))})
    return kept, found


def print_tables(kept: list[dict], found: list[dict]) -> None:
    from rich.table import Table

    from radiofm_ml.terminal import console

    table = Table(title="false alarms per hour")
    for name in ("stream", "stated", "measured", "95 %", *KINDS):
        table.add_column(name, justify="left" if name == "stream" else "right")
    for row in kept:
        table.add_row(row["world"], f"{row['stated']:g}", f"{row['rate']:.3f}",
                      f"{row['lower']:.3f} to {row['upper']:.3f}",
                      *(str(row["counts"].get(kind, 0)) for kind in KINDS))
    console().print(table)
    table = Table(title="changes found")
    for name in ("change", "visits per hour", "stated", "found", "median, minutes"):
        table.add_column(name, justify="left" if name == "change" else "right")
    for row in found:
        table.add_row(row["kind"], str(row["visits"]), f"{row['stated']:g}", f"{row['found']:.0%}",
                      f"{row['median'] / 60:.1f}")
    console().print(table)
