# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Few-shot classification of embeddings: teach a label with a few examples, and know when none fits.

    few = FewShot(bundle.embedding_size, model=bundle.id, calibration=bundle.calibration)
    few.prototypes.enroll("lora", embeddings_of_five_tiles)
    decision = few.predict(embeddings)          # probabilities, label index, unknown

Nearest prototype (Snell et al., arXiv 1703.05175) on normalised embeddings, calibrated probabilities, and
rejection of unknown signals at a stated false-alarm rate. The parts: ``prototypes`` (what was taught),
``geometry`` (distances), ``calibration`` (what a distance means), ``drift`` (whether that still holds).
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.arguments import is_number
from radiofm_ml.fewshot import geometry
from radiofm_ml.fewshot.calibration import Calibration, Source, Table, log_odds, p_value, p_values, softmax
from radiofm_ml.fewshot.drift import DRIFT_RATE, DriftMonitor
from radiofm_ml.fewshot.geometry import METRICS, NORMALISATIONS, Geometry
from radiofm_ml.fewshot.prototypes import PrototypeSet, check_vectors

CENTRES = ("source", "stream")
MIN_RATE, MAX_RATE = 0.001, 0.5


class Decision(NamedTuple):
    """About N embeddings and K labels, in the order of ``FewShot.labels``.

    scores         float64 (N, K): logits, greater for the nearer
    probabilities  float64 (N, K): calibrated, given that the signal is one of the labels; rows sum to 1
    index          int64 (N,): the most probable label; -1 without labels
    unknown        bool (N,): fits no label at the stated false-alarm rate; True without labels
    p_value        float64 (N,): share of known signals that fit no label better; 0 without labels
    """

    scores: np.ndarray
    probabilities: np.ndarray
    index: np.ndarray
    unknown: np.ndarray
    p_value: np.ndarray

    def confidence(self) -> np.ndarray:
        """float64 (N,): probability of the label or, of an unknown, 1 - p_value; 0 without labels."""
        if not self.scores.shape[1]:
            return np.zeros(len(self.index))
        return np.where(self.unknown, 1.0 - self.p_value, self.probabilities.max(1))


