# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A model on disk: a folder that says everything about itself and loads safely.

    model.safetensors   weights (fp16 or fp32)
    config.json         architecture, what it reads, embedding size, labels, provenance
    calibration.json    what distances between embeddings mean; may be left out
    README.md           model card

The first two make the bundle's id. The calibration is no part of it: it can be made anew, and what was taught
and trained with the encoder goes on working. (Older bundles have theirs in config.json; it is read there.)

An encoder reads spectrogram tiles (key ``spectrogram``), pictures of signals (key ``signals``, see
``radiofm_ml.signals``), both of these, or blocks of raw I/Q (key ``iq``).

``load`` takes a path, the name of a shipped bundle, or a Hugging Face repository id.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from radiofm_ml import atomic, models
from radiofm_ml.arguments import is_whole
from radiofm_ml.files import check_regular
from radiofm_ml.pictures import NUMBERS, PictureSpec
from radiofm_ml.spectrogram import SpectrogramSpec

FORMAT_VERSION = 1
PRETRAINED = Path(__file__).parent / "pretrained"
FILES = ("model.safetensors", "config.json")
CALIBRATION = "calibration.json"
TILES, SIGNALS, IQ = "tiles", "signals", "iq"  # what an encoder reads
MAX_BLOCK = 1 << 20  # samples
_READS = {TILES: "spectrogram tiles", SIGNALS: "pictures of signals", IQ: "blocks of raw I/Q"}


@dataclass(frozen=True)
class Signals:
    """How an encoder reads signals, and what becomes of its vectors and of M physical numbers: an embedding
    of K values is ``weight`` (K, D + M) times both, plus ``bias`` (K,); of the vectors ``mean`` (D,) is taken
    off first, and their length."""

    picture: PictureSpec
    mean: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    @property
    def size(self) -> int:
        return len(self.bias)


