# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Settings of pre-training and of tuning, whose help texts are also those of the command line. Read whenever
a command starts, so this imports neither torch nor NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from radiofm_ml.arguments import setting

MASK_KINDS = ("random", "time", "frequency", "block", "mixed")
OBJECTIVES = ("pixels", "latent")
METHODS = ("probe", "mlp", "published-lp", "last-k", "lora", "full", "scratch")


@dataclass(frozen=True)
class PretrainConfig:
    """A run of pre-training; its terms are in ``objectives``, its masks in ``masks``.

    clip           largest norm of the gradient
    decoder_heads  of the decoder, or predictor

    'contrast' needs a reader's ``grouping``, which says what belongs together; ``objective_weight`` 0 leaves
    the objective out, for the other terms alone.
    """

    steps: int = setting(4000, "Optimisation steps.", low=1)
    batch_size: int = setting(64, "Tiles in a step, on all processes together.", low=1)
    objective: str = setting(
        "pixels", "pixels: of hidden patches, as published. latent: an averaged encoder's view.")
    objective_weight: float = setting(1.0, "Weight of the objective; 0 leaves the other terms alone.", low=0)
    mask: str = setting(
        "random", "What is hidden: random patches, bands in time or frequency, block, or mixed.")
    mask_ratio: float = setting(0.75, "Share of patches to hide.", low=0.05, high=0.95)
    mask_ratio_max: float = setting(
        0.0, "Draw a step's share from --mask-ratio to this; 0 for not.", low=0, high=0.95)
    norm_pixels: bool = setting(False, "Predict patches less their mean, over their standard deviation.")
    latent_layers: int = setting(4, "latent: last blocks of which to average.", low=1)
    latent_whole: bool = setting(True, "latent: the teacher sees the tile, or its hidden part.",
                                 flags="--latent-whole/--latent-hidden")
    momentum: float = setting(
        0.996, "latent: of the teacher's average at the start; 1 at the end.", low=0, high=1)
    contrast: float = setting(
        0.0, "Weight of the contrastive term. Uses the labels of synthetic tiles.", low=0)
    temperature: float = setting(0.1, "contrast: its temperature.", low=0.01)
    classify: float = setting(0.0, "Weight of classifying synthetic tiles by their labels.", low=0)
    describe: float = setting(
        0.0, "Weight of predicting the whole tile's descriptors. No labels are used.", low=0)
    decoder_dim: int = setting(128, "Width of the decoder.", low=8)
    decoder_depth: int = setting(2, "Blocks of the decoder.", low=1)
    decoder_heads: int = 8
    base_rate: float = setting(2.4e-3, "Learning rate at batch 256.", low=1e-6)
    warmup: int = setting(200, "Steps of linear warm-up.", low=0)
    weight_decay: float = setting(0.05, "Weight decay of matrices.", low=0)
    clip: float = 1.0
    precision: str = setting(
        "auto", "auto: bfloat16 where the processor has it; or bfloat16, or float32.")
    seed: int = setting(0, "Seed of the data, the weights and the masks.")

    def __post_init__(self):
        for name, allowed in (
            ("mask", MASK_KINDS),
            ("objective", OBJECTIVES),
            ("precision", ("auto", "bfloat16", "float32")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f"mask_ratio must lie between 0 and 1, got {self.mask_ratio}")
        if self.mask_ratio_max and not self.mask_ratio <= self.mask_ratio_max < 1:
            raise ValueError(f"mask_ratio_max must lie between mask_ratio and 1, got {self.mask_ratio_max}")
        weights = (self.objective_weight, self.contrast, self.classify, self.describe)
        if min(weights) < 0 or max(weights) == 0:
            raise ValueError("the terms' weights must be 0 or more, and one at least more")

    def rate(self, step: int) -> float:
        """Learning rate, scaled with the batch (2111.06377, A.1): linear warm-up, then a half cosine to
        zero."""
        peak = self.base_rate * self.batch_size / 256
        if step < self.warmup:
            return peak * (step + 1) / self.warmup
        return peak * 0.5 * (1 + math.cos(math.pi * (step - self.warmup) / max(1, self.steps - self.warmup)))


@dataclass(frozen=True)
class AugmentationSettings:
    """How far ``augment.Augmentation`` may change a tile; 0 leaves that change out.

    What is shifted out at one edge comes in at the other. Levels are shifted as a wrong noise floor would
    shift them; SNR is lost by every other tile, by noise that is added, the floor taken anew; rows are set to
    the noise floor, as samples lost on the way.
    """

    mirror: float = setting(0.5, "Augmentation: probability of a mirrored spectrum.", low=0, high=1)
    frequency_roll: float = setting(
        1 / 16, "Augmentation: largest shift, as a share of the band.", low=0, high=1)
    time_roll: float = setting(0.0, "Augmentation: largest shift, as a share of the tile.", low=0, high=1)
    gain_db: float = setting(0.0, "Augmentation: largest shift of all levels.", low=0)
    noise_db: float = setting(0.0, "Augmentation: largest loss of SNR.", low=0)
    erase: float = setting(0.0, "Augmentation: largest share of rows erased.", low=0, high=1)

    def __post_init__(self):
        for name, top in {
            "mirror": 1,
            "frequency_roll": 1,
            "time_roll": 1,
            "gain_db": 60,
            "noise_db": 60,
            "erase": 1,
        }.items():
            if not 0 <= getattr(self, name) <= top:
                raise ValueError(
                    f"augmentation: {name} must lie between 0 and {top}, got {getattr(self, name)}"
                )


@dataclass(frozen=True)
class TuneConfig:
    """How to tune (``tuning``).

    method         of METHODS
    read_out       of ``models.vit.READ_OUTS``, without the bundle's projection; '' for the bundle's own
                   read-out, also without; 'embedding': the bundle's embedding as it is
    hidden         sizes of hidden layers of the head; 'mlp' has one of 256 if none is given
    stabilised     lora: scale alpha / sqrt(rank), as published, else alpha / rank
    min_steps      of a run, at least
    weight_decay   of matrices
    layer_decay    learning rate of a block against that of the block after it
    warmup         share of the steps
    class_weights  by inverse frequency, of a segmentation that of their pixels
    drop_path      from 0 at the first block on to this at the last (arXiv 1603.09382); only in blocks that
                   are the head's own
    warm_start     begin with the fitted probe in place of a random last layer (LP-FT, arXiv 2202.10054)
    know_rate      beside the read-out (``heads.rates``)
    validation     share of the training groups held out to choose by, where every class has ten examples
    decoder        segmentation: the decoder's configuration (``models.segmentation``)
    """

    method: str = "lora"
    read_out: str = setting(
        "", "embedding, cls, mean, pooled, statistics or frequency; else the model's, unprojected.")
    hidden: tuple[int, ...] = ()
    last: int = setting(2, "last-k: how many blocks.", low=1)
    from_layer: int = setting(0, "lora: first block with additions.", low=0)
    rank: int = setting(32, "lora: rank of the additions.", low=1)
    alpha: float = setting(64.0, "lora: their scale is alpha / sqrt(rank).")
    stabilised: bool = True
    epochs: float = setting(10.0, "Passes over the examples.")
    min_steps: int = 40
    max_steps: int = setting(400, "At most so many steps a run.", low=1)
    batch_size: int = setting(64, "Examples a step.", low=1)
    base_rate: float = setting(1e-3, "Learning rate at 256 examples a step.")
    weight_decay: float = 0.05
    layer_decay: float = 0.75
    warmup: float = 0.1
    label_smoothing: float = setting(0.1, "Of a classification.", low=0.0, high=0.9)
    class_weights: bool | None = setting(
        None, "Rare classes (of a segmentation: pixels) count more; else of a classification only.")
    drop_path: float = setting(
        0.0, "How often the last block's branches are left out in training.", low=0.0, high=0.9)
    warm_start: bool = True
    know_rate: bool = setting(
        False, "Heads and baselines see the sample rate of a tile, where the task states it.",
        flags="--know-rate/--withhold-rate")
    validation: float = 0.2
    decoder: dict | None = None
    seed: int = 0

    def __post_init__(self):
        from radiofm_ml.models.vit import READ_OUTS

        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")
        if self.read_out not in ("", "embedding", *READ_OUTS):
            raise ValueError(f"read_out must be 'embedding' or one of {', '.join(READ_OUTS)}, "
                             f"got {self.read_out!r}")
        if self.batch_size < 1 or self.epochs <= 0 or not 1 <= self.min_steps <= self.max_steps:
            raise ValueError("batch_size and epochs must be above 0, and min_steps at most max_steps")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path must lie in 0..1, got {self.drop_path}")

    def steps(self, examples: int) -> int:
        wanted = math.ceil(self.epochs * examples / self.batch_size)
        return min(max(wanted, self.min_steps), self.max_steps)

    def rate(self, step: int, steps: int) -> float:
        """Linear warm-up, then a half cosine to zero."""
        peak = self.base_rate * self.batch_size / 256
        warm = max(1, round(self.warmup * steps))
        if step < warm:
            return peak * (step + 1) / warm
        return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
