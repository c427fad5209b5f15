# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What generators write and tasks read: the published layouts' fixed numbers.

**LTE/NR frames** (MathWorks' spectrum-sensing data, as arXiv 2411.09996 uses it): the value of each label in
a frame's picture of labels. **5G NR positioning** (Gao et al., "CSI Dataset towards 5G NR High-Precision
Positioning", IEEE DataPort): antennas of a base station, frequency bins, and the two scenes.
"""

from __future__ import annotations

from dataclasses import dataclass

LTE_NR = ("noise", "nr", "lte")
LTE_NR_VALUES = (0, 127, 255)

ANTENNAS, BINS = 16, 193


@dataclass(frozen=True)
class PositioningScene:
    """stations: number of base stations. box: metres. low, high, mean, std: WavesFM's preprocessing
    (arXiv 2511.15162): to 0..1 from low..high, then standardised for each base station."""

    stations: int
    box: tuple[float, float, float]
    low: float
    high: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


SCENES = {
    "outdoor": PositioningScene(4, (80.0, 60.0, 40.0), -0.096, 1.136, (0.4638, 0.4631, 0.4703, 0.4620),
                                (0.1154, 0.1176, 0.0979, 0.1281)),
    "indoor": PositioningScene(5, (60.0, 20.0, 4.0), -0.123, 1.415, (0.3824, 0.3853, 0.3841, 0.3931, 0.3909),
                               (0.1168, 0.1112, 0.1182, 0.0988, 0.0972)),
}
