# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Simulated captures in files of the published layout and names."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from radiofm_ml.data import beam_files
from radiofm_ml.synth.beams import constants as c
from radiofm_ml.synth.beams.frontend import NAMED, RECEIVER_OF, key
from radiofm_ml.synth.beams.simulator import BeamSimulator

DIGITAL_BLOCKS = 5  # in a frame of the digital array's file


def file_name(front_end: str | int, geometry: str, codebook: int, aoa: bool) -> str:
    """The published name: srf-basic-config-24-beams-tx-ant-0-rx-ant-1.h5 for antenna "a".

    The numbered front ends go on after the four named ones, each with a receiver of its own: number 0 is
    tx-ant-4-rx-ant-2. The published file of the digital array has no antennas in its name; ours has.
    """
    kind, number = key(front_end)
    sent, heard = (number, RECEIVER_OF[front_end]) if kind == 0 else (len(NAMED) + number, 2 + number)
    array = "mrf" if codebook == 5 else "srf"
    return (f"{array}-{geometry}-config-{codebook}-beams{'-aoa' if aoa else ''}"
            f"-tx-ant-{sent}-rx-ant-{heard}.h5")


def write_captures(folder: str | os.PathLike, simulator: BeamSimulator, frames: int,
                   blocks: int | None = None, gains: Sequence[float] = c.GAINS_DB, dtype: str = "float32",
                   seed: int = 0, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Write a capture of ``frames`` for every gain, beam and angle; returns the file's path.

    blocks  written of each frame; 15, or 5 of the digital array's, if None
    seed    of payloads, noise and drift; the installation is the simulator's

    Raises ValueError, and BeamFileError where the file cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if frames < 1:
        raise ValueError(f"frames must be 1 or more, got {frames}")
    if blocks is None:
        blocks = DIGITAL_BLOCKS if simulator.codebook == 5 else c.BLOCKS_PER_FRAME
    name = file_name(simulator.front_end, simulator.geometry, simulator.codebook, bool(simulator.angles))

    def captures():
        for g, gain in enumerate(gains):
            for beam in simulator.beams:
                for a, angle in enumerate(simulator.angles or (None,)):
                    rng = np.random.default_rng([seed, *key(simulator.front_end), g, beam, a])
                    yield simulator.capture(beam, frames, rng, gain, angle, blocks)

    attributes = {"simulator": "gr-radiofm beams", "simulator_version": c.VERSION, "seed": seed,
                  "installation_seed": simulator.seed, "front_end": str(simulator.front_end)}
    return beam_files.write(folder / name, captures(), gains, simulator.beams, simulator.angles, frames,
                            blocks, c.BLOCK, dtype, attributes=attributes, on_progress=on_progress)