class FewShot:
    """Prototypes and the rule that compares embeddings with them.

    normalisation  'none' | 'l2' | 'cl2n' (see ``geometry.normalise``) | 'auto': what the calibration was
                   made with, 'l2' without one
    metric         'euclidean' | 'cosine' | 'mahalanobis' (see ``geometry.fit``)
    centre         whose mean 'cl2n' subtracts: 'source', the one that comes with the calibration or with
                   loaded prototypes; 'stream', a running mean of the embeddings seen by ``observe`` that
                   begins with that one. A stream that shows one signal for long makes its own mean.
    false_alarm_rate  share of signals of taught labels that may be called unknown, 0.001 to 0.5
    drift_rate     at most so many false alarms of ``drift`` per embedding, see ``drift.DriftMonitor``
    calibration    a bundle's ``calibration`` object. Without one, or for another normalisation, probabilities
                   rest on a default exponent and the taught shots alone decide what is unknown: nothing
                   is while there are fewer than 1/rate - 1 of them.

    Raises ValueError for what is out of range.
    """

    def __init__(self, embedding_size: int, *, model: str = "", normalisation: str = "auto",
                 metric: str = "euclidean", centre: str = "source", false_alarm_rate: float = 0.01,
                 drift_rate: float = DRIFT_RATE, calibration: dict | None = None):
        self._calibration = Calibration.from_dict(calibration or {}, embedding_size)
        mean = self._calibration.mean if self._calibration else None
        self.prototypes = PrototypeSet(embedding_size, model, mean)
        self.drift = DriftMonitor(drift_rate)
        self._stream = StreamMean(mean)
        self._mean_seen = mean
        self._fitted_for, self._fitted = None, None
        self._normalisation = self._metric = ""
        self.set_centre(centre)
        self.set_metric(metric)
        self.set_normalisation(normalisation)
        self.set_false_alarm_rate(false_alarm_rate)

    @classmethod
    def for_bundle(cls, bundle: Any, prototypes: str | os.PathLike = "", shipped: bool = True,
                   signals: bool = False, **settings) -> FewShot:
        """A classifier of a bundle's embeddings of tiles, or of ``signals``, with its id and calibration.

        It begins with what the file ``prototypes`` holds, or else, if ``shipped``, with the prototypes that
        the bundle brings, each counting as one shot. signals: of its embeddings of signals, which are
        compared as they are where no calibration says otherwise; no prototypes of these are shipped.
        settings: as for the constructor. Raises ValueError.
        """
        if signals and bundle.signals is None:
            raise ValueError(f"{bundle.id} reads no signals; take a bundle that does")
        size, model, calibration = bundle.embedding_size, bundle.id, bundle.calibration
        if not calibration.keys() - {"model", "signals"}:
            calibration = {}  # there is only that of signals
        if signals:
            size, model, calibration = bundle.signals.size, bundle.signals_id, bundle.signals_calibration
            settings = {"normalisation": "auto" if calibration else "none", **settings}
        try:
            few = cls(size, model=model, calibration=calibration, **settings)
        except ValueError as error:
            if not str(error).startswith("calibration:"):
                raise
            raise ValueError(f"{bundle.path}: {error}; make it anew: radiofm calibrate") from None
        if prototypes:
            few.prototypes.load(prototypes)
        elif shipped and bundle.prototypes is not None and not signals:
            for label, vector in zip(bundle.labels, bundle.prototypes, strict=True):
                few.prototypes.set(label, vector)
        few.prototypes.forget_history()
        return few

    # -- settings ---------------------------------------------------------------------------------
    @property
    def labels(self) -> tuple[str, ...]:
        return self.prototypes.labels

    @property
    def normalisation(self) -> str:
        """Never 'auto': what it stands for."""
        return self._normalisation

    @property
    def metric(self) -> str:
        return self._metric

    @property
    def centre(self) -> str:
        return self._centre

    @property
    def false_alarm_rate(self) -> float:
        return self._rate

    def set_normalisation(self, value: str) -> None:
        _one_of("normalisation", value, ("auto", *NORMALISATIONS))
        if value == "auto":
            value = self._calibration.normalisation if self._calibration else "l2"
        if value == "cl2n" and self._centre == "source" and self.prototypes.mean is None:
            raise ValueError("normalisation 'cl2n' needs the domain's mean: give a bundle with calibration, "
                             "load prototypes that carry one, or take centre 'stream'")
        self._normalisation = value
        self._fitted_for = None
        self._follow_mean()

    def set_metric(self, value: str) -> None:
        self._metric = _one_of("metric", value, METRICS)
        self._fitted_for = None

    def set_centre(self, value: str) -> None:
        _one_of("centre", value, CENTRES)
        if value == "source" and self._normalisation == "cl2n" and self.prototypes.mean is None:
            raise ValueError("centre 'source' needs the domain's mean, which neither a calibration nor "
                             "loaded prototypes have brought")
        self._centre = value
        self._fitted_for = None
        self._follow_mean()

    def set_false_alarm_rate(self, value: float) -> None:
        if not is_number(value, MIN_RATE, MAX_RATE):
            raise ValueError(f"false_alarm_rate must lie in {MIN_RATE}..{MAX_RATE}, got {value!r}")
        self._rate = float(value)

    @property
    def calibrated(self) -> bool:
        """Whether the source's calibration holds for this normalisation and metric."""
        return self._table(self._metric) is not None

    @property
    def shots_missing(self) -> int:
        """How many more shots must be taught before anything can be called unknown; 0 when it can.

        Only shots that a label has two or more of count, and none from a label whose shots were not kept.
        """
        if self.calibrated or not len(self.prototypes):
            return 0
        return max(0, math.ceil(round(1.0 / self._rate, 6)) - 1 - len(self._geometry().loo))

    @property
    def mean(self) -> np.ndarray:
        """float32 (D,): what 'cl2n' subtracts now. Raises ValueError for another normalisation."""
        if self._normalisation != "cl2n":
            raise ValueError(f"normalisation '{self._normalisation}' subtracts no mean")
        return self._mean()

    def pair_distance(self, share: float, margin: float = 1.0) -> float | None:
        """The squared distance between normalised signals of one label that a ``share`` of such pairs does
        not exceed in the source domain, or ``margin`` times their mean if that is more; of different sessions
        if it was calibrated so. None without a calibration for one shot and this normalisation."""
        source = self._source()
        table = source.tables.get("euclidean") if source else None
        if table is None or 1 not in table.ratios:
            return None
        ratios = table.ratios[1]
        ratio = np.interp(share, table.levels, ratios[max(ratios)].values)
        return float(max(ratio, margin) * 2.0 * source.scatter)

    # -- use --------------------------------------------------------------------------------------
    def predict(self, embeddings: ArrayLike) -> Decision:
        """Decide about raw embeddings, (N, D) or (D,), finite. Raises PrototypeError for another shape."""
        x = check_vectors(embeddings, self.prototypes.embedding_size)
        if not len(self.prototypes):
            empty = np.zeros((len(x), 0))
            return Decision(empty, empty, np.full(len(x), -1), np.ones(len(x), bool), np.zeros(len(x)))
        fitted = self._geometry()
        table = self._table(fitted.metric)
        distances = fitted.distances(x)
        scores = log_odds(distances, fitted, table)
        fits = p_value(fitted.ratios(distances), fitted, table)
        unknown = fits <= self._rate * (1 + 1e-9)
        return Decision(scores, softmax(scores), scores.argmax(1), unknown, fits)

    def p_values(self, embeddings: ArrayLike) -> np.ndarray:
        """For each of N embeddings and K >= 1 labels the share of signals of that label that fit no better,
        float64 (N, K). Of a signal's own label it is uniform, so far as calibration and use are alike; the
        greatest one is larger. Raises PrototypeError."""
        x = check_vectors(embeddings, self.prototypes.embedding_size)
        fitted = self._geometry()
        return p_values(fitted.ratios(fitted.distances(x)), fitted, self._table(fitted.metric))

    def observe(self, embeddings: ArrayLike, decision: Decision | None = None) -> None:
        """Take note of embeddings of the unlabelled stream, (N, D): running mean and drift."""
        self._follow_mean()
        self._stream.update(check_vectors(embeddings, self.prototypes.embedding_size))
        if decision is not None and decision.scores.shape[1]:
            self.drift.update(decision.p_value)

    def state(self) -> dict:
        """State of the prototypes with the mean in use now (see ``PrototypeSet.state``)."""
        return self.prototypes.state(self._mean() if self._normalisation == "cl2n" else None)

    def save(self, path: str | os.PathLike) -> Path:
        """Write ``state`` to a file (see ``PrototypeSet.save``)."""
        return self.prototypes.save(path, self._mean() if self._normalisation == "cl2n" else None)

    # -- inside -----------------------------------------------------------------------------------
    def _source(self) -> Source | None:
        """What the calibration says under the normalisation in use."""
        used = "l2" if (self._metric, self._normalisation) == ("cosine", "none") else self._normalisation
        return self._calibration.sources.get(used) if self._calibration else None

    def _table(self, metric: str) -> Table | None:
        source = self._source()
        # on vectors of length 1 the cosine distance is half the squared Euclidean one; ratios are the same
        return source.tables.get("euclidean" if metric == "cosine" else metric) if source else None

    def _follow_mean(self) -> None:
        """A mean that came with loaded prototypes is where the running one begins anew. One that ``undo``
        takes away, with none before it, goes on being used: 'cl2n' cannot do without."""
        mean = self.prototypes.mean
        if mean is not None and mean is not self._mean_seen:
            self._mean_seen = mean
            self._stream = StreamMean(mean)

    def _mean(self) -> np.ndarray:
        self._follow_mean()
        if self._centre == "source":
            return self._mean_seen
        return self._stream.mean(self.prototypes.embedding_size)

    def _geometry(self) -> Geometry:
        mean = self._mean() if self._normalisation == "cl2n" else None
        key = (self.prototypes.snapshot, mean)
        if self._fitted_for is None or any(a is not b for a, b in zip(key, self._fitted_for, strict=True)):
            source = self._source()
            self._fitted = geometry.fit(tuple(self.prototypes), self._normalisation, mean, self._metric,
                                        *((source.scatter, source.share) if source else ()))
            self._fitted_for = key
        return self._fitted


