# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a distance means: probabilities, and how unusual a signal is. Measured on the source domain.

A handful of taught shots cannot say what the farthest of a hundred signals looks like. So the bundle brings
it along: ``calibrate`` plays few-shot episodes on labelled embeddings of the source domain and keeps, for
each number of shots and of labels, the distribution of the ratio (see ``geometry``) of known signals to their
own prototype, and for each number of shots the exponent of the probabilities. Both are free of scale: that
comes from the taught shots. The number of labels matters because they share what is known of their scatter:
one label with five shots knows a covariance by four degrees of freedom, twenty of them by eighty.

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
of shots, or of labels, of the table the larger p-value is taken, so that the bound holds there, too. The
exponent is interpolated in 1/shots, which is what the error of a mean goes with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.arguments import is_number, is_whole
from radiofm_ml.fewshot import geometry
from radiofm_ml.fewshot.geometry import METRICS, NORMALISATIONS, Geometry, normalise
from radiofm_ml.fewshot.prototypes import Prototype

FORMAT_VERSION = 2
_TINY = 1e-12
SOURCE_WEIGHT = 200.0  # the source's ratios count as much as those of so many taught shots
DEFAULT_EXPONENT = 10.0  # without calibration; right for labels that scatter evenly over 20 dimensions
DOUBT = 0.002  # share of the source's labels taken as wrong when the exponent is fitted
LEVELS = (*(i / 20 for i in range(1, 18)), *(i / 100 for i in range(90, 100)),
          0.992, 0.994, 0.995, 0.996, 0.997, 0.998, 0.999, 0.9995)
SHOTS = (1, 2, 5, 10, 20)
WAYS = (1, 2, 3, 5, 10, 20)
EPISODE_LABELS = 10  # an episode counts as so many labels: where fewer are taught, more episodes are played


@dataclass(frozen=True)
class Ratios:
    """Quantiles ``values`` at the table's levels, of so many ``queries``."""

    values: np.ndarray
    queries: int


@dataclass(frozen=True)
class Table:
    """Calibration for one normalisation and metric.

    exponents, spreads: by number of shots; no spreads where none is stated. ratios: by number of shots, then
    by number of labels.
    """

    levels: np.ndarray
    exponents: dict[int, float]
    spreads: dict[int, float]
    ratios: dict[int, dict[int, Ratios]]

    def around(self, shots: float, labels: float) -> list[tuple[int, int]]:
        """The entries (shots, labels) beside these: one to four, and none below the least of either, for what
        is farther there was not measured."""
        if shots < min(self.ratios):
            return []
        beside = _beside(self.ratios, shots)
        if any(labels < min(self.ratios[n]) for n in beside):
            return []
        return [(n, k) for n in beside for k in _beside(self.ratios[n], labels)]

    def exponent(self, shots: float) -> tuple[float, float | None]:
        """Exponent and spread, interpolated in 1/shots."""
        beside = _beside(self.exponents, shots)
        weights = [1.0]
        if len(beside) == 2:
            below, above = beside
            weight = (1 / below - 1 / shots) / (1 / below - 1 / above)
            weights = [1.0 - weight, weight]
        exponent = math.exp(np.dot(weights, [math.log(self.exponents[n]) for n in beside]))
        return exponent, float(np.dot(weights, [self.spreads[n] for n in beside])) if self.spreads else None


def _beside(known: Collection[int], value: float) -> list[int]:
    """The greatest of ``known`` up to ``value`` and the least from it on: one or two."""
    below = max((n for n in known if n <= value), default=None)
    above = min((n for n in known if n >= value), default=None)
    return sorted({n for n in (below, above) if n is not None})


