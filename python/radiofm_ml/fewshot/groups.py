# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Groups of the unknown: signals that fit no label, put together as they come.

    groups = Groups.of(few)                           # distances as the classifier has them
    cells = groups.add(embeddings, times)             # of signals that ``few`` calls unknown
    groups.numbers(cells)                             # 1 for 'unknown 1'; 0 while it came too seldom
    groups.name(1, "lora", few.prototypes)            # the group becomes a label

Signals that are near fall into one cell; groups are cells joined by average linkage, anew whenever it
matters, so that they hardly depend on the order in which signals came. A group ends where its signals would
lie farther apart on average than ``Kinship.apart``: how far signals of one kind do in the source domain.

A group keeps its number as long as the better part of its signals stays together. If it goes into another,
``merged`` says into which; a signal's cell always tells the number that it has now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.arguments import whole
from radiofm_ml.fewshot.cells import MAX_CELLS, Cell, average_linkage, distances
from radiofm_ml.fewshot.kinship import Kinship
from radiofm_ml.fewshot.prototypes import (
    MAX_SUPPORT,
    UNKNOWN,
    Prototype,
    PrototypeError,
    PrototypeSet,
    check_label,
    check_vectors,
)

if TYPE_CHECKING:
    from radiofm_ml.fewshot.classifier import FewShot

LEAST = 3  # signals that make a group
CELL = 0.5  # how far apart the signals of a cell are, over those of a group
LOOSE = 1.3  # how far a stray signal may lie from its group, over that
MAX_MOVED = 4096  # cells that are gone, of which is known where to


@dataclass(frozen=True)
class Group:
    """number: of 'unknown 3' it is 3. count: signals. first, last: when they were heard, in seconds.
    mark: the number that was given with the signal nearest its middle, and ``vector`` float32 (D,) that
    signal's embedding."""

    number: int
    count: int
    first: float
    last: float
    mark: int
    vector: np.ndarray

    @property
    def label(self) -> str:
        return group_label(self.number)


def group_label(number: int) -> str:
    """'unknown 3'; 'unknown' for 0."""
    return f"{UNKNOWN} {number}" if number else UNKNOWN


def group_number(label: str) -> int:
    """3 of 'unknown 3'. Raises PrototypeError for what names no group."""
    word, _, digits = label.partition(" ")
    if word != UNKNOWN or not (digits.isascii() and digits.isdigit()) or digits[0] == "0" or len(digits) > 9:
        raise PrototypeError(f"'{label}' names no group of the unknown; they are called '{UNKNOWN} 1', "
                             f"'{UNKNOWN} 2' ...")
    return int(digits)


