# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The receiver's sample rate as numbers that a head can read beside an embedding.

Tiles do not show it: AIS at 96 kS/s and Bluetooth at 10 MS/s look alike. The encoder stays without it, so
that its embeddings serve any receiver; a head that knows the rate can separate such signals.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.arguments import is_number, is_whole


@dataclass(frozen=True)
class RateCode:
    """Gaussian basis functions of the rate's decimal logarithm, evenly spaced, so that a linear map of them
    is any smooth function of it.

    low, high  log10 of samples/s: centres of the first and the last; rates beyond count as these
    count      how many
    width      standard deviation of each, in decades
    height     of each; at 4 their spread over evenly drawn rates is about that of standardised features
    """

    low: float = 3.5
    high: float = 8.0
    count: int = 24
    width: float = 0.15
    height: float = 4.0

    def __post_init__(self):
        if not is_whole(self.count, 2, 1024):
            raise ValueError(f"count must be a whole number from 2 to 1024, got {self.count!r}")
        for name in ("low", "high", "width", "height"):
            value = getattr(self, name)
            if not is_number(value):
                raise ValueError(f"{name} must be a finite number, got {value!r}")
        if not self.low < self.high or self.width <= 0 or self.height <= 0:
            raise ValueError("low must be below high, width and height above 0")

    def __call__(self, rates: ArrayLike) -> np.ndarray:
        """float32 (N, count) of N rates in samples/s. Raises ValueError for one that is not above 0."""
        rates = np.asarray(rates, np.float64)
        if rates.ndim != 1 or not (np.isfinite(rates) & (rates > 0)).all():
            raise ValueError("sample rates must be a list of finite numbers above 0, in samples/s")
        places = np.clip(np.log10(rates), self.low, self.high)[:, None]
        away = (places - np.linspace(self.low, self.high, self.count)) / self.width
        return (self.height * np.exp(-0.5 * away**2)).astype(np.float32)

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> RateCode:
        """Raises ValueError."""
        if not isinstance(values, dict) or values.keys() != cls.__dataclass_fields__.keys():
            raise ValueError(f"must be an object with {', '.join(cls.__dataclass_fields__)}")
        return cls(**values)
