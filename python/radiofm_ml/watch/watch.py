# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What is new here: learn for a stretch what is normal, then report what is not, each once.

    watch = Watch(Settings(false_alarms=0.1, learn=3600))
    alarms = watch.feed([Event(start, stop, "lora", 868.05e6, 868.15e6)])
    alarms = watch.advance(now)                                # nothing was heard until now

new     a label, or a group of the unknown, that was never heard here
moved   a known label at a frequency where it was never heard
silent  a label that has not been heard at its frequency for so long that chance does not explain it

Each of the three gets a third of the stated rate. The first two wait for as many visits within a short time
as it takes for sources that are only rare to come so often at no more than that rate; the third waits until a
silence would be longer than chance makes them at that rate (``rates``). Assumed: visits come by chance, at
rates that stay what they were while they were learned. What lasts longer than ``pause``, and what depends
on the time of day where less than a day was learned, does not keep to that.

Time for an event and memory are constant: MAX_LABELS labels, ``presence.MAX_PLACES`` places of each.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from radiofm_ml.arguments import is_number
from radiofm_ml.watch import rates
from radiofm_ml.watch.events import KINDS, MOVED, NEW, SILENT, Alarm, Event
from radiofm_ml.watch.presence import Label, Place, Presence, join_hops
from radiofm_ml.watch.settings import Settings

MAX_LABELS = 1000
WINDOWS = (0.1, 1 / 3)  # within which visits are counted, in parts of the time that was learned
LEAST_VISITS = 3  # of a label at a place whose silence is reported
GAPS = 2.0  # no silence is reported before it is so many times as long as the longest that was learned
_HOUR = 3600.0


