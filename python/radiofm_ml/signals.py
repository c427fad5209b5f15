# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""From cut-outs to one embedding a signal.

    encoder = SignalEncoder(open_engine("radiofm-pico"))
    evidence = encoder.evidence([encoder.look(cut, sample_rate)])[0]
    vector = encoder.embedding(evidence)       # what classifiers compare

A signal's *evidence* is the mean of what the network says of its looks, and what was measured of it; that of
several parts of a long signal adds up. Its embedding is both, brought to one scale by a linear map that a
bundle carries: less the mean, divided by how much signals of one kind differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from radiofm_ml.bundle import BundleError, Signals
from radiofm_ml.detect.cutter import CutOut
from radiofm_ml.engines import Engine
from radiofm_ml.pictures import Measured, measure, pictures

MOST_LOOKS = 4  # at one cut-out
_TINY = 1e-12


@dataclass(frozen=True)
class Look:
    """A cut-out as an encoder sees it: pictures float32 (n, rows, cols), and what was measured."""

    pictures: np.ndarray
    measured: Measured


@dataclass(frozen=True)
class Evidence:
    """What is known of a signal so far.

    mean, looks  float32 (D,), of the network's vectors (each of length 1) of so many looks
    bandwidth    Hz, and kurtosis: means over the looks of their logarithms; duration: seconds in all; duty:
                 mean, 0..1
    """

    mean: np.ndarray
    looks: int
    bandwidth: float
    duration: float
    duty: float
    kurtosis: float

    def __add__(self, other: Evidence) -> Evidence:
        """That of two parts of a signal."""
        share = self.looks / (self.looks + other.looks)

        def both(a, b):
            return share * a + (1 - share) * b

        def both_logs(a, b):
            return float(np.exp(both(np.log(a), np.log(b))))

        return Evidence(both(self.mean, other.mean), self.looks + other.looks,
                        both_logs(self.bandwidth, other.bandwidth), self.duration + other.duration,
                        both(self.duty, other.duty), both_logs(self.kurtosis, other.kurtosis))

    def numbers(self) -> np.ndarray:
        """What is physical, as ``pictures.Measured.numbers``."""
        return Measured(0.0, self.bandwidth, self.duration, self.duty, self.kurtosis).numbers()


def measured_in(cut: CutOut, sample_rate: float) -> tuple[Measured, int, int]:
    """What is measured of a cut-out in its box, and the samples of it, from and to, that lie there.
    sample_rate: of the stream."""
    stop = cut.lead + round((cut.box.sample_count - cut.missing) * cut.rate / sample_rate)
    stop = min(max(stop, cut.lead + 1), len(cut.samples))
    half = (cut.box.freq_upper - cut.box.freq_lower) / 2
    return measure(cut.samples, cut.rate, (-half, half), cut.lead, stop), cut.lead, stop


class SignalEncoder:
    """A bundle's encoder, for signals. Raises BundleError for a bundle whose encoder reads none.

    id              of the embeddings: the bundle's, with ``/signals``, as those of tiles are others
    embedding_size  K
    """

    def __init__(self, engine: Engine):
        bundle = engine.bundle
        if bundle.signals is None:
            raise BundleError(f"{bundle.path / 'config.json'}: {bundle.id} reads no pictures of signals (key "
                              "'signals'); take a bundle that does, such as radiofm-pico")
        self.engine, self._signals = engine, bundle.signals
        self.id, self.embedding_size = bundle.signals_id, bundle.signals.size

    def look(self, cut: CutOut, sample_rate: float) -> Look:
        """sample_rate: of the stream that the signal was cut from."""
        measured, start, stop = measured_in(cut, sample_rate)
        made = pictures(cut.samples, cut.rate, measured, self._signals.picture, start, stop, MOST_LOOKS)
        return Look(made, measured)

    def evidence(self, looks: Sequence[Look]) -> list[Evidence]:
        """Of each look; all their pictures go through the network together."""
        return evidence_of(looks, self.engine.embed, self._signals)

    def embedding(self, evidence: Evidence) -> np.ndarray:
        """float32 (K,): what is compared, what is physical included."""
        return embedding_of(evidence, self._signals)


def evidence_of(looks: Sequence[Look], network: Callable[[np.ndarray], np.ndarray],
                signals: Signals) -> list[Evidence]:
    """Of each look. network: from pictures, float32 (N, rows, cols), to vectors, float32 (N, D)."""
    if not looks:
        return []
    vectors = network(np.concatenate([look.pictures for look in looks])) - signals.mean
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _TINY)
    ends = np.cumsum([len(look.pictures) for look in looks])
    return [Evidence(part.mean(0), len(part), look.measured.bandwidth, look.measured.duration,
                     look.measured.duty, look.measured.kurtosis)
            for part, look in zip(np.split(vectors, ends[:-1]), looks, strict=True)]


def embedding_of(evidence: Evidence, signals: Signals) -> np.ndarray:
    """float32 (K,)"""
    return signals.weight @ np.concatenate([evidence.mean, evidence.numbers()]) + signals.bias
