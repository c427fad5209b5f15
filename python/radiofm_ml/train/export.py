"""From a pre-training run to a bundle: projection, default prototypes, calibration, model card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from radiofm_ml import bundle as bundles
from radiofm_ml.data.shards import unpack
from radiofm_ml.fewshot.calibrating import calibrate
from radiofm_ml.models.vit import ViT
from radiofm_ml.spectrogram import SpectrogramSpec, tiles_from_iq
from radiofm_ml.synth.dataset import MIN_AREA, tile_boxes
from radiofm_ml.synth.scene import NOISE, compose, draw_rate
from radiofm_ml.synth.signals import all_classes
from radiofm_ml.train.pretrain import load_run

CALIBRATION_EACH = 12  # receptions of a kind
EPISODES = 100  # see ``fewshot.calibrate``
CALIBRATION_SEED = 9_000_000  # far from the seeds of the training shards
CALIBRATION_FRONT_ENDS = range(50_000, 51_000)  # receivers that no training set has
_SEARCHED = 24  # tiles of a reception that are looked through
_KEPT = 12  # tiles of it that are used


def encode(model: torch.nn.Module, tiles: torch.Tensor, batch: int = 64) -> np.ndarray:
    """float32 embeddings (N, D) of model-ready tiles."""
    with torch.inference_mode():
        return torch.cat([model(tiles[i : i + batch]).float() for i in range(0, len(tiles), batch)]).numpy()


def load_encoder(run: Path, read_out: str) -> tuple[ViT, SpectrogramSpec, dict]:
    """Encoder of a run's last checkpoint with the given read-out and no projection; its spec; its settings
    and step. Raises ValueError for a folder that holds no run."""
    model, spec, record = load_run(run)
    encoder = ViT(replace(model.encoder.config, read_out=read_out, projection=0))
    encoder.load_state_dict(model.encoder.state_dict())
    about = {"step": record["step"], "terms": list(model.terms)}
    if "init" in record:
        about["init"] = record["init"]
    return encoder.eval(), spec, {**record["config"], **about}


def principal(features: np.ndarray, size: int, power: float) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of ``features`` (N, D), each over its standard deviation to ``power``.

    Power 1 whitens, 0 only rotates. Returns float64 weight (size, D) and bias (size,); fewer rows where N or
    D is less.
    """
    size = min(size, *features.shape)
    mean = features.mean(0, dtype=np.float64)
    _, singular, axes = np.linalg.svd(features.astype(np.float64) - mean, full_matrices=False)
    scale = np.maximum(singular[:size] / np.sqrt(len(features)), 1e-6) ** power
    weight = axes[:size] / scale[:, None]
    return weight, -weight @ mean


def add_projection(encoder: ViT, features: np.ndarray, size: int, power: float = 0.5) -> ViT:
    """The encoder followed by the principal components of unlabelled ``features``, see ``principal``."""
    weight, bias = principal(features, size, power)
    projected = ViT(replace(encoder.config, projection=len(weight)))
    projected.load_state_dict(
        {
            **encoder.state_dict(),
            "projection.weight": torch.from_numpy(weight).float(),
            "projection.bias": torch.from_numpy(bias).float(),
        }
    )
    return projected.eval()


def sample_shards(shards: Sequence[Path], each: int, seed: int) -> np.ndarray:
    """At most ``each`` random tiles of every shard, uint8 (N, tile_rows, tile_cols)."""
    rng = np.random.default_rng(seed)
    arrays = [np.load(path, mmap_mode="r", allow_pickle=False) for path in shards]
    return np.concatenate([a[np.sort(rng.choice(len(a), min(len(a), each), replace=False))] for a in arrays])


