# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A task's inputs, targets, which of them belong together, and the parts of its split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from radiofm_ml.heads.kinds import KINDS


class TaskError(ValueError):
    """Data that a task cannot be made of; one line that names the file and the cure."""


class Inputs(Protocol):
    """N inputs: an array float32 (N, C, H, W), or something that is indexed like one and reads lazily."""

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        """float32 (n, C, H, W) of an int64 (n,)."""
        ...


@dataclass(frozen=True)
class TaskData:
    """A task's data, N examples, not yet shuffled.

    task     a word for what is decided, such as 'signal' or 'position'
    kind     of ``heads.kinds.KINDS``
    inputs   float32 (N, C, H, W); ``tiles`` true: C is 1 and they are model-ready tiles of the bundle's
             spec, else arrays of any size and scale, which tuning standardises and resizes
    targets  classification: int64 (N,) index into labels; regression: float32 (N, M) in ``unit``;
             segmentation: uint8 (N, H', W') index into labels, 255 where it does not count
    labels   the classes, or the names of the M numbers
    groups   (N,) what must stay together when the training part is split for validation: a recording,
             a front end, a position
    splits   'train', 'test' and, if there are more tests, 'test-NAME': int64 indices that share no group
             with 'train'
    unit     regression: of the numbers, such as 'm'
    rates    float64 (N,) samples/s at which the tiles were received, where it is known of all of them
    conditions  classification: what the report tells apart, such as 'SNR', and of each of its values, such
             as '0 to 10 dB', the examples that have it, bool (N,)
    facts    what else the report should say: counts, sources, the rule of the split
    """

    task: str
    kind: str
    inputs: Inputs | np.ndarray
    targets: np.ndarray
    labels: tuple[str, ...]
    groups: np.ndarray
    splits: Mapping[str, np.ndarray]
    unit: str = ""
    tiles: bool = False
    rates: np.ndarray | None = None
    conditions: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    facts: dict = field(default_factory=dict)

    def __post_init__(self):
        n = len(self.inputs)
        if self.kind not in KINDS:
            raise TaskError(f"{self.task}: kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if len(self.inputs.shape) != 4:
            raise TaskError(f"{self.task}: inputs must be (N, C, H, W), got {self.inputs.shape}")
        if len(self.targets) != n or len(self.groups) != n:
            raise TaskError(f"{self.task}: {n} inputs, {len(self.targets)} targets, "
                            f"{len(self.groups)} groups")
        if self.rates is not None and (len(self.rates) != n or not (np.asarray(self.rates) > 0).all()):
            raise TaskError(f"{self.task}: {n} inputs need as many sample rates above 0")
        for condition, values in self.conditions.items():
            if any(mask.shape != (n,) or mask.dtype != bool for mask in values.values()):
                raise TaskError(f"{self.task}: {n} inputs need as many yes or no of condition '{condition}'")
        tests = [name for name in self.splits if name == "test" or name.startswith("test-")]
        if "train" not in self.splits or not tests:
            raise TaskError(f"{self.task}: the split needs a part 'train' and a part 'test' or 'test-NAME'")
        for name, part in self.splits.items():
            if not len(part):
                raise TaskError(f"{self.task}: the part '{name}' is empty; give more data")
            shared = np.intersect1d(self.groups[part], self.groups[self.splits["train"]])
            if name in tests and len(shared):
                raise TaskError(f"{self.task}: group {shared[0]} is in 'train' and in '{name}'")

    @property
    def tests(self) -> list[str]:
        """Names of the parts that are tested on."""
        return [name for name in self.splits if name == "test" or name.startswith("test-")]


def split_groups(groups: np.ndarray, share: float, seed: int,
                 targets: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Indices of two parts that share no group; the second has about ``share`` of the groups.

    targets: int64 (N,) classes: of every class with two groups or more, each part gets at least one group.
    Groups hold one class each then (a group with several counts for its first example's).
    """
    rng = np.random.default_rng(seed)
    names, first = np.unique(groups, return_index=True)
    strata = np.zeros(len(names), int) if targets is None else np.asarray(targets)[first]
    second = []
    for stratum in np.unique(strata):
        members = rng.permutation(names[strata == stratum])
        count = min(len(members) - 1, max(1, round(share * len(members))))
        second.append(members[:count])
    chosen = np.isin(groups, np.concatenate(second))
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def take_turns(members: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """``members`` (N,) in an order in which their ``groups`` (N,) take turns: the first of each group, then
    the second of each, and so on; else in the order that they came in."""
    turn, seen = np.empty(len(members), int), {}
    for i, group in enumerate(groups.tolist()):
        turn[i] = seen[group] = seen.get(group, -1) + 1
    return members[np.argsort(turn, kind="stable")]
