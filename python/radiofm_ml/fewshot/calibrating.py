# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Making a bundle's calibration: few-shot episodes on labelled embeddings of the source domain. What comes of
it is read and used by ``calibration``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.fewshot import geometry
from radiofm_ml.fewshot.calibration import FORMAT_VERSION, student, student_terms
from radiofm_ml.fewshot.geometry import METRICS, NORMALISATIONS, normalise
from radiofm_ml.fewshot.prototypes import Prototype

DOUBT = 0.002  # share of the source's labels taken as wrong when the exponent is fitted
LEVELS = (*(i / 20 for i in range(1, 18)), *(i / 100 for i in range(90, 100)),
          0.992, 0.994, 0.995, 0.996, 0.997, 0.998, 0.999, 0.9995)
SHOTS = (1, 2, 5, 10, 20)
WAYS = (1, 2, 3, 5, 10, 20)
EPISODE_LABELS = 10  # an episode counts as so many labels: where fewer are taught, more episodes are played


def calibrate(embeddings: ArrayLike, labels: Sequence, normalisation: str | Sequence[str] = "cl2n",
              shots: Sequence[int] = SHOTS, seed: int = 0, *, groups: Sequence | None = None,
              domains: Sequence | None = None, strata: Sequence | None = None,
              centres: Sequence | None = None, metrics: Sequence[str] = ("euclidean", "mahalanobis"),
              ways: Sequence[int] = WAYS, episodes: int = 100, queries: int = 10,
              source_share: float = 0.0, nearest: bool = False,
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
    source_share   of the source's scatter in that of every label, see ``geometry.fit``
    nearest        measure the least ratio, too, so that the rate of false alarms holds with equality

    Of the Mahalanobis distance, numbers of shots below WHITEN_SHOTS are those of one label beside others that
    have enough. Returns {format_version, normalisation, mean, levels, normalisations: {name: {scatter,
    scatter_share, metrics: {metric: {probabilities: [{shots, exponent, spread}], ratios: [{shots, labels,
    queries, ratios (quantiles at levels)}], nearest: as ratios, if asked for}}}}, source: {...}}. Numbers of
    shots and of labels that the embeddings cannot give are left out. Raises ValueError where not even one can
    be measured.
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
        pool = _Pool(centred, members, homes, g, name, mean, queries, source_share)
        tables = {metric: table for metric in metrics
                  if (table := _measure(pool, metric, shots, ways, episodes, seed, nearest, track))}
        if not tables:
            where = "" if groups is None else "in two groups "
            raise ValueError(f"calibrate: fewer than two labels have enough embeddings {where}for "
                             f"{min(shots)} shots and a query")
        measured[name] = {"scatter": _rounded(pool.scatter), "metrics": tables}
        if source_share:
            measured[name]["scatter_share"] = source_share
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

    def __init__(self, x, members, homes, groups, normalisation, mean, queries, share):
        self.x, self.members, self.homes, self.groups = x, members, homes, groups
        self.normalisation, self.mean, self.queries, self.share = normalisation, mean, queries, share
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
        """(stratum, own ratios by label, least ratios by label, (log ratios, log expected, truth)) of an
        episode in which the labels have so many ``shots``; None if too few of the labels drawn have."""
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
        fitted = geometry.fit(prototypes, self.normalisation, self.mean, metric, self.scatter, self.share)
        truth = np.repeat(np.arange(len(drawn)), [len(q) for _, q in drawn])
        distances = fitted.distances(self.x[np.concatenate([q for _, q in drawn])])
        ratios = fitted.ratios(distances)

        def by_label(values: np.ndarray) -> list[np.ndarray]:
            return [values[truth == k] for k in range(len(drawn))]

        return (home[0], by_label(ratios[np.arange(len(truth)), truth]), by_label(ratios.min(1)),
                (*student_terms(distances, fitted), truth))


def _measure(pool: _Pool, metric: str, shots: Sequence[int], ways: Sequence[int], episodes: int, seed: int,
             nearest: bool, track: Callable) -> dict | None:
    """A metric's table; None where there are too few labels for any of it."""
    probabilities, ratios, least_ratios = [], [], []
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
            if poor or (alone and ratios and not nearest):
                count = episodes * (2 if poor else 1)
            found = [e for _ in range(count) if (e := pool.episode(sets, counts, metric, rng)) is not None]
            own: dict = {}
            least: dict = {}
            for stratum, to_own, to_nearest, _ in found:
                own.setdefault(stratum, []).extend(to_own[:1 if poor else None])
                least.setdefault(stratum, []).extend(to_nearest[:1 if poor else None])
            if own and not (alone and ratios):
                ratios.append({"shots": int(n), "labels": int(k), **_quantiles(own.values())})
            if own and nearest:
                least_ratios.append({"shots": int(n), "labels": int(k), **_quantiles(least.values())})
            if k > 1 and not poor:
                played += [terms for *_, terms in found[:episodes]]
        if played:
            exponent, spread = _fit_student(played)
            probabilities.append({"shots": int(n), "exponent": _rounded(exponent),
                                  "spread": _rounded(spread)})
    if not probabilities:
        return None
    return {"probabilities": probabilities, "ratios": ratios} | ({"nearest": least_ratios} if nearest else {})


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
            logits = student(log_ratios, log_expected, math.exp(parameters[0]), math.exp(parameters[1]))
            top = logits.max(1)
            right = logits[np.arange(len(truth)), truth]
            total += (top + np.log(np.exp(logits - top[:, None]).sum(1)) - (1 - DOUBT) * right
                      - DOUBT * logits.mean(1)).sum()
            count += len(truth)
        return total / count + 1e-4 * (parameters[1] - math.log(0.5))**2

    bounds = [(math.log(1e-2), math.log(1e4)), (math.log(1e-3), math.log(10.0))]
    best = minimize(loss, (math.log(5.0), math.log(0.5)), bounds=bounds, method="L-BFGS-B").x
    return math.exp(best[0]), math.exp(best[1])
