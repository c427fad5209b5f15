# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tiles or blocks of I/Q in, embeddings out: the inference engines behind one call.

    engine = open_engine("radiofm-small")
    embeddings = engine.embed(tiles)        # float32 (N, tile_rows, tile_cols) -> float32 (N, D)
    embeddings, tokens = engine.embed_with_tokens(tiles, [6])       # and those before block 6
    embeddings = open_engine("protobeam-sim").embed(blocks)         # complex64 (N, block) -> float32 (N, D)

An engine is a class in ``ENGINES``; ``open_engine(..., engine="auto")`` takes the first that runs here.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import contextmanager

if "torch" not in sys.modules:
    # OpenMP's idle threads spin by default and take the cores that the flowgraph's threads need.
    # It reads this once, when torch loads it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from radiofm_ml import bundle as bundles  # noqa: E402
from radiofm_ml.bundle import BundleError  # noqa: E402

PRECISIONS = ("auto", "fp32", "bf16")
MAX_TILE_VALUE = 1e4  # far above any real tile, and safe to square and sum in float32
MAX_SAMPLE = 1e15  # the same for I/Q, in whatever unit it comes
_MAX_BATCH = 32  # tiles or blocks in one pass; bounds the memory of a pass


class EngineError(RuntimeError):
    """An engine that cannot run here; one line that says what to do."""


