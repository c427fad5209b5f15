# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a teach panel shows and does, without its window: labels, how they are heard, and commands."""

import threading
import time
from collections import deque
from dataclasses import dataclass

from . import words
from .answers import label_of
from .boxes import NOT, UNKNOWN, Teaching
from .waterfall import Note

_WINDOW = 60.0  # seconds of which shares are counted
_MOST_HEARD = 20_000  # decisions that are remembered


@dataclass(frozen=True)
class Row:
    """A label, as the table has it. shots: None of what is not taught; share: of the decisions of the last
    minute, None where it says nothing; heard: seconds since it was heard last, None for never."""

    label: str
    shots: int | None
    share: float | None
    heard: float | None

    def texts(self) -> tuple[str, str, str, str]:
        return (self.label, "" if self.shots is None else str(self.shots),
                "" if self.share is None else f"{100 * self.share:.0f} %",
                "never" if self.heard is None else words.ago(self.heard))


class Panel:
    """send: function of a command, a dict; now: seconds, by a clock that runs evenly. Safe to use from
    several threads; knows no Qt."""

    def __init__(self, send, now=time.monotonic):
        self._send, self._now, self._lock = send, now, threading.RLock()
        self.teaching = Teaching()
        self.notes: deque[Note] = deque(maxlen=32)
        self.shots: dict[str, int] = {}  # of each label that is taught
        self.rate: float | None = None  # of false alarms, as the classifier says
        self.clear()

    def clear(self) -> None:
        """A new run; what is taught stays."""
        with self._lock:
            self._heard: deque[tuple[float, str, float | None]] = deque(maxlen=_MOST_HEARD)
            self._last: dict[str, float] = {}
            self._found: set[int] | None = None  # signals that were found and not decided yet, if any came
            self.embedded, self.dropped = 0, 0
            self._state_known, self._undone_from = False, None
            self._collecting: tuple[str, int, int] | None = None  # label, shots, decisions when it was asked
            self._drifting, self._drift_said = False, False

    # -- what comes -----------------------------------------------------------------------------------
    def add_prediction(self, prediction) -> None:
        info, now, label = prediction.info, self._now(), label_of(prediction)
        begins = info.sample_start / info.sample_rate if info.sample_rate else None
        with self._lock:
            if not self._state_known and prediction.labels:
                self.shots = {name: self.shots.get(name, 0) for name in prediction.labels}
            self._heard.append((now, label, begins))
            self._last[label] = now
            if len(self._last) > 1000:
                self._last = dict(sorted(self._last.items(), key=lambda entry: entry[1])[-500:])
            self.embedded += 1
            self.dropped = max(self.dropped, info.dropped)
            if self._found is not None and info.signal is not None:
                self._found.discard((info.signal.signal, info.signal.part))

    def add_signal(self, info) -> None:
        """It was found, and will be decided, or dropped."""
        with self._lock:
            found = self._found = set() if self._found is None else self._found
            if len(found) < 100_000:
                found.add((info.signal.signal, info.signal.part))

    def add_state(self, shots: dict[str, int]) -> None:
        """What is taught now."""
        with self._lock:
            self._state_known = True
            before, self.shots = self.shots, shots
            if before != shots:
                self._drifting, self._drift_said = False, False  # what was taught anew may drift anew
            if self._undone_from is not None and self._undone_from[1]:
                self._say_undone()

    def answered(self, command: str, ok: bool, reason: str = "", label: str = "", shots: int = 0,
                 rate: float | None = None) -> None:
        with self._lock:
            about = self.teaching.answered(command, label)
            if command == "drift":
                self._drift(not ok)
            elif not ok:
                self._refused(command, reason, label)
            else:
                self._done(command, reason, label, shots, rate, about or {})

    def _refused(self, command: str, reason: str, label: str) -> None:
        mine = self._collecting is not None and self._collecting[0] == label
        if command == "enroll" and mine and "is still being taught" not in reason:
            self._collecting = None
        if command == "undo":
            self._undone_from = None
        if reason not in ("cancelled by undo", "cancelled by clear"):  # the answer to the undo follows
            self.notes.append(Note(words.refusal(command, reason, label), False))

    def _done(self, command: str, reason: str, label: str, shots: int, rate: float | None,
              about: dict) -> None:
        if command == "enroll":
            self._collecting = None
            if not self._state_known:
                self.shots[label] = shots
            self.notes.append(Note(f"'{label}' is taught, with {words.count(shots, 'shot')}"))
        elif command == "remove":
            self.notes.append(Note(f"'{label}' is removed. Undo brings it back"))
        elif command == "rename":
            self.notes.append(Note(f"'{about['old']}' is called '{label}' now" if about
                                   else f"A label is called '{label}' now"))
        elif command == "undo":
            self._undone(label)
        elif command == "save":
            self.notes.append(Note(f"Saved: {about.get('path', 'what is taught')}"))
        elif command == "load":
            self.notes.append(Note(f"Loaded: {about.get('path', 'what was taught')}"
                                   + (f" ({reason})" if reason else "")))
        elif command == "false_alarm_rate" and rate is not None:
            self.rate = rate

    # -- undo: what it undid shows in what is taught ----------------------------------------------------
    def _undone(self, label: str) -> None:
        if label:
            self._collecting = self._undone_from = None
            self.notes.append(Note(f"Undone: '{label}' is not being taught any more"))
        elif self._undone_from is None or not self._state_known:
            self._undone_from = None
            self.notes.append(Note("Undone"))
        else:
            self._undone_from = self._undone_from[0], True
            if self._undone_from[0] != self.shots:  # the state has come before its answer
                self._say_undone()

    def _say_undone(self) -> None:
        before, self._undone_from = self._undone_from[0], None
        self.notes.append(Note(f"Undone: {difference(before, self.shots)}"))

    # -- drift: an advice that comes once and goes once -------------------------------------------------
    def _drift(self, drifting: bool) -> None:
        if drifting and not self._drift_said:
            self._drifting = self._drift_said = True
        elif not drifting:
            self._drifting = False

    @property
    def advice(self) -> str:
        """What to do, as long as it is to be done; '' for nothing."""
        return ("Signals look unlike what was taught (antenna? gain?): teach some again" if self._drifting
                else "")

    # -- what is asked of the classifier --------------------------------------------------------------
    def begin(self) -> None:
        """Ask what is taught."""
        self._send({"command": "state"})
        self._send({"command": "false_alarm_rate"})

    def teach_next(self, label: str, shots: int) -> None:
        with self._lock:
            self._collecting = self._collecting or (label, shots, self.embedded)
        self._ask({"command": "enroll", "label": label, "shots": shots, "source": "next"})

    def teach_last(self, label: str, seconds: float) -> None:
        """All that was heard in the last so many seconds."""
        shots = self.heard_in(seconds)
        if not shots:
            self.notes.append(Note(f"Nothing was heard in the last {words.duration(seconds)}", False))
            return
        self._ask({"command": "enroll", "label": label, "shots": min(shots, 1024), "source": "last"})

    def heard_in(self, seconds: float) -> int:
        """How many of the newest decisions are of the last so many seconds of the stream."""
        with self._lock:
            heard = list(self._heard)
            begins = [b for _, _, b in heard[-256:] if b is not None]
            now, newest, found = self._now(), max(begins, default=None), 0
            for at, _, begin in reversed(heard):
                if now - at > seconds + 2 or (begin is None and now - at > seconds) or (
                        begin is not None and newest - begin > seconds - 1e-9):
                    break
                found += 1
            return found

    def rename(self, label: str, new: str) -> None:
        self._ask({"command": "rename", "label": label, "new_label": new})

    def remove(self, label: str) -> None:
        self._ask({"command": "remove", "label": label})

    def undo(self) -> None:
        with self._lock:
            self._undone_from = dict(self.shots), False
        self._ask({"command": "undo"})

    def save(self, path: str) -> None:
        self._ask({"command": "save", "path": path}, path=path)

    def load(self, path: str) -> None:
        self._ask({"command": "load", "path": path}, path=path)

    def set_false_alarm_rate(self, rate: float) -> None:
        self._ask({"command": "false_alarm_rate", "rate": rate})

    def _ask(self, command: dict, **about) -> None:
        self.teaching.sent(command, **about)
        self._send(command)

    # -- what is seen ---------------------------------------------------------------------------------
    def rows(self) -> list[Row]:
        """Of every label that is taught, then of what is none of them and was heard of late."""
        with self._lock:
            now = self._now()
            recent: dict[str, int] = {}
            for at, label, _ in reversed(self._heard):
                if now - at > _WINDOW:
                    break
                recent[label] = recent.get(label, 0) + 1
            total = sum(recent.values())
            others = [label for label in recent if label not in self.shots]
            sure = len([label for label in self.shots if not label.startswith(NOT)]) > 1
            order = [*self.shots, *sorted(others, key=lambda name: (name != UNKNOWN, name))]
            return [Row(label, self.shots.get(label),
                        recent.get(label, 0) / total if total and sure else None,
                        now - self._last[label] if label in self._last else None) for label in order]

    def waiting(self) -> int | None:
        """Signals that were found and not decided yet; None where nobody says what was found."""
        with self._lock:
            return None if self._found is None else max(0, len(self._found) - self.dropped)

    def counts(self) -> str:
        waiting = self.waiting()
        parts = [f"{self.embedded:,} embedded", f"{self.dropped:,} dropped"]
        return ", ".join([*parts, *([] if waiting is None else [f"{waiting:,} waiting"])])

    def progress(self) -> str:
        """Of the label that is being taught; '' for none."""
        with self._lock:
            if self._collecting is None:
                return ""
            label, shots, begun = self._collecting
            come = min(shots, self.embedded - begun)
            return f"'{label}': {come} of the next {shots} have come"

    def honesty(self) -> str:
        """Where shares say nothing, why."""
        labels = [label for label in self.shots if not label.startswith(NOT)]
        return {0: "Nothing is taught: type a name, and press Next while the signal is on.",
                1: "One label is taught: too few to tell it from others. Teach a second."
                }.get(len(labels), "")


def difference(before: dict[str, int], after: dict[str, int]) -> str:
    """What has changed in what is taught, in words."""
    gone = [label for label in before if label not in after]
    back = [label for label in after if label not in before]
    if len(gone) == len(back) == 1 and before[gone[0]] == after[back[0]]:
        return f"'{gone[0]}' is called '{back[0]}' again"
    parts = [f"'{label}' is not taught any more" for label in gone]
    parts += [f"'{label}' is back, with {words.count(after[label], 'shot')}" for label in back]
    parts += [f"'{label}' has {words.count(shots, 'shot')} again, not {before[label]}"
              for label, shots in after.items() if label in before and before[label] != shots]
    if len(parts) > 3:
        return f"{', '.join(parts[:2])} and {len(parts) - 2} more changes"
    return ", ".join(parts) or "what was taught is as it was before"
