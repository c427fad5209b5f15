# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""All decisions about a recording: which go on, which are one with others, which take another's place."""

from __future__ import annotations

from dataclasses import replace

from radiofm_ml.sigmf.decisions import Decision, Signals


class DecisionLog:
    """Decisions that were made on a recording, those that may go on among them.

    all               in the order in which they began to be made
    merge, merge_gap  equal ones that follow one another within so many samples, or overlap, become one
    """

    def __init__(self, merge: bool, merge_gap: int):
        self.merge, self.merge_gap = merge, merge_gap
        self.all: list[Decision] = []
        self.growing: dict[tuple[str, str], list[Decision]] = {}  # by model and task: those that may go on
        self._earlier: dict[tuple[str, str], list[Decision]] = {}  # of earlier passes, by model and task
        self._signals = Signals()

    def add(self, new: Decision, signal: str, ended: bool) -> None:
        """signal: that it is about a part of, the last one if ``ended``; '' for none."""
        if not signal:
            self._append(new)
        elif self._signals.add((signal, new.model, new.task, new.run), new, ended):
            self.all.append(new)

    def begin_pass(self, model: str, task: str) -> None:
        """What this model decides on this task from now on takes the place of what it decided before."""
        self._earlier[model, task] = [d for d in self.all if (d.model, d.task) == (model, task)]
        self.growing.pop((model, task), None)
        self._signals.forget()

    def end(self, end: int) -> tuple[int, int]:
        """They end at this sample. How many decisions are left out, and how many became shorter or are."""
        self._signals.forget()
        left_out = sum(d.decisions for d in self.all if d.start >= end)
        changed = 0
        for decision in self.all:
            if decision.start + decision.count > end:
                decision.count, decision.line = end - decision.start, ""
                changed += 1
        self.all = [d for d in self.all if d.count > 0]
        for growing in self.growing.values():
            growing[:] = [d for d in growing if d.count > 0]
        return left_out, changed

    def make_way(self, start: int, stop: int, model: str, task: str) -> None:
        """Cut [start, stop) out of what an earlier pass has said."""
        earlier = self._earlier.get((model, task), ())
        gone = [old for old in earlier if old.start < stop and start < old.start + old.count]
        if not gone:
            return
        parts = [replace(old, start=begin, count=end - begin, line="") for old in gone
                 for begin, end in ((old.start, start), (stop, old.start + old.count)) if begin < end]
        out = set(map(id, gone))
        self._earlier[model, task] = [d for d in earlier if id(d) not in out] + parts
        self.all = [d for d in self.all if id(d) not in out] + parts

    def _append(self, new: Decision) -> None:
        growing = self.growing.setdefault((new.model, new.task), [])
        # One ends where it is too long ago, and where something else has taken its place in the band.
        growing[:] = [old for old in growing if new.start <= old.start + old.count + self.merge_gap
                      and (old.same_kind(new) or old.start + old.count >= new.start + new.count
                           or not old.overlaps(new))]
        for old in growing:
            if self.merge and old.start <= new.start and old.same_kind(new):
                old.absorb(new)
                return
        self.all.append(new)
        growing.append(new)
