# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Pre-training: one plain loop, resumable at every checkpoint, on one process or several.

The recipe is that of masked spectrogram modeling (arXiv 2411.09996) and of masked autoencoders before it
(2111.06377): AdamW with betas .9 and .95, weight decay .05, linear warm-up, cosine to zero.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from radiofm_ml import atomic
from radiofm_ml import bundle as bundles
from radiofm_ml.data.shards import unpack
from radiofm_ml.models.vit import ViT, ViTConfig
from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.train import checkpoints, distributed
from radiofm_ml.train.descriptors import count as descriptor_count
from radiofm_ml.train.masks import masks
from radiofm_ml.train.objectives import (
    Batch,
    Classify,
    Contrast,
    Describe,
    Latent,
    Pixels,
    Pretraining,
)
from radiofm_ml.train.reader import ShardReader, Tiles, prefetch
from radiofm_ml.train.settings import PretrainConfig


def build(vit: ViTConfig, config: PretrainConfig, classes: int) -> Pretraining:
    """The model that a run trains, freshly initialised. classes: number of labels, for ``classify``."""
    torch.manual_seed(config.seed)
    encoder = ViT(vit)
    decoder = {"dim": config.decoder_dim, "depth": config.decoder_depth, "heads": config.decoder_heads}
    terms = {}
    if config.objective_weight and config.objective == "pixels":
        terms["pixels"] = config.objective_weight, Pixels(encoder, config.norm_pixels, **decoder)
    elif config.objective_weight:
        term = Latent(encoder, config.latent_layers, config.latent_whole, **decoder)
        terms["latent"] = config.objective_weight, term
    if config.contrast:
        terms["contrast"] = config.contrast, Contrast(encoder, config.temperature)
    if config.classify:
        terms["classify"] = config.classify, Classify(encoder, classes)
    if config.describe:
        size = descriptor_count(vit.tile_rows, vit.tile_cols)
        terms["describe"] = config.describe, Describe(encoder, size)
    return Pretraining(encoder, terms)


def load_run(folder: Path) -> tuple[Pretraining, SpectrogramSpec, dict]:
    """The model of a run's last checkpoint, its spec, and the run's record with the 'step' reached.

    Raises ValueError for a folder that holds no run, or one of an older layout.
    """
    try:
        record = json.loads((folder / checkpoints.RUN).read_text(encoding="utf-8"))
        tensors = load_file(folder / "checkpoint.safetensors")
        with safe_open(folder / "checkpoint.safetensors", "pt") as opened:
            step = int(opened.metadata()["step"])
        vit = ViTConfig.from_dict({k: v for k, v in record["vit"].items() if k != "kind"})
        model = build(vit, PretrainConfig(**record["config"]), len(record["data"]["labels"]))
        model.load_state_dict(
            {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        )
        spec = SpectrogramSpec.from_dict(record["spectrogram"])
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise ValueError(f"{folder}: no pre-training run with a checkpoint ({missing} is missing)") from None
    except (KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{folder}: not a run of this version of radiofm pretrain ({reason})") from None
    return model.eval(), spec, {**record, "step": step}


def pretrain(
    folder: Path,
    vit: ViTConfig,
    spec: SpectrogramSpec,
    config: PretrainConfig,
    reader: ShardReader,
    checkpoint_every: float = 120.0,
    stop_after: int | None = None,
    on_step: Callable[[dict], None] = lambda record: None,
    readers: int = 1,
    init: Path | None = None,
) -> Pretraining:
    """Train, or go on training, in ``folder``, and return the model.

    Writes ``run.json`` (the settings), ``log.jsonl`` with a line for each step, and a checkpoint every
    ``checkpoint_every`` seconds and at the end. A line has step, loss, the terms of the loss, 'spread' (see
    ``Pretraining``), rate (of learning), seconds (since the start of this process), tiles_per_s, and wait,
    the share of the step spent waiting for tiles. A run that was stopped goes on from its last checkpoint
    with the same losses as one that was not. Within ``distributed.processes()`` of torchrun, each process
    takes its part of each batch, and the first one writes.

    stop_after: leave after this step, as if interrupted (the schedule stays that of ``config.steps``).
    on_step: called with each line. readers: threads that read and augment tiles.
    init: folder of another run, or of a bundle, of the same encoder, that this one begins with.
    Raises ValueError for settings that do not fit each other or the run that the folder holds,
    FloatingPointError if the loss is not finite.
    """
    rank, world, device = distributed.rank(), distributed.world(), distributed.device()
    _check(config, reader, world)
    if rank == 0:
        _record(folder, vit, spec, config, reader, init)
    distributed.wait()

    model = build(vit, config, len(reader.label_names))
    if init is not None:
        _begin_with(model, init, vit)
    model.to(device).train()
    learned = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learned if p.ndim == 2], "weight_decay": config.weight_decay},
        {"params": [p for p in learned if p.ndim != 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)
    first = checkpoints.resume(folder, model, optimizer)
    last = config.steps if stop_after is None else min(stop_after, config.steps)
    low_precision = torch.autocast(device.type, torch.bfloat16, enabled=use_bfloat16(config, device))

    with _open_log(folder, first, rank) as log:
        saved = started = before = time.monotonic()
        batches = prefetch(lambda step: reader.batch(step, rank, world), range(first, last), workers=readers)
        for step, tiles in enumerate(batches, first):
            waited = time.monotonic() - before
            batch = _batch(tiles, step, spec, vit, config, rank, world, device)
            for group in optimizer.param_groups:
                group["lr"] = config.rate(step)
            with low_precision:
                values = model(batch)
            means = distributed.mean(torch.stack(list(values.values()))).tolist()
            record = dict(zip(values, means, strict=True))
            if not math.isfinite(record["loss"]):
                raise FloatingPointError(
                    f"step {step}: the loss is not finite; lower the learning rate and resume"
                )
            optimizer.zero_grad()
            values["loss"].backward()
            distributed.average_gradients(learned)
            torch.nn.utils.clip_grad_norm_(learned, config.clip)
            optimizer.step()
            model.follow(config.momentum + (1 - config.momentum) * step / config.steps)

            now = time.monotonic()
            record = {
                "step": step,
                **record,
                "rate": config.rate(step),
                "seconds": round(now - started, 2),
                "tiles_per_s": round(config.batch_size / (now - before), 1),
                "wait": round(waited / (now - before), 4),
            }
            before = now
            log.write(atomic.json_line(record))
            log.flush()
            on_step(record)
            if rank == 0 and (now - saved > checkpoint_every or step + 1 == last):
                checkpoints.save(folder, model, optimizer, step + 1)
                saved = now
    distributed.wait()
    return model


def use_bfloat16(config: PretrainConfig, device: torch.device) -> bool:
    """Whether matrix products are done in bfloat16."""
    if config.precision != "auto":
        return config.precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:  # torch says yes to any AVX-512, where products in bfloat16 are slower than in float32
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}.isdisjoint(flags)


