# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The file that groups of the unknown are kept in, beside that of the prototypes: safetensors.

``taught.safetensors`` has its groups in ``taught.groups.safetensors``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from radiofm_ml.arguments import is_number, is_whole
from radiofm_ml.fewshot import tensor_file
from radiofm_ml.fewshot.cells import KEPT, MAX_CELLS, Cell
from radiofm_ml.fewshot.groups import MAX_MOVED, Groups
from radiofm_ml.fewshot.kinship import Kinship
from radiofm_ml.fewshot.prototypes import SUFFIX, PrototypeError, check_label

FORMAT, FORMAT_VERSION = "radiofm-groups", 1
GROUPS = ".groups" + SUFFIX
_TENSORS = {"total": ("F64", 2), "kept": ("F32", 2), "mean": ("F64", 1)}  # the last may be left out
_MAX = 2**62  # of counts and numbers


def path_beside(prototypes: str | os.PathLike) -> Path:
    """Where the groups lie that belong to a file of prototypes. Raises PrototypeError."""
    path = Path(prototypes)
    if path.suffix.lower() != SUFFIX or path.name.lower().endswith(GROUPS):
        raise PrototypeError(f"{path}: a file of prototypes must end in {SUFFIX}, and not in {GROUPS}")
    return path.with_name(path.name[:-len(SUFFIX)] + GROUPS)


def save(groups: Groups, path: str | os.PathLike) -> None:
    """Write groups to a file, whole or not at all. One that holds something else is not replaced. Raises
    PrototypeError."""
    path = Path(path)
    if os.path.lexists(path):
        _read(path)
    state = groups.state()
    kinship = state.pop("kinship")
    cells: list[Cell] = state.pop("cells")
    size = groups.embedding_size
    tensors = {"total": np.array([cell.total for cell in cells], np.float64).reshape(-1, size),
               "kept": np.concatenate([np.zeros((0, size), np.float32), *(cell.kept for cell in cells)])}
    if kinship.mean is not None:
        tensors["mean"] = np.ascontiguousarray(kinship.mean, np.float64)
    header = {"format": FORMAT, "format_version": FORMAT_VERSION, **state,
              "kinship": {"apart": kinship.apart, "normalisation": kinship.normalisation},
              "cells": [[getattr(cell, name) for name in _COLUMNS] for cell in cells]}
    tensor_file.write(path, header, tensors)


def load(path: str | os.PathLike) -> Groups:
    """Read what ``save`` wrote. Raises PrototypeError."""
    header, tensors = _read(Path(path))
    try:
        if header.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"format_version must be {FORMAT_VERSION}")
        return _groups(header, tensors)
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # PrototypeError is a ValueError
        raise PrototypeError(f"{path}: damaged ({error}); groups must be made anew") from None


_COLUMNS = {"id": 1, "count": 1, "squares": None, "first": None, "last": None, "number": 0, "marks": [],
            "stride": 1}  # of a cell; the least of those that are whole numbers


def _groups(header: dict, tensors: dict[str, np.ndarray]) -> Groups:
    kinship, total = header["kinship"], tensors["total"]
    if not all(np.isfinite(values).all() for values in tensors.values()):
        raise ValueError("a tensor holds NaN or infinite values")
    groups = Groups(total.shape[1], Kinship(kinship["apart"], kinship["normalisation"], tensors.get("mean")),
                    model=_text(header["model"]), least=header["least"])
    if len(header["cells"]) != len(total) or len(total) > MAX_CELLS:
        raise ValueError(f"there must be as many cells as totals, at most {MAX_CELLS}")
    cells, begin = [], 0
    for row, vector in zip(header["cells"], total, strict=True):
        values = dict(zip(_COLUMNS, row, strict=True))
        _check_cell(values)
        end = begin + len(values["marks"])
        cells.append(Cell(total=vector, kept=tensors["kept"][begin:end], **values))
        begin = end
    if tensors["kept"].shape != (begin, total.shape[1]) or len({cell.id for cell in cells}) != len(cells):
        raise ValueError("what is kept does not fit the cells")
    ids = [cell.id for cell in cells]
    for name, least in (("next_cell", max(ids, default=0)), ("next_number",
                                                             max((c.number for c in cells), default=0))):
        if not is_whole(header[name], least + 1, _MAX):
            raise ValueError(f"{name} must be above {least}")
    if not is_whole(header["forgotten"], 0, _MAX):
        raise ValueError("forgotten must be a number of signals")
    moved = _pairs(header["moved"], None, MAX_MOVED)
    if any(is_whole(to) and to >= cell for cell, to in moved.items()):
        raise ValueError("a cell went into a later one")
    groups.restore({"cells": cells, "merged": _pairs(header["merged"], False),
                    "named": _pairs(header["named"], True),
                    "moved": moved,
                    **{name: header[name] for name in ("next_cell", "next_number", "forgotten")}})
    return groups


def _check_cell(values: dict) -> None:
    for name, least in _COLUMNS.items():
        value = values[name]
        if name == "marks":
            fits = isinstance(value, list) and 0 < len(value) <= KEPT and all(
                is_whole(mark, -_MAX, _MAX) for mark in value)
        else:
            fits = is_number(value) if least is None else is_whole(value, least, _MAX)
        if not fits:
            raise ValueError(f"a cell's {name} must not be {value!r:.40}")
    if values["count"] < len(values["marks"]):
        raise ValueError("a cell keeps more than it counts")


def _pairs(rows: list, labels: bool | None, most: int = _MAX) -> dict:
    """A dict of a list of pairs, of whole numbers and whole numbers or labels. labels: are the values labels?
    None: either."""
    found = {}
    for key, value in rows:
        if not is_whole(key, 1, _MAX):
            raise ValueError(f"{key!r:.40} is no number of a group or cell")
        if labels is not False and isinstance(value, str):
            check_label(value)
        elif labels or not is_whole(value, 1, _MAX):
            raise ValueError(f"{value!r:.40} is no number of a group or cell")
        found[key] = value
    if len(found) > most:
        raise ValueError(f"there are more than {most} entries")
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("model must be the id of a bundle")
    return value


def _read(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    return tensor_file.read(path, FORMAT, "groups of the unknown", _TENSORS, ("mean",))
