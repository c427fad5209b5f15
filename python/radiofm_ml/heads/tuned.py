# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A head that carries what tuning changed of the encoder.

    tile --[front]--> stem --> blocks 0 .. L-1 --> tokens --> blocks L .. --> norm --> read-out --> layers
                               the trunk, shared              the head's own           or decoder

``from_layer`` is L. Blocks before it are the bundle's, unchanged, so that several heads share one pass of the
trunk (``ViT.tokens_before``). From it on they are the head's: whole copies, or the bundle's with low-rank
additions (``lora``). A head that also has its own tokenizer (patch embedding and CLS token) or a front for
arrays that are not tiles begins at the tile, and shares nothing; ``input`` says where it begins.

    head = heads.load("heads/signal")              # a TunedHead if head.input is 'tokens' or 'tile'
    head.attach(bundle)                            # what it does not carry comes from its bundle
    tokens = bundle.model.tokens_before(tiles, [head.from_layer])
    probabilities = head.predict(tokens[head.from_layer])

Layers may know the sample rate that the tiles were received at (``rate``), beside the read-out: the encoder
does not.

A decoder, instead of read-out and layers, makes a picture of labels: ``decoder`` in the configuration goes to
``radiofm_ml.models.segmentation.build_decoder(decoder, vit: ViTConfig, classes: int) -> nn.Module``, which
maps normalised tokens (N, 1 + T, dim), and the tiles beside them where it has ``reads_tile``, to logits
(N, classes, H, W).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.nn import functional as F

from radiofm_ml.heads.error import HeadError
from radiofm_ml.heads.head import read_rates
from radiofm_ml.heads.kinds import KINDS
from radiofm_ml.heads.tuned_config import FrontConfig, TunedConfig
from radiofm_ml.models.lora import add_lora, merge_lora
from radiofm_ml.models.vit import ViT, sincos_positions

if TYPE_CHECKING:
    from radiofm_ml.bundle import Bundle

_TRUNK = ("tile_rows", "tile_cols", "patch_rows", "patch_cols", "dim", "depth", "heads", "mlp_ratio",
          "positions", "norm_eps")


class Front(nn.Module):
    """Arrays float (N, C, H, W) to tiles (N, tile_rows, tile_cols)."""

    def __init__(self, config: FrontConfig, tile: tuple[int, int]):
        super().__init__()
        self.tile, c = tile, config
        self.register_buffer("mean", torch.tensor(c.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(c.std)[:, None, None], persistent=False)
        self.adapter = nn.Conv2d(c.channels, 1, 1)
        nn.init.constant_(self.adapter.weight, 1 / c.channels)
        nn.init.zeros_(self.adapter.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # A weighted sum of channels and a resize change places freely; one channel is cheaper to resize.
        return resize(self.adapter((x - self.mean) / self.std), self.tile)[:, 0]


def resize(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N, C, H, W) to (N, C, *size), bicubic with antialiasing, as the published loaders do."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x.float(), size, mode="bicubic", antialias=True, align_corners=False)


class Layers(nn.Module):
    """Standardised features, and ``beside`` more as they are, to the outputs: linear layers with ReLU
    between."""

    def __init__(self, features: int, hidden: tuple[int, ...], outputs: int, beside: int = 0):
        super().__init__()
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        sizes = (features + beside, *hidden, outputs)
        self.linear = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))

    def forward(self, x: torch.Tensor, beside: torch.Tensor | None = None) -> torch.Tensor:
        """Outputs (N, outputs) of features (N, features) and beside float32 (N, beside)."""
        with torch.autocast(x.device.type, enabled=False):  # cheap, and the outputs keep their digits
            x = (x.float() - self.centre) / self.spread
            if beside is not None:
                x = torch.cat([x, beside], 1)
            for i, layer in enumerate(self.linear):
                x = layer(F.relu(x) if i else x)
            return x


