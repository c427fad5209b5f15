# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""PyTorch on the CPU, with the linear layers packed for bf16 where the CPU has it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from radiofm_ml.bundle import Bundle
from radiofm_ml.engines.base import Engine
from radiofm_ml.engines.threads import torch_threads


class TorchEngine(Engine):
    """PyTorch on the CPU, in bf16 where the CPU multiplies bf16 matrices, else in fp32.

    threads: torch threads of a pass. One is best beside a flowgraph, whose own threads want the cores.
    """

    def __init__(self, bundle: Bundle, threads: int = 1, precision: str = "auto"):
        super().__init__(bundle)
        if precision == "auto":
            precision = "bf16" if cpu_has_bf16() else "fp32"
        self.name = f"torch-{precision}"
        self._threads = threads
        self._model = _pack_bf16(bundle.model) if precision == "bf16" else bundle.model
        if hasattr(bundle.model, "tokens_before"):
            self.layers = range(len(bundle.model.blocks) + 1)

    @staticmethod
    def available() -> bool:
        return True  # this package depends on torch

    def _run(self, inputs: np.ndarray) -> np.ndarray:
        with torch_threads(self._threads), torch.inference_mode():
            return self._model(torch.from_numpy(inputs)).float().numpy()

    def _run_with_tokens(self, tiles: np.ndarray, layers: list[int]) -> tuple[np.ndarray, list[np.ndarray]]:
        last = self.layers[-1]
        with torch_threads(self._threads), torch.inference_mode():
            tokens = self._model.tokens_before(torch.from_numpy(tiles), [*layers, last])
            embeddings = self._model.finish(tokens[last])
            return embeddings.float().numpy(), [tokens[layer].float().numpy() for layer in layers]


def cpu_has_bf16() -> bool:
    """Does this CPU multiply bf16 matrices in hardware (AVX512_BF16, AMX)?"""
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(torch.backends.mkldnn.is_available() and has_bf16 is not None and has_bf16())


# -- bf16 ------------------------------------------------------------------------------------------------
class _PackedLinear(nn.Module):
    """nn.Linear, optionally with the GELU behind it, in bf16 with its weight laid out for oneDNN once.

    The layers between stay in the type that comes in (float32): they cost little, and the residual stream
    and the read-out keep their digits.
    """

    def __init__(self, linear: nn.Linear, gelu: bool = False):
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().bfloat16())
        self.bias = None if linear.bias is None else linear.bias.detach().bfloat16()
        self.activation = "gelu" if gelu else "none"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(x.bfloat16(), self.weight, self.bias,
                                                  self.activation, [], "none")


def accelerate(head: nn.Module, precision: str = "auto") -> None:
    """Make a ``heads.tuned.TunedHead`` run as fast as the engine runs its encoder; it can then not be
    trained."""
    if precision == "bf16" or (precision == "auto" and cpu_has_bf16()):
        head.encoder = _pack_bf16(head.encoder)
        if head.decoder is not None:
            head.decoder = _packed(head.decoder)


def _pack_bf16(model: nn.Module) -> nn.Module:
    """The model with its linear layers packed; ``model`` itself stays as it is.

    A final ``projection`` stays in float32: whitening magnifies small differences, and it costs little.
    """
    packed = _shallow_copy(model)
    for name, child in model.named_children():
        if name != "projection":
            setattr(packed, name, _packed(child))
    return packed


def _packed(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.Linear):
        return _PackedLinear(module)
    if isinstance(module, nn.Sequential):
        return _packed_sequence(list(module))
    copy = _shallow_copy(module)
    for name, child in module.named_children():
        setattr(copy, name, _packed(child))
    return copy


def _packed_sequence(layers: list[nn.Module]) -> nn.Sequential:
    packed, i = [], 0
    while i < len(layers):
        after = layers[i + 1] if i + 1 < len(layers) else None
        gelu = isinstance(after, nn.GELU) and after.approximate == "none"
        if isinstance(layers[i], nn.Linear) and gelu:
            packed.append(_PackedLinear(layers[i], gelu=True))
            i += 2
        else:
            packed.append(_packed(layers[i]))
            i += 1
    return nn.Sequential(*packed)


def _shallow_copy(module: nn.Module) -> nn.Module:
    """A module of its own over the same parameters and buffers, whose children can be replaced."""
    copy = module.__new__(type(module))
    copy.__dict__ = dict(module.__dict__)
    copy._modules = dict(module._modules)
    return copy
