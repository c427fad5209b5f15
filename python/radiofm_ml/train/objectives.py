# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What pre-training asks of an encoder: terms of a loss, every one with the same interface.

A term is called as ``term(encoder, tokens, batch)`` with the encoded visible patches of a batch and
returns a scalar; averaged over processes it is the term of the whole batch.

``Pixels``     masked spectrogram modeling as published (arXiv 2411.09996)
``Latent``     latent vectors of hidden patches, given by a teacher that is a moving average of the encoder
               (data2vec 2202.03555, M2D 2210.14648, I-JEPA 2301.08243)
``Contrast``   tiles of one group near to each other (SupCon, arXiv 2004.11362; two stretches of one
               recording as in Mod-CL, 2605.11875)
``Classify``   the labels of synthetic tiles, which cost nothing: what was synthesised is known
``Describe``   descriptors of the whole tile from its visible part, without labels (after MaskFeat,
               2112.09133)
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from radiofm_ml.models.decoder import PatchDecoder
from radiofm_ml.models.vit import ViT, pooled
from radiofm_ml.train import distributed
from radiofm_ml.train.descriptors import describe


@dataclass(frozen=True)
class Batch:
    """A batch of N tiles as the terms read it.

    tiles         float32 (N, tile_rows, tile_cols), model-ready
    keep, hidden  int64 (N, ·): the patches that the encoder sees, and the others
    labels        int64 (N,): class of a synthetic tile, or -1
    groups        int64 (N,): tiles of one group belong together; -1 for a tile without
    """

    tiles: torch.Tensor
    keep: torch.Tensor
    hidden: torch.Tensor
    labels: torch.Tensor
    groups: torch.Tensor


