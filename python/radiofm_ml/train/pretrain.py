# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Masked spectrogram modeling (arXiv 2411.09996): one plain loop, resumable at every checkpoint."""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from radiofm_ml.models.vit import MaskedViT, ViTConfig, random_masks
from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.train.shards import ShardReader


@dataclass(frozen=True)
class PretrainConfig:
    """A run. ``base_rate`` is the learning rate at batch 256, scaled linearly (He et al. 2111.06377, A.1)."""

    steps: int = 4000
    batch_size: int = 64
    base_rate: float = 2.4e-3
    warmup: int = 200
    weight_decay: float = 0.05
    mask_ratio: float = 0.75
    norm_pixels: bool = False
    decoder_dim: int = 128
    decoder_depth: int = 2
    seed: int = 0

    def rate(self, step: int) -> float:
        """Linear warm-up, then a half cosine to zero."""
        peak = self.base_rate * self.batch_size / 256
        if step < self.warmup:
            return peak * (step + 1) / self.warmup
        return peak * 0.5 * (1 + math.cos(math.pi * (step - self.warmup) / max(1, self.steps - self.warmup)))


def pretrain(
    folder: Path,
    vit: ViTConfig,
    spec: SpectrogramSpec,
    config: PretrainConfig,
    reader: ShardReader,
    checkpoint_every: float = 120.0,
    stop_after: int | None = None,
    on_step=lambda step, loss, rate: None,
) -> MaskedViT:
    """Train, or go on training, in ``folder``, and return the model.

    Writes ``log.jsonl`` (step, loss, learning rate, seconds) and a checkpoint every ``checkpoint_every``
    seconds and at
    the end. A run that was stopped goes on from its last checkpoint with the same losses as one that was not.
    stop_after: leave after this step, as if interrupted (the schedule stays that of ``config.steps``).
    Raises ValueError if the folder holds a run with other settings, FloatingPointError if the loss is not
    finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"vit": vit.to_dict(), "spectrogram": spec.to_dict(), "config": asdict(config)}
    note = folder / "run.json"
    if note.exists() and json.loads(note.read_text()) != json.loads(json.dumps(settings)):
        raise ValueError(
            f"{note}: this folder holds a run with other settings; choose another folder or remove it"
        )
    note.write_text(json.dumps(settings, indent=2))

    torch.manual_seed(config.seed)
    model = MaskedViT(vit, config.decoder_dim, config.decoder_depth, norm_pixels=config.norm_pixels)
    decayed = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim != 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.95),
    )
    first = _resume(folder, model, optimizer)
    last = config.steps if stop_after is None else min(stop_after, config.steps)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()
    tokens = vit.grid[0] * vit.grid[1]
    saved = started = time.monotonic()

    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        for step in range(first, last):
            tiles = reader.batch(step).to(device)
            generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
            keep, hidden = (
                m.to(device) for m in random_masks(len(tiles), tokens, config.mask_ratio, generator)
            )
            for group in optimizer.param_groups:
                group["lr"] = config.rate(step)
            with torch.autocast(device.type, torch.bfloat16):
                loss = model(tiles, keep, hidden)
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"step {step}: the loss is not finite; lower the learning rate and resume"
                )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

            value, now = loss.item(), time.monotonic()
            log.write(
                json.dumps(
                    {
                        "step": step,
                        "loss": value,
                        "rate": config.rate(step),
                        "seconds": round(now - started, 2),
                    }
                )
                + "\n"
            )
            log.flush()
            on_step(step, value, config.rate(step))
            if now - saved > checkpoint_every or step + 1 == last:
                _checkpoint(folder, model, optimizer, step + 1)
                saved = now
    return model


def _checkpoint(folder: Path, model: MaskedViT, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Everything into one file, renamed into place: there is always a whole checkpoint."""
    tensors = {f"model.{k}": v.cpu().contiguous() for k, v in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{k}": v.cpu().contiguous() for k, v in state.items()})
    partial = folder / "checkpoint.partial"
    save_file(tensors, partial, metadata={"step": str(step)})
    os.replace(partial, folder / "checkpoint.safetensors")


def _resume(folder: Path, model: MaskedViT, optimizer: torch.optim.Optimizer) -> int:
    """Load the checkpoint if there is one; the step to go on with."""
    file = folder / "checkpoint.safetensors"
    if not file.exists():
        return 0
    tensors = load_file(file)
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        return int(opened.metadata()["step"])
