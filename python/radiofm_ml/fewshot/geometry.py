# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How far an embedding lies from each prototype, and how far that is for a signal of that kind.

    embedding --normalise--> [whiten] --> squared distance d to each prototype --> ratio r = d / expected

The expected distance of a new sample of label k, taught with n shots, is ``scatter_k * (1 + 1/n)``: the
label's own spread, and the error of a mean of n shots. So r is near 1 for a signal of that label whatever
its spread, its number of shots and the receiver's scale; what a large r means is ``calibration``'s.

N embeddings, K labels, D values. All in float64: differences of large numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.fewshot.prototypes import Prototype

NORMALISATIONS = ("none", "l2", "cl2n")
METRICS = ("euclidean", "cosine", "mahalanobis")
WHITEN_SHOTS = 5  # from how many shots on a label's scatter counts for the Mahalanobis distance
PRIOR_LABEL = 2.0  # a label's scatter is drawn to the pooled one as by so many shots
PRIOR_SOURCE = 4.0  # the pooled scatter is drawn to the source's as by so many shots
_TINY = 1e-12


def normalise(x: ArrayLike, how: str, mean: ArrayLike | None = None) -> np.ndarray:
    """float64, the shape of ``x``, over the last axis.

    'none': as it is. 'l2': length 1. 'cl2n': less the domain's mean (D,), then length 1 (SimpleShot, Wang
    et al., arXiv 1911.04623): a front end's constant share of every embedding cancels.
    """
    x = np.asarray(x, np.float64)
    if how == "none":
        return x
    if how == "cl2n":
        x = x - np.asarray(mean, np.float64)
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), _TINY)


@dataclass(frozen=True)
class Geometry:
    """Prototypes made ready for comparison. Built by ``fit``.

    points    (K, D) prototypes, normalised and whitened
    shots     (K,)
    scatter   (K,) expected squared distance of a label's samples from its true centre; NaN if not known
    loo       sorted ratios of the taught shots, each against prototypes that were made without it
    whiten    (D, D) or None
    """

    normalisation: str
    mean: np.ndarray | None
    points: np.ndarray
    shots: np.ndarray
    scatter: np.ndarray
    loo: np.ndarray
    whiten: np.ndarray | None

    @property
    def metric(self) -> str:
        """'euclidean' or 'mahalanobis', which it is once a covariance could be estimated."""
        return "euclidean" if self.whiten is None else "mahalanobis"

    @property
    def expected(self) -> np.ndarray:
        """(K,) expected squared distance of a signal of each label; NaN where nothing is known."""
        return np.maximum(self.scatter * (1.0 + 1.0 / self.shots), _TINY)

    def distances(self, x: ArrayLike) -> np.ndarray:
        """Squared distances (N, K) of raw embeddings (N, D)."""
        z = normalise(x, self.normalisation, self.mean)
        if self.whiten is not None:
            z = z @ self.whiten
        return _squared(z, self.points)

    def ratios(self, distances: np.ndarray) -> np.ndarray:
        """Distances (N, K) over what is expected of a signal of each label; NaN where nothing is known."""
        return distances / self.expected


