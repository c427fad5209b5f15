# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a distance means: probabilities, and how unusual a signal is. Measured on the source domain.

A handful of taught shots cannot say what the farthest of a hundred signals looks like. So the bundle brings
it along: ``calibrate`` plays few-shot episodes on labelled embeddings of the source domain and keeps, for
each number of shots, the distribution of the ratio (see ``geometry``) of known signals to their own
prototype, and the exponent of the probabilities. Both are free of scale: that comes from the taught shots.

**Probabilities** are p_k ~ (e_k**spread * (1 + d_k / e_k))**-exponent, d the distance and e the expected one:
the density of Student's t, whose two numbers are fitted. A tight label must be met closely, a wide one may be
missed by more; that makes fewer errors than the nearest prototype does (softmax(-d), Snell et al.,
arXiv 1703.05175) and probabilities that hold for 2 labels and for 20. A signal far from all is not given to
one with certainty. Without calibration they are p_k ~ d_k**-DEFAULT_EXPONENT, and with one that states no
spread (as it was made before there was one) p_k ~ d_k**-exponent.

**False alarm** means: a signal of a taught label is called unknown. A signal is called unknown if the
p-values for all labels are at or below the stated rate; for a known signal that includes its own label's,
so the rate holds as an upper bound, and nearly with equality where labels do not overlap. p-values are
split-conformal (Vovk et al., 2005): the share of calibration ratios at least as large, of the source's and
of the taught shots' own (leave-one-out), where the source counts as SOURCE_WEIGHT shots. Between two numbers
of shots of the table they are interpolated in 1/shots, which is what the error of a mean goes with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.arguments import is_number, is_whole
from radiofm_ml.fewshot import geometry
from radiofm_ml.fewshot.geometry import NORMALISATIONS, Geometry, normalise
from radiofm_ml.fewshot.prototypes import Prototype

FORMAT_VERSION = 1
_TINY = 1e-12
SOURCE_WEIGHT = 200.0  # the source's ratios count as much as those of so many taught shots
DEFAULT_EXPONENT = 10.0  # without calibration; right for labels that scatter evenly over 20 dimensions
DOUBT = 0.002  # share of the source's labels taken as wrong when the exponent is fitted
LEVELS = (*(i / 100 for i in range(1, 100)), 0.992, 0.994, 0.995, 0.996, 0.997, 0.998, 0.999, 0.9995)


@dataclass(frozen=True)
class Table:
    """Calibration for one normalisation and metric, by number of shots.

    ratios: quantiles at ``levels``, of so many ``queries``. spreads: empty where none is stated.
    """

    levels: np.ndarray
    exponents: dict[int, float]
    spreads: dict[int, float]
    ratios: dict[int, np.ndarray]
    queries: dict[int, int]

    def around(self, shots: float) -> list[tuple[int, float]]:
        """Calibrated numbers of shots beside ``shots`` and their weights: one of weight 1, or two."""
        below, above = (max((n for n in self.ratios if n <= shots), default=None),
                        min((n for n in self.ratios if n >= shots), default=None))
        if below is None or above is None or below == above:
            return [(above if below is None else below, 1.0)]
        weight = (1 / below - 1 / shots) / (1 / below - 1 / above)
        return [(below, 1.0 - weight), (above, weight)]


def p_values(ratios: np.ndarray, fitted: Geometry, table: Table | None) -> np.ndarray:
    """For each signal and label (N, K): the share of known signals of that label that lie at least as far.

    1 where nothing is known: without ``table`` the taught shots alone speak, and m of them can show no
    share below 1/(m+1).
    """
    m = len(fitted.loo)
    farther = m - np.searchsorted(fitted.loo, ratios, "left")
    if table is None:
        p = (farther + 1.0) / (m + 1.0)
    else:
        source = np.empty_like(ratios)
        for shots in set(fitted.shots.tolist()):
            taught = fitted.shots == shots
            source[:, taught] = sum(weight * _farther(ratios[:, taught], table, row)
                                    for row, weight in table.around(shots))
        correction = m / (SOURCE_WEIGHT + m)  # the conformal +1, as far as the shots count
        p = (SOURCE_WEIGHT * source + farther + correction) / (SOURCE_WEIGHT + m + correction)
    return np.where(np.isfinite(ratios), p, 1.0)


