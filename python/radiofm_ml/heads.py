# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A trained head on disk: from a bundle's embedding, tokens or tile to a class, to numbers, or to a picture
of labels.

    head.safetensors   its weights
    head.json          what it is for, whose embeddings it reads, and where it begins ('input')

    head = heads.load(path)
    head.input                      'embedding': a ``Head``, numpy only, called with embeddings
                                    'tokens', 'tile': a ``models.tuned.TunedHead``, which carries what tuning
                                    changed of the encoder and needs torch

A plain head's tensors are layers.0.weight, layers.0.bias, layers.1.weight …, (out, in) as in torch.nn.Linear,
and 'mean' for 'cl2n'. A head of either form may know the receiver's sample rate (``rate``): it is then called
with it, too. The name of the second file differs from a bundle's config.json, so that a head may lie
in a bundle's folder. Needs numpy, and safetensors to read and write.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from radiofm_ml.calibration import softmax
from radiofm_ml.geometry import NORMALISATIONS, normalise
from radiofm_ml.rates import RateCode

if TYPE_CHECKING:
    from radiofm_ml.models.tuned import TunedHead

FORMAT = "radiofm-head"
FORMAT_VERSION = 3  # 1 had no key 'input' and plain heads only, 2 no key 'rate'
FILES = ("head.safetensors", "head.json")
KINDS = ("classification", "regression")
ACTIVATIONS = {"relu": lambda x: np.maximum(x, 0.0)}


class HeadError(ValueError):
    """A head that cannot be used; one line that names the file and the key."""


@dataclass(frozen=True)
class Head:
    """A head, ready to use.

    kind            'classification' or 'regression'
    task            a word for what is decided, such as 'modulation' or 'position'
    model           id of the bundle whose embeddings it reads
    labels          the classes, or the names of the numbers
    layers          ((weight (out, in), bias (out,)), ...): one for a linear head, more for an MLP; the first
                    reads the normalised embedding and, behind it, the bumps of ``rate``
    activation      between the layers: 'relu'
    normalisation   of the embedding: 'none', 'l2', or 'cl2n' with ``mean`` (see ``geometry.normalise``)
    temperature     classification: probabilities are softmax(output / temperature)
    unit            regression: of the numbers, such as 'm' or 'deg'
    scale, offset   regression: number = output * scale + offset, each one number or one for each
    rate            how it sees the sample rate; None: not at all
    """

    kind: str
    task: str
    model: str
    labels: tuple[str, ...]
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    activation: str = "relu"
    normalisation: str = "none"
    mean: np.ndarray | None = None
    temperature: float = 1.0
    unit: str = ""
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    rate: RateCode | None = None

    def __post_init__(self):
        _validate(self)

    input = "embedding"
    from_layer = None

    @property
    def embedding_size(self) -> int:
        return self.layers[0][0].shape[1] - (self.rate.count if self.rate else 0)

    def __call__(self, embeddings, rates=None) -> np.ndarray:
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
        if self.kind == "classification":
            return softmax(x / self.temperature)
        return x * np.array(self.scale) + np.array(self.offset)


def read_rates(head: Head | TunedHead, rates, n: int) -> np.ndarray:
    """What a head with a ``rate`` sees of the sample rates of ``n`` tiles: float32 (n, count). Raises
    ValueError where they are missing."""
    if rates is None or len(rates) != n:
        raise ValueError(f"head '{head.task}' needs the sample rate of each of {n} tiles")
    return head.rate(rates)