def _check(config: PretrainConfig, reader: ShardReader, world: int) -> None:
    if reader.batch_size != config.batch_size:
        raise ValueError(f"the reader makes batches of {reader.batch_size}, not {config.batch_size}")
    if config.batch_size % world or reader.grouping and config.batch_size // world % 2:
        raise ValueError(
            f"a batch of {config.batch_size} tiles cannot be split among {world} processes"
            + (" in twos" if reader.grouping else "")
        )
    if config.contrast and not reader.grouping:
        raise ValueError("the contrastive term needs a reader with grouping: 'label' or 'source'")
    if config.classify and not reader.label_names:
        raise ValueError("no shard has labels to classify")


def _record(
    folder: Path, vit, spec, config: PretrainConfig, reader: ShardReader, init: Path | None
) -> None:
    """Write down the settings; refuse a folder with others."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "vit": vit.to_dict(),
        "spectrogram": spec.to_dict(),
        "config": asdict(config),
        "data": reader.settings(),
    }
    if init is not None:
        settings["init"] = init.name
    checkpoints.keep_settings(folder / checkpoints.RUN, settings)


def _begin_with(model: Pretraining, start: Path, vit: ViTConfig) -> None:
    """Take over the encoder of a run or a bundle, also as the teacher's start, and the decoder of a run's
    pixels."""
    of_bundle = bundles.is_bundle(start)
    other = None if of_bundle else load_run(start)[0]
    encoder = bundles.load(start, bundles.TILES).model if of_bundle else other.encoder
    config = replace(encoder.config, read_out=vit.read_out, projection=vit.projection)
    if config != vit:
        raise ValueError(f"{start}: its encoder has another shape; give the same preset and patches")
    weights = {key: value for key, value in encoder.state_dict().items() if not key.startswith("projection.")}
    model.encoder.load_state_dict(weights)
    if "latent" in model.terms:
        model.terms["latent"].teacher.load_state_dict(weights)
    if other is None:
        return
    mine, its = (m.terms["pixels"].decoder if "pixels" in m.terms else None for m in (model, other))
    if mine is not None and its is not None and mine.state_dict().keys() == its.state_dict().keys():
        mine.load_state_dict(its.state_dict())


def _batch(
    tiles: Tiles, step: int, spec, vit: ViTConfig, config: PretrainConfig, rank: int, world: int, device
) -> Batch:
    """This process's part of the batch, and of the masks that one process would have drawn."""
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    ratio = config.mask_ratio
    if config.mask_ratio_max:
        ratio += (config.mask_ratio_max - ratio) * torch.rand((), generator=generator).item()
    drawn = masks(config.mask, config.batch_size, vit.grid, ratio, generator)
    keep, hidden = (m.chunk(world)[rank].contiguous().to(device) for m in drawn)
    tensors = (torch.from_numpy(v).to(device) for v in (tiles.tiles, tiles.labels, tiles.groups))
    pixels, labels, groups = tensors
    return Batch(unpack(pixels, spec), keep, hidden, labels, groups)


def _open_log(folder: Path, first: int, rank: int):
    return open(os.devnull, "w", encoding="utf-8") if rank else checkpoints.open_log(folder, first)