class Watch:
    """See the module.

    Times are those of the stream: seconds from any moment on. They ascend, but for signals that overlap, and
    may begin anew where a watch is loaded: it goes on from where it was.
    """

    def __init__(self, settings: Settings | None = None):
        self.settings = settings or Settings()
        self.pause = self.settings.pause or self.settings.learn / 100
        self._labels: dict[str, Label] = {}
        self._now = 0.0  # seconds of listening
        self._ahead: float | None = None  # the stream's time less those
        self._length: float | None = None  # seconds that were learned; None while they are
        self._seen: dict[str, list[int]] = {}  # by kind: how many came 0, 1, 2 ... times while it learned
        self._needed: dict[str, list[tuple[float, int]]] = {}  # by kind: window, visits that make an alarm
        self._next_look = math.inf  # when something may have gone silent

    # -- use ----------------------------------------------------------------------------------------
    @property
    def learning(self) -> bool:
        return self._length is None

    @property
    def listened(self) -> float:
        """Seconds, those of learning included."""
        return self._now

    @property
    def labels(self) -> tuple[str, ...]:
        """All that was heard, also what has not come often enough to be said."""
        return tuple(self._labels)

    @property
    def blind(self) -> tuple[str, ...]:
        """Kinds of news that are not reported: so little was learned, for the rate that is stated, that more
        visits are needed than fit into the time. Longer learning helps, and so does another rate."""
        return () if self.learning else tuple(kind for kind, needed in self._needed.items() if not needed)

    def feed(self, events: Iterable[Event]) -> list[Alarm]:
        """Signals in the order in which they end. Returns what is new with them, or went silent before."""
        alarms = []
        for event in events:
            start, stop = max(self._listening(event.start), 0.0), max(self._listening(event.stop), 0.0)
            alarms += [*self._go_on(start), *self._hear(event, start, stop), *self._go_on(stop)]
        return alarms

    def advance(self, time: float) -> list[Alarm]:
        """The stream has come to ``time``, and all that ended before has been fed."""
        if not is_number(time):
            raise ValueError(f"a time must be a finite number of seconds, got {time!r}")
        return self._go_on(self._listening(time))

    def begin(self, time: float = 0.0) -> None:
        """Another stream begins, at ``time`` of its own clock: it follows what was heard until now."""
        if not is_number(time):
            raise ValueError(f"a time must be a finite number of seconds, got {time!r}")
        self._ahead = time - self._now

    def skip(self, seconds: float) -> None:
        """So much of the stream was not heard (samples lost, the receiver elsewhere): it is no silence."""
        if not is_number(seconds, 0.0):
            raise ValueError(f"what was skipped must be seconds from 0 on, got {seconds!r}")
        if self._ahead is not None:
            self._ahead += seconds

    def rename(self, label: str, new: str) -> None:
        """What was called ``label`` is ``new`` from now on, which may be there: a group that was named, or
        has gone into another. That is no news. Does nothing where there is no such label."""
        if label == new or label not in self._labels:
            return
        old = self._labels.pop(label)
        if new in self._labels:
            self._labels[new].absorb(old)
            self._set_limits()
        else:
            self._labels[new] = old

    def split(self, label: str, new: str) -> None:
        """A part of what was called ``label`` is ``new`` from now on: a group that has become two. It is as
        normal where that was, which is no news, but how often it comes is counted anew. Does nothing where
        there is no such label, or the new one is there already."""
        if label not in self._labels or new in self._labels:
            return
        old, made = self._labels[label], self._label(new)
        made.known = old.known
        for place in (*old.places, *(old.new if self.learning else ())):
            part = Place(centre=place.centre, reach=place.reach, width=place.width, heard=place.heard,
                         known=place.known, until=self._now + (self._length or 0.0))
            if self.learning:  # it was here once, at least
                part.hear(place.heard, place.heard, self.pause)
            made.add(part)
        if self.learning:
            made.hear(old.heard, old.heard, self.pause)
        self._set_limits()

    def change(self, *, false_alarms: float | None = None, learn: float | None = None,
               tolerance: float | None = None) -> None:
        """Other settings from now on. learn: how long is learned, where that is not over. Raises
        ValueError; nothing has changed then."""
        given = {"false_alarms": false_alarms, "learn": learn if self.learning else None,
                 "tolerance": tolerance}
        changed = {name: value for name, value in given.items() if value is not None}
        # what a visit is stays as it is
        self.settings = replace(self.settings, **changed)
        if self.learning and self._now >= self.settings.learn:
            self.end_learning()
        elif not self.learning:
            self._needed = self._visits_needed()
            self._set_limits()

    def end_learning(self) -> None:
        """What was heard until now is what is normal: for a recording that is shorter than ``learn``. Raises
        ValueError if no time has passed."""
        if not self.learning:
            return
        if self._now <= 0:
            raise ValueError("there is nothing to learn from: no time has passed")
        self._length = self._now
        for label in self._labels.values():
            label.known = True
            join_hops(label.places)
            for place in label.places:
                place.known = True
        heard = {NEW: list(self._labels.values()), MOVED: [place for _, place in self._places()]}
        counts = {kind: Counter(one.visits for one in those) for kind, those in heard.items()}
        self._seen = {kind: [count[m] for m in range(rates.MAX_VISITS + 1)] for kind, count in counts.items()}
        self._needed = self._visits_needed()
        self._look_for_usual()

    def state(self) -> dict:
        """Everything but the settings, as ``restore`` takes it; for ``state.save``."""
        return {"labels": dict(self._labels), "now": self._now, "learned": self._length,
                "seen": dict(self._seen), "pause": self.pause}

    def restore(self, state: dict) -> None:
        """Go on where another watch with these settings was, at any time of another stream."""
        self._labels, self._now, self._ahead = dict(state["labels"]), state["now"], None
        self._length, self._seen, self.pause = state["learned"], dict(state["seen"]), state["pause"]
        if not self.learning:
            self._needed = self._visits_needed()
            self._look_for_usual()

    # -- hearing ------------------------------------------------------------------------------------
    def _hear(self, event: Event, start: float, stop: float) -> list[Alarm]:
        label = self._label(event.label)
        again = label.hear(start, stop, self.pause)
        frequency, width = (event.freq_lower + event.freq_upper) / 2, event.freq_upper - event.freq_lower
        place = label.find(frequency, width, self.settings.tolerance)
        if place is None:
            place = Place(centre=frequency, width=width)
            if self.learning:
                label.add(place)
            elif label.known and self._now < label.until:  # where it is heard is being learned
                self._learn(label, place)
            else:
                label.add_new(place)
        place.follow(frequency, width)
        come = place.hear(start, stop, self.pause)
        if place.silent:
            place.silent = False
            self._set_limits()
        if self.learning:
            return []
        if not label.known:
            return self._report_new(event, label, place) if again else []
        return self._report_moved(event, label, place) if come and not place.known else []

    def _label(self, name: str) -> Label:
        if name not in self._labels:
            if len(self._labels) >= MAX_LABELS:  # what is not known first, and what was heard longest ago
                del self._labels[min(self._labels, key=lambda one: (self._labels[one].known,
                                                                    self._labels[one].heard))]
            self._labels[name] = Label()
        return self._labels[name]

    def _report_new(self, event: Event, label: Label, place: Place) -> list[Alarm]:
        found = self._explained(NEW, label)
        if found is None:
            return []
        since, often = found
        label.begin_again(self._now + self._length)
        new, label.new = label.new, []
        for one in new:
            self._learn(label, one)
        return [self._alarm(NEW, event.label, place, since, f"{often}, and never in {self._learned}")]

    def _report_moved(self, event: Event, label: Label, place: Place) -> list[Alarm]:
        found = self._explained(MOVED, place)
        if found is None:
            return []
        since, often = found
        label.new = [one for one in label.new if one is not place]
        self._learn(label, place)
        return [self._alarm(MOVED, event.label, place, since,
                            f"{often} at this frequency, and never in {self._learned}")]

    def _learn(self, label: Label, place: Place) -> None:
        """It is heard here, from now on."""
        place.begin_again(self._now + self._length)
        label.add(place)
        self._next_look = min(self._next_look, place.until)

    def _explained(self, kind: str, one: Presence) -> tuple[float, str] | None:
        """When it began and how often it came, if chance does not explain it."""
        for window, visits in self._needed[kind]:
            if one.came_within(visits, window):
                since = one.recent[-visits]
                return since, "heard" if visits == 1 else (
                    f"heard {visits} times within {_time(max(one.recent[-1] - since, self.pause))}")
        return None

    def _visits_needed(self) -> dict[str, list[tuple[float, int]]]:
        budget = self.settings.false_alarms / _HOUR / len(KINDS) / len(WINDOWS)
        found = {}
        for kind, seen in self._seen.items():
            needed = [(window, rates.visits_needed(seen, self._length, window, budget))
                      for window in (share * self._length for share in WINDOWS)]
            found[kind] = [(window, visits) for window, visits in needed
                           if visits is not None and (visits - 1) * self.pause <= window]
        return found

    # -- silence ------------------------------------------------------------------------------------
    def _listening(self, time: float) -> float:
        """Seconds of listening at a time of the stream."""
        if self._ahead is None:
            self._ahead = time - self._now
        return time - self._ahead

    def _go_on(self, now: float) -> list[Alarm]:
        if now <= self._now:
            return []
        if self.learning and now >= self.settings.learn:
            self._now = self.settings.learn
            self.end_learning()
        self._now = now
        return self._look() if now >= self._next_look else []

    def _look(self) -> list[Alarm]:
        alarms = []
        for name, place in self._places():
            if place.limit is not None and not place.silent and self._now > place.heard + place.limit:
                place.silent = True
                reason = (f"not heard for {_time(place.limit)}, after {place.usual:.0f} visits in "
                          f"{_time(place.length)}")
                alarms.append(self._alarm(SILENT, name, place, place.heard, reason,
                                          place.heard + place.limit))
        self._look_for_usual()
        return alarms

    def _look_for_usual(self) -> None:
        """Note how often those come that have been listened to for long enough."""
        for _, place in self._places():
            if not place.length and place.until <= self._now:
                place.length = self._length
                place.usual = place.independent if place.visits >= LEAST_VISITS else 0.0
                place.gap = max(place.longest, self._now - place.heard)
        self._set_limits()

    def _set_limits(self) -> None:
        if self.learning:
            return
        places = [place for _, place in self._places()]
        missed = [place for place in places if place.usual]
        budget = self.settings.false_alarms / _HOUR / len(KINDS) / max(len(missed), 1)
        for place in missed:
            silence = rates.longest_silence(place.usual, place.length, budget)
            place.limit = max(silence, GAPS * place.gap, self.pause) if math.isfinite(silence) else None
        waiting = [place.until for place in places if not place.length]
        looks = [place.heard + place.limit for place in missed
                 if place.limit is not None and not place.silent]
        self._next_look = min([*waiting, *looks], default=math.inf)

    def _places(self) -> Iterator[tuple[str, Place]]:
        return ((name, place) for name, label in self._labels.items() for place in label.places)

    # -- saying -------------------------------------------------------------------------------------
    @property
    def _learned(self) -> str:
        return f"{_time(self._length)} of learning"

    def _alarm(self, kind: str, label: str, place: Place, since: float, reason: str,
               now: float | None = None) -> Alarm:
        now = self._now if now is None else now
        return Alarm(kind, now + self._ahead, since + self._ahead, label, *place.edges, reason)


def _time(seconds: float) -> str:
    for unit, name in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"
