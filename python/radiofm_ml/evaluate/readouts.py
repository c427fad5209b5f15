# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Which read-out of an encoder makes the best embedding? Few-shot accuracy of each, with and without a
projection on principal components.

Three numbers each, balanced accuracies of prototypes at 5 shots: on the twenty synthetic classes through
receivers that no training set has; on real recordings of the sessions that pre-training may have read (the
choice is made on these two); and on those of held-out sessions, which have no say in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from radiofm_ml.data.shards import unpack
from radiofm_ml.evaluate.identification import Benchmark, balanced, load_benchmark, nearest_prototypes
from radiofm_ml.models.vit import READ_OUTS, ViT
from radiofm_ml.synth.dataset import SceneSettings, labelled_tiles
from radiofm_ml.train.export import (
    CALIBRATION_FRONT_ENDS,
    CALIBRATION_SEED,
    load_encoder,
    principal,
    sample_shards,
)

PROJECTIONS = ((0, 0.0), (64, 0.5), (64, 1.0), (128, 0.5), (128, 1.0))  # (length or 0 for none, power)


def study(
    run: Path,
    folder: Path,
    shards: Sequence[Path],
    seeds: Sequence[int] = (0, 1, 2),
    episodes: int = 40,
    per_class: int = 24,
    track: Callable = lambda items, label: items,
) -> list[dict]:
    """Rows {read_out, projection, power, synthetic, real, held_out}, the best by the mean of synthetic and
    real first. shards: their tiles fit the projections, without labels. Raises ValueError."""
    encoder, spec, _ = load_encoder(run, "pooled")
    bench = load_benchmark(folder, spec, track=track)
    synthetic = _synthetic(spec, per_class, track)
    sample = sample_shards(shards, 96, CALIBRATION_SEED)
    sets = (bench.tiles, synthetic.tiles, unpack(sample, spec))
    tokens = [_tokens(encoder, tiles, track) for tiles in sets]

    rows = []
    for read_out in track(READ_OUTS, "read-outs"):
        view = ViT(replace(encoder.config, read_out=read_out))
        real, made, background = (view.read_out(t.float()).numpy() for t in tokens)
        for size, power in PROJECTIONS:
            weight, bias = principal(background, size, power) if size else (None, None)
            ours, theirs = (x if weight is None else x @ weight.T + bias for x in (real, made))
            (synthetic_score,) = _means(theirs, synthetic, seeds, episodes, np.ones((1, len(theirs)), bool))
            seen, unseen = _means(ours, bench, seeds, episodes, (~bench.held_out, bench.held_out))
            about = {"read_out": read_out, "projection": size, "power": power}
            rows.append({**about, "synthetic": synthetic_score, "real": seen, "held_out": unseen})
    return sorted(rows, key=lambda row: -(row["synthetic"] + row["real"]))


def _means(features, bench: Benchmark, seeds, episodes: int, parts: Sequence[np.ndarray]) -> list[float]:
    """Of each part, bool (N,), of the tiles: accuracy of 5 shots with its members as queries."""
    scores = []
    for seed in seeds:
        played = nearest_prototypes(features, bench, bench.usable(), 5, seed, episodes)
        each = [[balanced(nearest, bench, queries, p) for p in parts] for nearest, queries in played]
        scores.append(np.nanmean(each, 0))
    return np.mean(scores, 0).tolist()


def _synthetic(spec, per_class: int, track) -> Benchmark:
    settings = SceneSettings(front_ends=CALIBRATION_FRONT_ENDS, windows=2)
    made = labelled_tiles(per_class, spec, CALIBRATION_SEED + 2, settings, track=track)
    groups = np.array([str(g) for g in made.groups])
    recordings = np.unique(made.groups, return_inverse=True)[1]
    names = np.array(made.names)[made.labels]
    return Benchmark(unpack(made.tiles, spec), names, groups, recordings, made.rates, groups)


def _tokens(encoder: ViT, tiles: torch.Tensor, track) -> torch.Tensor:
    """float16 (N, 1 + T, dim), to hold all of them."""
    chunks = list(tiles.split(64))
    with torch.inference_mode():
        return torch.cat([encoder.tokens(c).half() for c in track(chunks, "encoding")])