class StreamMean:
    """Running mean of an unlabelled stream.

    Begins with ``prior`` (if given) as if PRIOR embeddings had been seen, forgets like an exponential
    average over MEMORY of them, and moves in steps of STEP, so that prototypes need not be made ready
    again for every embedding.
    """

    PRIOR, MEMORY, STEP = 64, 4096, 16

    def __init__(self, prior: np.ndarray | None = None):
        self._sum = None if prior is None else prior.astype(np.float64) * self.PRIOR
        self._count = 0 if prior is None else self.PRIOR
        self._since = 0
        self._mean = prior

    def update(self, x: np.ndarray) -> None:
        """x: (N, D)"""
        x = np.asarray(x, np.float64)
        while len(x):
            room = self.MEMORY - self._count  # before older ones begin to be forgotten
            keep = 1.0 if room else 1.0 - 1.0 / self.MEMORY
            n = min(len(x), 1 if self._mean is None else self.STEP - self._since, room or self.STEP)
            part, x = keep ** np.arange(n - 1, -1, -1) @ x[:n], x[n:]
            self._sum = part if self._sum is None else part + keep**n * self._sum
            self._count = min(self._count + n, self.MEMORY)
            self._since += n
            if self._since >= self.STEP or self._mean is None:
                self._mean, self._since = (self._sum / self._count).astype(np.float32), 0

    def mean(self, size: int) -> np.ndarray:
        """float32 (size,); zeros before the first embedding."""
        if self._mean is None:
            return np.zeros(size, np.float32)
        return self._mean


def _one_of(name: str, value, names: tuple[str, ...]) -> str:
    if value not in names:
        raise ValueError(f"{name} must be one of {', '.join(names)}, got {value!r}")
    return value
