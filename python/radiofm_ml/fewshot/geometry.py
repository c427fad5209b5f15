# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How far an embedding lies from each prototype, and how far that is for a signal of that kind.

    embedding --normalise--> [whiten] --> squared distance d to each prototype --> ratio r = d / expected

The expected distance of a new sample of label k, taught with n shots, is ``scatter_k * (1 + 1/n)``: the
label's own spread, and the error of a mean of n shots. So r is near 1 for a signal of that label whatever
its spread, its number of shots and the receiver's scale; what a large r means is ``calibration``'s.

A label's scatter, from a few shots, is drawn to that of the other labels, and both to the source domain's.
Each other label counts there with no more shots than the label itself has: how a label with n shots compares
beside others with more of them is then, as far as it goes, how it compares beside others with n.

N embeddings, K labels, D values. All in float64: differences of large numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    labels    (K,) how many labels have shaped what is known of each: itself and the others, those that have
              fewer shots in part. As many as are taught, where all have the same number of shots
    scatter   (K,) expected squared distance of a label's samples from its true centre; NaN if not known
    loo       sorted ratios of the taught shots, each against prototypes that were made without it
    whiten    (D, D) or None
    """

    normalisation: str
    mean: np.ndarray | None
    points: np.ndarray
    shots: np.ndarray
    labels: np.ndarray
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
        metric: str = "euclidean", source_scatter: float | None = None,
        source_share: float = 0.0) -> Geometry:
    """Geometry of K >= 1 prototypes.

    metric: 'euclidean', squared (Snell et al., arXiv 1703.05175); 'cosine', which is the same on vectors of
    length 1; 'mahalanobis', with one covariance within labels, pooled over those with 5 support vectors or
    more and shrunk (OAS, Chen et al., IEEE TSP 58(10), 2010), and Euclidean while there is none.
    source_scatter: expected scatter in the domain that the encoder was made in, if known; source_share: of it
    in that of every label, however many shots that has: a label whose shots lie far apart then does not take
    what is far from all of them.
    """
    if metric == "cosine" and normalisation == "none":
        normalisation = "l2"
    taught = _collect(prototypes, normalisation, mean)
    whitening = _whitening(taught) if metric == "mahalanobis" else None
    if whitening is not None:
        taught = replace(taught, points=taught.points @ whitening.map,
                         residuals=taught.residuals @ whitening.map)

    scatter = _scatter(taught, source_scatter)
    distance, expected, used = _leave_one_out(taught, whitening, source_scatter, normalisation, mean)
    if source_scatter and source_share:
        steady, shots = source_share * source_scatter, taught.shots[taught.owner[used]]
        scatter = (1 - source_share) * scatter + steady
        expected = (1 - source_share) * expected + steady * (shots / np.maximum(shots - 1, 1))
    if whitening is not None:  # residuals are short along axes that they themselves have shaped, new ones not
        shaped = whitening.rich[taught.owner[used]]
        optimism = distance[shaped].sum() / max(expected[shaped].sum(), _TINY)
        expected, scatter = expected * optimism, scatter * optimism
    ratios = distance / np.maximum(expected, _TINY)
    labels = _shaping(taught, None if whitening is None else whitening.rich)
    return Geometry(normalisation, mean, taught.points, taught.shots, labels, scatter,
                    np.sort(ratios[np.isfinite(ratios)]), None if whitening is None else whitening.map)


@dataclass(frozen=True)
class _Taught:
    """K prototypes and their M support vectors: ``raw`` (K, D) and ``support`` (M, D) as they came,
    ``points`` (K, D) normalised, ``residuals`` (M, D) normalised support less its label's mean, ``owner``
    (M,) its label, ``counts`` (K,) how many of them a label has, of ``shots`` (K,)."""

    raw: np.ndarray
    support: np.ndarray
    points: np.ndarray
    residuals: np.ndarray
    owner: np.ndarray
    counts: np.ndarray
    shots: np.ndarray

    @property
    def squares(self) -> np.ndarray:
        """(M,) of the residuals."""
        return (self.residuals**2).sum(1)

    @property
    def freedom(self) -> np.ndarray:
        """(K,) degrees of freedom of a label's own scatter."""
        return np.maximum(self.counts - 1, 0)


def _collect(prototypes: Sequence[Prototype], normalisation: str, mean) -> _Taught:
    raw = np.stack([p.vector for p in prototypes]).astype(np.float64)
    counts = np.array([len(p.support) for p in prototypes])
    support = np.concatenate([p.support for p in prototypes]).astype(np.float64)
    z = normalise(support, normalisation, mean)
    return _Taught(raw, support, normalise(raw, normalisation, mean),
                   z - np.repeat(_label_means(z, counts), counts, axis=0),
                   np.repeat(np.arange(len(raw)), counts), counts,
                   np.array([p.shots for p in prototypes], np.float64))


# -- how much a label scatters --------------------------------------------------------------------
def _scatter(taught: _Taught, source: float | None) -> np.ndarray:
    """(K,) see ``Geometry``."""
    total = np.bincount(taught.owner, taught.squares, len(taught.counts))
    others = _others(total, taught.freedom, _cap(taught.freedom, source))
    return _drawn(total, taught.freedom, *others, source)


def _cap(freedom: np.ndarray, source: float | None) -> np.ndarray:
    """Degrees of freedom with which another label counts at most. With one shot the source's scatter is
    taken, where it is known, and that of others where not."""
    return np.maximum(freedom, 0 if source else 1)


