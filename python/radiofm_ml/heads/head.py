# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A plain head, from a bundle's embedding to probabilities or numbers, in numpy; and what heads of every
form have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.fewshot.geometry import NORMALISATIONS, normalise
from radiofm_ml.heads.error import HeadError
from radiofm_ml.heads.kinds import KINDS, Outputs

ACTIVATIONS = {"relu": lambda x: np.maximum(x, 0.0)}


@dataclass(frozen=True)
class Head(Outputs):
    """A head, ready to use.

    kind            of ``heads.kinds.KINDS``, one without a decoder
    task            a word for what is decided, such as 'modulation' or 'position'
    model           id of the bundle whose embeddings it reads
    labels          the classes, or the names of the numbers
    layers          ((weight (out, in), bias (out,)), ...): one for a linear head, more for an MLP; the first
                    reads the normalised embedding and, behind it, the values of ``rate``
    activation      between the layers: 'relu'
    normalisation   of the embedding: 'none', 'l2', or 'cl2n' with ``mean`` (see ``geometry.normalise``)
    temperature, unit, scale, offset, rate   as of ``heads.kinds.Outputs``
    """

    kind: str
    task: str
    model: str
    labels: tuple[str, ...]
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    activation: str = "relu"
    normalisation: str = "none"
    mean: np.ndarray | None = None

    def __post_init__(self):
        _validate(self)

    input = "embedding"
    from_layer = None

    @property
    def embedding_size(self) -> int:
        return self.layers[0][0].shape[1] - (self.rate.count if self.rate else 0)

    def __call__(self, embeddings: ArrayLike, rates: ArrayLike | None = None) -> np.ndarray:
        """Probabilities or numbers, float64 (N, len(labels)), of raw embeddings (N, D).

        rates: of the N tiles in samples/s, where the head has a ``rate``; else not read. Raises ValueError.
        """
        x = normalise(embeddings, self.normalisation, self.mean)
        if self.rate:
            x = np.concatenate([x, read_rates(self, rates, len(x))], 1)
        for i, (weight, bias) in enumerate(self.layers):
            if i:
                x = ACTIVATIONS[self.activation](x)
            x = x @ weight.T + bias
        return KINDS[self.kind].finish(x, self)


def read_rates(head: Any, rates: ArrayLike | None, n: int) -> np.ndarray:
    """What a head with a ``rate`` sees of the sample rates of ``n`` tiles: float32 (n, count). Raises
    ValueError where they are missing."""
    if rates is None or len(rates) != n:
        raise ValueError(f"head '{head.task}' needs the sample rate of each of {n} tiles")
    return head.rate(rates)


def _validate(head: Head) -> None:
    plain = [name for name, kind in KINDS.items() if not kind.decodes]
    if head.kind not in plain:
        raise HeadError(f"key 'kind' must be one of {', '.join(plain)}, got {head.kind!r}")
    if head.activation not in ACTIVATIONS:
        raise HeadError(f"key 'activation' must be one of {', '.join(ACTIVATIONS)}, got {head.activation!r}")
    if head.normalisation not in NORMALISATIONS:
        raise HeadError(f"key 'normalisation' must be one of {', '.join(NORMALISATIONS)}, "
                        f"got {head.normalisation!r}")
    size = _validate_layers(head.layers)
    if head.embedding_size < 1:
        raise HeadError("key 'rate': the first layer reads no more than the sample rate")
    if (head.normalisation == "cl2n") != (head.mean is not None):
        raise HeadError("normalisation 'cl2n' needs a mean, and no other has one")
    if head.mean is not None and head.mean.shape != (head.embedding_size,):
        raise HeadError(f"the mean is {head.mean.shape}, the embedding has {head.embedding_size} values")
    validate_outputs(head, size)


def validate_outputs(head: Any, size: int) -> None:
    """Check what heads of every form say of their ``size`` outputs. Raises HeadError."""
    if not isinstance(head.task, str) or not head.task:
        raise HeadError("key 'task' must be a word for what the head decides")
    labels = head.labels
    named = all(isinstance(v, str) and v for v in labels)
    if not named or len(set(labels)) != len(labels) or len(labels) != size:
        raise HeadError(f"key 'labels' must be {size} different names, one for each output of the last layer")
    KINDS[head.kind].check(head, size)


def _validate_layers(layers: Sequence) -> int:
    """Number of outputs. Raises HeadError where the layers do not fit one another."""
    if not layers:
        raise HeadError("a head needs a layer")
    before = None
    for i, (weight, bias) in enumerate(layers):
        if weight.ndim != 2 or not weight.size or bias.shape != weight.shape[:1]:
            raise HeadError(f"layers.{i}: weight {weight.shape} and bias {bias.shape} do not fit")
        if before not in (None, weight.shape[1]):
            raise HeadError(f"layers.{i}: reads {weight.shape[1]} values, layer {i - 1} gives {before}")
        before = weight.shape[0]
    return before