def p_values(ratios: np.ndarray, fitted: Geometry, table: Table | None) -> np.ndarray:
    """For each signal and label (N, K): the share of known signals of that label that lie at least as far.

    1 where nothing is known: of labels with fewer shots than ``table`` has, or beside fewer others. Without a
    table the taught shots alone speak, and m of them can show no share below 1/(m+1).
    """
    m = len(fitted.loo)
    farther = m - np.searchsorted(fitted.loo, ratios, "left")
    if table is None:
        p = (farther + 1.0) / (m + 1.0)
    else:
        source = np.empty_like(ratios)
        alike: dict[tuple, list[int]] = {}
        for column, key in enumerate(zip(fitted.shots, np.round(fitted.labels, 6), strict=True)):
            alike.setdefault(tuple(table.around(*key)), []).append(column)
        for entries, columns in alike.items():
            shares = [_farther(ratios[:, columns], table.levels, table.ratios[n][k]) for n, k in entries]
            source[:, columns] = np.max(shares, axis=0) if shares else np.inf
        correction = m / (SOURCE_WEIGHT + m)  # the conformal +1, as far as the shots count
        p = (SOURCE_WEIGHT * source + farther + correction) / (SOURCE_WEIGHT + m + correction)
    return np.where(np.isfinite(ratios), np.minimum(p, 1.0), 1.0)


def _farther(ratios: np.ndarray, levels: np.ndarray, source: Ratios) -> np.ndarray:
    """Share of the source's ratios that are at least as large, never 0."""
    share = 1.0 - np.interp(ratios, source.values, levels, left=0.0)
    return np.maximum(share, 1.0 / (source.queries + 1))


def log_odds(distances: np.ndarray, fitted: Geometry, table: Table | None) -> np.ndarray:
    """Logits (N, K) of distances (N, K), see the module."""
    exponent, spread = DEFAULT_EXPONENT, None
    if table is not None:
        exponent, spread = table.exponent(float(np.median(fitted.shots)))
    if spread is None:
        return -exponent * np.log(np.maximum(distances, _TINY))
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
class Source:
    """What is known of the source domain under one normalisation: ``scatter``, the mean squared distance of
    its normalised embeddings from their label's mean, and ``tables`` by metric."""

    scatter: float
    tables: dict[str, Table]


@dataclass(frozen=True)
class Calibration:
    """A bundle's calibration, checked.

    normalisation  what 'auto' stands for
    mean           float32 (D,), of the source domain
    sources        by normalisation
    """

    normalisation: str
    mean: np.ndarray
    sources: dict[str, Source]

    @classmethod
    def from_dict(cls, values: dict, embedding_size: int) -> Calibration | None:
        """None for an empty object. Raises ValueError naming the key.

        Takes what ``calibrate`` gives (format 2), and what it gave before (format 1: one normalisation, and
        ratios by number of shots alone).
        """
        if values == {}:
            return None
        version = values.get("format_version") if isinstance(values, dict) else None
        if version not in (1, FORMAT_VERSION) or not is_whole(version):
            raise ValueError(f"calibration: format_version must be {FORMAT_VERSION} (or 1)")
        normalisation = values.get("normalisation")
        if normalisation not in NORMALISATIONS:
            raise ValueError(f"calibration: normalisation must be one of {', '.join(NORMALISATIONS)}")
        mean = _numbers(values, "mean", embedding_size)
        levels = _numbers(values, "levels")
        if not (np.diff(levels) > 0).all() or not 0 < levels[0] or not levels[-1] < 1:
            raise ValueError("calibration: levels must ascend between 0 and 1")
        if version == 1:
            given, read = {normalisation: values}, _read_table_1
        else:
            given, read = _objects(values, "normalisations", NORMALISATIONS), _read_table
            if normalisation not in given:
                raise ValueError(f"calibration: normalisations must hold '{normalisation}'")
        sources = {}
        for name, part in given.items():
            kind = list if version == 1 else dict
            metrics = _objects(part, "metrics", METRICS, kind)
            sources[name] = Source(_positive(part, "scatter"), {m: read(f"metrics.{m}", metrics[m], levels)
                                                               for m in metrics})
        return cls(normalisation, mean.astype(np.float32), sources)


