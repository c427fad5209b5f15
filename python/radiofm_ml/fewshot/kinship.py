# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How far apart signals of one kind lie, as the source domain shows it: what groups of the unknown go by.

N embeddings, D values in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.arguments import is_number
from radiofm_ml.fewshot.geometry import NORMALISATIONS, normalise, shrunk_whitening

if TYPE_CHECKING:
    from radiofm_ml.fewshot.classifier import FewShot

SHARE = 0.65  # of pairs of signals of one kind: these are no farther apart than signals of one group
MAX_PAIRS = 2000  # of a kind that are looked at
LEAST_KINDS = 4  # for a covariance, of which half must show what the other half is worth


@dataclass(frozen=True)
class Kinship:
    """Where signals lie, and how near is one kind.

    apart          mean squared distance between the signals of one group, at most
    normalisation, mean  as for ``geometry.normalise``
    whiten         float64 (D, D), or None: what normalised embeddings are multiplied by

    Raises ValueError.
    """

    apart: float
    normalisation: str = "l2"
    mean: np.ndarray | None = None
    whiten: np.ndarray | None = None

    def __post_init__(self):
        if not is_number(self.apart, 1e-12, 1e12):
            raise ValueError(f"apart must be a squared distance above 0, got {self.apart!r}")
        if self.normalisation not in NORMALISATIONS:
            raise ValueError(f"normalisation must be one of {', '.join(NORMALISATIONS)}, got "
                             f"{self.normalisation!r}")
        if (self.normalisation == "cl2n") != (self.mean is not None):
            raise ValueError("'cl2n' needs a mean, and no other normalisation takes one")

    def place(self, x: ArrayLike) -> np.ndarray:
        """float64 (N, D): where raw embeddings lie."""
        z = normalise(x, self.normalisation, self.mean)
        return z if self.whiten is None else z @ self.whiten

    @classmethod
    def of(cls, few: FewShot, share: float = SHARE) -> Kinship:
        """That of a classifier's labels in its source domain, as its calibration has it. Raises ValueError
        where there is none."""
        apart = few.pair_distance(share)
        if apart is None:
            raise ValueError("how far signals of one label lie apart is not known: there is no calibration "
                             f"for one shot and '{few.normalisation}'; make it: radiofm calibrate")
        return cls(apart, few.normalisation, few.mean if few.normalisation == "cl2n" else None)


def measure(embeddings: ArrayLike, kinds: Sequence, sessions: Sequence | None = None,
            normalisation: str = "cl2n", share: float = SHARE, whiten: bool = False,
            seed: int = 0) -> Kinship:
    """Kinship as labelled signals (N, D) of a source domain show it.

    sessions: N names; pairs of signals from one session then do not count. whiten: along directions in which
    signals of one kind differ much, distance counts less (their covariance, shrunk). How far apart they are
    then is measured on kinds that had no part in that covariance. Raises ValueError.
    """
    x = np.asarray(embeddings, np.float64)
    kind = np.unique(np.asarray(kinds), return_inverse=True)[1]
    session = np.arange(len(x)) if sessions is None else np.unique(np.asarray(sessions),
                                                                   return_inverse=True)[1]
    if x.ndim != 2 or not len(x) == len(kind) == len(session) or not np.isfinite(x).all():
        raise ValueError("embeddings must be (N, D) and finite, with N kinds and sessions")
    mean = x.mean(0) if normalisation == "cl2n" else None
    z = normalise(x, normalisation, mean)
    rng = np.random.default_rng(seed)
    pairs = {k: found for k in np.unique(kind) if len(found := _pairs(kind == k, session, rng))}
    if not pairs:
        raise ValueError("no kind has two signals" + ("" if sessions is None else " from two sessions"))

    def apart(of: Sequence[int], by: np.ndarray | None) -> float:
        placed = z if by is None else z @ by
        found = [((placed[pairs[k][:, 0]] - placed[pairs[k][:, 1]])**2).sum(1) for k in of]
        weights = np.concatenate([np.full(len(d), 1.0 / len(d)) for d in found])
        return _quantile(np.concatenate(found), weights, share)

    if not whiten or len(pairs) < LEAST_KINDS:
        return Kinship(apart(list(pairs), None), normalisation, mean)
    halves = np.array_split(rng.permutation(list(pairs)), 2)
    found = [apart(there, _whitening(z, kind, here)) for here, there in (halves, halves[::-1])]
    return Kinship(float(np.mean(found)), normalisation, mean, _whitening(z, kind, list(pairs)))


def _whitening(z: np.ndarray, kind: np.ndarray, of: Sequence[int]) -> np.ndarray:
    rows = np.concatenate([z[kind == k] - z[kind == k].mean(0) for k in of])
    return shrunk_whitening(rows, len(rows) - len(of))[0]


def _pairs(members: np.ndarray, session: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pairs of members of different sessions, int (P, 2)."""
    i, j = np.triu_indices(members.sum(), 1)
    at = np.flatnonzero(members)
    found = np.stack([at[i], at[j]], 1)
    found = found[session[found[:, 0]] != session[found[:, 1]]]
    return found if len(found) <= MAX_PAIRS else found[rng.choice(len(found), MAX_PAIRS, replace=False)]


def _quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(np.searchsorted(reached, share), len(values) - 1)])