def _farther(ratios: np.ndarray, table: Table, row: int) -> np.ndarray:
    """Share of the source's ratios that are at least as large, never 0."""
    share = 1.0 - np.interp(ratios, table.ratios[row], table.levels, left=0.0)
    return np.maximum(share, 1.0 / (table.queries[row] + 1))


def log_odds(distances: np.ndarray, fitted: Geometry, table: Table | None) -> np.ndarray:
    """Logits (N, K) of distances (N, K), see the module."""
    exponent = DEFAULT_EXPONENT
    if table is not None:
        rows = table.around(float(np.median(fitted.shots)))
        exponent = math.exp(sum(weight * math.log(table.exponents[row]) for row, weight in rows))
    if table is None or not table.spreads:
        return -exponent * np.log(np.maximum(distances, _TINY))
    spread = sum(weight * table.spreads[row] for row, weight in rows)
    return _student(*_student_terms(distances, fitted), exponent, spread)


def _student_terms(distances: np.ndarray, fitted: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """log(1 + ratio), (N, K), and the logarithm of the expected distance, (K,)."""
    return np.log1p(fitted.ratios(distances)), np.log(fitted.expected)


def _student(log_ratios: np.ndarray, log_expected: np.ndarray, exponent: float, spread: float) -> np.ndarray:
    return -exponent * (log_ratios + spread * log_expected)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# -- as JSON --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Calibration:
    """A bundle's ``calibration`` object, checked.

    mean     float32 (D,), of the source domain
    scatter  mean squared distance of its normalised embeddings from their label's mean
    tables   by metric
    """

    normalisation: str
    mean: np.ndarray
    scatter: float
    tables: dict[str, Table]

    @classmethod
    def from_dict(cls, values: dict, embedding_size: int) -> Calibration | None:
        """None for an empty object. Raises ValueError naming the key."""
        if values == {}:
            return None
        if not isinstance(values, dict) or values.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"calibration: format_version must be {FORMAT_VERSION}")
        if values.get("normalisation") not in NORMALISATIONS:
            raise ValueError(f"calibration: normalisation must be one of {', '.join(NORMALISATIONS)}")
        mean = _numbers(values, "mean", embedding_size)
        levels = _numbers(values, "levels")
        if not (np.diff(levels) > 0).all() or not 0 < levels[0] or not levels[-1] < 1:
            raise ValueError("calibration: levels must ascend between 0 and 1")
        scatter = _positive(values, "scatter")
        metrics = values.get("metrics")
        if not isinstance(metrics, dict) or not all(isinstance(v, list) and v for v in metrics.values()):
            raise ValueError("calibration: metrics must be an object of lists")
        tables = {}
        for name, rows in metrics.items():
            exponents, spreads, ratios, queries = {}, {}, {}, {}
            for row in rows:
                shots = row.get("shots") if isinstance(row, dict) else None
                if not is_whole(shots, 1):
                    raise ValueError(f"calibration: metrics.{name}: shots must be a whole number from 1 on")
                exponents[shots] = _positive(row, "exponent")
                if "spread" in row:
                    spreads[shots] = _positive(row, "spread")
                queries[shots] = int(_positive(row, "queries"))
                ratios[shots] = _numbers(row, "ratios", len(levels))
                if (np.diff(ratios[shots]) < 0).any() or ratios[shots][0] < 0:
                    raise ValueError(f"calibration: metrics.{name}: ratios must ascend from 0")
            if spreads and len(spreads) < len(exponents):
                raise ValueError(f"calibration: metrics.{name}: spread must be in every row or in none")
            tables[name] = Table(levels, exponents, spreads, ratios, queries)
        return cls(values["normalisation"], mean.astype(np.float32), scatter, tables)