class Engine:
    """A bundle's encoder, ready to run. Subclasses fill in ``available``, ``__init__`` and ``_run``.

    name    as in ``ENGINES``, with the precision: 'torch-bf16'
    bundle  the bundle whose encoder it runs
    spec    the tiles that it reads, None where it reads I/Q
    block   samples in a block that it reads, None where it reads tiles
    layers  whose tokens it can give: 0 (before the first block) to the number of blocks; none at all
            where the engine or the encoder cannot
    """

    name = ""
    layers = range(0)

    def __init__(self, bundle: bundles.Bundle):
        self.bundle = bundle
        self.spec, self.block = bundle.spec, bundle.block
        self.embedding_size = bundle.embedding_size

    @staticmethod
    def available() -> bool:
        """Is everything here that this engine needs?"""
        raise NotImplementedError

    def _run(self, inputs: np.ndarray) -> np.ndarray:
        """float32 (n, tile_rows, tile_cols) or (n, block, 2), finite, 1 <= n <= 32 -> float32 (n, D)."""
        raise NotImplementedError

    def _run_with_tokens(self, tiles: np.ndarray, layers: list[int]) -> tuple[np.ndarray, list[np.ndarray]]:
        """As ``_run``, and the tokens before each of ``layers``, float32 (n, 1 + T, dim)."""
        raise NotImplementedError

    def embed(self, inputs: np.ndarray) -> np.ndarray:
        """Embeddings, float32 (N, D), of model-ready tiles or of blocks of I/Q. N may be 0.

        Tiles: float32 (N, tile_rows, tile_cols) or (N, tile_rows*tile_cols); NaN counts as 0 and infinite or
        absurdly large values as +-1e4. I/Q: complex64 (N, block), in any unit; what is not finite counts
        as 0. So one bad value spoils neither its own embedding nor its neighbours'. Safe to call from
        several threads. Raises ValueError for another shape.
        """
        inputs = self._checked(inputs)
        embeddings = np.empty((len(inputs), self.embedding_size), np.float32)
        for i in range(0, len(inputs), _MAX_BATCH):
            embeddings[i:i + _MAX_BATCH] = self._run(self._clean(inputs[i:i + _MAX_BATCH]))
        return embeddings

    def embed_with_tokens(self, tiles: np.ndarray,
                          layers: Sequence[int]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """Embeddings as ``embed``, and for each of ``layers`` the tokens before that block, in one pass.

        Tokens: float32 (N, 1 + T, dim), the CLS token first, not normalised; layer ``depth`` stands for those
        behind the last block. Raises ValueError for another shape, and for a layer that is not in ``layers``
        of this engine.
        """
        layers = sorted(set(layers))
        for layer in layers:
            if layer not in self.layers:
                has = f"0 to {self.layers[-1]}" if self.layers else "none"
                raise ValueError(f"engine {self.name} of {self.bundle.id} has no tokens of layer {layer}; "
                                 f"there are: {has}")
        if not layers:
            return self.embed(tiles), {}
        tiles = self._checked(tiles)
        if not len(tiles):
            return self.embed(tiles), {layer: np.empty((0, 0, 0), np.float32) for layer in layers}
        parts = [self._run_with_tokens(self._clean(tiles[i:i + _MAX_BATCH]), layers)
                 for i in range(0, len(tiles), _MAX_BATCH)]
        tokens = {layer: np.concatenate([part[1][k] for part in parts]) for k, layer in enumerate(layers)}
        return np.concatenate([part[0] for part in parts]), tokens

    def _checked(self, inputs: np.ndarray) -> np.ndarray:
        spec, block = self.spec, self.block
        if block is not None:
            blocks = np.asarray(inputs)
            if blocks.shape[1:] != (block,) or not np.iscomplexobj(blocks):
                raise ValueError(f"I/Q must be complex, (N, {block}), for {self.bundle.id}, "
                                 f"got {blocks.dtype} {blocks.shape}")
            return np.ascontiguousarray(blocks, np.complex64)
        tiles = np.asarray(inputs, np.float32)
        if tiles.shape[1:] not in ((spec.tile_rows, spec.tile_cols), (spec.tile_size,)):
            raise ValueError(f"tiles must be (N, {spec.tile_rows}, {spec.tile_cols}) or "
                             f"(N, {spec.tile_size}) for {self.bundle.id}, got {tiles.shape}")
        return tiles.reshape(-1, spec.tile_rows, spec.tile_cols)

    def _clean(self, inputs: np.ndarray) -> np.ndarray:
        """What the network is given."""
        return clean_tiles(inputs) if self.block is None else clean_iq(inputs)


def clean_tiles(tiles: np.ndarray) -> np.ndarray:
    """A copy of tiles that a model can be given: NaN is 0, what is absurdly large +-1e4."""
    clean = np.nan_to_num(tiles, nan=0.0)
    return np.clip(clean, -MAX_TILE_VALUE, MAX_TILE_VALUE, out=clean)


def clean_iq(blocks: np.ndarray) -> np.ndarray:
    """Blocks, complex64 (N, L), as a network takes them: float32 (N, L, 2), I and Q last, in which what is
    not finite is 0 and what is absurdly large +-1e15. The samples themselves where all of them are sound."""
    values = np.require(blocks, np.complex64, "CW").view(np.float32).reshape(*blocks.shape, 2)
    if is_sound(blocks):
        return values
    clean = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(clean, -MAX_SAMPLE, MAX_SAMPLE, out=clean)


def is_sound(samples: np.ndarray) -> bool:
    """Are all samples finite, and none absurdly large? One quick pass: their energy tells."""
    return bool(np.vdot(samples, samples).real < MAX_SAMPLE**2)


class TorchEngine(Engine):
    """PyTorch on the CPU, in bf16 where the CPU multiplies bf16 matrices, else in fp32.

    threads: torch threads of a pass. One is best beside a flowgraph, whose own threads want the cores.
    """

    def __init__(self, bundle: bundles.Bundle, threads: int = 1, precision: str = "auto"):
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


# In order of preference for "auto".
ENGINES: dict[str, type[Engine]] = {"torch": TorchEngine}


def open_engine(ref, engine: str = "auto", threads: int = 1, precision: str = "auto",
                reads: str | None = None) -> Engine:
    """The encoder of a bundle, loaded and warmed up.

    ref        a Bundle, or what ``bundle.load`` takes
    engine     'auto' or a key of ``ENGINES``
    threads    of one pass
    precision  'fp32', 'bf16', or 'auto' for the fastest that keeps the embeddings (cosine to fp32 >= 0.999)
    reads      'tiles' or 'iq': refuse a bundle whose encoder reads the other

    Raises BundleError for a bundle that cannot be used, ValueError for other arguments, EngineError for an
    engine that does not run here.
    """
    if engine != "auto" and engine not in ENGINES:
        raise ValueError(f"engine must be one of auto, {', '.join(ENGINES)}, got {engine!r}")
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f"threads must be a whole number of at least 1, got {threads!r}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if engine == "auto":
        engine = next(name for name, kind in ENGINES.items() if kind.available())
    elif not ENGINES[engine].available():
        raise EngineError(f"engine {engine!r} is not installed; install it, or use engine 'auto'")
    bundle = bundles.load(ref, reads)
    opened = ENGINES[engine](bundle, threads, precision)
    try:  # the first pass is slow, and shows whether encoder and input fit each other
        opened.embed(_silence(bundle))
    except (RuntimeError, ValueError) as error:
        if bundle.block is None:
            read = f"{bundle.spec.tile_rows}x{bundle.spec.tile_cols} tiles of the spectrogram"
        else:
            read = f"blocks of {bundle.block} I/Q samples"
        raise BundleError(f"{bundle.path / 'config.json'}: the architecture does not take the {read} "
                          f"({str(error).splitlines()[0]})") from None
    return opened


def _silence(bundle: bundles.Bundle) -> np.ndarray:
    """One empty input of a bundle's encoder."""
    if bundle.block is None:
        return np.zeros((1, bundle.spec.tile_size), np.float32)
    return np.zeros((1, bundle.block), np.complex64)


def cpu_has_bf16() -> bool:
    """Does this CPU multiply bf16 matrices in hardware (AVX512_BF16, AMX)?"""
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(torch.backends.mkldnn.is_available() and has_bf16 is not None and has_bf16())


# -- torch threads --------------------------------------------------------------------------------------
_threads_lock = threading.Lock()
_threads_depth = 0
_threads_before = 1


@contextmanager
def torch_threads(n: int):
    """Run torch with ``n`` threads in the calling thread, and leave no trace.

    torch keeps a number for every thread and one that new threads begin with; setting it sets both. So the
    number from before the first of several overlapping uses is what each of them puts back.
    """
    global _threads_depth, _threads_before
    with _threads_lock:
        if _threads_depth == 0:
            _threads_before = torch.get_num_threads()
        _threads_depth += 1
    try:
        torch.set_num_threads(n)
        yield
    finally:
        with _threads_lock:
            torch.set_num_threads(_threads_before)
            _threads_depth -= 1


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
    """Make a ``models.tuned.TunedHead`` run as fast as the engine runs its encoder; it can then not be
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
