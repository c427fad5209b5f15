# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""From a pre-training run to a bundle: projection, default prototypes, calibration, model card."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from radiofm_ml import bundle as bundles
from radiofm_ml.calibration import calibrate
from radiofm_ml.models.vit import ViT, ViTConfig
from radiofm_ml.spectrogram import SpectrogramSpec, tiles_from_iq
from radiofm_ml.synth.streams import random_stream
from radiofm_ml.synth.waveforms import FAMILIES
from radiofm_ml.train.shards import unpack

CALIBRATION_SEED = 9_000_000  # far from the seeds of the training shards


def encode(model: torch.nn.Module, tiles: torch.Tensor, batch: int = 64) -> np.ndarray:
    """float32 embeddings (N, D) of model-ready tiles."""
    with torch.inference_mode():
        return torch.cat([model(tiles[i : i + batch]).float() for i in range(0, len(tiles), batch)]).numpy()


def load_encoder(run: Path, read_out: str) -> tuple[ViT, SpectrogramSpec, dict]:
    """Encoder of a run's last checkpoint with the given read-out and no projection; its spec; its settings
    and step."""
    try:
        settings = json.loads((run / "run.json").read_text())
        tensors = load_file(run / "checkpoint.safetensors")
        with safe_open(run / "checkpoint.safetensors", "pt") as file:
            step = int(file.metadata()["step"])
    except FileNotFoundError as error:
        raise ValueError(
            f"{run}: no pre-training run with a checkpoint ({Path(error.filename).name} is missing)"
        ) from None
    settings["vit"].pop("kind")
    config = replace(ViTConfig.from_dict(settings["vit"]), read_out=read_out, projection=0)
    encoder = ViT(config)
    encoder.load_state_dict(
        {k.removeprefix("model.encoder."): v for k, v in tensors.items() if k.startswith("model.encoder.")}
    )
    return (
        encoder.eval(),
        SpectrogramSpec.from_dict(settings["spectrogram"]),
        {**settings["config"], "step": step},
    )


def add_projection(encoder: ViT, features: np.ndarray, size: int, power: float = 0.5) -> ViT:
    """The encoder followed by principal components of unlabelled ``features`` (N, D), each divided by its
    standard
    deviation to ``power`` (1 whitens, 0 only rotates)."""
    size = min(size, *features.shape)
    mean = features.mean(0, dtype=np.float64)
    _, singular, axes = np.linalg.svd(features.astype(np.float64) - mean, full_matrices=False)
    scale = np.maximum(singular[:size] / np.sqrt(len(features)), 1e-6) ** power
    weight = axes[:size] / scale[:, None]
    projected = ViT(replace(encoder.config, projection=size))
    projected.load_state_dict(
        {
            **encoder.state_dict(),
            "projection.weight": torch.from_numpy(weight).float(),
            "projection.bias": torch.from_numpy(-weight @ mean).float(),
        }
    )
    return projected.eval()


def labelled_tiles(
    spec: SpectrogramSpec, streams_per_family: int, seed: int, track=lambda items, label: items
):
    """Tiles of single synthetic emitters at 5 dB or more: (tiles, family names, stream numbers)."""
    rng = np.random.default_rng(seed)
    tiles, labels, groups = [], [], []
    plan = [(family, number) for number in range(streams_per_family) for family in FAMILIES]
    for index, (family, _) in enumerate(track(plan, "calibration streams")):
        stream = random_stream(
            spec.samples_per_tile + 3 * spec.stride, rng, family, neighbours=False, snr_db=(5, 35)
        )
        made = tiles_from_iq(torch.from_numpy(stream.iq), spec)
        tiles.append(made)
        labels += [family] * len(made)
        groups += [index] * len(made)
    return torch.cat(tiles), np.array(labels), np.array(groups)


def export(
    run: Path,
    out: Path,
    name: str,
    shards: list[Path],
    card: str,
    read_out: str = "statistics",
    projection: int = 128,
    power: float = 0.5,
    streams_per_family: int = 40,
    seed: int = CALIBRATION_SEED,
    track=lambda items, label: items,
) -> bundles.Bundle:
    """Make a bundle of a run.

    The projection is fitted on tiles of ``shards`` (no labels); default prototypes and the calibration come
    from
    synthetic streams with other seeds than the training's. Raises ValueError for a folder that holds no run.
    """
    encoder, spec, trained = load_encoder(run, read_out)
    rng = np.random.default_rng(seed)
    arrays = [np.load(path, mmap_mode="r", allow_pickle=False) for path in shards]
    sample = np.concatenate([a[np.sort(rng.choice(len(a), min(len(a), 256), replace=False))] for a in arrays])
    chunks = [sample[i : i + 64] for i in range(0, len(sample), 64)]
    features = np.concatenate(
        [encode(encoder, unpack(c, spec)) for c in track(chunks, "fitting the projection")]
    )
    encoder = add_projection(encoder, features, projection, power)

    tiles, labels, groups = labelled_tiles(spec, streams_per_family, seed, track)
    chunks = [tiles[i : i + 64] for i in range(0, len(tiles), 64)]
    embeddings = np.concatenate([encode(encoder, c) for c in track(chunks, "calibrating")])
    names = [family for family in FAMILIES]
    prototypes = np.stack([embeddings[labels == family].mean(0) for family in names])
    return bundles.save(
        out,
        name=name,
        model=encoder,
        architecture=encoder.config.to_dict(),
        spec=spec,
        card=card,
        labels=names,
        prototypes=prototypes,
        calibration=calibrate(embeddings, labels, groups=groups),
        provenance={
            "training": trained,
            "projection_power": power,
            "prototype_shots": int((labels == names[0]).sum()),
            "prototypes": "synthetic modulation families (radiofm_ml.synth.waveforms)",
        },
    )
