# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Checkpoints of WavesFM (Aboulfotouh and Abou-Zeid, arXiv 2511.15162), vision modality, as bundles.

A checkpoint is a torch file: a state dict, or a dictionary with one under 'model'. Both of the published
layouts are read, that of pre-training (with decoders) and that of fine-tuning (with a head). Used of it:

    vis_patch_embed.proj.{weight,bias}       (D, 1, P, P) and (D): the patches' convolution
    cls_token                                (1, 1, D), gets no position
    mod_ln_{scale,bias}.vision               (D), optional: "conditional LN", applied to all tokens with
                                             their positions, before the first block
    blocks.N.norm{1,2}, attn.{qkv,proj}, mlp.fc{1,2}, each .weight and .bias
    norm.{weight,bias}

The network is the ViT of this project but for three things. The fixed positions put the column into the first
half of the dimensions, ours the row; the last normalisation has another epsilon (1e-6); the conditional LN is
a scale and a shift that fold into the patch embedding, the CLS token and the positions. So the positions are
stored in the bundle ('positions': 'stored').

Pictures have frequency down, the lowest first, and time across; the spec of the bundle turns its tiles
so ('time_axis': 'across').
"""

from __future__ import annotations

import argparse
import hashlib
import math
import pickle
from dataclasses import replace
from pathlib import Path

import torch

from radiofm_ml import bundle as bundles
from radiofm_ml.files import check_regular
from radiofm_ml.models.vit import ViT, ViTConfig, sincos_positions
from radiofm_ml.spectrogram import MSM_PUBLISHED

# The input of the multimodal pre-training: the slices of MSM_PUBLISHED (16 ms, here 1024 rows), dB from -120
# to -0.5 become 0 to 1, then 224x224 and normalised. Two things that hardly matter are other: their window is
# the symmetric form of Hann, ours the periodic one; and they add -120 dB to the power, which we do not.
SPECTROGRAM = replace(MSM_PUBLISHED, absolute=(120.0, 119.5), mean=0.451, std=0.043, time_axis="across")
HEADS = {128: 4, 256: 8, 512: 8, 768: 12}  # of the presets micro, small, base, large, by width
NORM_EPS = 1e-6
_PATCHES, _SCALE, _SHIFT = "vis_patch_embed.proj.", "mod_ln_scale.vision", "mod_ln_bias.vision"
_BLOCK = {  # theirs: ours
    "norm1": "norm1",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.out",
    "norm2": "norm2",
    "mlp.fc1": "mlp.0",
    "mlp.fc2": "mlp.2",
}
# What belongs to other modalities, to pre-training or to a task: not part of an encoder of pictures.
_LEFT_OUT = (
    "iq_", "mod_ln_scale.iq", "mod_ln_bias.iq", "decoder_", "mask_token", "head.", "vis_pos_embed",
    "vis_dec_pos_embed", "vis_decoder_pred.",
)  # fmt: skip


class CheckpointError(ValueError):
    """A checkpoint that cannot be imported; one line that names the file and the reason."""


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """The state dict in the file, float32. Raises CheckpointError, OSError.

    Nothing of the file is executed: torch's reader for weights only, which takes tensors and plain values.
    """
    check_regular(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # plain values: the published options
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        what = str(error).split("Unsupported ")[-1].splitlines()[0]
        raise CheckpointError(
            f"{path}: holds more than weights ({what}), which is not loaded, for it could run code; where "
            "you trust it, save its state dict alone: torch.save(checkpoint['model'], 'weights.pth')"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, IndexError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: not a torch checkpoint, or a damaged one ({reason})") from None
    state = content.get("model", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not state:
        raise CheckpointError(f"{path}: holds no state dict, neither alone nor under 'model'")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise CheckpointError(f"{path}: entry {key!r} is not a named tensor")
    return {key: value.detach().float() for key, value in state.items()}


def convert(state: dict[str, torch.Tensor], pool: str = "token", heads: int = 0) -> ViT:
    """The encoder of pictures in a state dict, with the features of the published code.

    pool    'token': the CLS token; 'avg': the mean of the patches
    heads   attention heads, 0 for those of the preset of this width
    Reads tiles (N, side, side), frequency down. Raises CheckpointError.
    """
    _refuse_foreign(state)
    weight = state[_PATCHES + "weight"]
    if weight.ndim != 4 or weight.shape[1] != 1 or weight.shape[2] != weight.shape[3]:
        raise CheckpointError(
            f"tensor '{_PATCHES}weight' is {tuple(weight.shape)}; square patches of one channel are needed, "
            "(D, 1, P, P)"
        )
    dim, patch = weight.shape[0], weight.shape[2]
    depth = 1 + max((int(k.split(".")[1]) for k in state if k.startswith("blocks.")), default=-1)
    if not heads and dim not in HEADS:
        raise CheckpointError(f"{dim} dimensions are of no preset; say how many attention heads there are")
    if pool not in ("token", "avg"):
        raise CheckpointError(f"pool must be 'token' or 'avg', got {pool!r}")
    side = SPECTROGRAM.tile_rows
    if "vis_pos_embed" in state:  # pre-training stores the table, and with it the size
        side = patch * math.isqrt(max(state["vis_pos_embed"].shape[1] - 1, 0))
    hidden = state["blocks.0.mlp.fc1.weight"].shape[0] if "blocks.0.mlp.fc1.weight" in state else 4 * dim
    try:
        config = ViTConfig(
            tile_rows=side,
            tile_cols=side,
            patch_rows=patch,
            patch_cols=patch,
            dim=dim,
            depth=depth,
            heads=heads or HEADS[dim],
            mlp_ratio=hidden / dim,
            read_out={"token": "cls", "avg": "mean"}[pool],
            positions="stored",
            norm_eps=NORM_EPS,
        )
    except ValueError as error:
        raise CheckpointError(str(error)) from None

    scale, shift = state.get(_SCALE, torch.ones(dim)), state.get(_SHIFT, torch.zeros(dim))
    if scale.shape != (dim,) or shift.shape != (dim,):
        raise CheckpointError(f"tensors '{_SCALE}' and '{_SHIFT}' must be ({dim},)")
    columns_first = sincos_positions(*config.grid, dim).roll(dim // 2, 1)
    weights = {
        "patch_embed.weight": weight.flatten(1) * scale[:, None],
        "patch_embed.bias": state[_PATCHES + "bias"] * scale + shift,
        "positions": columns_first * scale,
        "cls": state["cls_token"] * scale + shift,
        "norm.weight": state["norm.weight"],
        "norm.bias": state["norm.bias"],
    }
    for k in range(depth):
        for theirs, ours in _BLOCK.items():
            for part in ("weight", "bias"):
                weights[f"blocks.{k}.{ours}.{part}"] = state[_required(state, f"blocks.{k}.{theirs}.{part}")]
    model = ViT(config)
    for key, value in model.state_dict().items():
        if weights[key].shape != value.shape:
            raise CheckpointError(
                f"a tensor for '{key}' is {tuple(weights[key].shape)}, {tuple(value.shape)} is needed"
            )
        if not torch.isfinite(weights[key]).all():
            raise CheckpointError(f"a tensor for '{key}' holds NaN or infinite values")
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def _required(state: dict[str, torch.Tensor], key: str) -> str:
    if key not in state:
        raise CheckpointError(f"tensor '{key}' is missing; this is not a WavesFM checkpoint for pictures")
    return key


def _refuse_foreign(state: dict[str, torch.Tensor]) -> None:
    """Raise CheckpointError for what is missing, and for what would be lost without a word."""
    for key in (_PATCHES + "weight", _PATCHES + "bias", "cls_token", "norm.weight", "norm.bias"):
        _required(state, key)
    if (_SCALE in state) != (_SHIFT in state):
        raise CheckpointError(f"of '{_SCALE}' and '{_SHIFT}' one is missing")
    known = {_PATCHES + "weight", _PATCHES + "bias", "cls_token", "norm.weight", "norm.bias", _SCALE, _SHIFT}
    for key in state:
        if ".lora_" in key or ".qkv.qkv." in key:
            raise CheckpointError(f"tensor '{key}' is a LoRA adapter; merge it into the weights first")
        if key.startswith("channel_adapter."):
            raise CheckpointError(
                f"tensor '{key}' is an adapter for pictures of several channels; a tile has one"
            )
        number, _, part = key.removeprefix("blocks.").partition(".")
        block = key.startswith("blocks.") and number.isascii() and number.isdigit() and len(number) < 4
        if block and part.rpartition(".")[0] in _BLOCK and part.rpartition(".")[2] in ("weight", "bias"):
            continue
        if key not in known and not key.startswith(_LEFT_OUT):
            raise CheckpointError(f"tensor '{key}' is not part of a WavesFM checkpoint")


_CARD = """# {name}