def _objects(values: dict, key: str, names: Sequence[str], kind: type = dict) -> dict:
    found = values.get(key)
    named = isinstance(found, dict) and found and set(found) <= set(names)
    if not named or not all(isinstance(v, kind) and v for v in found.values()):
        raise ValueError(f"calibration: {key} must be an object of {'lists' if kind is list else 'objects'} "
                         f"named {', '.join(names)}")
    return found


def _read_table(name: str, values: dict, levels: np.ndarray) -> Table:
    exponents, spreads, ratios = {}, {}, {}
    for row in _rows(name, values, "probabilities"):
        shots = _count(name, row, "shots")
        exponents[shots], spreads[shots] = _positive(row, "exponent"), _positive(row, "spread")
    for row in _rows(name, values, "ratios"):
        shots, labels = _count(name, row, "shots"), _count(name, row, "labels")
        ratios.setdefault(shots, {})[labels] = _read_ratios(name, row, levels)
    return Table(levels, exponents, spreads, ratios)


def _read_table_1(name: str, rows: list, levels: np.ndarray) -> Table:
    """Of format 1: what it says holds for any number of labels."""
    exponents, spreads, ratios = {}, {}, {}
    for row in rows:
        shots = _count(name, row, "shots")
        exponents[shots] = _positive(row, "exponent")
        if "spread" in row:
            spreads[shots] = _positive(row, "spread")
        ratios[shots] = {1: _read_ratios(name, row, levels)}
    if spreads and len(spreads) < len(exponents):
        raise ValueError(f"calibration: {name}: spread must be in every row or in none")
    return Table(levels, exponents, spreads, ratios)


def _rows(name: str, values: dict, key: str) -> list:
    rows = values.get(key)
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"calibration: {name}: {key} must be a list of objects")
    return rows


def _count(name: str, row, key: str) -> int:
    value = row.get(key) if isinstance(row, dict) else None
    if not is_whole(value, 1):
        raise ValueError(f"calibration: {name}: {key} must be a whole number from 1 on")
    return int(value)