class TunedHead(nn.Module):
    """A head in torch, for training and for use; fresh weights where nothing was loaded or attached.

    The attributes ``kind``, ``task``, ``model``, ``labels``, ``unit``, ``input``, ``from_layer`` and ``rate``
    are those that a plain ``heads.Head`` has too.
    """

    def __init__(self, config: TunedConfig):
        super().__init__()
        self.config = config
        self.kind, self.task, self.model, self.labels = config.kind, config.task, config.model, config.labels
        self.unit, self.input, self.from_layer = config.unit, config.input, config.from_layer
        self.rate = config.rate
        vit = config.vit
        self.front = Front(config.front, (vit.tile_rows, vit.tile_cols)) if config.front else None
        self.encoder = ViT(vit)
        if config.lora:
            add_lora(self.encoder, config.from_layer, config.lora)
        self.layers = self.decoder = None
        if config.decoder is None:
            beside = config.rate.count if config.rate else 0
            self.layers = Layers(vit.embedding_size, config.hidden, len(config.labels), beside)
        else:
            self.decoder = _build_decoder(config)
        self.reads_tile = bool(getattr(self.decoder, "reads_tile", False))
        self._complete = True

    # -- what is its own -----------------------------------------------------------------------------
    def owns(self, name: str) -> bool:
        """Does the head carry this tensor of its state? The others are the bundle's."""
        if not name.startswith("encoder."):
            return True
        part = name.split(".")
        if part[1] in ("patch_embed", "cls", "positions"):
            return self.config.tokenizer
        if part[1] == "blocks":
            return int(part[2]) >= self.from_layer and (self.config.lora is None or "lora_" in part[-1])
        return True

    def own_state(self) -> dict[str, torch.Tensor]:
        """The tensors that go into a file."""
        return {name: value for name, value in self.state_dict().items() if self.owns(name)}

    @classmethod
    def from_state(cls, config: TunedConfig, tensors: dict[str, torch.Tensor]) -> TunedHead:
        """A head of the tensors that ``own_state`` gave. Raises HeadError naming the tensor.

        What it does not carry takes no memory until ``attach``.
        """
        with torch.device("meta"):
            head = cls(config)
        expected = head.own_state()
        for name in sorted(expected.keys() - tensors.keys()):
            raise HeadError(f"tensor '{name}' is missing")
        for name in sorted(tensors.keys() - expected.keys()):
            raise HeadError(f"tensor '{name}' is not part of this head")
        for name, value in tensors.items():
            if value.shape != expected[name].shape:
                raise HeadError(f"tensor '{name}' is {tuple(value.shape)}, head.json needs "
                                f"{tuple(expected[name].shape)}")
        head.load_state_dict(tensors, strict=False, assign=True)
        vit = config.vit
        if vit.positions == "sincos":
            head.encoder.positions = sincos_positions(*vit.grid, vit.dim)
        if config.front:
            fresh = Front(config.front, head.front.tile)
            head.front.mean, head.front.std = fresh.mean, fresh.std
        if head.decoder is not None:
            _fill_buffers(head.decoder, _build_decoder(config))
        head._complete = not any(p.is_meta for p in head._used())
        return head.eval().requires_grad_(False)

    def _used(self):
        """Parameters that ``forward`` reads."""
        begins = 0 if self.input == "tile" else self.from_layer
        parts = [self.front, self.encoder.norm, self.encoder.projection, self.layers, self.decoder,
                 *self.encoder.blocks[begins:]]
        if self.input == "tile":
            parts.append(self.encoder.patch_embed)
            yield self.encoder.cls
        for part in parts:
            if part is not None:
                yield from part.parameters()

    def attach(self, bundle: Bundle) -> TunedHead:
        """Take what the head does not carry from its bundle, and get ready to predict; returns self.

        Blocks that are not the head's own are the bundle's, not copies. Raises HeadError if the head was made
        for another bundle.
        """
        if self.model and self.model != bundle.id:
            raise HeadError(f"the head is for model '{self.model}', the bundle is '{bundle.id}'")
        trunk, own = bundle.model, self.config.vit
        for key in _TRUNK:
            if getattr(trunk.config, key) != getattr(own, key):
                raise HeadError(f"key 'architecture': {key} is {getattr(own, key)}, the bundle has "
                                f"{getattr(trunk.config, key)}")
        for i in range(self.from_layer):
            self.encoder.blocks[i] = trunk.blocks[i]
        if not self.config.tokenizer:
            self.encoder.patch_embed, self.encoder.cls = trunk.patch_embed, trunk.cls
            self.encoder.positions = trunk.positions
        if self.config.lora:
            for i in range(self.from_layer, own.depth):
                block, delta = copy.deepcopy(trunk.blocks[i]), self.encoder.blocks[i].attention.qkv
                delta.base, block.attention.qkv = block.attention.qkv, delta
                self.encoder.blocks[i] = block
        self._complete = True
        return self

    def start_from(self, encoder: ViT) -> TunedHead:
        """Copy an encoder's weights, to be tuned: all but a projection that the head does not have."""
        state = encoder.state_dict()
        renamed = {name.replace("attention.qkv.base.", "attention.qkv."): name
                   for name in self.encoder.state_dict() if "lora_" not in name}
        self.encoder.load_state_dict({mine: state[name] for name, mine in renamed.items()}, strict=False)
        return self

    def merge(self) -> TunedHead:
        """Work low-rank additions into the weights, for speed; the head can then no longer be saved."""
        merge_lora(self.encoder)
        return self

    # -- computing --------------------------------------------------------------------------------------
    def tiles(self, x: torch.Tensor) -> torch.Tensor:
        """Tiles (N, rows, cols) of what the head is for: themselves, or with a front arrays (N, C, H, W)."""
        return x if self.front is None else self.front(x)

    def features(self, tokens: torch.Tensor) -> torch.Tensor:
        """What ``layers`` read (N, features), of tokens before block ``from_layer``."""
        return self.encoder.projection(self.encoder.read_out(self._encoded(tokens)))

    def beside(self, rates: ArrayLike | None, n: int) -> torch.Tensor | None:
        """What ``layers`` read beside the features, float32 (n, count), of ``n`` sample rates; None where the
        head has no ``rate``. Raises ValueError where they are missing."""
        if self.rate is None:
            return None
        return torch.from_numpy(read_rates(self, rates, n)).to(self.layers.centre.device)

    def from_tokens(self, tokens: torch.Tensor, tiles: torch.Tensor | None = None,
                    beside: torch.Tensor | None = None) -> torch.Tensor:
        """Raw outputs (N, K), or of a segmentation (N, K, H, W), of tokens before block ``from_layer``.

        tiles: (N, rows, cols) that the tokens are of, where ``reads_tile``. beside: see ``beside``.
        """
        if self.decoder is None:
            return self.layers(self.features(tokens), beside)
        return self.decoder(self._encoded(tokens), *([tiles] if self.reads_tile else []))

    def _encoded(self, tokens: torch.Tensor) -> torch.Tensor:
        for block in self.encoder.blocks[self.from_layer:]:
            tokens = block(tokens)
        return self.encoder.norm(tokens)

    def forward(self, x: torch.Tensor, tiles: torch.Tensor | None = None,
                beside: torch.Tensor | None = None) -> torch.Tensor:
        """Raw outputs of ``input``; tiles and beside as in ``from_tokens``."""
        if self.input == "tokens":
            return self.from_tokens(x, tiles, beside)
        x = self.tiles(x)
        return self.from_tokens(self.encoder.tokens_before(x, [self.from_layer])[self.from_layer], x, beside)

    def finish(self, raw: torch.Tensor) -> np.ndarray:
        """Raw outputs to probabilities (over axis 1), or to numbers in ``unit``; float32."""
        return KINDS[self.kind].finish_tensor(raw.float(), self.config).cpu().numpy()

    def predict(self, x: torch.Tensor, tiles: torch.Tensor | None = None,
                rates: ArrayLike | None = None) -> np.ndarray:
        """Probabilities or numbers, float32 (N, K), or (N, K, H, W) of a segmentation.

        x: as ``input`` says: tokens before block ``from_layer`` (N, 1 + T, dim), tiles (N, rows, cols), or
        with a front arrays (N, C, H, W). tiles: those the tokens are of, where ``reads_tile``. rates: N
        sample rates in samples/s, where the head has a ``rate``; else not read. Raises HeadError before
        ``attach`` where a bundle is needed, and ValueError for another shape or a rate that is missing.
        """
        if not self._complete:
            raise HeadError(f"the head carries only a part of model '{self.model}'; attach the bundle first")
        vit = self.config.vit
        tile = vit.tile_rows, vit.tile_cols
        if self.front is not None:
            channels = self.config.front.channels
            fits, wanted = x.ndim == 4 and x.shape[1] == channels, f"(N, {channels}, H, W)"
        else:
            shape = (1 + vit.grid[0] * vit.grid[1], vit.dim) if self.input == "tokens" else tile
            fits, wanted = tuple(x.shape[1:]) == shape, f"(N, {shape[0]}, {shape[1]})"
        if not fits:
            raise ValueError(f"head '{self.task}' reads {self.input} of shape {wanted}, got {tuple(x.shape)}")
        if self.reads_tile and self.input == "tokens":
            if tiles is None or tuple(tiles.shape) != (len(x), *tile):
                raise ValueError(f"head '{self.task}' reads tiles ({len(x)}, {tile[0]}, {tile[1]}) beside "
                                 "the tokens")
            tiles = tiles.float()
        with torch.inference_mode():
            return self.finish(self(x.float(), tiles, self.beside(rates, len(x))))


def _build_decoder(config: TunedConfig) -> nn.Module:
    try:
        from radiofm_ml.models.segmentation import build_decoder
    except ImportError:
        raise HeadError(f"key 'decoder': this release has none of kind {config.decoder['kind']!r}") from None
    try:
        return build_decoder(config.decoder, config.vit, len(config.labels))
    except (ValueError, TypeError, KeyError) as error:
        raise HeadError(f"key 'decoder': {error}") from None


def _fill_buffers(module: nn.Module, fresh: nn.Module) -> None:
    """Buffers that no file holds, of a module that was made without memory."""
    for mine, theirs in zip(module.modules(), fresh.modules(), strict=True):
        for name, value in theirs.named_buffers(recurse=False):
            if getattr(mine, name).is_meta:
                setattr(mine, name, value)
