# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Synthetic 5G NR positioning data in the published layout, from a ray model.

A transmitter somewhere in a box of 80 x 60 x 40 m is heard by four base stations at its upper corners, each
with a 4 x 4 array at half a wavelength. Rays: the line of sight, which some stations miss behind a building;
one reflection by each face of the box and by a few walls that stand in it, from the image method; and diffuse
scatterers, weaker, drawn for the whole scene. Their sum is the channel frequency response at 193 frequencies
spread over 100 MHz at 3.5 GHz (NR band n78), for each antenna.

What the published 'features' are is not documented beyond their shape. Our reading: base station, antenna,
frequency bin; the magnitude of the estimated response, noise of the stated SNR in it, divided by the largest
of an example so that it lies in 0..1 (the published values do, within the overshoot of their resize). The
synthetic files share shape, names, units and range with the published ones, not their environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from radiofm_ml.atomic import replacing
from radiofm_ml.data.layouts import BINS, SCENES

LIGHT = 299_792_458.0
CARRIER, BANDWIDTH = 3.5e9, 100e6
ARRAY = 4  # antennas along each side
WALLS, SCATTERERS = 3, 24
SNR_DB = (10, 20, 50)
# MAT-file 7.3: 116 characters of text, 8 of nothing, version 2.0 and the byte order, before the HDF5 part.
MATLAB_HEADER = b"MATLAB 7.3 MAT-file, written by gr-radiofm".ljust(116) + bytes(8) + b"\0\2IM"