def pick(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """(N, T, D) at int64 (N, ·) -> (N, ·, D)."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))


class Term(nn.Module):
    """A term of the loss."""

    def forward(self, encoder: ViT, tokens: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The term's value, a scalar. tokens: (N, 1 + T_kept, dim), ``encoder``'s of the visible patches."""
        raise NotImplementedError

    def follow(self, encoder: ViT, momentum: float) -> None:
        """Called after each step of the optimizer, for terms that keep an average of the encoder."""


class Pixels(Term):
    """Mean squared error of the hidden patches' pixels; with ``normalised``, of each patch less its mean and
    over its standard deviation."""

    def __init__(self, encoder: ViT, normalised: bool = False, **decoder):
        super().__init__()
        size = encoder.config.patch_rows * encoder.config.patch_cols
        self.decoder, self.normalised = PatchDecoder(encoder.config, size, **decoder), normalised

    def forward(self, encoder: ViT, tokens: torch.Tensor, batch: Batch) -> torch.Tensor:
        target = encoder.patches(batch.tiles)
        if self.normalised:
            target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
        prediction = pick(self.decoder(tokens, batch.keep), batch.hidden)
        return F.mse_loss(prediction.float(), pick(target, batch.hidden))

class Latent(Term):
    """Mean squared error of the hidden patches' latent vectors.

    The target of a patch is the mean of the outputs of the teacher's last ``layers`` blocks, each
    layer-normed, and normed again, so that telling nothing costs 1. An encoder that says the same of every
    tile would cost 0; ``spread`` in the log shows that it does not.
    whole: the teacher sees the whole tile, as in I-JEPA; else the hidden patches only, as in M2D.
    """

    def __init__(self, encoder: ViT, layers: int = 4, whole: bool = True, **decoder):
        super().__init__()
        self.decoder = PatchDecoder(encoder.config, encoder.config.dim, **decoder)
        self.teacher = copy.deepcopy(encoder).requires_grad_(False)
        self.layers, self.whole = min(layers, encoder.config.depth), whole

    def targets(self, batch: Batch) -> torch.Tensor:
        """float32 (N, hidden, dim)."""
        with torch.no_grad():
            x = self.teacher.stem(batch.tiles, None if self.whole else batch.hidden)
            outputs = []
            for block in self.teacher.blocks:
                x = block(x)
                outputs.append(x)
            normed = [F.layer_norm(o[:, 1:].float(), o.shape[-1:]) for o in outputs[-self.layers :]]
            target = F.layer_norm(sum(normed), x.shape[-1:])
            return pick(target, batch.hidden) if self.whole else target

    def forward(self, encoder: ViT, tokens: torch.Tensor, batch: Batch) -> torch.Tensor:
        prediction = pick(self.decoder(tokens, batch.keep), batch.hidden)
        return F.mse_loss(prediction.float(), self.targets(batch))

    @torch.no_grad()
    def follow(self, encoder: ViT, momentum: float) -> None:
        """teacher = momentum * teacher + (1 - momentum) * encoder"""
        for mine, its in zip(self.teacher.parameters(), encoder.parameters(), strict=True):
            mine.lerp_(its, 1 - momentum)


class Contrast(Term):
    """Supervised contrastive loss on a projection of the pooled visible patches.

    Every other tile of the whole batch, on whichever process, is compared with; those of the same group are
    to be near. A tile that is alone in its group is only compared with.
    """

    def __init__(self, encoder: ViT, temperature: float = 0.1, size: int = 128):
        super().__init__()
        width = 4 * encoder.config.dim
        self.project = nn.Sequential(nn.Linear(width, width // 2), nn.GELU(), nn.Linear(width // 2, size))
        self.temperature = temperature

    def forward(self, encoder: ViT, tokens: torch.Tensor, batch: Batch) -> torch.Tensor:
        mine = F.normalize(self.project(pooled(tokens)).float(), dim=1)
        all_tiles, groups = distributed.gather(mine), distributed.gather(batch.groups)
        itself = torch.eye(len(groups), dtype=torch.bool, device=groups.device)
        similar = all_tiles @ all_tiles.T / self.temperature
        log_share = similar.masked_fill(itself, -torch.inf).log_softmax(1)
        positive = (groups[:, None] == groups) & (groups[:, None] >= 0) & ~itself
        each = -log_share.masked_fill(~positive, 0.0).sum(1) / positive.sum(1).clamp_min(1)
        loss = each.sum() / positive.any(1).sum().clamp_min(1)
        # every process has the whole loss, but the gradient of its own tiles: not averaged, they add up
        return loss + (distributed.world() - 1) * (loss - loss.detach())


class Classify(Term):
    """Cross-entropy of a linear classifier on the pooled visible patches, over the tiles with a label."""

    def __init__(self, encoder: ViT, classes: int):
        super().__init__()
        self.head = nn.Linear(4 * encoder.config.dim, classes)

    def forward(self, encoder: ViT, tokens: torch.Tensor, batch: Batch) -> torch.Tensor:
        logits = self.head(pooled(tokens)).float()
        total = F.cross_entropy(logits, batch.labels, ignore_index=-1, reduction="sum")
        return total / distributed.mean((batch.labels >= 0).sum().float()).clamp_min(1e-6)


class Describe(Term):
    """Mean squared error of the whole tile's descriptors, predicted from the pooled visible patches.

    Each descriptor is standardised by its mean and deviation over the tiles seen so far (of about the last
    100 batches), and what is beyond 5 deviations is clipped.
    """

    _MEMORY = 100

    def __init__(self, encoder: ViT, size: int):
        super().__init__()
        width = 4 * encoder.config.dim
        self.head = nn.Linear(width, size)  # linear: what is predicted can be read from the read-out
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("square", torch.zeros(size))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, encoder: ViT, tokens: torch.Tensor, batch: Batch) -> torch.Tensor:
        values = torch.from_numpy(describe(batch.tiles.cpu().numpy())).to(tokens.device)
        self._follow(distributed.mean(values.mean(0)), distributed.mean(values.square().mean(0)))
        spread = (self.square - self.mean.square()).clamp_min(4e-4).sqrt()
        target = ((values - self.mean) / spread).clamp(-5, 5)
        return F.mse_loss(self.head(pooled(tokens)).float(), target)

    def _follow(self, mean: torch.Tensor, square: torch.Tensor) -> None:
        self.batches += 1
        share = 1 / self.batches.clamp_max(self._MEMORY)
        self.mean.lerp_(mean, share)
        self.square.lerp_(square, share)


class Pretraining(nn.Module):
    """An encoder and the terms that it is trained on, each with its weight."""

    def __init__(self, encoder: ViT, terms: dict[str, tuple[float, Term]]):
        super().__init__()
        self.encoder = encoder
        self.terms = nn.ModuleDict({name: term for name, (_, term) in terms.items()})
        self.weights = {name: weight for name, (weight, _) in terms.items()}

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """'loss', the weighted sum; every term by its name; and 'spread', the standard deviation over the
        tiles of their mean token (0 would be an encoder that says the same of all)."""
        tokens = self.encoder.tokens(batch.tiles, batch.keep)
        values = {name: term(self.encoder, tokens, batch) for name, term in self.terms.items()}
        loss = sum(self.weights[name] * value for name, value in values.items())
        spread = tokens[:, 1:].detach().float().mean(1).std(0, correction=0).mean()
        return {"loss": loss, **values, "spread": spread}

    def follow(self, momentum: float) -> None:
        for term in self.terms.values():
            term.follow(self.encoder, momentum)
