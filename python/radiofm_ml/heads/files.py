# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Heads on disk: head.safetensors beside head.json. Needs safetensors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from radiofm_ml.atomic import replacing
from radiofm_ml.files import check_regular
from radiofm_ml.heads.error import HeadError
from radiofm_ml.heads.head import Head
from radiofm_ml.heads.kinds import KINDS, Outputs
from radiofm_ml.heads.rates import RateCode

if TYPE_CHECKING:
    from radiofm_ml.heads.tuned import TunedHead

FORMAT = "radiofm-head"
FORMAT_VERSION = 3  # 1 had no key 'input' and plain heads only, 2 no key 'rate'
FILES = ("head.safetensors", "head.json")
_PRETRAINED = Path(__file__).parents[1] / "pretrained"


def save(path: str | os.PathLike, head: Head | TunedHead) -> Head | TunedHead:
    """Write a head into a folder (made if need be) and read it back."""
    from safetensors.numpy import save_file

    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    tensors, config = _plain(head) if head.input == "embedding" else _tuned(head)
    config = {"format": FORMAT, "format_version": FORMAT_VERSION, **config}
    with replacing(path / FILES[0]) as weights, replacing(path / FILES[1]) as about:
        save_file(tensors, weights)
        about.write_text(json.dumps(config, indent=2, allow_nan=False) + "\n", encoding="utf-8")
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
    return tensors, config | KINDS[head.kind].settings(head)


def folder(ref: str | os.PathLike) -> Path:
    """Folder of a head: ``ref`` itself, or where a head that ships with a bundle lies
    ('radiofm-small/signal')."""
    path = Path(ref)
    if path.name == FILES[1]:
        return path.parent
    if len(path.parts) == 2 and not path.exists():
        shipped = _PRETRAINED / path.parts[0] / "heads" / path.parts[1]
        return shipped if shipped.is_dir() else path
    return path


def load(ref: str | os.PathLike) -> Head | TunedHead:
    """Open and check a head: its folder, its head.json, or 'BUNDLE/NAME' of one that ships.

    Raises HeadError.
    """
    path = folder(ref)
    for name in FILES:
        try:
            check_regular(path / name)
        except (FileNotFoundError, NotADirectoryError):
            raise HeadError(f"{path / name}: missing; a head is a folder with "
                            f"{' and '.join(FILES)}") from None
        except OSError as error:
            raise HeadError(f"{path / name}: cannot be read: {error.strerror or error}") from None
    config = _read_config(path / FILES[1])
    tensors = _read_tensors(path / FILES[0])
    if config["input"] == "embedding":
        return _load_plain(path, config, tensors)
    return _load_tuned(path, config, tensors)


def _load_tuned(path: Path, config: dict, tensors: dict) -> TunedHead:
    import torch

    from radiofm_ml.heads.tuned import TunedHead
    from radiofm_ml.heads.tuned_config import TunedConfig

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
    parts = [tensors[name] for name in names[:2 * config["layers"]]]
    layers = tuple(zip(parts[::2], parts[1::2], strict=True))
    try:
        head = Head(config["kind"], config["task"], config["model"], tuple(config["labels"]), layers,
                    config["activation"], config["normalisation"], tensors.get("mean"),
                    **Outputs.read(config))
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
    except OSError as error:
        raise HeadError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
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