def _others(total: np.ndarray, freedom: np.ndarray, cap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each label the other labels' sum of squares (K,) and its degrees of freedom (K,), each of them with
    no more of these than ``cap`` (K,)."""
    counted = np.minimum(freedom[None, :], cap[:, None])
    np.fill_diagonal(counted, 0)
    return counted @ (total / np.maximum(freedom, 1)), counted.sum(1)


def _drawn(squares, freedom, others, others_freedom, source: float | None) -> np.ndarray:
    """Variance of a label from its sum of squares and that of the others."""
    prior = (source, PRIOR_SOURCE) if source else (0.0, 0.0)
    pooled = _shrunk(squares + others, freedom + others_freedom, *prior)
    return _shrunk(squares, freedom, pooled, PRIOR_LABEL)


def _shrunk(squares, freedom, prior, weight):
    """Variance from a sum of squares, drawn to ``prior``; NaN where neither is known."""
    freedom = np.asarray(weight + freedom, np.float64)
    own = squares + (weight * prior if weight else 0.0)
    return np.where(freedom > 0, own / np.where(freedom > 0, freedom, 1.0), np.nan)


def _shaping(taught: _Taught, rich: np.ndarray | None) -> np.ndarray:
    """(K,) see ``Geometry.labels``. rich: bool (K,), the labels that have shaped the covariance."""
    cap = np.maximum(taught.freedom, 1)
    freedom = taught.freedom if rich is None else np.where(rich, taught.freedom, 0)
    counted = np.minimum(freedom[None, :], cap[:, None])
    np.fill_diagonal(counted, 0)
    return 1.0 + counted.sum(1) / cap


def _leave_one_out(taught: _Taught, whitening: _Whitening | None, source: float | None, normalisation: str,
                   mean) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance and expected distance of each support vector ``used`` (indices), had it not been taught: with
    the prototype, the scatter and the whitening as they were without it."""
    shots, counts, owner, squares = taught.shots, taught.counts, taught.owner, taught.squares
    used = np.flatnonzero((shots[owner] >= 2) & (counts[owner] >= 2))
    k, n, c = owner[used], shots[owner[used]], counts[owner[used]]
    without = normalise((n[:, None] * taught.raw[k] - taught.support[used]) / (n - 1)[:, None], normalisation,
                        mean)
    error = normalise(taught.support[used], normalisation, mean) - without
    if whitening is None:
        distance = (error**2).sum(1)
    else:
        error, share = error @ whitening.map, whitening.share[used]
        along = (error * taught.residuals[used]).sum(1)
        distance = (error**2).sum(1) + share * along**2 / np.maximum(1.0 - share * squares[used], _TINY)

    total = np.bincount(owner, squares, len(counts))
    others = _others(total, taught.freedom, _cap(taught.freedom - 1, source))
    rest = np.maximum(total[k] - squares[used] * c / (c - 1), 0.0)  # what the others of the label add up to
    scatter = _drawn(rest, c - 2, others[0][k], others[1][k], source)
    return distance, scatter * (n / (n - 1)), used


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2.0 * (a @ b.T), 0.0)


def _label_means(z: np.ndarray, counts: np.ndarray) -> np.ndarray:
    ends = np.cumsum(counts)
    return np.stack([z[end - n:end].sum(0) / max(n, 1) for n, end in zip(counts, ends, strict=True)])


# -- which directions they scatter in -------------------------------------------------------------
@dataclass(frozen=True)
class _Whitening:
    """``map`` (D, D) makes the shrunk covariance within labels a multiple of one, its mean variance kept;
    ``share`` (M,) is that of each residual's own outer product in the covariance (for leave-one-out);
    ``rich`` (K,) says which labels it was made of."""

    map: np.ndarray
    share: np.ndarray
    rich: np.ndarray


def _whitening(taught: _Taught) -> _Whitening | None:
    """None where no label has enough support."""
    counts, owner = taught.counts, taught.owner
    rich = counts >= WHITEN_SHOTS
    freedom = (counts[rich] - 1).sum()
    rows = taught.residuals[rich[owner]]
    if not rich.any() or not (rows**2).sum() > _TINY:
        return None
    whiten, shrink, level = shrunk_whitening(rows, freedom)
    share = np.where(rich, (1 - shrink) * counts / np.maximum(counts - 1, 1) / freedom / level, 0.0)[owner]
    return _Whitening(whiten, share, rich)


def shrunk_whitening(rows: np.ndarray, freedom: int) -> tuple[np.ndarray, float, float]:
    """What makes the shrunk covariance (OAS) of residuals (M, D), with so many degrees of freedom, a multiple
    of one, its mean variance kept, (D, D); how far it was shrunk, and that variance."""
    size = rows.shape[1]
    covariance = rows.T @ rows / freedom
    trace, square = np.trace(covariance), (covariance**2).sum()
    gap = (freedom + 1 - 2 / size) * (square - trace**2 / size)
    shrink = 1.0 if gap <= 0 else min(1.0, ((1 - 2 / size) * square + trace**2) / gap)
    level = trace / size
    values, vectors = np.linalg.eigh((1 - shrink) * covariance + shrink * level * np.eye(size))
    return vectors * np.sqrt(level / np.maximum(values, level * 1e-6)), shrink, level
