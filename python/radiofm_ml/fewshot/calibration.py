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

That bound is loose where labels overlap, for then another label forgives what a signal's own does not, and
as loose is what else is taken for known. A calibration can hold the distribution of the *least* ratio too,
of known signals to whichever label is nearest; the one p-value that it gives is what the rate is held
against, and then the rate holds with equality (``Table.nearest``).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from radiofm_ml.arguments import is_number, is_whole
from radiofm_ml.fewshot.geometry import METRICS, NORMALISATIONS, Geometry

FORMAT_VERSION = 2
_TINY = 1e-12
SOURCE_WEIGHT = 200.0  # the source's ratios count as much as those of so many taught shots
DEFAULT_EXPONENT = 10.0  # without calibration; right for labels that scatter evenly over 20 dimensions


@dataclass(frozen=True)
class Ratios:
    """Quantiles ``values`` at the table's levels, of so many ``queries``."""

    values: np.ndarray
    queries: int


@dataclass(frozen=True)
class Table:
    """Calibration for one normalisation and metric.

    exponents, spreads: by number of shots; no spreads where none is stated. ratios: to a signal's own label,
    by number of shots, then by number of labels; nearest: to the label where that is least, empty where that
    was not measured.
    """

    levels: np.ndarray
    exponents: dict[int, float]
    spreads: dict[int, float]
    ratios: dict[int, dict[int, Ratios]]
    nearest: dict[int, dict[int, Ratios]]

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


def around(measured: dict[int, dict[int, Ratios]], shots: float, labels: float) -> list[tuple[int, int]]:
    """The entries (shots, labels) beside these: one to four, and none below the least of either, for what is
    farther there was not measured."""
    if shots < min(measured):
        return []
    beside = _beside(measured, shots)
    if any(labels < min(measured[n]) for n in beside):
        return []
    return [(n, k) for n in beside for k in _beside(measured[n], labels)]


def p_values(ratios: np.ndarray, fitted: Geometry, table: Table | None) -> np.ndarray:
    """For each signal and label (N, K): the share of known signals of that label that lie at least as far.

    1 where nothing is known: of labels with fewer shots than ``table`` has, or beside fewer others. Without a
    table the taught shots alone speak, and m of them can show no share below 1/(m+1).
    """
    return _p_values(ratios, fitted, table.levels if table else None, table.ratios if table else None)


def p_value(ratios: np.ndarray, fitted: Geometry, table: Table | None) -> np.ndarray:
    """For each signal (N,): the share of known signals that fit none of the labels better. Where the table
    does not say it, the greatest of ``p_values``, which is no less."""
    if table is None or not table.nearest:
        return p_values(ratios, fitted, table).max(1)
    nearest = np.where(np.isfinite(ratios), ratios, np.inf).argmin(1)
    found = _p_values(ratios, fitted, table.levels, table.nearest)
    return found[np.arange(len(ratios)), nearest]


def _p_values(ratios: np.ndarray, fitted: Geometry, levels: np.ndarray | None,
              measured: dict[int, dict[int, Ratios]] | None) -> np.ndarray:
    m = len(fitted.loo)
    farther = m - np.searchsorted(fitted.loo, ratios, "left")
    if measured is None:
        p = (farther + 1.0) / (m + 1.0)
    else:
        source = np.empty_like(ratios)
        alike: dict[tuple, list[int]] = {}
        for column, key in enumerate(zip(fitted.shots, np.round(fitted.labels, 6), strict=True)):
            alike.setdefault(key, []).append(column)
        for key, columns in alike.items():
            shares = [_farther(ratios[:, columns], levels, measured[n][k]) for n, k in around(measured, *key)]
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
    return student(*student_terms(distances, fitted), exponent, spread)


def student_terms(distances: np.ndarray, fitted: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """log(1 + ratio), (N, K), and the logarithm of the expected distance, (K,): of distances (N, K)."""
    return np.log1p(fitted.ratios(distances)), np.log(fitted.expected)


def student(log_ratios: np.ndarray, log_expected: np.ndarray, exponent: float, spread: float) -> np.ndarray:
    """Logits (N, K) of these."""
    return -exponent * (log_ratios + spread * log_expected)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# -- as JSON --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Source:
    """What is known of the source domain under one normalisation: ``scatter``, the mean squared distance of
    its normalised embeddings from their label's mean; the ``share`` of it in that of every taught label (see
    ``geometry.fit``); and ``tables`` by metric."""

    scatter: float
    share: float
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
            share = part.get("scatter_share", 0.0)
            if not is_number(share, 0.0, 1.0):
                raise ValueError(f"calibration: scatter_share must lie in 0..1, got {share!r}")
            tables = {m: read(f"metrics.{m}", metrics[m], levels) for m in metrics}
            sources[name] = Source(_positive(part, "scatter"), float(share), tables)
        return cls(normalisation, mean.astype(np.float32), sources)


def _objects(values: dict, key: str, names: Sequence[str], kind: type = dict) -> dict:
    found = values.get(key)
    named = isinstance(found, dict) and found and set(found) <= set(names)
    if not named or not all(isinstance(v, kind) and v for v in found.values()):
        raise ValueError(f"calibration: {key} must be an object of {'lists' if kind is list else 'objects'} "
                         f"named {', '.join(names)}")
    return found


def _read_table(name: str, values: dict, levels: np.ndarray) -> Table:
    exponents, spreads = {}, {}
    for row in _rows(name, values, "probabilities"):
        shots = _count(name, row, "shots")
        exponents[shots], spreads[shots] = _positive(row, "exponent"), _positive(row, "spread")

    def measured(key: str) -> dict[int, dict[int, Ratios]]:
        found: dict[int, dict[int, Ratios]] = {}
        for row in _rows(name, values, key):
            shots, labels = _count(name, row, "shots"), _count(name, row, "labels")
            found.setdefault(shots, {})[labels] = _read_ratios(name, row, levels)
        return found

    return Table(levels, exponents, spreads, measured("ratios"),
                 measured("nearest") if "nearest" in values else {})


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
    return Table(levels, exponents, spreads, ratios, {})


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