class BundleError(ValueError):
    """A bundle that cannot be used; one line that names the file and the key."""


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle.

    config       the whole of config.json, validated
    spec         the tiles that the encoder reads; None where it reads none
    block        samples in a block that the encoder reads; None where it reads tiles or signals
    calibration  see ``fewshot.calibrate``; empty where there is none
    """

    path: Path
    config: dict
    spec: SpectrogramSpec | None
    block: int | None
    digest: str
    calibration: dict

    @property
    def reads(self) -> str:
        """'tiles', 'signals' or 'iq'; 'tiles' where it is both of the first two."""
        if self.block is not None:
            return IQ
        return SIGNALS if self.spec is None else TILES

    @property
    def picture(self) -> PictureSpec | None:
        """The pictures of signals that the encoder reads; None where it reads none."""
        return PictureSpec.from_dict(self.config["signals"]["picture"]) if "signals" in self.config else None

    @property
    def shape(self) -> tuple[int, int] | None:
        """Rows and columns of what the encoder reads, a tile or a picture; None where it reads I/Q."""
        if self.spec is not None:
            return self.spec.tile_rows, self.spec.tile_cols
        return None if self.picture is None else self.picture.shape

    @property
    def name(self) -> str:
        return self.config["name"]

    @property
    def id(self) -> str:
        """``name@`` and the first 8 digits of the sha256 of the weights and the configuration."""
        return _id(self.name, self.digest)

    @property
    def embedding_size(self) -> int:
        return self.config["embedding_size"]

    @property
    def labels(self) -> list[str]:
        return self.config.get("labels", [])

    @property
    def signals_id(self) -> str:
        """Of embeddings of signals."""
        return f"{self.id}/{SIGNALS}"

    @property
    def signals_calibration(self) -> dict:
        """The calibration of embeddings of signals; empty where there is none."""
        return self.calibration.get("signals", {})

    @cached_property
    def signals(self) -> Signals | None:
        """How signals are read; None where they are not. Raises BundleError."""
        if "signals" not in self.config:
            return None
        file, size = self.path / "model.safetensors", self.embedding_size + NUMBERS
        found = {key: self.tensors.get(f"signals.{key}") for key in ("mean", "weight", "bias")}
        for key, value in found.items():
            if value is None:
                raise BundleError(f"{file}: tensor 'signals.{key}' is missing")
            if not torch.isfinite(value).all():
                raise BundleError(f"{file}: tensor 'signals.{key}' holds NaN or infinite values")
        found = {key: value.float().numpy() for key, value in found.items()}
        rows = len(found["bias"]) if found["bias"].ndim == 1 else -1
        if found["mean"].shape != (self.embedding_size,) or found["weight"].shape != (rows, size):
            raise BundleError(f"{file}: tensors 'signals.*' must be mean ({self.embedding_size},), weight "
                              f"(K, {size}) and bias (K,)")
        return Signals(self.picture, **found)

    @cached_property
    def tensors(self) -> dict[str, torch.Tensor]:
        """Every tensor of model.safetensors, as stored."""
        return load_file(self.path / "model.safetensors")

    @cached_property
    def model(self) -> torch.nn.Module:
        """The network in float32, in eval mode; built at first use."""
        file = self.path / "model.safetensors"
        try:
            model = models.build(self.config["architecture"])
        except ValueError as error:
            raise BundleError(f"{self.path / 'config.json'}: architecture: {error}") from None
        weights = {
            key.removeprefix("model."): value.float()
            for key, value in self.tensors.items()
            if key.startswith("model.")
        }
        expected = model.state_dict()
        for key in expected.keys() - weights.keys():
            raise BundleError(
                f"{file}: tensor 'model.{key}' is missing; the file does not belong to this config.json"
            )
        for key, value in weights.items():
            if key not in expected:
                raise BundleError(f"{file}: tensor 'model.{key}' is not part of this architecture")
            if value.shape != expected[key].shape:
                raise BundleError(
                    f"{file}: tensor 'model.{key}' is {tuple(value.shape)}, "
                    f"the architecture needs {tuple(expected[key].shape)}"
                )
            if not torch.isfinite(value).all():
                raise BundleError(
                    f"{file}: tensor 'model.{key}' holds NaN or infinite values; the file is damaged"
                )
        model.load_state_dict(weights)
        return model.eval().requires_grad_(False)

    @cached_property
    def prototypes(self) -> np.ndarray | None:
        """Shipped prototypes, float32 (len(labels), embedding_size), or None."""
        value = self.tensors.get("prototypes")
        return None if value is None else value.float().numpy()


def shipped() -> list[str]:
    """Names of the bundles that come with the package."""
    return sorted(p.parent.name for p in PRETRAINED.glob("*/config.json"))


def resolve(ref: str | os.PathLike) -> Path:
    """Folder of a bundle: a path, a shipped name, or a Hugging Face id ``owner/name``."""
    path = Path(ref)
    if path.is_dir():
        return path
    if path.name == "config.json" and path.is_file():
        return path.parent
    name = str(ref)
    if (PRETRAINED / name / "config.json").is_file() and "/" not in name:
        return PRETRAINED / name
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return _from_hub(name)
    raise BundleError(
        f"{name}: no such bundle; give the folder of one, a Hugging Face id (owner/name), "
        f"or one of: {', '.join(shipped()) or 'none is shipped'}"
    )


def _from_hub(repo_id: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise BundleError(
            f"{repo_id}: no such folder; to fetch it from Hugging Face: pip install huggingface_hub"
        ) from None
    try:
        return Path(snapshot_download(repo_id, allow_patterns=[*FILES, CALIBRATION, "README.md"]))
    except Exception as error:  # the hub raises requests', its own and OS errors; all mean "not there"
        raise BundleError(
            f"{repo_id}: not a folder, and Hugging Face did not deliver it: {str(error).splitlines()[0]}"
        ) from None


def is_bundle(ref: str | os.PathLike) -> bool:
    """Is it the folder or the name of a bundle on this machine?"""
    return any((Path(place) / "config.json").is_file() for place in (ref, PRETRAINED / str(ref)))


def load(ref: str | os.PathLike | Bundle, reads: str | None = None) -> Bundle:
    """Open and check a bundle. Raises BundleError.

    reads: 'tiles', 'signals' or 'iq' where the encoder must read these; a bundle whose encoder does not is
    refused.
    """
    bundle = ref if isinstance(ref, Bundle) else _open(resolve(ref))
    both = reads == SIGNALS and bundle.picture is not None
    if reads is not None and bundle.reads != reads and not both:
        raise BundleError(f"{bundle.path / 'config.json'}: {bundle.id} reads {_READS[bundle.reads]}, "
                          f"a bundle that reads {_READS[reads]} is needed here")
    return bundle


def _open(path: Path) -> Bundle:
    for file in FILES:
        try:
            check_regular(path / file)
        except FileNotFoundError:
            raise BundleError(f"{path / file}: missing; a bundle holds {' and '.join(FILES)}") from None
        except OSError as error:
            raise BundleError(f"{path / file}: cannot be read: {error.strerror or error}") from None
    config = _read_config(path / "config.json")
    try:
        with safe_open(path / "model.safetensors", "pt") as weights:
            if not any(True for _ in weights.keys()):
                raise BundleError(f"{path / 'model.safetensors'}: holds no tensors")
    except (SafetensorError, OSError) as error:
        raise BundleError(
            f"{path / 'model.safetensors'}: not a safetensors file ({error}); fetch it again"
        ) from None
    digest = hashlib.sha256()
    for file in FILES:
        digest.update((path / file).read_bytes())
    spec = SpectrogramSpec.from_dict(config["spectrogram"]) if "spectrogram" in config else None
    calibration = _read_calibration(path, _id(config["name"], digest.hexdigest()))
    if calibration is None:
        calibration = config.get("calibration", {})
    block = config["iq"]["block"] if "iq" in config else None
    return Bundle(path, config, spec, block, digest.hexdigest(), calibration)


def _id(name: str, digest: str) -> str:
    return f"{name}@{digest[:8]}"


def _read_json(file: Path) -> dict:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise BundleError(f"{file}: must hold a JSON object")
    return content


def _read_calibration(path: Path, model: str) -> dict | None:
    """What calibration.json holds, None without that file. Its tables are for ``fewshot`` to check."""
    file = path / CALIBRATION
    if not file.exists():
        return None
    content = _read_json(file)
    if content.get("model") != model:
        raise BundleError(f"{file}: key 'model' is {content.get('model')!r}, the bundle is {model}; take the "
                          "calibration that belongs to it, or remove the file and run radiofm calibrate")
    return content


def save_calibration(bundle: Bundle, calibration: dict) -> Bundle:
    """Give a bundle another calibration; its id stays. Returns it read anew. Raises OSError."""
    text = json.dumps({**calibration, "model": bundle.id}, allow_nan=False)  # below: a row of a table a line
    atomic.write_text(bundle.path / CALIBRATION, text.replace(', {"shots"', ',\n{"shots"') + "\n")
    return load(bundle.path)


_KEYS = {
    "format_version": int,
    "name": str,
    "architecture": dict,
    "embedding_size": int,
    "licence": str,
}


def _read_config(file: Path) -> dict:
    config = _read_json(file)
    for key, kind in _KEYS.items():
        if key not in config:
            raise BundleError(f"{file}: key '{key}' is missing")
        if not isinstance(config[key], kind) or isinstance(config[key], bool):
            raise BundleError(f"{file}: key '{key}' must be {kind.__name__}")
    if config["format_version"] != FORMAT_VERSION:
        raise BundleError(
            f"{file}: format_version is {config['format_version']}, this release reads {FORMAT_VERSION}"
        )
    labels = config.get("labels", [])
    if (
        not isinstance(labels, list)
        or not all(isinstance(v, str) and v for v in labels)
        or len(set(labels)) != len(labels)
    ):
        raise BundleError(f"{file}: key 'labels' must be a list of different names")
    if not isinstance(config.get("calibration", {}), dict):
        raise BundleError(f"{file}: key 'calibration' must be an object")
    _check_input(config, file)
    try:
        size = models.embedding_size(config["architecture"])
    except ValueError as error:
        raise BundleError(f"{file}: architecture: {error}") from None
    if size != config["embedding_size"]:
        raise BundleError(
            f"{file}: key 'embedding_size' is {config['embedding_size']}, the architecture gives {size}"
        )
    return config


def _check_input(config: dict, file: Path) -> None:
    """Of what the encoder reads: I/Q, or tiles, signals or both."""
    given = [key for key in ("spectrogram", "signals", "iq") if key in config]
    if not given or "iq" in given and len(given) > 1:
        found = "both are there" if given else "neither is there"
        raise BundleError(f"{file}: needs key 'spectrogram' (tiles) or 'signals', or key 'iq' (blocks of raw "
                          f"I/Q), {found}")
    for key in given:
        if not isinstance(config[key], dict):
            raise BundleError(f"{file}: key '{key}' must be dict")
    try:
        if "iq" in config:
            _check_iq(config["iq"])
        spec = SpectrogramSpec.from_dict(config["spectrogram"]) if "spectrogram" in config else None
        if "signals" in config:
            _check_signals(config["signals"], spec)
    except ValueError as error:
        raise BundleError(f"{file}: {error}") from None


def _check_signals(signals: dict, spec: SpectrogramSpec | None) -> None:
    if set(signals) != {"picture"}:
        raise ValueError("signals: must hold the key 'picture' and no other")
    picture = PictureSpec.from_dict(signals["picture"])
    if spec is not None and picture.shape != (spec.tile_rows, spec.tile_cols):
        raise ValueError(f"signals: pictures are {picture.shape}, tiles {(spec.tile_rows, spec.tile_cols)}; "
                         "one network reads both")


def _check_iq(iq: dict) -> None:
    for name in iq.keys() - {"block"}:
        raise ValueError(f"iq: unknown key '{name}'")
    block = iq.get("block")
    if not is_whole(block, 1, MAX_BLOCK):
        raise ValueError(f"iq: block must be a whole number of samples from 1 to {MAX_BLOCK}, got {block!r}")


def save(
    path: str | os.PathLike,
    *,
    name: str,
    model: torch.nn.Module,
    architecture: dict,
    spec: SpectrogramSpec | None = None,
    block: int | None = None,
    card: str,
    licence: str = "GPL-3.0-or-later",
    labels: list[str] | None = None,
    prototypes: np.ndarray | None = None,
    calibration: dict | None = None,
    provenance: dict | None = None,
    half: bool = True,
    signals: Signals | None = None,
) -> Bundle:
    """Write a bundle and read it back.

    spec, signals, block  what the encoder reads: tiles, signals or both of them, or blocks of so many I/Q
                          samples
    half                  store the weights in fp16

    Raises ValueError, also for what ``load`` refuses.
    """
    if (spec is None and signals is None) == (block is None):
        raise ValueError("give spec, for an encoder of tiles, signals, for one of pictures of signals, or "
                         "block, for one of I/Q")
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"model.{key}": (value.half() if half and value.is_floating_point() else value).contiguous()
        for key, value in model.state_dict().items()
    }
    for key in ("mean", "weight", "bias") if signals else ():
        tensors[f"signals.{key}"] = torch.from_numpy(np.ascontiguousarray(getattr(signals, key), np.float32))
    if prototypes is not None:
        tensors["prototypes"] = torch.from_numpy(np.ascontiguousarray(prototypes, np.float32))
    config = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "licence": licence,
        "architecture": architecture,
        **({"spectrogram": spec.to_dict()} if spec else {}),
        **({"iq": {"block": block}} if block is not None else {}),
        **({"signals": {"picture": signals.picture.to_dict()}} if signals else {}),
        "embedding_size": models.embedding_size(architecture),
        "labels": labels or [],
        "provenance": provenance or {},
    }
    (path / CALIBRATION).unlink(missing_ok=True)  # of another encoder: the files below do not fit it
    # Both are whole before either takes its place: who has the old ones mapped keeps them.
    # The large file goes first, so that a crash finds little time between the two.
    with atomic.replacing(path / FILES[1]) as about, atomic.replacing(path / FILES[0]) as weights:
        weights.write_bytes(to_bytes(tensors))
        about.write_text(json.dumps(config, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    atomic.write_text(path / "README.md", card)
    made = load(path)
    return save_calibration(made, calibration) if calibration else made
