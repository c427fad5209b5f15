# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Files of prototypes and of groups: tensors in safetensors, with a header in JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from radiofm_ml import atomic, files

_JSON = "radiofm"  # the one metadata key of the file


class PrototypeError(ValueError):
    """A change that was refused; one sentence that says why. Nothing has changed."""


def read(path: Path, form: str, holds: str, tensors: Mapping[str, tuple[str, int]],
         optional: Collection[str] = ()) -> tuple[dict, dict[str, np.ndarray]]:
    """Header and tensors of a file, kinds and axes checked.

    form: what the header's ``format`` must be. holds: what such a file holds, for messages. tensors: kind
    ('F32') and number of axes of each; those that are ``optional`` may be left out. Raises PrototypeError.
    """
    safetensors = _safetensors()
    try:
        files.check_regular(path)
        with safetensors.safe_open(path, "np") as file:
            header = json.loads((file.metadata() or {}).get(_JSON, "null"))
            if not isinstance(header, dict) or header.get("format") != form:
                raise PrototypeError(f"{path}: holds no {holds} (is it a model?); choose another name")
            found, there = {}, set(file.keys())
            for name, (kind, axes) in tensors.items():
                part = file.get_slice(name) if name in there else None
                if part is not None and (part.get_dtype(), len(part.get_shape())) == (kind, axes):
                    found[name] = file.get_tensor(name)
                elif part is not None or name not in optional:
                    raise PrototypeError(f"{path}: tensor '{name}' must be there, float{kind[1:]}, with "
                                         f"{axes} axes")
            return header, found
    except FileNotFoundError:
        raise PrototypeError(f"{path}: no such file") from None
    except OSError as error:
        raise PrototypeError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (safetensors.SafetensorError, json.JSONDecodeError, RecursionError) as error:
        raise PrototypeError(f"{path}: not a file of {holds} ({error})") from None


def write(path: str | os.PathLike, header: dict, tensors: dict[str, np.ndarray]) -> None:
    """Write a file, whole or not at all. Raises PrototypeError."""
    content = _safetensors().numpy.save(tensors, {_JSON: json.dumps(header)})
    try:
        atomic.write_bytes(path, content)
    except OSError as error:
        raise PrototypeError(f"{path}: cannot be written: {error.strerror or error}") from None


def _safetensors() -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError:
        raise PrototypeError("files of prototypes need the Python package safetensors: "
                             "pip install safetensors") from None
    return safetensors
