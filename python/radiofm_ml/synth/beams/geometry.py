# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Rooms: the line of sight and the echoes between two heads, from their places.

The transmitter stands at the origin and looks along x; the receiver looks back along -x. An echo goes by one
reflector. Its departure and arrival angles and its delay follow from the places, its level from the distance
and the reflector's loss. Lengths, materials and places are ours: of the rooms of the recordings there is a
drawing only (DeepBeam, figure 7). Specular reflections by single points replace walls, and nothing is
reflected twice; at 60 GHz the second reflection is some 10 dB below the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radiofm_ml.synth.beams.constants import ECHO_DB

LIGHT = 299_792_458.0


@dataclass(frozen=True)
class Room:
    """receiver: (x, y, z) in m. los_db: loss of the line of sight. echoes: (x, y, z, loss in dB)."""

    receiver: tuple[float, float, float]
    los_db: float
    echoes: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Paths:
    """departure, arrival: float64 (P, 2), azimuth and elevation in degrees. delay: (P,) seconds after the
    line of sight, which is path 0. gain: (P,) amplitude over that of an open line of sight of 1.5 m."""

    departure: np.ndarray
    arrival: np.ndarray
    delay: np.ndarray
    gain: np.ndarray


_BENCH = (  # things beside the link, on a laboratory bench
    (0.75, 0.30, 0.00, 7.0),
    (0.70, -0.45, 0.05, 6.0),
    (0.85, 0.72, -0.05, 5.0),
    (0.60, -0.95, 0.10, 4.0),
    (0.80, 0.05, -0.35, 8.0),  # the bench itself
    (1.10, -0.25, 0.20, 9.0),
)
ROOMS = {
    # Heads face each other.
    "basic": Room((1.5, 0.0, 0.0), 0.0, _BENCH),
    # The receiver stands to one side; both still look along the bench.
    "diagonal": Room((1.4, 0.75, 0.0), 0.0, (*_BENCH[:4], (1.0, 1.20, 0.10, 5.0), (0.7, 0.35, -0.40, 8.0))),
    # Something opaque stands between; what passes it is bent around its edges.
    "obstacle": Room((1.5, 0.0, 0.0), 14.0, (*_BENCH, (0.75, -0.12, 0.05, 12.0), (0.9, 0.0, 0.9, 6.0))),
}
GEOMETRIES = tuple(ROOMS)


def paths(geometry: str) -> Paths:
    """The paths of a room. Raises ValueError for an unknown one."""
    if geometry not in ROOMS:
        raise ValueError(f"geometry must be one of {', '.join(ROOMS)}, got {geometry!r}")
    room = ROOMS[geometry]
    receiver = np.array(room.receiver)
    points = np.array([room.receiver, *(echo[:3] for echo in room.echoes)])
    loss = np.array([room.los_db, *(echo[3] - ECHO_DB for echo in room.echoes)])
    back = points - receiver
    back[0] = -receiver
    length = np.linalg.norm(points, axis=1) + np.linalg.norm(back, axis=1)
    length[0] = np.linalg.norm(receiver)
    return Paths(
        departure=_directions(points),
        arrival=_directions(back * [-1, 1, 1]),
        delay=(length - length[0]) / LIGHT,
        gain=10 ** (-loss / 20) * 1.5 / length,
    )


def _directions(points: np.ndarray) -> np.ndarray:
    x, y, z = points.T
    return np.rad2deg(np.stack([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))], axis=1))