def fit_linear(embeddings, targets, *, task: str, model: str = "", unit: str = "", labels: Sequence[str] = (),
               normalisation: str = "none", penalty: float = 1e-2, balanced: bool = False,
               rates=None) -> Head:
    """Linear head on frozen embeddings, fitted to the end (logistic regression, or ridge regression).

    embeddings  float (N, D)
    targets     N names for classification; float (N,) or (N, M) for regression
    labels      names of the M numbers of a regression; 'value' if there is one. Of a classification: the
                classes in the order wanted, each of which occurs; alphabetic if left out
    penalty     weight of the squared weights (of standardised embeddings) against the mean loss
    balanced    classification: every class counts the same, however often it occurs
    rates       of the N examples in samples/s, for a head that knows the rate
    """
    x = np.asarray(embeddings, np.float64)
    mean = x.mean(0).astype(np.float32) if normalisation == "cl2n" else None
    x = normalise(x, normalisation, mean)
    centre, spread = x.mean(0), np.maximum(x.std(0), 1e-9)
    x = (x - centre) / spread
    rate = None
    if rates is not None:
        rate = RateCode()
        bumps = rate(rates)
        x = np.concatenate([x, bumps], 1)
        centre, spread = (np.append(v, np.full(rate.count, s)) for v, s in ((centre, 0.0), (spread, 1.0)))
    targets = np.asarray(targets)
    if targets.dtype.kind in "US":
        found, index = np.unique(targets, return_inverse=True)
        if labels:
            if sorted(map(str, labels)) != found.tolist():
                raise HeadError(f"{task}: the classes are {', '.join(labels)}, the examples are of "
                                f"{', '.join(found)}; each needs an example")
            index = np.argsort(np.array(labels))[index]
        else:
            labels = found
        share = np.ones(len(index)) / len(index)
        if balanced:
            share = 1.0 / (np.bincount(index)[index] * len(labels))
        weight, bias = _fit_logistic(x, index, len(labels), penalty, share)
        options = {}
    else:
        y = targets.reshape(len(x), -1).astype(np.float64)
        labels = labels or ("value",)
        offset, scale = y.mean(0), np.maximum(y.std(0), 1e-9)
        gram = x.T @ x / len(x) + penalty * np.eye(x.shape[1])
        weight, bias = np.linalg.solve(gram, x.T @ ((y - offset) / scale) / len(x)).T, np.zeros(y.shape[1])
        options = {"unit": unit, "scale": tuple(scale.tolist()), "offset": tuple(offset.tolist())}
    weight = weight / spread
    bias = bias - weight @ centre
    layer = weight.astype(np.float32), bias.astype(np.float32)
    return Head("regression" if options else "classification", task, model, tuple(map(str, labels)), (layer,),
                normalisation=normalisation, mean=mean, rate=rate, **options)


def _fit_logistic(x: np.ndarray, index: np.ndarray, classes: int, penalty: float, share: np.ndarray):
    """Weights (classes, D) and biases. share: (N,) how much of the loss each example is, 1 in total."""
    from scipy.optimize import minimize

    basis = None
    if x.shape[0] < x.shape[1]:  # the weights lie in the span of the examples: fewer coordinates do
        basis, corner = np.linalg.qr(x.T)
        x = corner.T
    n, size = x.shape
    truth = np.eye(classes)[index]
    extended = np.column_stack([x, np.ones(n)])

    def loss(flat: np.ndarray):
        w = flat.reshape(classes, size + 1)
        p = softmax(extended @ w.T)
        value = -share @ np.log(np.maximum(p[np.arange(n), index], 1e-300))
        value += penalty / 2 * (w[:, :-1]**2).sum()
        slope = ((p - truth) * share[:, None]).T @ extended
        slope[:, :-1] += penalty * w[:, :-1]
        return value, slope.ravel()

    best = minimize(loss, np.zeros(classes * (size + 1)), jac=True, method="L-BFGS-B",
                    options={"maxiter": 1000, "ftol": 1e-6})  # beyond, only the loss's sixth digit moves
    w = best.x.reshape(classes, size + 1)
    return w[:, :-1] if basis is None else w[:, :-1] @ basis.T, w[:, -1]


