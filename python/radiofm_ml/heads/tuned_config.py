# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a tuned head is made of, as head.json says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from radiofm_ml.arguments import is_number, is_whole
from radiofm_ml.heads.error import HeadError
from radiofm_ml.heads.head import validate_outputs
from radiofm_ml.heads.kinds import KINDS, Outputs
from radiofm_ml.models.lora import LoraConfig
from radiofm_ml.models.vit import ViTConfig


@dataclass(frozen=True)
class FrontConfig:
    """How an array (C, H, W) becomes a tile: (x - mean) / std for each channel, one channel out of C by
    learned weights (their average to begin with), resized to the tile."""

    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self):
        if not is_whole(self.channels, 1, 4096):
            raise HeadError(f"key 'front': channels must lie in 1..4096, got {self.channels!r}")
        for name in ("mean", "std"):
            values = getattr(self, name)
            numbers = isinstance(values, tuple) and all(map(is_number, values))
            if not numbers or len(values) != self.channels:
                raise HeadError(f"key 'front': {name} must be a list of {self.channels} finite numbers")
        if min(self.std) <= 0:
            raise HeadError("key 'front': std must be above 0")


@dataclass(frozen=True)
class TunedConfig(Outputs):
    """What a tuned head is.

    kind, task, model, labels   as of ``heads.Head``, but of any of ``heads.kinds.KINDS``
    temperature, unit, scale, offset, rate   as of ``heads.kinds.Outputs``; no rate with a decoder
    vit         the bundle's architecture, with the head's own read-out and projection
    from_layer  first block that is the head's own, 0..depth; depth: none is
    lora        the own blocks are the bundle's with these additions; None: whole copies
    tokenizer   patch embedding and CLS token are the head's own
    front       for arrays; None for tiles of the bundle
    hidden      sizes of the layers between the read-out and the last one, with ReLU between
    decoder     of a kind that decodes; an object with a 'kind', for ``models.segmentation.build_decoder``
    """

    kind: str
    task: str
    model: str
    labels: tuple[str, ...]
    vit: ViTConfig
    from_layer: int
    lora: LoraConfig | None = None
    tokenizer: bool = False
    front: FrontConfig | None = None
    hidden: tuple[int, ...] = ()
    decoder: dict | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise HeadError(f"key 'kind' must be one of {', '.join(KINDS)}, got {self.kind!r}")
        validate_outputs(self, len(self.labels))
        layer = self.from_layer
        if not is_whole(layer, 0, self.vit.depth):
            raise HeadError(f"key 'from_layer' must lie in 0..{self.vit.depth}, got {layer!r}")
        if self.lora and layer == self.vit.depth:
            raise HeadError("key 'lora': from_layer leaves no block for it")
        if not isinstance(self.tokenizer, bool):
            raise HeadError("key 'tokenizer' must be true or false")
        for size in self.hidden:
            if not is_whole(size, 1, 65536):
                raise HeadError(f"key 'hidden' must be a list of sizes from 1 to 65536, got {size!r}")
        decodes = KINDS[self.kind].decodes
        if decodes != (self.decoder is not None):
            raise HeadError(f"kind '{self.kind}' {'needs a' if decodes else 'has no'} 'decoder'")
        if self.decoder is not None and not isinstance(self.decoder.get("kind"), str):
            raise HeadError("key 'decoder' must be an object with a 'kind'")
        if self.rate and self.decoder is not None:
            raise HeadError("key 'rate': a decoder does not read it")

    @property
    def input(self) -> str:
        """Where the head begins: 'tokens' before block ``from_layer``, or at the 'tile'."""
        return "tile" if self.tokenizer or self.front else "tokens"

    def to_dict(self) -> dict:
        """For head.json."""
        values = {"kind": self.kind, "task": self.task, "model": self.model, "labels": list(self.labels),
                  "input": self.input, "from_layer": self.from_layer, "architecture": self.vit.to_dict(),
                  "lora": self.lora and self.lora.to_dict(), "tokenizer": self.tokenizer,
                  "front": self.front and {**asdict(self.front), "mean": list(self.front.mean),
                                           "std": list(self.front.std)},
                  "hidden": list(self.hidden), "decoder": self.decoder,
                  "rate": self.rate and self.rate.to_dict()}
        return values | KINDS[self.kind].settings(self)

    @classmethod
    def from_dict(cls, values: dict) -> TunedConfig:
        """Of the keys of head.json, 'rate' as ``RateCode``. Raises HeadError that names the key."""
        types = {"labels": list, "architecture": dict, "hidden": list, "lora": (dict, type(None)),
                 "front": (dict, type(None)), "decoder": (dict, type(None))}
        for key, kind in types.items():
            if not isinstance(values.get(key), kind) or key not in values:
                raise HeadError(f"key '{key}' is missing or of the wrong type")
        architecture = dict(values["architecture"])
        if architecture.pop("kind", None) != "vit":
            raise HeadError("key 'architecture': kind must be 'vit'")
        front = values["front"]
        try:
            vit = ViTConfig.from_dict(architecture)
            lora = None if values["lora"] is None else LoraConfig.from_dict(values["lora"])
        except (ValueError, TypeError) as error:
            raise HeadError(f"key 'architecture' or 'lora': {error}") from None
        if front is not None:
            lists = {key: tuple(v) if isinstance(v, list) else v for key, v in front.items()}
            try:
                front = FrontConfig(**lists)
            except TypeError:
                raise HeadError("key 'front' must be an object with channels, mean and std") from None
        made = cls(values["kind"], values["task"], values["model"], tuple(values["labels"]), vit,
                   values.get("from_layer"), lora, values.get("tokenizer"), front, tuple(values["hidden"]),
                   values["decoder"], **Outputs.read(values))
        if values.get("input") != made.input:
            raise HeadError(f"key 'input' is {values.get('input')!r}, the parts make it '{made.input}'")
        return made