def _read_ratios(name: str, row: dict, levels: np.ndarray) -> Ratios:
    values = _numbers(row, "ratios", len(levels))
    if (np.diff(values) < 0).any() or values[0] < 0:
        raise ValueError(f"calibration: {name}: ratios must ascend from 0")
    return Ratios(values, int(_positive(row, "queries")))


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
def calibrate(embeddings: ArrayLike, labels: Sequence, normalisation: str | Sequence[str] = "cl2n",
              shots: Sequence[int] = SHOTS, seed: int = 0, *, groups: Sequence | None = None,
              domains: Sequence | None = None, strata: Sequence | None = None,
              centres: Sequence | None = None, metrics: Sequence[str] = ("euclidean", "mahalanobis"),
              ways: Sequence[int] = WAYS, episodes: int = 100, queries: int = 10,
              track: Callable = lambda items, label: items) -> dict:
    """Measure a bundle's calibration on labelled embeddings of the source domain.

    embeddings     float (N, D), held out from the encoder's training if it saw labels
    labels         N names
    normalisation  one, or several; the first is what 'auto' will stand for
    groups         N sessions (or receivers): shots and queries of an episode then come from different ones,
                   as they do in use, and thresholds grow accordingly. Without, both come from the same pool.
    domains        N names, the same for all of a label: the labels of an episode come from one domain, for
                   labels that never meet in use (beams of different antennas)
    strata         N names, the same for all of a domain: the rate is to hold in each of these (gains of the
                   receiver), and not on their average alone: quantiles are the largest among them
    centres        N names: 'cl2n' centres by the mean of the embeddings of the same name, as a receiver does
                   that has heard them; without, by the mean of all
    ways           numbers of labels taught in an episode
    episodes       for each number of shots and of labels, from EPISODE_LABELS labels on (with fewer labels as
                   many more); ``queries`` for each label

    Of the Mahalanobis distance, numbers of shots below WHITEN_SHOTS are those of one label beside others that
    have enough. Returns {format_version, normalisation, mean, levels, normalisations: {name: {scatter,
    metrics: {metric: {probabilities: [{shots, exponent, spread}], ratios: [{shots, labels, queries, ratios
    (quantiles at levels)}]}}}}, source: {...}}. Numbers of shots and of labels that the embeddings cannot
    give are left out. Raises ValueError where not even one can be measured.
    """
    x = np.asarray(embeddings, np.float32)
    _, y = np.unique(np.asarray(labels), return_inverse=True)
    g = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if x.ndim != 2 or not (len(x) == len(y) == (len(x) if g is None else len(g))) or not np.isfinite(x).all():
        raise ValueError("calibrate: embeddings must be (N, D) and finite, with N labels and groups")
    names = (normalisation,) if isinstance(normalisation, str) else tuple(normalisation)
    for name in names:
        if name not in NORMALISATIONS:
            raise ValueError(f"calibrate: normalisation must be one of {', '.join(NORMALISATIONS)}, "
                             f"got {name!r}")
    mean = x.mean(0, dtype=np.float64)
    members = [np.flatnonzero(y == label) for label in range(y.max() + 1)]
    homes = [tuple(0 if names is None else names[m[0]] for names in (strata, domains)) for m in members]
    if len(x) == len(members):
        raise ValueError("calibrate: some label must have two embeddings")

    measured = {}
    for name in names:
        centred = x if name != "cl2n" or centres is None else _recentred(x, mean, np.asarray(centres))
        pool = _Pool(centred, members, homes, g, name, mean, queries)
        tables = {metric: table for metric in metrics
                  if (table := _measure(pool, metric, shots, ways, episodes, seed, track))}
        if not tables:
            where = "" if groups is None else "in two groups "
            raise ValueError(f"calibrate: fewer than two labels have enough embeddings {where}for "
                             f"{min(shots)} shots and a query")
        measured[name] = {"scatter": _rounded(pool.scatter), "metrics": tables}
    return {"format_version": FORMAT_VERSION, "normalisation": names[0], "mean": _rounded(mean),
            "levels": list(LEVELS), "normalisations": measured,
            "source": {"embeddings": len(x), "labels": len(members), "episodes": episodes, "seed": seed,
                       "groups": None if g is None else int(g.max() + 1)}}


def _recentred(x: np.ndarray, mean: np.ndarray, names: np.ndarray) -> np.ndarray:
    out = x.astype(np.float64)
    for name in np.unique(names):
        out[names == name] += mean - x[names == name].mean(0, dtype=np.float64)
    return out.astype(np.float32)


def _rounded(values, digits: int = 7):
    if np.ndim(values):
        return [_rounded(v, digits) for v in values]
    return float(f"{float(values):.{digits}g}")


