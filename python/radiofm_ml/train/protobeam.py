# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""ProtoBeam: prototypical training of an encoder of I/Q blocks, so that beams of an antenna that it has never
seen can be taught with a few blocks each ("Generalizing Deep Beam Prediction to Unseen Antennas using
Prototypical Networks", Mashaal et al.).

``loss`` and ``Episodes`` are its Algorithm 1. What each of its names for a technique stands for has not been
published; the definitions here are ours:

    data normalisation       every block is divided by its root mean square
    augmentation             ``beam_augment.augment``
    prototype normalisation  'l2': embeddings and prototypes at length 1, squared distances times a learned
                             temperature; 'cl2n': the same behind the subtraction of the mean embedding of
                             the domain, for which no label is read

and on top of it, ours altogether: front ends that change from episode to episode. 'virtual': made of the
source's own recordings (``beam_augment.virtual_front_end``). 'given': each episode takes one of the front
ends that the blocks come from, which must then be several.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from torch import nn
from torch.nn import functional as F

from radiofm_ml import atomic
from radiofm_ml.data.beam_blocks import BeamBlocks
from radiofm_ml.engines import cpu_has_bf16
from radiofm_ml.models.iq_encoder import IQEncoder, IQEncoderConfig
from radiofm_ml.train import checkpoints
from radiofm_ml.train.beam_augment import (
    BeamAugmentation,
    Receiver,
    VirtualFrontEnd,
    augment,
    virtual_front_end,
)

FRONT_ENDS = ("one", "virtual", "given")
PROTOTYPES = ("none", "l2", "cl2n")
FIT_BLOCKS = 1024  # that the constants of the features are measured on


@dataclass(frozen=True)
class ProtoConfig:
    """A run.

    episodes, ways, shots, queries   one step each; N_B beams (at most all), n_S and n_Q blocks a beam
    rate, weight_decay, warmup       AdamW: peak of the learning rate, of matrices, episodes to reach it; then
                                     a half cosine to zero
    augmentation, virtual            see ``beam_augment``; None: without
    prototypes                       of PROTOTYPES
    temperature                      that distances of normalised embeddings, 4 at most, are multiplied by at
                                     the start; it is learned
    front_ends                       of FRONT_ENDS
    seed                             of the weights and of everything drawn
    """

    episodes: int = 1000
    ways: int = 24
    shots: int = 2
    queries: int = 6
    rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup: int = 30
    augmentation: BeamAugmentation | None = None
    prototypes: str = "none"
    temperature: float = 10.0
    front_ends: str = "one"
    virtual: VirtualFrontEnd | None = None
    seed: int = 0

    def __post_init__(self):
        for name, allowed in (("prototypes", PROTOTYPES), ("front_ends", FRONT_ENDS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        for name, low in (("episodes", 1), ("ways", 2), ("shots", 1), ("queries", 1)):
            if getattr(self, name) < low:
                raise ValueError(f"{name} must be at least {low}, got {getattr(self, name)}")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        if (self.front_ends == "virtual") != (self.virtual is not None):
            raise ValueError("front_ends 'virtual' and the ranges of the virtual front ends go together")

    def rate_at(self, step: int) -> float:
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.episodes - self.warmup)
        return self.rate * 0.5 * (1 + math.cos(math.pi * share))


def loss(queries: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
    """Algorithm 1's loss of queries (N_B, n_Q, D) against prototypes (N_B, D) of the same beams:

        1 / (N_B n_Q) * sum over beams b and queries x of [ d(x, p_b) + log sum_b' exp(-d(x, p_b')) ]

    with d the squared Euclidean distance (Snell et al., arXiv 1703.05175)."""
    ways, count, _ = queries.shape
    d = squared_distances(queries.flatten(0, 1), prototypes).unflatten(0, (ways, count))
    own = d[torch.arange(ways), :, torch.arange(ways)]
    return (own + torch.logsumexp(-d, 2)).sum() / (ways * count)


def squared_distances(x: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """(N, K) of x (N, D) and points (K, D)."""
    return (x[:, None] - points).square().sum(2)


# -- episodes ----------------------------------------------------------------------------------------------
class Episode(NamedTuple):
    """Indices of blocks: support (N_B, n_S) and query (N_B, n_Q), of the same beams, without a block in
    common; ``beams`` (N_B,) are the beams' numbers and ``front_end`` the one that all come from."""

    support: np.ndarray
    query: np.ndarray
    beams: np.ndarray
    front_end: int


class Episodes:
    """Draws episode ``step`` of a seed: always the same one, whatever was drawn before. Where there are
    several front ends, all blocks of an episode come from one. allowed: bool (N,), the blocks to draw from;
    None for all. Raises ValueError where two beams of a front end do not have blocks enough."""

    def __init__(self, beam: np.ndarray, front_end: np.ndarray, ways: int, shots: int, queries: int,
                 seed: int = 0, allowed: np.ndarray | None = None):
        self.ways, self.shots, self.queries, self.seed = ways, shots, queries, seed
        self._members: dict[int, list[tuple[int, np.ndarray]]] = {}
        allowed = np.ones(len(beam), bool) if allowed is None else allowed
        for f in np.unique(front_end):
            here = allowed & (front_end == f)
            rows = [(int(b), np.flatnonzero(here & (beam == b))) for b in np.unique(beam)]
            rows = [(b, index) for b, index in rows if len(index) >= shots + queries]
            if len(rows) < 2:
                raise ValueError(f"front end {f} has {len(rows)} beams of {shots + queries} blocks or more, "
                                 "an episode needs two; give more blocks, or ask for fewer shots and queries")
            self._members[int(f)] = rows

    def draw(self, step: int) -> Episode:
        rng = np.random.default_rng([self.seed, step])
        front_end = list(self._members)[rng.integers(len(self._members))]
        rows = self._members[front_end]
        chosen = rng.choice(len(rows), min(self.ways, len(rows)), replace=False)
        drawn = np.stack([rng.choice(rows[i][1], self.shots + self.queries, replace=False) for i in chosen])
        return Episode(drawn[:, :self.shots], drawn[:, self.shots:], np.array([rows[i][0] for i in chosen]),
                       front_end)


# -- the network in training -------------------------------------------------------------------------------
class ProtoNet(nn.Module):
    """Encoder, rule of comparison and Algorithm 1's loss."""

    def __init__(self, encoder: nn.Module, prototypes: str = "none", temperature: float = 10.0):
        super().__init__()
        self.encoder, self.how = encoder, prototypes
        if prototypes != "none":
            self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))

    def forward(self, x: torch.Tensor, shots: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(loss, accuracy) of an episode's blocks float32 (N_B, shots + n_Q, L, 2), the support first."""
        z = self.encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2]).float()
        if self.how == "cl2n":
            z = z - z.mean((0, 1))
        prototypes, queries = z[:, :shots].mean(1), z[:, shots:]
        if self.how != "none":
            # distances are multiplied by the temperature when each side is by its root
            length = (0.5 * self.log_temperature).exp()
            prototypes, queries = (length * F.normalize(v, dim=-1) for v in (prototypes, queries))
        with torch.no_grad():
            decided = squared_distances(queries.flatten(0, 1), prototypes).argmin(1).view(queries.shape[:2])
            accuracy = (decided == torch.arange(len(x))[:, None]).float().mean()
        return loss(queries, prototypes), accuracy


def blocks_of(episode: Episode, blocks: BeamBlocks, config: ProtoConfig, step: int,
              receiver: Receiver | None = None) -> torch.Tensor:
    """float32 (N_B, n_S + n_Q, L, 2): an episode's blocks, support first, as the network sees them. receiver:
    what virtual front ends are made with; None for blocks as they were recorded."""
    index = np.concatenate([episode.support, episode.query], 1)
    x = torch.from_numpy(blocks.iq[index.ravel()])
    rng = np.random.default_rng([config.seed, step, 1])
    if receiver is not None:
        label = torch.arange(len(index)).repeat_interleave(index.shape[1])
        x = virtual_front_end(x, label, config.virtual, receiver, rng)
    if config.augmentation is not None:
        x = augment(x, config.augmentation, rng)
    return torch.view_as_real(x).unflatten(0, index.shape)


class EpisodeReader:
    """What the network is shown at each step; it follows from the blocks, the run's settings and the step."""

    def __init__(self, blocks: BeamBlocks, config: ProtoConfig):
        self._blocks, self._config = blocks, config
        front_end = blocks.front_end if config.front_ends == "given" else np.zeros(len(blocks), np.int64)
        sizes = config.ways, config.shots, config.queries, config.seed
        self._recorded = Episodes(blocks.beam, front_end, *sizes)
        self._virtual = self._receiver = None
        if config.virtual is not None:
            top = blocks.gain == blocks.gain.max()
            self._virtual = Episodes(blocks.beam, front_end, *sizes, allowed=top)
            self._receiver = Receiver.measure(blocks)

    def read(self, step: int) -> torch.Tensor:
        """See ``blocks_of``."""
        config = self._config
        chosen = np.random.default_rng([config.seed, step, 2]).random()
        if config.virtual is not None and chosen < config.virtual.share:
            return blocks_of(self._virtual.draw(step), self._blocks, config, step, self._receiver)
        return blocks_of(self._recorded.draw(step), self._blocks, config, step)

    def first(self) -> torch.Tensor:
        """(FIT_BLOCKS or more, L, 2), of steps behind the last one."""
        parts = [self.read(self._config.episodes).flatten(0, 1)]
        while sum(map(len, parts)) < FIT_BLOCKS:
            parts.append(self.read(self._config.episodes + len(parts)).flatten(0, 1))
        return torch.cat(parts)


def train(folder: Path, blocks: BeamBlocks, encoder: IQEncoderConfig, config: ProtoConfig,
          checkpoint_every: float = 30.0, stop_after: int | None = None,
          on_step: Callable[[dict], None] = lambda record: None) -> ProtoNet:
    """Train, or go on training, in ``folder``, and return the network in eval mode.

    Writes ``run.json`` (the settings), ``log.jsonl`` (a line a step: step, loss, accuracy, rate, seconds) and
    a checkpoint every ``checkpoint_every`` seconds and at the end. A run that was stopped goes on with the
    same losses as one that was not. stop_after: leave after this step, as if interrupted. on_step: called
    with each line. Raises ValueError for blocks that give no episode and for a folder that holds another run,
    FloatingPointError if the loss is not finite.
    """
    episodes = EpisodeReader(blocks, config)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints.keep_settings(folder / checkpoints.RUN, {
        "encoder": encoder.to_dict(), "config": asdict(config), "data": _describe(blocks)})
    model = build(encoder, config)
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": config.weight_decay},
         {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0}], fused=True)
    first = checkpoints.resume(folder, model, optimizer)
    if first == 0:
        model.encoder.fit_features(episodes.first())
    last = config.episodes if stop_after is None else min(stop_after, config.episodes)
    model.train()
    with checkpoints.open_log(folder, first) as log:
        saved = started = time.monotonic()
        for step in range(first, last):
            for group in optimizer.param_groups:
                group["lr"] = config.rate_at(step)
            with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bf16()):
                value, accuracy = model(episodes.read(step), config.shots)
            if not torch.isfinite(value):
                raise FloatingPointError(f"step {step}: the loss is not finite; lower the learning rate")
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            now = time.monotonic()
            record = {"step": step, "loss": value.item(), "accuracy": accuracy.item(),
                      "rate": config.rate_at(step), "seconds": round(now - started, 2)}
            log.write(atomic.json_line(record))
            on_step(record)
            if now - saved > checkpoint_every or step + 1 == last:
                log.flush()
                checkpoints.save(folder, model, optimizer, step + 1)
                saved = now
    return model.eval()