def fit(prototypes: Sequence[Prototype], normalisation: str = "l2", mean: ArrayLike | None = None,
        metric: str = "euclidean", source_scatter: float | None = None) -> Geometry:
    """Geometry of K >= 1 prototypes.

    metric: 'euclidean', squared (Snell et al., arXiv 1703.05175); 'cosine', which is the same on vectors of
    length 1; 'mahalanobis', with one covariance within labels, pooled over those with 5 support vectors or
    more and shrunk (OAS, Chen et al., IEEE TSP 58(10), 2010), and Euclidean while there is none.
    source_scatter: expected scatter in the domain that the encoder was made in, if known.
    """
    if metric == "cosine" and normalisation == "none":
        normalisation = "l2"
    raw = np.stack([p.vector for p in prototypes]).astype(np.float64)
    shots = np.array([p.shots for p in prototypes], np.float64)
    counts = np.array([len(p.support) for p in prototypes])
    owner = np.repeat(np.arange(len(raw)), counts)
    support = np.concatenate([p.support for p in prototypes]).astype(np.float64)

    points, z = normalise(raw, normalisation, mean), normalise(support, normalisation, mean)
    z = z - np.repeat(_label_means(z, counts), counts, axis=0)  # residuals within labels
    whiten, own_share = _whitening(z, owner, counts) if metric == "mahalanobis" else (None, None)
    if whiten is not None:
        points, z = points @ whiten, z @ whiten

    squares = (z**2).sum(1)
    total = np.bincount(owner, squares, len(raw))  # (K,) sums of squares
    freedom = np.maximum(counts - 1, 0)
    source = (source_scatter, PRIOR_SOURCE) if source_scatter else (0.0, 0.0)
    pooled = _shrunk(total.sum(), freedom.sum(), *source)
    scatter = _shrunk(total, freedom, pooled, PRIOR_LABEL)

    # Leave one out: the prototype, the scatter and the whitening as they were had shot i not been taught.
    used = np.flatnonzero((shots[owner] >= 2) & (counts[owner] >= 2))
    k, n, c = owner[used], shots[owner[used]], counts[owner[used]]
    without = normalise((n[:, None] * raw[k] - support[used]) / (n - 1)[:, None], normalisation, mean)
    error = normalise(support[used], normalisation, mean) - without
    distance = (error**2).sum(1)
    if whiten is not None:
        error = error @ whiten
        share = own_share[used]
        distance = (error**2).sum(1) + share * (error * z[used]).sum(1)**2 / np.maximum(
            1.0 - share * squares[used], _TINY)
    own = squares[used] * c / (c - 1)  # what shot i adds to the sum of squares
    pooled_without = _shrunk(total.sum() - own, freedom.sum() - 1, *source)
    scatter_without = _shrunk(np.maximum(total[k] - own, 0.0), c - 2, pooled_without, PRIOR_LABEL)
    expected = scatter_without * (n / (n - 1))
    if whiten is not None:  # residuals are short along axes that they themselves have shaped, new ones not
        optimism = distance[share > 0].sum() / max(expected[share > 0].sum(), _TINY)
        expected, scatter = expected * optimism, scatter * optimism
    ratios = distance / np.maximum(expected, _TINY)
    return Geometry(normalisation, mean, points, shots, scatter, np.sort(ratios[np.isfinite(ratios)]), whiten)


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2.0 * (a @ b.T), 0.0)


def _shrunk(squares, freedom, prior, weight):
    """Variance from a sum of squares, drawn to ``prior``; NaN where neither is known."""
    freedom = np.asarray(weight + freedom, np.float64)
    own = squares + (weight * prior if weight else 0.0)
    return np.where(freedom > 0, own / np.where(freedom > 0, freedom, 1.0), np.nan)


def _label_means(z: np.ndarray, counts: np.ndarray) -> np.ndarray:
    ends = np.cumsum(counts)
    return np.stack([z[end - n:end].sum(0) / max(n, 1) for n, end in zip(counts, ends, strict=True)])


def _whitening(residuals: np.ndarray, owner: np.ndarray, counts: np.ndarray):
    """(D, D) map that makes the shrunk covariance within labels a multiple of one, its mean variance kept,
    and for each residual the share of its own outer product in the covariance (for leave-one-out).
    (None, None) where no label has enough support."""
    rich = counts >= WHITEN_SHOTS
    freedom = (counts[rich] - 1).sum()
    rows = residuals[rich[owner]]
    size = residuals.shape[1]
    if not rich.any() or not (rows**2).sum() > _TINY:
        return None, None
    covariance = rows.T @ rows / freedom
    trace, square = np.trace(covariance), (covariance**2).sum()
    gap = (freedom + 1 - 2 / size) * (square - trace**2 / size)
    shrink = 1.0 if gap <= 0 else min(1.0, ((1 - 2 / size) * square + trace**2) / gap)
    level = trace / size
    values, vectors = np.linalg.eigh((1 - shrink) * covariance + shrink * level * np.eye(size))
    whiten = vectors * np.sqrt(level / np.maximum(values, level * 1e-6))
    share = np.where(rich, (1 - shrink) * counts / np.maximum(counts - 1, 1) / freedom / level, 0.0)[owner]
    return whiten, share
