# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A bundle of a ProtoBeam run: the encoder, and a calibration on antennas that it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from radiofm_ml import bundle as bundles
from radiofm_ml.data.beam_blocks import BeamBlocks
from radiofm_ml.fewshot.calibrating import calibrate
from radiofm_ml.train.protobeam import embed, load_run

SHOTS = (1, 2, 5, 10, 20, 32)
WAYS = (1, 2, 3, 5, 10, 24)
EPISODES = 300  # for each number of shots and of labels; a third of them for each gain
HELD_OUT = 100_000  # number of the first front end that is kept for calibration


def export(run: Path, out: Path, name: str, held_out: BeamBlocks, card: str, seed: int = 0,
           episodes: int = EPISODES) -> bundles.Bundle:
    """Write the bundle of a run's last checkpoint, and read it back.

    held_out: blocks of front ends that were not trained on, which the calibration is measured on (see
    ``calibrate_on_beams``). Raises ValueError.
    """
    net, record = load_run(run)
    calibration = calibrate_on_beams(net.encoder, held_out, record["config"]["prototypes"], seed, episodes)
    return bundles.save(
        out, name=name, model=net.encoder, architecture=net.encoder.config.to_dict(),
        block=held_out.iq.shape[1], card=card, calibration=calibration, half=False,
        provenance={"config": record["config"], "data": record["data"]})


def calibrate_on_beams(encoder: torch.nn.Module, held_out: BeamBlocks, normalisation: str = "cl2n",
                       seed: int = 0, episodes: int = EPISODES,
                       track: Callable = lambda items, label: items) -> dict:
    """A calibration (see ``fewshot.calibrate``) of an encoder of I/Q.

    An episode is of one front end and one gain, as in use, and rates are to hold at every gain. 'cl2n'
    centres by each front end's own unlabelled mean, as a receiver does that has heard a sweep.
    normalisation: what 'auto' will stand for.
    """
    z = embed(encoder, held_out)
    where = [f"{f}, {g}" for f, g in zip(held_out.front_end, held_out.gain, strict=True)]
    labels = [f"{w}, {held_out.labels[b]}" for w, b in zip(where, held_out.beam, strict=True)]
    names = tuple(dict.fromkeys((normalisation, "cl2n", "l2")))
    made = calibrate(z, labels, names, SHOTS, seed, domains=where, strata=held_out.gain,
                     centres=held_out.front_end, ways=WAYS, episodes=episodes, track=track)
    made["source"] |= {"data": "simulated front ends", "front_ends": len(np.unique(held_out.front_end))}
    return made
