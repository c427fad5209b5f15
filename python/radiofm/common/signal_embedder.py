# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Signals that wait to be embedded: where there is no time for all, the newest and least known come first."""

import math
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np

from . import messages
from .messages import MessageError, TileInfo
from .optional import optional
from .worker import BatchWorker

_REMEMBERED = 4096  # signals and channels


@dataclass(eq=False)
class CutSignal:
    """A cut-out that waits, and what is known of it."""

    info: TileInfo
    samples: np.ndarray

    @property
    def name(self) -> tuple:
        """Of the signal that it is a part of."""
        return self.info.run, self.info.signal.signal

    @property
    def channel(self) -> tuple | None:
        """Signals of about the same bandwidth and middle share it."""
        lower, upper = self.info.freq_lower_edge, self.info.freq_upper_edge
        if lower is None or upper is None or upper <= lower:
            return None
        octave = round(math.log2(upper - lower))
        return octave, round((lower + upper) / 2 / 2.0**octave)


class _Remembered(OrderedDict):
    """The newest of what was put in."""

    def put(self, key, value) -> None:
        self.pop(key, None)
        self[key] = value
        if len(self) > _REMEMBERED:
            self.popitem(last=False)


class SignalWorker(BatchWorker):
    """Takes the signals that wait in order where the sender waits; else the least known first, that is those
    of which, or of whose channel, least was embedded in this run, and of these the newest. What has to go are
    the best known, and of these the oldest."""

    def __init__(self, *arguments, **options):
        self._known = _Remembered()  # how often signals and channels were embedded
        super().__init__(*arguments, **options)

    def start(self) -> None:
        self._known.clear()
        super().start()

    def note(self, signal: CutSignal) -> None:
        """It was embedded."""
        for key in (signal.name, signal.channel):
            if key is not None:
                self._known.put(key, self._known.get(key, 0) + 1)

    def _times(self, signal: CutSignal) -> int:
        return max(self._known.get(signal.name, 0), self._known.get(signal.channel, 0))

    def _ranked(self) -> list[int]:
        """Indices of those that wait, the one to be embedded next first."""
        times = [self._times(signal) for _, signal in self._waiting]
        return sorted(range(len(times)), key=lambda i: (times[i], -i))

    def _pick(self, count: int) -> list:
        if self.overload == "block":
            return super()._pick(count)
        chosen = self._ranked()[:count]
        picked = [self._waiting[i][1] for i in chosen]
        self._remove(chosen)
        return picked

    def _give_up(self, count: int) -> None:
        if count:
            self._remove(self._ranked()[-count:])

    def _remove(self, indices: list[int]) -> None:
        gone = set(indices)
        kept = [entry for i, entry in enumerate(self._waiting) if i not in gone]
        self._waiting.clear()
        self._waiting.extend(kept)


class SignalEmbedder:
    """From signal PDUs to embeddings, of long signals of all parts so far. Raises ValueError for an engine
    whose encoder reads no signals."""

    def __init__(self, engine):
        self._encoder = optional("radiofm_ml.signals", "ViT Embedding Sink").SignalEncoder(engine)
        self._cut_out = optional("radiofm_ml.detect.cutter", "ViT Embedding Sink").CutOut
        self._box = optional("radiofm_ml.detect.stream", "ViT Embedding Sink").Box
        self.model, self.embedding_size = self._encoder.id, self._encoder.embedding_size
        self.forget()

    def forget(self) -> None:
        """For a new run."""
        self._evidence = _Remembered()  # of signals of which more parts may come

    @staticmethod
    def read(message) -> CutSignal:
        """Raises MessageError."""
        info, samples = messages.parse_signal(message)
        signal = info.signal
        if not len(samples) or signal.rate is None:
            raise MessageError("a signal: the payload, or key 'rate', is missing: put Signal Cutter before")
        if info.sample_rate is None or info.freq_lower_edge is None or info.freq_upper_edge is None:
            raise MessageError("a signal: the sample rate or an edge of the band is missing")
        return CutSignal(info, samples)

    def embed(self, signals: list[CutSignal]) -> np.ndarray:
        """float32 (n, D)."""
        looks = [self._encoder.look(self._cut(signal), signal.info.sample_rate) for signal in signals]
        return np.stack([self._encoder.embedding(self._pooled(signal, evidence)) for signal, evidence
                         in zip(signals, self._encoder.evidence(looks), strict=True)])

    def _cut(self, signal: CutSignal):
        """As the Cutter made it."""
        info, known = signal.info, signal.info.signal
        half = (info.freq_upper_edge - info.freq_lower_edge) / 2
        box = self._box(known.signal, known.part, known.ended, info.sample_start, info.sample_count,
                        -half, half, known.snr or 0.0)
        lead, missing = known.lead or 0, known.missing or 0
        start = info.sample_start + missing - round(lead * info.sample_rate / known.rate)
        return self._cut_out(box, signal.samples, known.rate, start, lead, missing)

    def _pooled(self, signal: CutSignal, evidence):
        before = self._evidence.pop(signal.name, None)
        if before is not None:
            evidence = before + evidence
        if not signal.info.signal.ended:
            self._evidence.put(signal.name, evidence)
        return evidence

    def info(self, signal: CutSignal, number: int, left: int, run: int) -> TileInfo:
        """Of its embedding. number: of signals embedded before; left: those that were left out."""
        info, known = signal.info, signal.info.signal
        time = info.rx_time
        if time is not None:  # of the payload's first sample, so far
            there = messages.time_after(time, known.lead or 0, known.rate)
            time = there and messages.time_after(there, -(known.missing or 0), info.sample_rate)
        return replace(info, rx_time=time, model=self.model, tile=number, dropped=left, run=run)
