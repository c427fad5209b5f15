# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A bundle of a ProtoBeam run: the encoder, and a calibration on antennas that it has not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from radiofm_ml import bundle as bundles
from radiofm_ml.data.beam_blocks import BeamBlocks
from radiofm_ml.fewshot.calibration import calibrate
from radiofm_ml.train.protobeam import embed, load_run

SHOTS = (1, 2, 4, 8, 16, 32)
HELD_OUT = 100_000  # number of the first front end that is kept for calibration


def export(run: Path, out: Path, name: str, held_out: BeamBlocks, card: str, seed: int = 0) -> bundles.Bundle:
    """Write the bundle of a run's last checkpoint, and read it back.

    held_out: blocks of front ends that were not trained on, which the calibration is measured on. An episode
    is of one front end and one gain, as in use. Raises ValueError.
    """
    net, record = load_run(run)
    z = embed(net.encoder, held_out)
    where = [f"{f}, {g}" for f, g in zip(held_out.front_end, held_out.gain, strict=True)]
    labels = [f"{w}, {held_out.labels[b]}" for w, b in zip(where, held_out.beam, strict=True)]
    # Centred by each front end's own unlabelled mean, as a receiver does that has heard a sweep.
    centred = z.astype(np.float64)
    for front_end in np.unique(held_out.front_end):
        centred[held_out.front_end == front_end] -= z[held_out.front_end == front_end].mean(0)
    centred += z.mean(0, dtype=np.float64)
    how = record["config"]["prototypes"]
    calibration = calibrate(centred.astype(np.float32), labels, how, SHOTS, seed, domains=where, max_ways=24)
    return bundles.save(
        out, name=name, model=net.encoder, architecture=net.encoder.config.to_dict(),
        block=held_out.iq.shape[1], card=card, calibration=calibration, half=False,
        provenance={"config": record["config"], "data": record["data"]})