The encoder of pictures of a WavesFM checkpoint (Aboulfotouh and Abou-Zeid, "Multimodal Wireless Foundation
Models", arXiv 2511.15162), imported by gr-radiofm: a Vision Transformer with {depth} blocks of {dim}
dimensions that reads spectrograms of {side} x {side}, frequency down, time across.

- Source: `{source}`, SHA-256 `{digest}`
- Embedding: {pool}, {dim} values, as the published code computes it before its head
- Left out: {left_out} tensors of other modalities, decoders and heads
- Licence: {licence}. The published code carries none; ask its authors before passing these weights on.

Levels are absolute: the encoder was trained on dB from -120 to -0.5 of its own receivers' full scale. A
receiver with another gain gives it pictures that it has not seen.
"""


def import_checkpoint(
    path: Path, out: Path, name: str = "wavesfm", pool: str = "token", heads: int = 0,
    licence: str = "NOASSERTION",
) -> bundles.Bundle:  # fmt: skip
    """Write the bundle of a checkpoint to the folder ``out``. Raises CheckpointError, OSError."""
    state = read_checkpoint(path)
    try:
        model = convert(state, pool, heads)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    config = model.config
    if config.tile_rows != SPECTROGRAM.tile_rows:
        raise CheckpointError(
            f"{path}: made for pictures of {config.tile_rows} pixels; only those of {SPECTROGRAM.tile_rows} "
            "have a known spectrogram"
        )
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    left_out = sum(key.startswith(_LEFT_OUT) for key in state)
    values = {"depth": config.depth, "dim": config.dim, "side": config.tile_rows, "licence": licence}
    pooled = {"token": "the CLS token", "avg": "the mean of the patches"}[pool]
    card = _CARD.format(
        name=name, source=Path(path).name, digest=digest, pool=pooled, left_out=left_out, **values
    )
    provenance = {
        "imported_from": Path(path).name,
        "sha256": digest,
        "layout": "wavesfm, vision",
        "paper": "arXiv 2511.15162",
    }
    return bundles.save(
        out, name=name, model=model, architecture=config.to_dict(), spec=SPECTROGRAM, card=card,
        licence=licence, provenance=provenance, half=False,
    )  # fmt: skip
