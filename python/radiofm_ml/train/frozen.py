# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What tuning leaves as it is, computed once: tokens and read-outs of a task's inputs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from radiofm_ml.engines import cpu_has_bf16
from radiofm_ml.heads.tuned import Front
from radiofm_ml.heads.tuned_config import FrontConfig
from radiofm_ml.models.vit import ViT
from radiofm_ml.tasks import TaskData, TaskError


class Frozen:
    """What an encoder and a front make of a task's inputs, each computed once.

    Tokens are kept in float16, read-outs in float32, up to ``limit`` bytes of each kind, beyond which they
    are computed anew at every call. Shared by all runs on one encoder.
    """

    def __init__(self, encoder: ViT, data: TaskData, limit: int = 2 << 30):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.encoder = copy.deepcopy(encoder).to(self.device) if self.device.type == "cuda" else encoder
        self.data, self.limit = data, limit
        self.front_config = front_of(data)
        config = encoder.config
        tile = config.tile_rows, config.tile_cols
        shape = tuple(data.inputs.shape[1:])
        if self.front_config is None and shape != (1, *tile):
            raise TaskError(f"{data.task}: tiles must be (1, {tile[0]}, {tile[1]}), got {shape}")
        self.front = None
        if self.front_config:
            self.front = Front(self.front_config, tile).requires_grad_(False).to(self.device)
        self._kept: dict[object, tuple[torch.Tensor, np.ndarray]] = {}

    def inputs(self, index: np.ndarray) -> torch.Tensor:
        """Tiles (n, rows, cols), or arrays (n, C, H, W) where the task has no tiles."""
        x = torch.from_numpy(np.ascontiguousarray(self.data.inputs[index], np.float32)).to(self.device)
        return x if self.front else x[:, 0]

    def tiles(self, index: np.ndarray) -> torch.Tensor:
        """Tiles (n, rows, cols), also where the task has arrays (by the average of their channels)."""
        x = self.inputs(index)
        with torch.inference_mode():
            return self.front(x) if self.front else x

    def rates(self, index: np.ndarray) -> np.ndarray | None:
        """Sample rates (n,), None where the task does not state them."""
        return None if self.data.rates is None else self.data.rates[index]

    def tokens(self, layer: int, index: np.ndarray) -> torch.Tensor:
        """Tokens (n, 1 + T, dim) before block ``layer``."""
        return self._get(layer, lambda x: self._tokens(x, layer), index)

    def features(self, read_out: str, index: np.ndarray) -> torch.Tensor:
        """Read-out (n, features), see ``TuneConfig.read_out``."""
        view = _view(self.encoder, read_out)
        depth = self.encoder.config.depth
        return self._get(read_out, lambda x: view.finish(self._tokens(x, depth)), index)

    def _tokens(self, tiles: torch.Tensor, layer: int) -> torch.Tensor:
        with autocast(self.device):
            return self.encoder.tokens_before(tiles, [layer])[layer].float()

    def _get(self, key, compute: Callable, index: np.ndarray) -> torch.Tensor:
        index = np.asarray(index)
        n = len(self.data.inputs)
        with torch.inference_mode():
            if key not in self._kept:
                one = compute(self.tiles(index[:1]))
                kind = torch.float16 if one.ndim == 3 else torch.float32
                if one.numel() * kind.itemsize * n > self.limit:
                    return torch.cat([compute(self.tiles(part)) for part in batches(index)]).clone()
                self._kept[key] = torch.empty(n, *one.shape[1:], dtype=kind), np.zeros(n, bool)
            values, known = self._kept[key]
            for part in batches(np.unique(index[~known[index]])):
                values[torch.from_numpy(part)] = compute(self.tiles(part)).to("cpu", values.dtype)
                known[part] = True
        return values[torch.from_numpy(index)].to(self.device, torch.float32)


def batches(index: np.ndarray, size: int = 64) -> list[np.ndarray]:
    """Indices, so many at once."""
    return [index[i:i + size] for i in range(0, len(index), size)]


def _view(encoder: ViT, read_out: str) -> ViT:
    """The encoder's final norm with another read-out and without the projection, no blocks."""
    if read_out == "embedding":
        return encoder
    config = replace(encoder.config, read_out=read_out or encoder.config.read_out, projection=0)
    with torch.device("meta"):
        view = ViT(replace(config, depth=1))
    view.norm = encoder.norm
    return view


def front_of(data: TaskData, sample: int = 1000) -> FrontConfig | None:
    """Front for a task's arrays: the mean and spread of each channel over its training part, which needs no
    labels. None for tiles."""
    if data.tiles:
        return None
    train = data.splits["train"]
    chosen = np.sort(np.random.default_rng(0).permutation(train)[:sample])
    x = np.asarray(data.inputs[chosen], np.float64)
    if not np.isfinite(x).all():
        raise TaskError(f"{data.task}: the inputs hold NaN or infinite values; leave these examples out")
    mean, std = x.mean((0, 2, 3)), np.maximum(x.std((0, 2, 3)), 1e-9)
    return FrontConfig(x.shape[1], tuple(mean.tolist()), tuple(std.tolist()))


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the device computes in it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or cpu_has_bf16())
