# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Does a few-shot classifier keep what it states? False alarms, unknowns found, and calibration, measured.

Episodes are played on labelled embeddings that had no part in the calibration: some labels are taught with a
few shots, other embeddings of them are the known queries, and labels that were left out the unknown ones.

    false alarm   a known query called unknown: no label has a p-value above the rate. Stated is a bound.
                  Beside the measured share two intervals at 95 %. ``binomial`` (Clopper, Pearson, Biometrika
                  26, 1934) takes every distinct query as an independent trial, which tiles of one recording
                  are not. ``clusters`` resamples whole clusters (labels, or recordings), which allows for it.
    own label     a known query whose own label's p-value is at or below the rate: with equality, if queries
                  and calibration are alike. It tests that alone, free of what other labels happen to forgive.
    detection     an unknown query called unknown.
    ECE           expected calibration error (Naeini et al., AAAI 2015) of the greatest probability of known
                  queries: mean over 15 bins of |share right - mean probability|, the bins of equal width, or
                  of equally many queries.

What is stated must hold for every number of labels taught: shares are given for each and for all together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.fewshot import FewShot
from radiofm_ml.fewshot.calibrating import EPISODE_LABELS
from radiofm_ml.fewshot.geometry import WHITEN_SHOTS

RATES = (0.005, 0.01, 0.02, 0.05, 0.1)
BINS = 15
LEVEL = 0.95
RESAMPLES = 1000
UNKNOWN_PER_EPISODE = 3  # labels left out of each episode


@dataclass(frozen=True)
class Data:
    """N labelled embeddings: x float32 (N, D), then N label names, ``groups`` that shots and queries must not
    share (None: they come from one pool), ``clusters``, within which embeddings are dependent,
    ``domains``, the same for all of a label: the labels of an episode come from one (None: from anywhere),
    and ``together``: those of one name and label are asked about at once, by their mean (None: each alone).
    """

    x: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None
    clusters: np.ndarray | None = None
    domains: np.ndarray | None = None
    together: np.ndarray | None = None

    def queries(self, rows: np.ndarray, most: int) -> list[np.ndarray]:
        """The first ``most`` queries among ``rows``, each the rows that it is made of."""
        if self.together is None:
            return list(rows[:most, None])
        names = list(dict.fromkeys(self.together[rows].tolist()))[:most]
        return [rows[self.together[rows] == name] for name in names]


@dataclass
class Played:
    """What happened to Q queries of all episodes of one metric and number of shots.

    row: which embedding; cluster; ways; known; p_value; then, of known ones, the p-value of their own label,
    confidence (the greatest probability) and whether the label was right.
    """

    row: np.ndarray
    cluster: np.ndarray
    ways: np.ndarray
    known: np.ndarray
    p_value: np.ndarray
    own: np.ndarray
    confidence: np.ndarray
    right: np.ndarray