def save(path: str | os.PathLike, head: Head | TunedHead) -> Head | TunedHead:
    """Write a head into a folder (made if need be) and read it back."""
    from safetensors.numpy import save_file

    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    tensors, config = _plain(head) if head.input == "embedding" else _tuned(head)
    config = {"format": FORMAT, "format_version": FORMAT_VERSION, **config}
    save_file(tensors, path / FILES[0])
    (path / FILES[1]).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return load(path)


def _tuned(head: TunedHead) -> tuple[dict, dict]:
    state = {name: value.detach().float().cpu().contiguous().numpy()
             for name, value in head.own_state().items()}
    return state, head.config.to_dict()


def _plain(head: Head) -> tuple[dict, dict]:
    tensors = {} if head.mean is None else {"mean": np.ascontiguousarray(head.mean, np.float32)}
    for i, (weight, bias) in enumerate(head.layers):
        tensors[f"layers.{i}.weight"] = np.ascontiguousarray(weight, np.float32)
        tensors[f"layers.{i}.bias"] = np.ascontiguousarray(bias, np.float32)
    config = {"kind": head.kind, "task": head.task, "model": head.model, "labels": list(head.labels),
              "input": head.input, "embedding_size": head.embedding_size, "layers": len(head.layers),
              "activation": head.activation, "normalisation": head.normalisation,
              "rate": head.rate and head.rate.to_dict()}
    if head.kind == "classification":
        config["temperature"] = head.temperature
    else:
        config |= {"unit": head.unit, "scale": list(head.scale), "offset": list(head.offset)}
    return tensors, config


def folder(ref: str | os.PathLike) -> Path:
    """Folder of a head: ``ref`` itself, or where a head that ships with a bundle lies
    ('radiofm-small/signal')."""
    path = Path(ref)
    if path.name == FILES[1]:
        return path.parent
    if len(path.parts) == 2 and not path.exists():
        shipped = Path(__file__).parent / "pretrained" / path.parts[0] / "heads" / path.parts[1]
        return shipped if shipped.is_dir() else path
    return path


def load(ref: str | os.PathLike) -> Head | TunedHead:
    """Open and check a head: its folder, its head.json, or 'BUNDLE/NAME' of one that ships.

    Raises HeadError.
    """
    path = folder(ref)
    for name in FILES:
        if not (path / name).is_file():
            raise HeadError(f"{path / name}: missing; a head is a folder with {' and '.join(FILES)}")
    config = _read_config(path / FILES[1])
    tensors = _read_tensors(path / FILES[0])
    if config["input"] == "embedding":
        return _load_plain(path, config, tensors)
    return _load_tuned(path, config, tensors)


def _load_tuned(path: Path, config: dict, tensors: dict) -> TunedHead:
    import torch

    from radiofm_ml.models.tuned import TunedConfig, TunedHead

    try:
        known = TunedConfig.from_dict(config)
    except HeadError as error:
        raise HeadError(f"{path / FILES[1]}: {error}") from None
    try:
        return TunedHead.from_state(known, {name: torch.from_numpy(v) for name, v in tensors.items()})
    except HeadError as error:
        raise HeadError(f"{path / FILES[0]}: {error}") from None


def _load_plain(path: Path, config: dict, tensors: dict) -> Head:
    _need(path / FILES[1], config, _PLAIN_KEYS)
    if not 1 <= config["layers"] <= 100:
        raise HeadError(f"{path / FILES[1]}: key 'layers' must lie in 1..100")
    names = [f"layers.{i}.{part}" for i in range(config["layers"]) for part in ("weight", "bias")]
    names += ["mean"] if config["normalisation"] == "cl2n" else []
    for name in names:
        if name not in tensors:
            raise HeadError(f"{path / FILES[0]}: tensor '{name}' is missing")
    for name in tensors.keys() - set(names):
        raise HeadError(f"{path / FILES[0]}: tensor '{name}' is not part of this head")
    options = {key: config[key] for key in ("temperature", "unit", "rate") if key in config}
    for key in ("scale", "offset"):
        if key in config:
            options[key] = tuple(config[key]) if isinstance(config[key], list) else config[key]
    parts = [tensors[name] for name in names[:2 * config["layers"]]]
    layers = tuple(zip(parts[::2], parts[1::2], strict=True))
    try:
        head = Head(config["kind"], config["task"], config["model"], tuple(config["labels"]), layers,
                    config["activation"], config["normalisation"], tensors.get("mean"), **options)
    except HeadError as error:
        raise HeadError(f"{path / FILES[1]}: {error}") from None
    if head.embedding_size != config["embedding_size"]:
        raise HeadError(f"{path / FILES[1]}: key 'embedding_size' is {config['embedding_size']}, "
                        f"the weights read {head.embedding_size} values")
    return head


