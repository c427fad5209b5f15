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
from radiofm_ml.fewshot.geometry import NORMALISATIONS, normalise

if TYPE_CHECKING:
    from radiofm_ml.fewshot.classifier import FewShot

SHARE = 0.65  # of pairs of signals of one kind that are no farther apart than signals of one group, at least
MARGIN = 1.15  # and signals of one group at least so much farther than pairs on average
MAX_PAIRS = 2000  # of a kind that are looked at


@dataclass(frozen=True)
class Kinship:
    """Where signals lie, and how near is one kind.

    apart          mean squared distance between the signals of one group, at most
    normalisation, mean  as for ``geometry.normalise``

    Raises ValueError.
    """

    apart: float
    normalisation: str = "l2"
    mean: np.ndarray | None = None

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
        return normalise(x, self.normalisation, self.mean)

    @classmethod
    def of(cls, few: FewShot, share: float = SHARE) -> Kinship:
        """That of a classifier's labels in its source domain, as its calibration has it. Raises ValueError
        where there is none."""
        apart = few.pair_distance(share, MARGIN)
        if apart is None:
            raise ValueError("how far signals of one label lie apart is not known: there is no calibration "
                             f"for one shot and '{few.normalisation}'; make it: radiofm calibrate")
        return cls(apart, few.normalisation, few.mean if few.normalisation == "cl2n" else None)


def measure(embeddings: ArrayLike, kinds: Sequence, sessions: Sequence | None = None,
            normalisation: str = "cl2n", share: float = SHARE, seed: int = 0) -> Kinship:
    """Kinship as labelled signals (N, D) of a source domain show it.

    sessions: N names; pairs of signals from one session then do not count. Raises ValueError.
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
    pairs = [found for k in np.unique(kind) if (found := _pairs(kind == k, session, rng)).size]
    if not pairs:
        raise ValueError("no kind has two signals" + ("" if sessions is None else " from two sessions"))

    found = [((z[i] - z[j])**2).sum(1) for i, j in pairs]
    weights = np.concatenate([np.full(len(d), 1.0 / len(d)) for d in found])  # each kind counts the same
    return Kinship(_distance(np.concatenate(found), weights, share), normalisation, mean)


def _pairs(members: np.ndarray, session: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pairs of members of different sessions, int (2, P)."""
    found = np.flatnonzero(members)[np.stack(np.triu_indices(members.sum(), 1))]
    found = found[:, session[found[0]] != session[found[1]]]
    if found.shape[1] > MAX_PAIRS:
        found = found[:, rng.choice(found.shape[1], MAX_PAIRS, replace=False)]
    return found


def _distance(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The quantile, but no less than the mean and a margin, or kinds that scatter a little more than others
    would be cut in two."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    quantile = values[order][min(np.searchsorted(reached, share), len(values) - 1)]
    return max(float(quantile), MARGIN * float(np.average(values, weights=weights)))
