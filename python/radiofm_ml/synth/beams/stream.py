# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A continuous stream whose beam, front end, gain and angle change at an exact sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from radiofm_ml.synth.beams import constants as c
from radiofm_ml.synth.beams import receiver as r
from radiofm_ml.synth.beams.link import link
from radiofm_ml.synth.beams.waveform import draw_symbols

_FRAME = c.BLOCKS_PER_FRAME * c.BLOCK


class BeamStream:
    """Frames of 15 blocks joined without a gap, as they lie in the files; for the drift they are 10 ms apart.

    front_end, beam, rx_gain_db and angle may be set at any time and hold from the next sample of ``samples``
    on. What was random stays as it was: the samples are those that the new setting would have given all
    along. So they do not depend on how ``samples`` is called, either. Bad values raise ValueError when set.
    """

    def __init__(self, simulator: Any, rng: np.random.Generator):
        self._geometry, self._codebook, self._seed = simulator.geometry, simulator.codebook, simulator.seed
        self._rng = rng
        self._link, self._front_end = simulator.link, simulator.front_end
        self._beam, self._gain = simulator.beams[0], simulator.rx_gain_db
        self._angle = 0.0
        self._size = r.fft_length(_FRAME)
        self._draws: r.RandomDraws | None = None
        self._frame: np.ndarray | None = None  # rendered with the present settings, or None
        self._used = _FRAME  # samples of the present frame that are out
        self._out = 0

    @property
    def offset(self) -> int:
        """Samples delivered."""
        return self._out

    @property
    def front_end(self) -> str | int:
        return self._front_end

    @front_end.setter
    def front_end(self, value: str | int) -> None:
        self._link = link(value, self._geometry, self._codebook, self._seed)
        self._front_end, self._frame = value, None

    @property
    def beam(self) -> int:
        return self._beam

    @beam.setter
    def beam(self, value: int) -> None:
        self._set(value, self._gain, self._angle)

    @property
    def rx_gain_db(self) -> float:
        return self._gain

    @rx_gain_db.setter
    def rx_gain_db(self, value: float) -> None:
        self._set(self._beam, value, self._angle)

    @property
    def angle(self) -> float:
        return self._angle

    @angle.setter
    def angle(self, value: float) -> None:
        self._set(self._beam, self._gain, value)

    def _set(self, beam: int, gain: float, angle: float) -> None:
        angle = r.check_setting(beam, gain, angle, self._codebook)
        self._beam, self._gain, self._angle, self._frame = int(beam), float(gain), angle, None

    def samples(self, n: int) -> np.ndarray:
        """The next ``n`` samples, complex64 (n,), in units of ``RMS``."""
        out = np.empty(n, np.complex64)
        done = 0
        while done < n:
            if self._used == _FRAME:
                self._draws, self._frame, self._used = self._next(), None, 0
            if self._frame is None:
                self._frame = r.receive(self._draws, self._link, self._beam, self._gain, self._angle)[0]
            take = min(n - done, _FRAME - self._used)
            out[done:done + take] = self._frame[self._used:self._used + take]
            done, self._used = done + take, self._used + take
        self._out += n
        return out

    def _next(self) -> r.RandomDraws:
        """What is random in the next frame: symbols, oscillators and drift go on from the last."""
        last, rng = self._draws, self._rng
        count = self._size // c.SAMPLES_PER_SYMBOL
        states = len(self._link.paths.delay) + 2
        draws = r.draw(1, _FRAME, rng.standard_normal((1, states)), rng)
        if last is not None:
            overlap = count - _FRAME // c.SAMPLES_PER_SYMBOL
            fresh = draw_symbols((1, count - overlap), rng)
            draws.symbols = np.concatenate([last.symbols[:, count - overlap:], fresh], axis=1)
            draws.walk += last.walk[:, -1:] - draws.walk[:, :1]
            draws.start = last.start + 2 * np.pi * r.frequency_drift(last) * _FRAME
            draws.sample = last.sample + _FRAME
            keep = np.exp(-c.FRAME_SECONDS / c.DRIFT_SECONDS)
            draws.drift = keep * last.drift + np.sqrt(1 - keep**2) * draws.drift
        return draws