_KEYS = {"format": str, "format_version": int, "kind": str, "task": str, "model": str, "labels": list}
_PLAIN_KEYS = {"embedding_size": int, "layers": int, "activation": str, "normalisation": str}
INPUTS = ("embedding", "tokens", "tile")


def _read_config(file: Path) -> dict:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise HeadError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise HeadError(f"{file}: key 'format' must be '{FORMAT}'")
    _need(file, config, _KEYS)
    if not 1 <= config["format_version"] <= FORMAT_VERSION:
        raise HeadError(f"{file}: key 'format_version' is {config['format_version']}, this release reads "
                        f"1..{FORMAT_VERSION}")
    if config["format_version"] == 1:
        config["input"] = "embedding"
    if config.get("input") not in INPUTS:
        raise HeadError(f"{file}: key 'input' must be one of {', '.join(INPUTS)}, "
                        f"got {config.get('input')!r}")
    try:
        config["rate"] = None if config.get("rate") is None else RateCode.from_dict(config["rate"])
    except ValueError as error:
        raise HeadError(f"{file}: key 'rate': {error}") from None
    return config


def _need(file: Path, config: dict, keys: dict[str, type]) -> None:
    for key, kind in keys.items():
        if not isinstance(config.get(key), kind) or isinstance(config.get(key), bool):
            raise HeadError(f"{file}: key '{key}' must be {kind.__name__}")


def _read_tensors(file: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        raise HeadError("heads need the Python package safetensors: pip install safetensors") from None
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise HeadError(f"{file}: not a safetensors file ({error})") from None
    for name, tensor in tensors.items():
        if tensor.dtype.kind != "f" or not np.isfinite(tensor).all():
            raise HeadError(f"{file}: tensor '{name}' must hold finite floating-point numbers")
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def _validate(head: Head) -> None:
    if head.kind not in KINDS:
        raise HeadError(f"key 'kind' must be one of {', '.join(KINDS)}, got {head.kind!r}")
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


def validate_outputs(head, size: int) -> None:
    """Check what heads of every form say of their ``size`` outputs. Raises HeadError."""
    if not isinstance(head.task, str) or not head.task:
        raise HeadError("key 'task' must be a word for what the head decides")
    labels = head.labels
    named = all(isinstance(v, str) and v for v in labels)
    if not named or len(set(labels)) != len(labels) or len(labels) != size:
        raise HeadError(f"key 'labels' must be {size} different names, one for each output of the last layer")
    if head.kind != "regression":
        if len(labels) < 2 or not _finite(head.temperature) or head.temperature <= 0:
            raise HeadError(f"a {head.kind} head needs two labels or more and a 'temperature' above 0")
        return
    if not labels:
        raise HeadError("key 'labels' must name the numbers")
    if not isinstance(head.unit, str):
        raise HeadError("key 'unit' must be a word")
    for key in ("scale", "offset"):
        values = getattr(head, key)
        if not isinstance(values, tuple) or len(values) not in (1, size) or not all(map(_finite, values)):
            raise HeadError(f"key '{key}' must be a list of 1 or {size} finite numbers")


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


def _finite(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