def play(data: Data, classifier: Callable[[], FewShot], shots: int, ways: Sequence[int], episodes: int,
         seed: int, queries: int = 5) -> Played | None:
    """``episodes`` for each number of ways, more where they are fewer than EPISODE_LABELS; ``queries`` a
    label. None if too few labels have enough.

    classifier: makes a FewShot without prototypes. Of each episode's labels left out, at most
    UNKNOWN_PER_EPISODE are asked as unknown ones; labels drawn anew for every episode.
    """
    rng = np.random.default_rng([seed, shots])
    names, number = np.unique(data.labels, return_inverse=True)
    groups = np.arange(len(number)) if data.groups is None else np.unique(data.groups, return_inverse=True)[1]
    clusters = number if data.clusters is None else np.unique(data.clusters, return_inverse=True)[1]
    members = [np.flatnonzero(number == k) for k in range(len(names))]
    homes = [0 if data.domains is None else data.domains[m[0]] for m in members]
    usable: dict = {}
    for k, m in enumerate(members):
        if len(m) > shots and len(np.unique(groups[m])) > 1:
            usable.setdefault(homes[k], []).append(k)
    parts = []
    for wanted in ways:
        fitting = [home for home, labels in usable.items() if len(labels) >= wanted]
        if not fitting:
            continue
        for _ in range(math.ceil(episodes * max(1.0, EPISODE_LABELS / wanted))):
            home = fitting[rng.integers(len(fitting))] if len(fitting) > 1 else fitting[0]
            order = rng.permutation(usable[home])
            drawn = {k: _draw(members[k], groups, shots, rng) for k in order[:wanted]}
            taught = {k: (d[0], data.queries(d[1], queries)) for k, d in drawn.items() if d is not None}
            if not taught:
                continue
            left = rng.permutation([k for k in range(len(names))
                                    if homes[k] == home and k not in order[:wanted]])
            others = [data.queries(rng.permutation(members[k]), queries) for k in left[:UNKNOWN_PER_EPISODE]]
            few = classifier()
            for k, (support, _) in taught.items():
                few.prototypes.enroll(str(names[k]), data.x[support])
            known = [one for _, asked in taught.values() for one in asked]
            asked = [*known, *(one for of_label in others for one in of_label)]
            truth = np.repeat(np.arange(len(taught)), [len(q) for _, q in taught.values()])
            x = np.stack([data.x[one].mean(0) for one in asked])
            decision = few.predict(x)
            n, unasked = len(known), len(asked) - len(known)
            own = few.p_values(x[:n])[np.arange(n), truth]
            asked = np.array([one[0] for one in asked])
            parts.append((asked, clusters[asked], np.full(len(asked), len(taught)),
                          np.arange(len(asked)) < n, decision.p_value, np.r_[own, np.ones(unasked)],
                          np.r_[decision.probabilities[:n].max(1), np.zeros(unasked)],
                          np.r_[decision.index[:n] == truth, np.zeros(unasked, bool)]))
    return Played(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else None


def _draw(member: np.ndarray, groups: np.ndarray, shots: int, rng):
    """Indices (shots, the rest) of one label, from other groups; None if too few are left."""
    names = rng.permutation(np.unique(groups[member]))
    half = names[:max(1, len(names) // 2)] if len(names) < len(member) else names
    if len(half) == len(names):  # every embedding is a group of its own
        mixed = rng.permutation(member)
        return (mixed[:shots], mixed[shots:]) if len(mixed) > shots else None
    support = rng.permutation(member[np.isin(groups[member], half)])
    rest = rng.permutation(member[~np.isin(groups[member], half)])
    return (support[:shots], rest) if len(support) >= shots and len(rest) else None


# -- numbers --------------------------------------------------------------------------------------
def binomial_interval(hits: float, trials: int, level: float = LEVEL) -> list[float]:
    """Clopper-Pearson interval of a share; hits may be a fraction where trials were repeated."""
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits, trials - hits + 1)) if hits > 0 else 0.0
    return [low, float(beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0]


def cluster_interval(hits: np.ndarray, clusters: np.ndarray, seed: int = 0, level: float = LEVEL) -> list:
    """Percentile bootstrap of the share of ``hits`` (Q,), whole clusters drawn with replacement."""
    _, owner = np.unique(clusters, return_inverse=True)
    total, size = np.bincount(owner, hits), np.bincount(owner)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(size), np.full(len(size), 1 / len(size)), RESAMPLES)
    return np.quantile((drawn @ total) / (drawn @ size), [(1 - level) / 2, (1 + level) / 2]).tolist()


def share(hits: np.ndarray, rows: np.ndarray, clusters: np.ndarray) -> dict:
    """A measured share with both intervals, and ``widest``, from the least to the greatest of their ends.

    hits: bool (Q,); rows: which embedding was asked."""
    measured, distinct = float(hits.mean()), len(np.unique(rows))
    binomial = binomial_interval(measured * distinct, distinct)
    resampled = cluster_interval(hits, clusters)
    return {"measured": measured, "queries": len(hits), "distinct": distinct,
            "n_clusters": len(np.unique(clusters)), "binomial": binomial, "clusters": resampled,
            "widest": [min(binomial[0], resampled[0]), max(binomial[1], resampled[1])]}


def reliability(confidence: np.ndarray, right: np.ndarray, equal_mass: bool = False) -> list[dict]:
    """Bins in ascending order, empty ones left out: {confidence, right (means), queries}."""
    if equal_mass:
        parts = np.array_split(np.argsort(confidence, kind="stable"), BINS)
    else:
        of = np.minimum((confidence * BINS).astype(int), BINS - 1)
        parts = [np.flatnonzero(of == b) for b in range(BINS)]
    return [{"confidence": float(confidence[p].mean()), "right": float(right[p].mean()), "queries": len(p)}
            for p in parts if len(p)]


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike, equal_mass: bool = False) -> float:
    """See the module. confidence: float (Q,), right: bool (Q,)"""
    bins = reliability(np.asarray(confidence, np.float64), np.asarray(right), equal_mass)
    total = sum(b["queries"] for b in bins)
    return sum(abs(b["right"] - b["confidence"]) * b["queries"] for b in bins) / total