class Groups:
    """See the module.

    embedding_size  D
    kinship         where signals lie, and how near is one kind
    model           id of the bundle that makes the embeddings
    least           signals that make a group; what came less often has no number

    At most MAX_CELLS cells: when there is no room a signal goes to the nearest one, or where that is too far
    the nearest two become one, or the one that was heard longest ago is forgotten. Raises ValueError.
    """

    def __init__(self, embedding_size: int, kinship: Kinship, *, model: str = "", least: int = LEAST):
        self.embedding_size = whole("embedding_size", embedding_size, 1)
        if kinship.mean is not None and np.shape(kinship.mean) != (embedding_size,):
            raise ValueError(f"the kinship's mean must have {embedding_size} values, got shape "
                             f"{np.shape(kinship.mean)}")
        self.kinship, self.model, self.least = kinship, model, whole("least", least, 1, 10**6)
        self.merged: dict[int, int] = {}  # numbers of groups that went into others
        self.named: dict[int, str] = {}  # numbers of groups that were given a label
        self.forgotten = 0  # signals in cells for which there was no room any more
        self._cells: list[Cell] = []
        self._moved: dict[int, int | str] = {}  # of a cell that is gone: that it went into, or its label
        self._next_cell, self._next_number = 1, 1
        self._settled = True

    @classmethod
    def of(cls, few: FewShot, least: int = LEAST) -> Groups:
        """Groups with the distances of a classifier, see ``Kinship.of``. Raises ValueError."""
        return cls(few.prototypes.embedding_size, Kinship.of(few), model=few.prototypes.model, least=least)

    # -- use ----------------------------------------------------------------------------------------
    def add(self, embeddings: ArrayLike, times: ArrayLike | None = None,
            marks: Sequence[int] | None = None) -> np.ndarray:
        """Put signals into cells: (N, D) or (D,), finite, as they come from the encoder.

        times: when each was heard, in seconds; marks: a whole number for each, which comes back as a group's
        ``mark``. Returns the cells' ids, int64 (N,). Raises PrototypeError for another shape.
        """
        x = check_vectors(embeddings, self.embedding_size)
        when = np.zeros(len(x)) if times is None else np.broadcast_to(np.asarray(times, float), len(x))
        marks = [0] * len(x) if marks is None else [int(mark) for mark in marks]
        z = self.kinship.place(x)
        return np.array([self._put(Cell(0, 1, one, float(one @ one), time, time, 0, raw[None], [mark]))
                         for one, raw, time, mark in zip(z, x, when.tolist(), marks, strict=True)], np.int64)

    def numbers(self, cells: ArrayLike) -> np.ndarray:
        """Numbers of the groups that cells belong to now, int64; 0 without one, and of cells that are
        forgotten or were named (``labels`` tells)."""
        self._settle()
        known = {cell.id: cell.number for cell in self._cells}
        return np.array([known.get(self._where(int(cell)), 0) for cell in np.atleast_1d(cells)], np.int64)

    def labels(self, cells: ArrayLike) -> list[str]:
        """What signals of these cells are called now: 'unknown 3', 'unknown', or the label that was given."""
        found = [self._where(int(cell)) for cell in np.atleast_1d(cells)]
        return [where if isinstance(where, str) else group_label(int(self.numbers(where)[0]))
                for where in found]

    def label(self, number: int) -> str:
        """What the group that had this number is called now."""
        for _ in range(len(self.merged) + 1):
            if number in self.named:
                return self.named[number]
            if number not in self.merged:
                break
            number = self.merged[number]
        return group_label(number)

    def name_now(self, label: str, cell: int = 0) -> str:
        """What a signal is called now that was called ``label`` ('unknown', 'unknown 3', another) when it was
        put into ``cell`` (0: not known)."""
        if label != UNKNOWN and label.partition(" ")[0] != UNKNOWN:
            return label
        if cell and (isinstance(self._where(cell), str) or self._has(cell)):
            return self.labels(cell)[0]
        try:
            return self.label(group_number(label))
        except PrototypeError:
            return label

    def __iter__(self) -> Iterator[Group]:
        """The groups, by number."""
        self._settle()
        return iter([self._group(number) for number in sorted({c.number for c in self._cells} - {0})])

    def __len__(self) -> int:
        self._settle()
        return len({cell.number for cell in self._cells} - {0})

    def __getitem__(self, number: int) -> Group:
        self._settle()
        if not any(cell.number == number for cell in self._cells if number):
            raise PrototypeError(self._why_not(number))
        return self._group(number)

    def members(self, number: int) -> np.ndarray:
        """At most MAX_SUPPORT of a group's embeddings as they came, float32 (k, D), spread over its cells."""
        self[number]
        kept = np.concatenate([cell.kept for cell in self._cells if cell.number == number])
        if len(kept) > MAX_SUPPORT:
            kept = kept[np.linspace(0, len(kept) - 1, MAX_SUPPORT).round().astype(int)]
        return kept

    def name(self, number: int, label: str, prototypes: PrototypeSet) -> Prototype:
        """Make a label of a group: its members are taught, and it leaves the unknown. Raises PrototypeError;
        then nothing has changed."""
        shots = self.members(number)
        if check_label(label).partition(" ")[0] == UNKNOWN:
            raise PrototypeError(f"'{label}' would be taken for a group of the unknown; choose another label")
        taught = prototypes.enroll(label, shots, self.model)
        for cell in self._cells:
            if cell.number == number:
                self._move(cell.id, label)
        self._cells = [cell for cell in self._cells if cell.number != number]
        self.named[number] = label
        self._settled = False
        return taught

    # -- the whole state ----------------------------------------------------------------------------
    def state(self) -> dict:
        """Everything, for ``group_file``: what ``restore`` takes, the kinship, the model and ``least``."""
        self._settle()
        return {"kinship": self.kinship, "model": self.model, "least": self.least,
                "cells": list(self._cells), "merged": list(self.merged.items()),
                "named": list(self.named.items()),
                "moved": list(self._moved.items()), "forgotten": self.forgotten,
                "next_cell": self._next_cell, "next_number": self._next_number}

    def restore(self, state: dict) -> None:
        """Take over cells and numbers in place of these."""
        self._cells, self.forgotten = list(state["cells"]), state["forgotten"]
        self.merged, self.named, self._moved = (dict(state[key]) for key in ("merged", "named", "moved"))
        self._next_cell, self._next_number = state["next_cell"], state["next_number"]
        self._settled = True

    # -- cells --------------------------------------------------------------------------------------
    def _put(self, signal: Cell) -> int:
        self._settled = False
        near = distances(self._cells, [signal])[:, 0] if self._cells else np.array([np.inf])
        best = int(near.argmin())
        if near[best] <= self.kinship.apart * (CELL if len(self._cells) < MAX_CELLS else 1.0):
            self._cells[best].join(signal)
            return self._cells[best].id
        if len(self._cells) >= MAX_CELLS:
            self._make_room()
        signal.id, self._next_cell = self._next_cell, self._next_cell + 1
        self._cells.append(signal)
        return signal.id

    def _make_room(self) -> None:
        between = distances(self._cells, self._cells)
        np.fill_diagonal(between, np.inf)
        a, b = sorted(int(i) for i in np.unravel_index(between.argmin(), between.shape))
        if between[a, b] <= self.kinship.apart:
            gone = self._cells.pop(b)
            self._cells[a].join(gone)
            self._move(gone.id, self._cells[a].id)
        else:
            gone = min(self._cells, key=lambda cell: (cell.count >= self.least, cell.last))
            self._cells.remove(gone)
            self.forgotten += gone.count

    def _move(self, cell: int, where: int | str) -> None:
        self._moved[cell] = where
        while len(self._moved) > MAX_MOVED:
            del self._moved[next(iter(self._moved))]

    def _where(self, cell: int) -> int | str:
        """The cell that this one is in now, or the label that it was given."""
        while isinstance(cell, int) and cell in self._moved:
            cell = self._moved[cell]
        return cell

    def _has(self, cell: int) -> bool:
        where = self._where(cell)
        return any(one.id == where for one in self._cells)

    # -- groups -------------------------------------------------------------------------------------
    def _settle(self) -> None:
        """Join the cells to groups, and give these their numbers."""
        if self._settled or not self._cells:
            return
        self._settled = True
        counts = np.array([cell.count for cell in self._cells])
        between = distances(self._cells, self._cells)
        group = np.unique(average_linkage(between, counts, self.kinship.apart), return_inverse=True)[1]
        old = np.array([cell.number for cell in self._cells])
        now = self._numbered(group, counts, old)[group]
        now = self._with_strays(now, counts, between)
        for cell, number in zip(self._cells, now.tolist(), strict=True):
            cell.number = number
        for number in set(old.tolist()) - set(now.tolist()) - {0}:
            went = np.bincount(now[old == number], counts[old == number])
            if went[1:].any():
                self.merged[number] = int(went[1:].argmax()) + 1

    def _numbered(self, group: np.ndarray, counts: np.ndarray, old: np.ndarray) -> np.ndarray:
        """Each group's number: the one that most of its signals had, if most of those are in it; else a new
        one, if it is large enough."""
        shared = Counter()
        for g, number, count in zip(group.tolist(), old.tolist(), counts.tolist(), strict=True):
            if number:
                shared[g, number] += count
        numbers = np.zeros(group.max() + 1, int)
        for (g, number), _ in sorted(shared.items(), key=lambda item: (-item[1], item[0][1])):
            if not numbers[g] and number not in numbers:
                numbers[g] = number
        size = np.bincount(group, counts)
        new = [g for g in range(len(size)) if not numbers[g] and size[g] >= self.least]
        for g in sorted(new, key=lambda g: min(self._cells[i].first for i in np.flatnonzero(group == g))):
            numbers[g], self._next_number = self._next_number, self._next_number + 1
        return numbers

    def _with_strays(self, now: np.ndarray, counts: np.ndarray, between: np.ndarray) -> np.ndarray:
        """What came too seldom to be a group belongs to the nearest one, where that is not too far."""
        strays, names = now == 0, np.unique(now[now > 0])
        if not strays.any() or not len(names):
            return now
        weights = (now[:, None] == names) * counts[:, None]
        to = between[strays] @ (weights / weights.sum(0))
        now[strays] = np.where(to.min(1) <= LOOSE * self.kinship.apart, names[to.argmin(1)], 0)
        return now

    def _group(self, number: int) -> Group:
        cells = [cell for cell in self._cells if cell.number == number]
        count = sum(cell.count for cell in cells)
        middle = sum(cell.total for cell in cells) / count
        kept = np.concatenate([cell.kept for cell in cells])
        marks = [mark for cell in cells for mark in cell.marks]
        near = ((self.kinship.place(kept) - middle)**2).sum(1).argmin()
        return Group(number, count, min(cell.first for cell in cells), max(cell.last for cell in cells),
                     marks[near], kept[near])

    def _why_not(self, number: int) -> str:
        now = self.label(number)
        if now != group_label(number):
            return f"'{group_label(number)}' is '{now}' now"
        there = ", ".join(f"'{group.label}'" for group in self)
        return f"there is no '{group_label(number)}'" + (f"; there are {there}" if there else
                                                         ", nor any other group")
