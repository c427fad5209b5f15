# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""When something was heard, in constant memory: a label, and a label at a frequency."""

from __future__ import annotations

from dataclasses import dataclass, field

from radiofm_ml.watch.rates import MAX_VISITS, independent_visits

MAX_PLACES = 256  # of a label; beyond, the two that are nearest become one
FOLLOWED = 100  # signals over which a place's frequency is averaged
LEAST_COVERED = 0.9  # share of a label's visits that must go to places that were visited before
_ACCURACY = 1e-6  # of times, over ``pause``


@dataclass
class Presence:
    """Visits of one source: what is heard again within ``pause`` seconds is the same visit, and one that goes
    on counts anew after every ``pause``. Times in seconds of listening.

    visits     how many
    counted    when the last of them began
    heard      until when it was heard last
    intervals, total, squares  between the beginnings of visits: how many, their sum and sum of squares
    longest    time between two times that it was heard
    recent     beginnings of the newest visits, MAX_VISITS of them
    known      it is normal here: it was learned, or has been reported
    until      when it will have been listened to for long enough to tell how often it comes
    """

    visits: int = 0
    counted: float = 0.0
    heard: float = 0.0
    intervals: int = 0
    total: float = 0.0
    squares: float = 0.0
    longest: float = 0.0
    recent: list[float] = field(default_factory=list)
    known: bool = False
    until: float = 0.0

    def hear(self, start: float, stop: float, pause: float) -> bool:
        """Heard from ``start`` to ``stop``. Was that a new visit?"""
        before = self.visits
        if self.visits:
            self.longest = max(self.longest, start - self.heard)
        if not self.visits or (start > self.heard + pause and start >= self.counted + pause):
            self._count(start)
        steps = int((stop - self.counted) / pause + _ACCURACY)
        if steps > MAX_VISITS:
            self._skip(steps - MAX_VISITS, pause)
        for _ in range(min(steps, MAX_VISITS)):
            self._count(self.counted + pause)
        self.heard = max(self.heard, stop)
        return self.visits > before

    def _count(self, time: float) -> None:
        if self.visits:
            interval = time - self.counted
            self.intervals, self.total = self.intervals + 1, self.total + interval
            self.squares += interval**2
        self.visits, self.counted = self.visits + 1, time
        self.recent = [*self.recent, time][-MAX_VISITS:]

    def _skip(self, steps: int, pause: float) -> None:
        """So many visits in a row; ``recent`` is filled by those that follow."""
        self.visits, self.intervals = self.visits + steps, self.intervals + steps
        self.total, self.squares = self.total + steps * pause, self.squares + steps * pause**2
        self.counted += steps * pause

    def came_within(self, visits: int, window: float) -> bool:
        """Do so many visits, with the newest one, lie within ``window`` seconds?"""
        return len(self.recent) >= visits and self.recent[-1] - self.recent[-visits] <= window

    @property
    def independent(self) -> float:
        """Visits that do not come in one cluster, see ``rates``."""
        if not self.intervals:
            return float(self.visits)
        return self.visits * independent_visits(self.intervals, self.total, self.squares) / self.intervals

    def begin_again(self, until: float) -> None:
        """It is known from now on: how often it comes is counted anew."""
        self.known, self.until = True, until
        self.visits, self.intervals, self.total, self.squares, self.recent = 0, 0, 0.0, 0.0, []
        self.longest = 0.0

    def absorb(self, other: Presence) -> None:
        """The other one was this one. Visits are added up: where both were heard at once, it counts twice."""
        for name in ("visits", "intervals", "total", "squares"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("heard", "counted", "until", "longest", "known"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))
        self.recent = sorted([*self.recent, *other.recent])[-MAX_VISITS:]


@dataclass
class Place(Presence):
    """A label at a frequency, in Hz.

    centre     middle of the band of its middle frequencies
    reach      half of that band: 0 of what stays where it is, more of what hops
    width      mean bandwidth
    usual      independent visits in ``length`` seconds; 0 while that is being learned
    gap        the longest time without it while that was learned, the end included
    limit      seconds of silence that are reported; None while none are
    silent     they have been, and it was not heard since
    """

    centre: float = 0.0
    reach: float = 0.0
    width: float = 0.0
    usual: float = 0.0
    length: float = 0.0
    gap: float = 0.0
    limit: float | None = None
    silent: bool = False

    def distance(self, frequency: float) -> float:
        """Hz from its band; 0 inside."""
        return max(abs(frequency - self.centre) - self.reach, 0.0)

    def holds(self, frequency: float, width: float, tolerance: float) -> bool:
        return self.distance(frequency) <= max(width, self.width) / 2 + tolerance

    def follow(self, frequency: float, width: float) -> None:
        """Take note of a signal that it holds, before it is heard."""
        weight = 1.0 / min(self.visits + 1, FOLLOWED)
        self.width += (width - self.width) * weight
        if not self.reach:
            self.centre += (frequency - self.centre) * weight

    def absorb(self, other: Presence) -> None:
        lower = min(self.centre - self.reach, other.centre - other.reach)
        upper = max(self.centre + self.reach, other.centre + other.reach)
        self.centre, self.reach = (lower + upper) / 2, (upper - lower) / 2
        self.width = max(self.width, other.width)
        self.usual = self.usual + other.usual
        self.length, self.gap = max(self.length, other.length), max(self.gap, other.gap)
        self.silent = self.silent and other.silent
        super().absorb(other)

    @property
    def edges(self) -> tuple[float, float]:
        half = self.reach + self.width / 2
        return self.centre - half, self.centre + half


@dataclass
class Label(Presence):
    """A label and where it is heard: ``places`` are normal, ``new`` ones have not come often enough yet."""

    places: list[Place] = field(default_factory=list)
    new: list[Place] = field(default_factory=list)

    def find(self, frequency: float, width: float, tolerance: float) -> Place | None:
        """The nearest place that holds it."""
        found = [p for p in (*self.places, *self.new) if p.holds(frequency, width, tolerance)]
        return min(found, key=lambda place: (not place.known, place.distance(frequency)), default=None)

    def add(self, place: Place) -> None:
        self.places.append(place)
        if len(self.places) > MAX_PLACES:
            join_nearest(self.places)

    def add_new(self, place: Place) -> None:
        self.new.append(place)
        if len(self.new) > MAX_PLACES:
            self.new.remove(min(self.new, key=lambda one: one.heard))

    def absorb(self, other: Presence) -> None:
        super().absorb(other)
        for place in other.places:
            same = self.find(place.centre, place.width, 0.0)
            if same is not None and same.known:
                same.absorb(place)
            else:
                self.add(place)
        for place in other.new:
            self.add_new(place)


def join_nearest(places: list[Place]) -> None:
    """Make one of the two that lie nearest to each other."""
    places.sort(key=lambda place: place.centre)
    gaps = [after.centre - after.reach - place.centre - place.reach
            for place, after in zip(places, places[1:], strict=False)]
    at = gaps.index(min(gaps))
    places[at].absorb(places.pop(at + 1))


def join_hops(places: list[Place]) -> None:
    """Of a label that hops or drifts no single frequency says much: where more than a tenth of its visits
    went to a place with no other (an estimate of the share that will go where there was none: Good,
    Biometrika 40, 1953), join its places, the nearest first, until none has one only."""
    def once() -> int:
        return sum(place.visits == 1 for place in places)

    if once() > max(2.0, (1.0 - LEAST_COVERED) * sum(place.visits for place in places)):
        while len(places) > 1 and once():
            join_nearest(places)