def summarise(played: Played, rates: Sequence[float] = RATES) -> dict:
    """The numbers of one metric and number of shots."""
    known, unknown = played.known, ~played.known
    judged = known & (played.ways > 1) if (played.ways > 1).any() else known  # a label alone is certain
    confidence, right, ways = played.confidence[judged], played.right[judged], played.ways[judged]

    def shares(p_values, which):
        return [{"stated": rate, **share(p_values[which] <= rate * (1 + 1e-9), played.row[which],
                                         played.cluster[which])} for rate in rates] if which.any() else []

    def all_shares(among):
        return {"false_alarm": shares(played.p_value, known & among),
                "own_label": shares(played.own, known & among),
                "detection": shares(played.p_value, unknown & among)}

    def errors(which):
        return {"width": expected_calibration_error(confidence[which], right[which]),
                "mass": expected_calibration_error(confidence[which], right[which], True),
                "accuracy": float(right[which].mean()), "confidence": float(confidence[which].mean())}

    return {**all_shares(np.ones(len(known), bool)),
            "by_labels": {str(w): all_shares(played.ways == w) for w in np.unique(played.ways)},
            "ece": {"all": errors(np.ones(len(ways), bool)),
                    **{str(w): errors(ways == w) for w in np.unique(ways)}},
            "reliability": {"width": reliability(confidence, right),
                            "mass": reliability(confidence, right, True)}}


def check(data: Data, classifier: Callable[..., FewShot], shots: Sequence[int] = (1, 2, 3, 5, 8, 16),
          metrics: Sequence[str] = ("euclidean", "mahalanobis"), ways: Sequence[int] = (1, 2, 3, 5, 10, 20),
          rates: Sequence[float] = RATES, episodes: int = 50, seed: int = 0,
          track: Callable = lambda items, label: items) -> list[dict]:
    """Rows {metric, shots, false_alarm, own_label, detection, by_labels, ece, reliability}, see
    ``summarise``.

    classifier: called with metric=..., gives a FewShot without prototypes. Numbers of shots that too few
    labels can give are left out. Raises ValueError where none is left.
    """
    plan = [(m, n) for m in metrics for n in shots if m != "mahalanobis" or n >= WHITEN_SHOTS]
    rows = []
    for metric, n in track(plan, "episodes"):
        played = play(data, lambda m=metric: classifier(metric=m), n, ways, episodes, seed)
        if played is not None:
            rows.append({"metric": metric, "shots": n, **summarise(played, rates)})
    if not rows:
        raise ValueError(f"fewer than {min(ways)} labels have enough embeddings for {min(shots)} shots and "
                         f"a query{'' if data.groups is None else ' of another group'}")
    return rows


def print_table(rows: Sequence[dict]) -> None:
    """Shares in per cent, for each number of labels, with the wider of the two intervals; '!' where it lies
    above what is stated."""
    from rich.table import Table

    from radiofm_ml.terminal import console

    stated = [s["stated"] for s in rows[0]["false_alarm"]]
    for key, title in (("false_alarm", "known signals called unknown (false alarms)"),
                       ("own_label", "known signals far from their own label"),
                       ("detection", "unknown signals called unknown")):
        table = Table(title=title, caption="per cent; in brackets the wider of two intervals at 95 %")
        for name in ("metric", "shots", "labels", *(f"stated {100 * rate:g} %" for rate in stated)):
            table.add_column(name, justify="right")
        for row in rows:
            for labels, found in (*row["by_labels"].items(), ("all", row)):
                table.add_row(row["metric"], str(row["shots"]), labels, *(_cell(s, key) for s in found[key]),
                              end_section=labels == "all")
        console().print(table)
    table = Table(title="expected calibration error of known signals, by labels taught",
                  caption=f"{BINS} bins of equal width / of equally many queries")
    ways = list(dict.fromkeys(name for row in rows for name in row["ece"]))
    for name in ("metric", "shots", *ways):
        table.add_column(name, justify="right")
    for row in rows:
        cells = (f"{e['width']:.3f} / {e['mass']:.3f}" if (e := row["ece"].get(w)) else "" for w in ways)
        table.add_row(row["metric"], str(row["shots"]), *cells)
    console().print(table)


def _cell(value: dict, key: str) -> str:
    low, high = value["widest"]
    mark = " !" if key != "detection" and low > value["stated"] else ""
    return f"{100 * value['measured']:.2f} ({100 * low:.2f} to {100 * high:.2f}){mark}"