def _numbers(values: dict, key: str, size: int | None = None) -> np.ndarray:
    try:
        numbers = np.array(values.get(key), np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    shaped = numbers.ndim == 1 and len(numbers) and size in (None, len(numbers))
    if not shaped or not np.isfinite(numbers).all():
        raise ValueError(f"calibration: {key} must be {size or 'some'} finite numbers")
    return numbers


def _positive(values: dict, key: str) -> float:
    value = values.get(key)
    if not is_number(value) or value <= 0:
        raise ValueError(f"calibration: {key} must be a positive number, got {value!r}")
    return float(value)


# -- making it ------------------------------------------------------------------------------------
def calibrate(embeddings: ArrayLike, labels: Sequence, normalisation: str = "cl2n",
              shots: Sequence[int] = (1, 2, 5, 10, 20), seed: int = 0, *, groups: Sequence | None = None,
              domains: Sequence | None = None, metrics: Sequence[str] = ("euclidean", "mahalanobis"),
              episodes: int = 200, max_ways: int = 20, queries: int = 10) -> dict:
    """Measure a bundle's ``calibration`` object on labelled embeddings of the source domain.

    embeddings  float (N, D), held out from the encoder's training if it saw labels
    labels      N names
    groups      N sessions (or receivers): shots and queries of an episode then come from different ones, as
                they do in use, and thresholds grow accordingly. Without, both come from the same pool.
    domains     N names, the same for all of a label: the labels of an episode come from one domain, for
                labels that never meet in use (beams of different antennas)
    episodes    for each number of shots; each has 2 to ``max_ways`` labels, ``queries`` for each

    Returns {format_version, normalisation, mean, scatter, levels, metrics: {metric: [{shots, exponent,
    spread, ratios (quantiles at levels), queries}]}, source: {...}}. Numbers of shots that too few labels can
    give are left out. Raises ValueError where not even one can be measured.
    """
    x = np.asarray(embeddings, np.float32)
    _, y = np.unique(np.asarray(labels), return_inverse=True)
    g = np.arange(len(x)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if x.ndim != 2 or not (len(x) == len(y) == len(g)) or not np.isfinite(x).all():
        raise ValueError("calibrate: embeddings must be (N, D) and finite, with N labels and groups")
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"calibrate: normalisation must be one of {', '.join(NORMALISATIONS)}, "
                         f"got {normalisation!r}")
    mean = x.mean(0, dtype=np.float64)
    z = normalise(x, normalisation, mean)
    members = [np.flatnonzero(y == label) for label in range(y.max() + 1)]
    homes = [0 if domains is None else domains[m[0]] for m in members]
    freedom = len(x) - len(members)
    if freedom < 1:
        raise ValueError("calibrate: some label must have two embeddings")
    scatter = sum(((z[m] - z[m].mean(0))**2).sum() for m in members) / freedom

    rng = np.random.default_rng(seed)
    result = {}
    for metric in metrics:
        rows = []
        for n in shots:
            if metric == "mahalanobis" and n < geometry.WHITEN_SHOTS:
                continue
            how = (normalisation, mean, metric, scatter)
            row = _play(x, members, homes, g, n, rng, how, episodes, max_ways, queries)
            if row is not None:
                rows.append(row)
        if rows:
            result[metric] = rows
    if not result:
        raise ValueError("calibrate: fewer than two labels have enough embeddings "
                         f"{'' if groups is None else 'in two groups '}for {min(shots)} shots and a query")
    return {"format_version": FORMAT_VERSION, "normalisation": normalisation, "mean": _rounded(mean),
            "scatter": _rounded(scatter), "levels": list(LEVELS), "metrics": result,
            "source": {"embeddings": len(x), "labels": len(members), "episodes": episodes, "seed": seed,
                       "groups": None if groups is None else int(g.max() + 1)}}


def _rounded(values):
    if np.ndim(values):
        return [_rounded(v) for v in values]
    return float(f"{float(values):.7g}")


def _play(x, members, homes, groups, n, rng, how, episodes, max_ways, queries) -> dict | None:
    """One row of a table: episodes of ``n`` shots, compared as ``geometry.fit(..., *how)`` says."""
    together: dict = {}
    for m, home in zip(members, homes, strict=True):
        if len(m) > n and len(np.unique(groups[m])) > 1:
            together.setdefault(home, []).append(m)
    pools = [pool for pool in together.values() if len(pool) > 1]
    if not pools:
        return None
    own, episodes_played = [], []
    for _ in range(episodes):
        usable = pools[rng.integers(len(pools))] if len(pools) > 1 else pools[0]
        ways = rng.integers(2, min(len(usable), max_ways) + 1)
        chosen = rng.choice(len(usable), ways, replace=False)
        drawn = [d for i in chosen if (d := _draw(usable[i], groups, n, queries, rng)) is not None]
        if len(drawn) < 2:
            continue
        prototypes = [Prototype(str(i), x[s].mean(0, dtype=np.float64).astype(np.float32), n, x[s])
                      for i, (s, _) in enumerate(drawn)]
        fitted = geometry.fit(prototypes, *how)
        truth = np.repeat(np.arange(len(drawn)), [len(q) for _, q in drawn])
        distances = fitted.distances(x[np.concatenate([q for _, q in drawn])])
        own.append(fitted.ratios(distances)[np.arange(len(truth)), truth])
        episodes_played.append((*_student_terms(distances, fitted), truth))
    if not own:
        return None
    own = np.sort(np.concatenate(own))
    ranks = np.minimum(np.ceil(np.array(LEVELS) * (len(own) + 1)).astype(int), len(own)) - 1
    exponent, spread = _fit_student(episodes_played)
    return {"shots": int(n), "exponent": _rounded(exponent), "spread": _rounded(spread), "queries": len(own),
            "ratios": _rounded(own[ranks])}


def _draw(member, groups, n, queries, rng):
    """Indices (support, query) of one label: whole groups go to one side, drawn in random order."""
    names = rng.permutation(np.unique(groups[member]))
    support = np.zeros(0, int)
    for taken, name in enumerate(names[:-1], 1):
        support = np.concatenate([support, rng.permutation(member[groups[member] == name])])
        if len(support) >= n:
            rest = member[np.isin(groups[member], names[taken:])]
            return support[:n], rng.permutation(rest)[:queries]
    return None


def _fit_student(episodes) -> tuple[float, float]:
    """Exponent and spread with the least cross-entropy over episodes of (log ratios, log expected, truth).

    A share DOUBT of the truth is taken as wrong: a source without one confusion knows no best exponent. Where
    all labels scatter alike (one shot each) no spread is best, and the prior takes it to 1/2.
    """
    from scipy.optimize import minimize

    def loss(parameters) -> float:
        total = count = 0.0
        for log_ratios, log_expected, truth in episodes:
            logits = _student(log_ratios, log_expected, math.exp(parameters[0]), math.exp(parameters[1]))
            top = logits.max(1)
            right = logits[np.arange(len(truth)), truth]
            total += (top + np.log(np.exp(logits - top[:, None]).sum(1)) - (1 - DOUBT) * right
                      - DOUBT * logits.mean(1)).sum()
            count += len(truth)
        return total / count + 1e-4 * (parameters[1] - math.log(0.5))**2

    bounds = [(math.log(1e-2), math.log(1e4)), (math.log(1e-3), math.log(10.0))]
    best = minimize(loss, (math.log(5.0), math.log(0.5)), bounds=bounds, method="L-BFGS-B").x
    return math.exp(best[0]), math.exp(best[1])