def receptions(
    spec: SpectrogramSpec, each: int, seed: int, track: Callable = lambda items, label: items
) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Synthetic transmissions of every kind, and noise, each heard over one link by one receiver.

    Tiles in a row of a transmission at 5 to 30 dB, those in which it is on, at most ``_KEPT`` of them:
    what a flowgraph sees that is taught one signal. Returns (tiles, labels, numbers of the receptions).
    each: receptions of a kind.
    """
    classes = all_classes()
    names = (*classes, NOISE)
    samples = spec.samples_per_tile + (_SEARCHED - 1) * spec.stride
    tiles, labels, groups = [], [], []
    plan = [(label, number) for number in range(each) for label in names]
    for group, (label, number) in enumerate(track(plan, "calibration receptions")):
        rng = np.random.default_rng([seed, number, names.index(label)])
        signal = rate = None
        if label != NOISE:  # long enough for all tiles, so that no part is heard twice
            rate = draw_rate(classes[label].rates, rng)
            signal = classes[label].generate(rng, 1.05 * samples / rate)
        scene = compose(
            rng,
            label,
            samples,
            rate=rate,
            snr_db=(5.0, 30.0),
            neighbours=0.0,
            front_end=int(rng.choice(CALIBRATION_FRONT_ENDS)),
            signal=signal,
        )
        on = [k for k in range(_SEARCHED) if label == NOISE or _covered(scene, spec, names, k) >= MIN_AREA]
        heard = tiles_from_iq(torch.from_numpy(scene.samples), spec)[on[:_KEPT]]
        tiles.append(heard)
        labels += [label] * len(heard)
        groups += [group] * len(heard)
    return torch.cat(tiles), np.array(labels), np.array(groups)


def _covered(scene, spec: SpectrogramSpec, names, tile: int) -> float:
    boxes = tile_boxes(scene, spec, names, tile)
    area = ((boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])).sum()
    return area / (spec.tile_rows * spec.tile_cols)


def export(
    run: Path,
    out: Path,
    name: str,
    shards: list[Path],
    card: str,
    read_out: str = "pooled",
    projection: int = 64,
    power: float = 0.5,
    each: int = 8,
    seed: int = CALIBRATION_SEED,
    episodes: int = EPISODES,
    track: Callable = lambda items, label: items,
) -> bundles.Bundle:
    """Make a bundle of a run.

    The projection is fitted on tiles of ``shards``, without their labels. Default prototypes are the means
    over ``each`` synthetic receptions of a kind (see ``receptions``); the calibration's episodes tell
    receptions apart, which is what a flowgraph is taught; each 0: neither, for a bundle that is to be taught.
    Raises ValueError for a folder that holds no run.
    """
    encoder, spec, trained = load_encoder(run, read_out)
    sample = sample_shards(shards, 256, seed)
    chunks = [sample[i : i + 64] for i in range(0, len(sample), 64)]
    features = np.concatenate(
        [encode(encoder, unpack(c, spec)) for c in track(chunks, "fitting the projection")]
    )
    encoder = add_projection(encoder, features, projection, power)

    taught = _taught(encoder, spec, each, seed, episodes, track) if each else {}
    return bundles.save(
        out,
        name=name,
        model=encoder,
        architecture=encoder.config.to_dict(),
        spec=spec,
        card=card,
        provenance={"training": trained, "projection_power": power, **taught.pop("provenance", {})},
        **taught,
    )


def _taught(encoder: ViT, spec: SpectrogramSpec, each: int, seed: int, episodes: int, track) -> dict:
    """Default labels, their prototypes, and the calibration."""
    embeddings, labels, groups = _heard(encoder, spec, each, seed, track)
    names = [str(name) for name in dict.fromkeys(labels)]
    return {
        "labels": names,
        "prototypes": np.stack([embeddings[labels == name].mean(0) for name in names]),
        "calibration": _calibrated(embeddings, groups, each, seed, episodes, track),
        "provenance": {
            "prototype_shots": len(labels) // len(names),
            "prototypes": "synthetic signals (radiofm_ml.synth.signals)",
        },
    }


def calibrate_on_receptions(encoder: torch.nn.Module, spec: SpectrogramSpec, each: int = CALIBRATION_EACH,
                            seed: int = CALIBRATION_SEED, episodes: int = EPISODES,
                            track: Callable = lambda items, label: items) -> dict:
    """A calibration (see ``fewshot.calibrate``) of an encoder of tiles, on ``each``
    synthetic receptions of a kind: an episode tells receptions apart, which is what a flowgraph is taught."""
    embeddings, _, groups = _heard(encoder, spec, each, seed, track)
    return _calibrated(embeddings, groups, each, seed, episodes, track)


def _heard(encoder, spec: SpectrogramSpec, each: int, seed: int, track):
    """Embeddings, labels and numbers of ``receptions``."""
    tiles, labels, groups = receptions(spec, each, seed, track)
    chunks = [tiles[i : i + 64] for i in range(0, len(tiles), 64)]
    embeddings = np.concatenate([encode(encoder, c) for c in track(chunks, "embedding them")])
    return embeddings, labels, groups


def _calibrated(embeddings, groups, each: int, seed: int, episodes: int, track) -> dict:
    made = calibrate(embeddings, groups, ("cl2n", "l2"), episodes=episodes, track=track)
    made["source"] |= {"data": "synthetic receptions", "each": each, "receptions_seed": seed}
    return made
