# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Training DeepBeam (arXiv 2012.14350) and tuning it to another antenna by a few labelled blocks.

As published: Adam at 1e-4, cross-entropy, batches of 100, 10 epochs, no normalisation, no augmentation. The
authors' loader keeps frames in the order of the file and shuffles batches only, so that a batch shows one
beam (``order`` 'batches'). 'examples' shuffles them all, as one would.

Mixed-antenna training takes batches from the files in turn, of each file a share of the examples that no
other file contributes (``mixed_shares``); the authors' launch script names its first file twice instead of
the second, which is not repeated here.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from torch.nn import functional as F

from radiofm_ml import atomic
from radiofm_ml.engines import cpu_has_bf16
from radiofm_ml.models.deepbeam import DeepBeam
from radiofm_ml.train import checkpoints

ORDERS = ("examples", "batches")
PRECISIONS = ("auto", "bfloat16", "float32")
LAYERS = ("all", "dense", "head")


@dataclass(frozen=True)
class FitConfig:
    """A run; the defaults are the published ones.

    order      'examples': all are shuffled in every epoch; 'batches': neighbours stay together
    precision  'auto': bfloat16 where the processor multiplies it, or 'bfloat16', 'float32'
    seed       of the order; the weights are the model's own
    """

    epochs: int = 10
    batch_size: int = 100
    rate: float = 1e-4
    order: str = "examples"
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self):
        if self.order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {self.order!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if self.epochs < 1 or self.batch_size < 1 or not self.rate > 0:
            raise ValueError("epochs, batch_size and rate must be above 0")


def fit(model: DeepBeam, blocks: np.ndarray, labels: np.ndarray, config: FitConfig | None = None,
        validation: tuple[np.ndarray, np.ndarray] | None = None, sources: np.ndarray | None = None,
        folder: Path | None = None, checkpoint_every: float = 60.0, stop_after: int | None = None,
        on_step: Callable[[dict], None] = lambda record: None) -> list[dict]:
    """Train ``model`` in place.

    blocks      complex64 (N, blocks, L), or (N, L) of one block an example
    labels      int (N,), indexes of beams
    validation  blocks and labels to be judged by after every epoch; nothing is chosen by them
    sources     int (N,), the file of each example: every batch is of one, in turn (mixed antennas)
    folder      where to keep run.json, log.jsonl and, every ``checkpoint_every`` seconds, after every epoch
                and at the end, a checkpoint; the same call goes on from there with the same losses
    stop_after  leave after this step, as if interrupted
    on_step     called with each record

    Returns a record for each step: step, epoch, loss, validation (the accuracy; None but at the end of an
    epoch), seconds. Raises ValueError for data that do not fit and for a folder with another run,
    FloatingPointError if the loss is not finite.
    """
    config = config or FitConfig()
    _check(model, blocks, labels)
    if validation is not None:
        _check(model, *validation)
    if sources is not None and np.shape(sources) != (len(blocks),):
        raise ValueError(f"sources must be ({len(blocks)},), one for each example, got {np.shape(sources)}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.rate, eps=1e-7)  # Keras' eps
    first, log = 0, None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        checkpoints.keep_settings(folder / checkpoints.RUN, _settings(model, config, labels, sources))
        first = checkpoints.resume(folder, model, optimizer)
        log = checkpoints.open_log(folder, first)
    history = _log(folder)[:first] if folder is not None else []
    order, epoch_of = [], -1
    saved = started = time.monotonic()
    model.train()
    try:
        steps = config.epochs * len(_batches(len(blocks), config, 0, sources))
        per_epoch = steps // config.epochs
        for step in range(first, steps if stop_after is None else min(stop_after, steps)):
            epoch, place = divmod(step, per_epoch)
            if epoch != epoch_of:
                order, epoch_of = _batches(len(blocks), config, epoch, sources), epoch
            index = order[place]
            x, y = _floats(blocks[index]).to(device), torch.from_numpy(labels[index]).long().to(device)
            with _autocast(device, config.precision):
                loss = F.cross_entropy(model(x), y)
            if not torch.isfinite(loss):
                raise FloatingPointError(f"step {step}: the loss is not finite; lower the rate")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            record = {"step": step, "epoch": epoch, "loss": loss.item(), "validation": None}
            if place + 1 == per_epoch and validation is not None:
                record["validation"] = accuracy(model, *validation, precision=config.precision)
                model.train()
            now = time.monotonic()
            record["seconds"] = round(now - started, 2)
            history.append(record)
            if log is not None:
                log.write(atomic.json_line(record))
                if now - saved > checkpoint_every or place + 1 == per_epoch or step + 1 == stop_after:
                    log.flush()
                    checkpoints.save(folder, model, optimizer, step + 1)
                    saved = now
            on_step(record)
    finally:
        if log is not None:
            log.close()
        model.eval()
    return history


def load_run(folder: Path) -> DeepBeam:
    """The network of a run's last checkpoint, in eval mode. Raises ValueError."""
    try:
        model = DeepBeam(**json.loads((folder / checkpoints.RUN).read_text(encoding="utf-8"))["model"])
        checkpoints.load_model(folder, model)
    except FileNotFoundError as error:
        raise ValueError(f"{folder}: no run with a checkpoint ({Path(error.filename).name} is missing); "
                         "train one first") from None
    except (KeyError, TypeError, RuntimeError, SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder}: not a run of DeepBeam ({str(error).splitlines()[0]}); train anew in "
                         "another folder") from None
    return model.eval()


def mixed_shares(examples: int, files: int, seed: int = 0) -> list[np.ndarray]:
    """Which of the ``examples`` that every file has are taken of each: random parts of equal size, in rising
    order, no index in two of them."""
    size = examples // files
    if not size:
        raise ValueError(f"{examples} examples cannot be shared out among {files} files")
    order = np.random.default_rng(seed).permutation(examples)
    return [np.sort(order[i * size:(i + 1) * size]) for i in range(files)]


# -- what it decides ---------------------------------------------------------------------------------------
def predict(model: DeepBeam, blocks: np.ndarray, precision: str = "auto", batch: int = 100) -> np.ndarray:
    """Logits, float32 (N, classes), of complex64 (N, blocks, L) or (N, L)."""
    return decide(model, features(model, blocks, precision, batch), precision)


def features(model: DeepBeam, blocks: np.ndarray, precision: str = "auto", batch: int = 100) -> torch.Tensor:
    """What the last layer sees, float32 (N, dense): the same for all networks that differ in this layer."""
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode(), _autocast(device, precision):
        parts = [model.features(_floats(blocks[i:i + batch]).to(device)).float()
                 for i in range(0, len(blocks), batch)]
    return torch.cat(parts) if parts else torch.empty(0, model.config["dense"], device=device)


def decide(model: DeepBeam, features: torch.Tensor, precision: str = "auto") -> np.ndarray:
    """``predict`` from ``features``."""
    with torch.inference_mode(), _autocast(features.device, precision):
        return model.head(features).float().cpu().numpy()


def accuracy(model: DeepBeam, blocks: np.ndarray, labels: np.ndarray, precision: str = "auto") -> float:
    """Share of examples whose label has the largest logit."""
    return float((predict(model, blocks, precision).argmax(1) == labels).mean())


def mean_loss(model: DeepBeam, blocks: np.ndarray, labels: np.ndarray, precision: str = "auto") -> float:
    """Mean cross-entropy, in nats."""
    logits = torch.from_numpy(predict(model, blocks, precision))
    return F.cross_entropy(logits, torch.from_numpy(labels).long()).item()


# -- another antenna ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class FineTuneConfig:
    """How a trained network learns the shots of another antenna.

    layers     'all'; 'dense': the three dense layers; 'head': the last of them
    rate       of Adam
    passes     over the shots, at most
    stop_loss  stop earlier where the mean loss of a pass over the shots is no more than this. Meant to be
               ``mean_loss`` on held-out blocks of the source: the network then fits the shots as well as it
               fits its source. 0 never stops.
    """

    layers: str = "all"
    rate: float = 1e-4
    passes: int = 100
    stop_loss: float = 0.0
    batch_size: int = 100
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self):
        if self.layers not in LAYERS:
            raise ValueError(f"layers must be one of {', '.join(LAYERS)}, got {self.layers!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if self.passes < 1 or self.batch_size < 1 or not self.rate > 0 or self.stop_loss < 0:
            raise ValueError("passes, batch_size and rate must be above 0, stop_loss not below it")


class FineTuned(NamedTuple):
    """model: a tuned copy; losses: the mean of every pass, while it was made."""

    model: DeepBeam
    losses: list[float]


def fine_tune(model: DeepBeam, shots_x: np.ndarray, shots_y: np.ndarray,
              config: FineTuneConfig | None = None) -> FineTuned:
    """Go on training a copy of ``model`` with the shots alone: complex64 (n, blocks, L) or (n, L), and their
    labels int (n,). When to stop is not asked of any other block of the target (``FineTuneConfig``). Raises
    ValueError, FloatingPointError."""
    config = config or FineTuneConfig()
    _check(model, shots_x, shots_y)
    tuned = copy.deepcopy(model).train()
    device = next(tuned.parameters()).device
    x, y = _floats(shots_x).to(device), torch.from_numpy(shots_y).long().to(device)
    forward, trained = tuned, list(tuned.parameters())
    if config.layers != "all":  # what stays as it is, is computed once
        layers = [tuned.head] if config.layers == "head" else [*tuned.hidden, tuned.head]
        forward = torch.nn.Sequential(*layers)
        trained = list(forward.parameters())
        before = tuned.features if config.layers == "head" else tuned.convolve
        with torch.no_grad(), _autocast(device, config.precision):
            x = torch.cat([before(part).float() for part in x.split(config.batch_size)])
    optimizer = torch.optim.Adam(trained, lr=config.rate, eps=1e-7)
    rng = np.random.default_rng(config.seed)
    losses: list[float] = []
    for _ in range(config.passes):
        total = 0.0
        for index in torch.from_numpy(rng.permutation(len(x))).to(device).split(config.batch_size):
            with _autocast(device, config.precision):
                loss = F.cross_entropy(forward(x[index]).float(), y[index])
            if not torch.isfinite(loss):
                raise FloatingPointError("the loss is not finite; lower the rate")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(index)
        losses.append(total / len(x))
        if losses[-1] <= config.stop_loss:
            break
    return FineTuned(tuned.eval(), losses)


class Case(NamedTuple):
    """A network trained on one source antenna, and shots and queries of another source antenna."""

    model: DeepBeam
    shots_x: np.ndarray
    shots_y: np.ndarray
    query_x: np.ndarray
    query_y: np.ndarray


def choose_fine_tuning(cases: Sequence[Case], configs: Sequence[FineTuneConfig]) \
        -> tuple[FineTuneConfig, list[float]]:
    """Of several ways to tune, the one with the best mean accuracy on the queries of ``cases``, which are all
    of source antennas; the first of equals. And the accuracy of each."""
    scores = [float(np.mean([accuracy(fine_tune(case.model, case.shots_x, case.shots_y, config).model,
                                      case.query_x, case.query_y, config.precision) for case in cases]))
              for config in configs]
    return configs[int(np.argmax(scores))], scores


# -- parts -------------------------------------------------------------------------------------------------
def _batches(examples: int, config: FitConfig, epoch: int, sources: np.ndarray | None) -> list[np.ndarray]:
    """Indexes of the batches of an epoch, always the same of a seed and an epoch."""
    rng = np.random.default_rng([config.seed, epoch])
    groups = [np.arange(examples)] if sources is None else [
        np.flatnonzero(sources == source) for source in np.unique(sources)]
    queues = []
    for group in groups:
        if config.order == "examples":
            group = rng.permutation(group)
        batches = [group[i:i + config.batch_size] for i in range(0, len(group), config.batch_size)]
        queues.append([batches[i] for i in rng.permutation(len(batches))] if config.order == "batches"
                      else batches)
    longest = max(map(len, queues))
    return [queue[i] for i in range(longest) for queue in queues if i < len(queue)]


def _floats(blocks: np.ndarray) -> torch.Tensor:
    """complex64 (..., L) as float32 (..., L, 2)."""
    return torch.view_as_real(torch.from_numpy(np.ascontiguousarray(blocks)))


def _check(model: DeepBeam, blocks: np.ndarray, labels: np.ndarray) -> None:
    config = model.config
    shape = (config["blocks"], config["length"])
    if blocks.dtype != np.complex64 or not (
            blocks.shape[1:] == shape or (shape[0] == 1 and blocks.shape[1:] == shape[1:])):
        raise ValueError(f"blocks must be complex64 (N, {shape[0]}, {shape[1]}), got {blocks.dtype} "
                         f"{blocks.shape}")
    if not len(blocks) or np.shape(labels) != (len(blocks),):
        raise ValueError(f"labels must be ({len(blocks)},), one for each of at least one example, got "
                         f"{np.shape(labels)}")
    if not 0 <= labels.min() <= labels.max() < config["classes"]:
        raise ValueError(f"labels must lie in 0..{config['classes'] - 1}, got {labels.min()}..{labels.max()}")


def _settings(model: DeepBeam, config: FitConfig, labels: np.ndarray, sources: np.ndarray | None) -> dict:
    return {"model": model.config, "config": asdict(config), "data": {
        "labels": np.bincount(labels, minlength=model.config["classes"]).tolist(),
        "sources": None if sources is None else np.unique(sources, return_counts=True)[1].tolist()}}


def _log(folder: Path) -> list[dict]:
    path = folder / checkpoints.LOG
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _autocast(device: torch.device, precision: str):
    low = precision == "bfloat16" or (precision == "auto" and (device.type == "cuda" or cpu_has_bf16()))
    return torch.autocast(device.type, torch.bfloat16, enabled=low)