def build(encoder: IQEncoderConfig, config: ProtoConfig) -> ProtoNet:
    """The network that a run trains, freshly initialised."""
    torch.manual_seed(config.seed)
    return ProtoNet(IQEncoder(encoder), config.prototypes, config.temperature)


def load_run(folder: Path) -> tuple[ProtoNet, dict]:
    """The network of a run's last checkpoint, in eval mode, and what run.json says. Raises ValueError."""
    try:
        record = json.loads((folder / checkpoints.RUN).read_text(encoding="utf-8"))
        encoder = {k: v for k, v in record["encoder"].items() if k != "kind"}
        model = ProtoNet(IQEncoder(IQEncoderConfig.from_dict(encoder)), record["config"]["prototypes"])
        checkpoints.load_model(folder, model)
    except FileNotFoundError as error:
        raise ValueError(f"{folder}: no run with a checkpoint ({Path(error.filename).name} is missing); "
                         "make one with radiofm protobeam train") from None
    except (KeyError, TypeError, RuntimeError, SafetensorError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{folder}: not a run of radiofm protobeam train ({reason})") from None
    return model.eval(), record


def embed(encoder: nn.Module, blocks: BeamBlocks, batch: int = 256) -> np.ndarray:
    """float32 (N, D)"""
    with torch.inference_mode():
        parts = [encoder(torch.from_numpy(blocks.floats(slice(i, i + batch)))).numpy()
                 for i in range(0, len(blocks), batch)]
    return np.concatenate(parts)


def _describe(blocks: BeamBlocks) -> dict:
    return {"blocks": len(blocks), "labels": list(blocks.labels),
            "front_ends": len(np.unique(blocks.front_end))}
