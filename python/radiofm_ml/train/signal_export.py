# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""From a pre-training run on pictures of signals to a bundle: projection, scale, calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from radiofm_ml import bundle as bundles
from radiofm_ml.data.shards import unpack
from radiofm_ml.fewshot.calibrating import calibrate
from radiofm_ml.pictures import PictureSpec
from radiofm_ml.synth.cutouts import kinds
from radiofm_ml.train.export import (
    CALIBRATION_FRONT_ENDS,
    CALIBRATION_SEED,
    EPISODES,
    add_projection,
    encode,
    load_encoder,
    sample_shards,
)
from radiofm_ml.train.signal_shards import synthetic

EACH = 16  # signals of a kind
LOOKS = 3
# What a tenfold bandwidth, a tenfold duration, all of the duty and a tenfold kurtosis weigh beside the
# network's vector, of length 1.
WEIGHTS = (0.5, 0.3, 0.3, 0.8)
SCATTER_SHARE = 0.75  # of a label's scatter is the source's: shots of one session lie closer than others
_TINY = 1e-12


@dataclass(frozen=True)
class Source:
    """Synthetic signals of receivers that no training has heard, N of them: pictures of each, float32 (looks,
    rows, cols); numbers float32 (N, M); kinds (N,)."""

    pictures: list[np.ndarray]
    numbers: np.ndarray
    kinds: np.ndarray


def source(picture: PictureSpec, each: int = EACH, seed: int = CALIBRATION_SEED,
           track: Callable = lambda items, label: items) -> Source:
    """``each`` signals of every kind."""
    wanted = dict.fromkeys(kinds(), each)
    heard = synthetic(picture, [seed], CALIBRATION_FRONT_ENDS, LOOKS)
    found = []
    for _ in track(range(sum(wanted.values())), "calibration signals"):
        seen = next(seen for seen in heard if wanted[seen.kind])
        wanted[seen.kind] -= 1
        found.append(seen)
    return Source([seen.pictures for seen in found], np.stack([seen.measured.numbers() for seen in found]),
                  np.array([seen.kind for seen in found]))


def vectors(model: torch.nn.Module, signals: Source) -> tuple[np.ndarray, np.ndarray]:
    """Of each picture what the network says, float32 (P, D), and the number of its signal (P,)."""
    owner = np.repeat(np.arange(len(signals.pictures)), [len(p) for p in signals.pictures])
    return encode(model, torch.from_numpy(np.concatenate(signals.pictures))), owner


def embeddings_of(of_pictures: np.ndarray, owner: np.ndarray, numbers: np.ndarray,
                  reads: bundles.Signals) -> np.ndarray:
    """Embeddings of signals, float32 (N, K), from what ``vectors`` returns and their numbers (N, M)."""
    unit = of_pictures - reads.mean
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), _TINY)
    pooled = np.zeros((len(numbers), unit.shape[1]), np.float32)
    np.add.at(pooled, owner, unit / np.bincount(owner)[owner][:, None])
    return np.concatenate([pooled, numbers], 1) @ reads.weight.T + reads.bias


def scale(of_pictures: np.ndarray, numbers: np.ndarray, picture: PictureSpec) -> bundles.Signals:
    """How vectors and numbers become embeddings: both centred, numbers by ``WEIGHTS``."""
    weight = np.diag(np.concatenate([np.ones(of_pictures.shape[1]), WEIGHTS])).astype(np.float32)
    bias = np.concatenate([np.zeros(of_pictures.shape[1]), -np.array(WEIGHTS) * numbers.mean(0)])
    return bundles.Signals(picture, of_pictures.mean(0), weight, bias.astype(np.float32))


def export_signals(run: Path, out: Path, name: str, shards: list[Path], card: str,
                   picture: PictureSpec | None = None, read_out: str = "pooled", projection: int = 64,
                   power: float = 0.5, each: int = EACH, seed: int = CALIBRATION_SEED,
                   episodes: int = EPISODES, track: Callable = lambda items, label: items) -> bundles.Bundle:
    """Make a bundle of a run.

    The projection is fitted on pictures of ``shards``, without their labels. The calibration's episodes tell
    kinds apart by shots that other receivers have heard, of other transmissions, as in use across sessions;
    each 0: no calibration. Raises ValueError for a folder that holds no run.
    """
    picture = picture or PictureSpec()
    encoder, spec, trained = load_encoder(run, read_out)
    sample = sample_shards(shards, 256, seed)
    features = np.concatenate([encode(encoder, unpack(sample[i:i + 64], spec))
                               for i in track(list(range(0, len(sample), 64)), "fitting the projection")])
    encoder = add_projection(encoder, features, projection, power)
    signals = source(picture, max(each, 2), seed, track)
    of_pictures, owner = vectors(encoder, signals)
    reads = scale(of_pictures, signals.numbers, picture)
    embeddings = embeddings_of(of_pictures, owner, signals.numbers, reads)
    calibration = calibration_of(embeddings, signals.kinds, each, seed, episodes, track) if each else None
    return bundles.save(out, name=name, model=encoder, architecture=encoder.config.to_dict(), card=card,
                        signals=reads, calibration=calibration,
                        provenance={"training": trained, "projection_power": power})


def calibration_of(embeddings: np.ndarray, kinds: np.ndarray, each: int, seed: int, episodes: int,
                   track: Callable) -> dict:
    """A bundle's calibration for signals."""
    made = calibrate(embeddings, kinds, "none", episodes=episodes, source_share=SCATTER_SHARE, nearest=True,
                     track=track)
    made["source"] |= {"data": "synthetic signals, across receptions", "each": each, "receptions_seed": seed}
    return {"signals": made}


def calibrate_signals(bundle: bundles.Bundle, each: int = EACH, seed: int = CALIBRATION_SEED,
                      episodes: int = EPISODES, track: Callable = lambda items, label: items) -> dict:
    """The calibration of a bundle that reads signals, made anew."""
    signals = source(bundle.picture, each, seed, track)
    embeddings = embeddings_of(*vectors(bundle.model, signals), signals.numbers, bundle.signals)
    return calibration_of(embeddings, signals.kinds, each, seed, episodes, track)