class RayScene:
    """A scene drawn from a seed: stations, walls and scatterers in the box of ``SCENES['outdoor']``."""

    def __init__(self, seed: int):
        rng = np.random.default_rng(seed)
        self.box = np.array(SCENES["outdoor"].box)
        x, y, z = self.box
        self.stations = np.array([[0, 0, 0.9 * z], [x, 0, 0.8 * z], [0, y, 0.85 * z], [x, y, 0.95 * z]])
        # Array planes look at the middle of the box.
        self.arrays = np.stack([_array(station, self.box / 2) for station in self.stations])
        # A wall: a plane (axis, place) that reflects this share of the amplitude.
        faces = [(axis, place, 0.5) for axis in range(3) for place in (0.0, float(self.box[axis]))]
        inner = [(int(rng.integers(2)), 0.0, float(rng.uniform(0.3, 0.7))) for _ in range(WALLS)]
        self.walls = faces + [(axis, float(rng.uniform(0.15, 0.85) * self.box[axis]), gain)
                              for axis, _, gain in inner]
        self.scatterers = rng.uniform(0, 1, (SCATTERERS, 3)) * self.box
        self.scatter_gain = rng.uniform(0.5, 2.0, SCATTERERS) * np.exp(2j * np.pi * rng.random(SCATTERERS))
        # A building hides the line of sight where it crosses this vertical cylinder.
        self.building = rng.uniform(0.35, 0.65, 2) * self.box[:2], 6.0, 0.6 * z

    def response(self, position: np.ndarray) -> np.ndarray:
        """Channel frequency responses, complex64 (stations, 16, 193), of a transmitter at ``position`` (3,)
        in metres."""
        frequency = CARRIER + np.linspace(-0.5, 0.5, BINS) * BANDWIDTH
        out = np.empty((len(self.stations), ARRAY**2, BINS), np.complex64)
        for i, station in enumerate(self.stations):
            sources, gains = self._rays(position, station)
            # Distances from every image of the transmitter to every antenna: spherical waves.
            length = np.linalg.norm(self.arrays[i][:, None] - sources[None], axis=2)
            amplitude = gains * LIGHT / (4 * np.pi * CARRIER) / np.maximum(length, 1.0)
            extra = self._detour(position, station)
            wave = np.exp(-2j * np.pi * frequency * ((length + extra) / LIGHT)[..., None])
            out[i] = (amplitude[..., None] * wave).sum(1)
        return out

    def _rays(self, position: np.ndarray, station: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Apparent sources (rays, 3) and their gains (rays,)."""
        sources, gains = [position], [0.1 if self.hidden(position, station) else 1.0]
        for axis, place, gain in self.walls:
            image = position.copy()
            image[axis] = 2 * place - image[axis]
            sources.append(image)
            # A plane reflects where both ends lie on one side of it.
            gains.append(-gain if (position[axis] - place) * (station[axis] - place) >= 0 else 0.0)
        reach = np.maximum(np.linalg.norm(self.scatterers - position, axis=1), 1.0)
        return (np.concatenate([np.array(sources), self.scatterers]),
                np.concatenate([np.array(gains), self.scatter_gain / reach]))

    def _detour(self, position: np.ndarray, station: np.ndarray) -> np.ndarray:
        """Metres that a ray travels before its apparent source: to the scatterers, else none."""
        direct = np.zeros(1 + len(self.walls))
        return np.concatenate([direct, np.linalg.norm(self.scatterers - position, axis=1)])

    def hidden(self, position: np.ndarray, station: np.ndarray) -> bool:
        """Does the building stand between them?"""
        centre, radius, height = self.building
        way = station - position
        share = np.clip(np.dot(centre - position[:2], way[:2]) / max(np.dot(way[:2], way[:2]), 1e-9), 0, 1)
        nearest = position + share * way
        return bool(np.linalg.norm(nearest[:2] - centre) < radius and nearest[2] < height)


def _array(station: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Places (16, 3) of an array at ``station`` that looks at ``target``."""
    look = (target - station) / np.linalg.norm(target - station)
    right = np.cross(look, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    up = np.cross(right, look)
    step = (np.arange(ARRAY) - (ARRAY - 1) / 2) * LIGHT / CARRIER / 2
    return station + (step[:, None, None] * up + step[None, :, None] * right).reshape(-1, 3)


def draw_positions(scene: RayScene, count: int, rng: np.random.Generator) -> np.ndarray:
    """Positions (count, 3) anywhere in the box but in the building and within 1 m of the faces."""
    found: list[np.ndarray] = []
    centre, radius, height = scene.building
    while len(found) < count:
        place = rng.uniform(1, scene.box - 1)
        if np.linalg.norm(place[:2] - centre) > radius or place[2] > height:
            found.append(place)
    return np.array(found)


def features(response: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """float64 (stations, 16, 193) in 0..1: magnitudes of a response estimated at ``snr_db``.

    The noise is the same at all stations; ``snr_db`` is the mean over them.
    """
    power = np.mean(np.abs(response) ** 2) * 10 ** (-snr_db / 10)
    noise = rng.standard_normal((2, *response.shape)) * np.sqrt(power / 2)
    magnitude = np.abs(response + noise[0] + 1j * noise[1])
    return magnitude / magnitude.max()


def write_positioning(folder: str | os.PathLike, positions: int, seed: int = 0,
                      snr_db: Sequence[int] = SNR_DB, track: Callable = lambda items,
                      label: items) -> list[Path]:
    """Write dataset_SNR{snr}_outdoor.mat for every SNR into ``folder``; the same positions in each.

    The files appear under their names when they are whole. Returns their paths. Raises ValueError.
    """
    if positions < 2:
        raise ValueError(f"positions must be 2 or more, got {positions}")
    if not snr_db or len(set(snr_db)) != len(snr_db) or any(not 0 <= snr <= 100 for snr in snr_db):
        raise ValueError("SNRs must be different whole numbers from 0 to 100 dB")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    scene = RayScene(seed)
    rng = np.random.default_rng([seed, 1])
    places = draw_positions(scene, positions, rng)
    paths = [folder / f"dataset_SNR{snr}_outdoor.mat" for snr in snr_db]
    with ExitStack() as whole:
        parts = [whole.enter_context(replacing(path)) for path in paths]
        with ExitStack() as opened:
            files = [opened.enter_context(_create(part, places)) for part in parts]
            for number in track(range(positions), "ray tracing"):
                response = scene.response(places[number])
                for file, snr in zip(files, snr_db, strict=True):
                    file["features"][number] = features(response, snr, rng)
        for part in parts:
            with part.open("r+b") as file:
                file.write(MATLAB_HEADER)
    return paths


def _create(path: Path, places: np.ndarray):
    """An HDF5 file with room for MATLAB's header and the attributes that its load() asks for."""
    import h5py

    file = h5py.File(path, "w", userblock_size=512)
    shape = (len(SCENES["outdoor"].mean), ARRAY**2, BINS)
    file.create_dataset("features", (len(places), *shape), "f8", chunks=(1, *shape))
    file.create_dataset("labels/position", data=places)
    for name in ("features", "labels/position"):
        file[name].attrs["MATLAB_class"] = np.bytes_("double")
    file["labels"].attrs["MATLAB_class"] = np.bytes_("struct")
    return file