class _Pool:
    """Labelled embeddings from which episodes are drawn, under one normalisation."""

    def __init__(self, x, members, homes, groups, normalisation, mean, queries):
        self.x, self.members, self.homes, self.groups = x, members, homes, groups
        self.normalisation, self.mean, self.queries = normalisation, mean, queries
        z = normalise(x, normalisation, mean)
        squares = sum(((z[m] - z[m].mean(0))**2).sum() for m in members)
        self.scatter = squares / (len(x) - len(members))

    def sets(self, shots: int) -> dict[tuple, list[np.ndarray]]:
        """For each (stratum, domain) the members of its labels that have enough for so many shots and a
        query."""
        together: dict = {}
        for m, home in zip(self.members, self.homes, strict=True):
            if len(m) > shots and (self.groups is None or len(np.unique(self.groups[m])) > 1):
                together.setdefault(home, []).append(m)
        return together

    def episode(self, sets, shots: Sequence[int], metric: str, rng):
        """(stratum, own ratios by label, (log ratios, log expected, truth)) of an episode in which the labels
        have so many ``shots``; None if too few of the labels drawn have."""
        fitting = [home for home, labels in sets.items() if len(labels) >= len(shots)]
        home = fitting[rng.integers(len(fitting))]
        usable = sets[home]
        drawn: list = []
        for i in rng.permutation(len(usable)):
            if len(drawn) < len(shots):
                found = _draw(usable[i], self.groups, shots[len(drawn)], self.queries, rng)
                drawn += [found] if found is not None else []
        if len(drawn) < len(shots):
            return None
        supports = [self.x[s] for s, _ in drawn]
        prototypes = [Prototype(str(i), s.mean(0, dtype=np.float64).astype(np.float32), len(s), s)
                      for i, s in enumerate(supports)]
        fitted = geometry.fit(prototypes, self.normalisation, self.mean, metric, self.scatter)
        truth = np.repeat(np.arange(len(drawn)), [len(q) for _, q in drawn])
        distances = fitted.distances(self.x[np.concatenate([q for _, q in drawn])])
        own = fitted.ratios(distances)[np.arange(len(truth)), truth]
        own = [own[truth == k] for k in range(len(drawn))]
        return home[0], own, (*_student_terms(distances, fitted), truth)


def _measure(pool: _Pool, metric: str, shots: Sequence[int], ways: Sequence[int], episodes: int, seed: int,
             track: Callable) -> dict | None:
    """A metric's table; None where there are too few labels for any of it."""
    probabilities, ratios = [], []
    for n in track(sorted(shots), f"{pool.normalisation}, {metric}"):
        poor = metric == "mahalanobis" and n < geometry.WHITEN_SHOTS  # one label beside others with enough
        sets = pool.sets(max(n, geometry.WHITEN_SHOTS) if poor else n)
        most = max(map(len, sets.values()), default=0)
        alone = n == 1 and not poor  # then the others say nothing of a label's scatter, however many they are
        if most < 2:
            continue
        played = []
        for k in ways:
            if k > most or (poor and k < 2):
                continue
            counts = (n, *[geometry.WHITEN_SHOTS] * (k - 1)) if poor else (n,) * k
            # Seeded for each entry, so that none depends on which others are asked for.
            rng = np.random.default_rng([seed, METRICS.index(metric), n, k])
            count = math.ceil(episodes * EPISODE_LABELS / min(k, EPISODE_LABELS))
            if poor or (alone and ratios):
                count = episodes * (2 if poor else 1)
            found = [e for _ in range(count) if (e := pool.episode(sets, counts, metric, rng)) is not None]
            own: dict = {}
            for stratum, labels, _ in found:
                own.setdefault(stratum, []).extend(labels[:1 if poor else None])
            if own and not (alone and ratios):
                ratios.append({"shots": int(n), "labels": int(k), **_quantiles(own.values())})
            if k > 1 and not poor:
                played += [terms for _, _, terms in found[:episodes]]
        if played:
            exponent, spread = _fit_student(played)
            probabilities.append({"shots": int(n), "exponent": _rounded(exponent),
                                  "spread": _rounded(spread)})
    return {"probabilities": probabilities, "ratios": ratios} if probabilities else None


def _quantiles(strata: Iterable[list[np.ndarray]]) -> dict:
    """At LEVELS; of several strata the largest, and the number of queries of the smallest."""
    found, counts = [], []
    for parts in strata:
        own = np.sort(np.concatenate(parts))
        ranks = np.minimum(np.ceil(np.array(LEVELS) * (len(own) + 1)).astype(int), len(own)) - 1
        found.append(own[ranks])
        counts.append(len(own))
    return {"queries": min(counts), "ratios": _rounded(np.max(found, axis=0), 5)}


def _draw(member, groups, n, queries, rng):
    """Indices (support, query) of one label: whole groups go to one side, drawn in random order. None if
    there are too few."""
    if groups is None:
        mixed = rng.permutation(member)
        return (mixed[:n], mixed[n:][:queries]) if len(mixed) > n else None
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
