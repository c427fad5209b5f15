# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Checkpoint and log of a training run that can be stopped at any time and goes on with the same losses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from radiofm_ml import atomic

RUN, CHECKPOINT, LOG = "run.json", "checkpoint.safetensors", "log.jsonl"


def keep_settings(note: Path, settings: Mapping) -> None:
    """Write what a run depends on into the file ``note`` of its folder. Raises ValueError where that tells of
    other settings."""
    if note.exists() and json.loads(note.read_text(encoding="utf-8")) != json.loads(json.dumps(settings)):
        raise ValueError(f"{note}: this folder holds a run with other settings; choose another folder or "
                         "remove it")
    atomic.write_json(note, settings)


def save(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Everything into one file, renamed into place: there is always a whole checkpoint."""
    tensors = {f"model.{k}": v.cpu().contiguous() for k, v in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{k}": v.cpu().contiguous() for k, v in state.items()})
    with atomic.replacing(folder / CHECKPOINT) as part:
        save_file(tensors, part, metadata={"step": str(step)})


def resume(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Load the checkpoint if there is one; the step to go on with."""
    file = folder / CHECKPOINT
    if not file.exists():
        return 0
    tensors = load_model(folder, model)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    with safe_open(file, "pt") as opened:
        return int(opened.metadata()["step"])


def load_model(folder: Path, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Load the network alone; all tensors of the checkpoint. Raises FileNotFoundError, RuntimeError."""
    if not (folder / CHECKPOINT).exists():
        raise FileNotFoundError(None, "no such file", str(folder / CHECKPOINT))
    tensors = load_file(folder / CHECKPOINT)
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    return tensors


def open_log(folder: Path, first: int) -> TextIO:
    """The log, less what comes after the checkpoint: those steps are done again."""
    path = folder / LOG
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    atomic.write_text(path, "".join(lines[:first]), durable=False)
    return path.open("a", encoding="utf-8")
