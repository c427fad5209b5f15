# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The file that a watch is kept in: JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from radiofm_ml import atomic, files, outputs
from radiofm_ml.arguments import is_number, is_whole
from radiofm_ml.watch.events import MOVED, NEW
from radiofm_ml.watch.presence import MAX_PLACES, Label, Place
from radiofm_ml.watch.rates import MAX_VISITS
from radiofm_ml.watch.settings import Settings
from radiofm_ml.watch.watch import MAX_LABELS, Watch

FORMAT, FORMAT_VERSION, SUFFIX = "radiofm-watch", 1, ".json"
MAX_BYTES = 1 << 30
_NOT_NEGATIVE = {"total", "squares", "reach", "width", "usual", "length", "longest", "gap"}


class WatchError(ValueError):
    """A file that cannot be read or written; one line that names it and the cure."""


def check_place(path: str | os.PathLike) -> Path:
    """``path``, if a watch can be kept there. Raises WatchError."""
    try:
        return outputs.check_file(path, SUFFIX, lambda _: True)  # what is there, loading it says
    except outputs.OutputError as error:
        raise WatchError(str(error)) from None


def save(watch: Watch, path: str | os.PathLike) -> None:
    """Write a watch to a file, whole or not at all; one that holds something else is left. Raises
    WatchError."""
    path = check_place(path)
    if os.path.lexists(path):
        _read(path)
    state = watch.state()
    try:
        atomic.write_json(path, {"format": FORMAT, "format_version": FORMAT_VERSION,
                                 "settings": asdict(watch.settings), **state,
                                 "labels": {name: asdict(label) for name, label in state["labels"].items()}})
    except OSError as error:
        raise WatchError(f"{path}: cannot be written: {error.strerror or error}") from None


def load(path: str | os.PathLike) -> Watch:
    """Read what ``save`` wrote: a watch that goes on where that one was, at any time of another stream.
    Raises WatchError."""
    path = Path(path)
    values = _read(path)
    try:
        if values.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"format_version must be {FORMAT_VERSION}")
        watch = Watch(Settings(**_object(values["settings"], {field.name for field in fields(Settings)})))
        learned = None if values["learned"] is None else _number("learned", values["learned"], 1e-9)
        watch.restore({"labels": _labels(values["labels"]), "now": _number("now", values["now"], 0.0),
                       "learned": learned, "seen": _seen(values["seen"], learned is not None),
                       "pause": _number("pause", values["pause"], 1e-9)})
        return watch
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WatchError(f"{path}: damaged ({error}); learn anew") from None


def open_watch(path: str | os.PathLike, settings: Settings, stated: Collection[str]) -> Watch:
    """The watch in a file, or a new one where there is none, or no name (''). stated: names of the settings
    that one in a file takes over: its rate and tolerance from now on, and while it learns for how long;
    another pause than the one that it has learned with is refused. Raises WatchError."""
    if not path or not os.path.lexists(path):
        return Watch(settings)
    watch, given = load(path), {name: getattr(settings, name) for name in stated}
    pause = given.pop("pause", 0.0)
    if pause not in (0.0, watch.pause):
        raise WatchError(f"{path}: has learned with a pause of {watch.pause:g} s, not {pause:g} s; leave it "
                         "out, or learn anew in another file")
    try:
        watch.change(**given)
    except ValueError as error:
        raise WatchError(f"{path}: {error}") from None
    return watch


def _labels(found: dict) -> dict[str, Label]:
    if not isinstance(found, dict) or len(found) > MAX_LABELS or "" in found:
        raise ValueError(f"labels must be an object of at most {MAX_LABELS} names")
    labels = {}
    for name, values in found.items():
        values = dict(_object(values, {field.name for field in fields(Label)}))
        for key in ("places", "new"):
            if not isinstance(values[key], list) or len(values[key]) > MAX_PLACES:
                raise ValueError(f"{key} must be a list of at most {MAX_PLACES}")
            values[key] = [_place(entry) for entry in values[key]]
        _check(values)
        labels[name] = Label(**values)
    return labels


def _place(values: dict) -> Place:
    _check(_object(values, {field.name for field in fields(Place)}))
    return Place(**values)


def _check(values: dict) -> None:
    for name, value in values.items():
        if name in ("places", "new"):
            continue
        if name in ("known", "silent"):
            fits = isinstance(value, bool)
        elif name in ("visits", "intervals"):
            fits = is_whole(value, 0, 2**62)
        elif name == "recent":
            fits = isinstance(value, list) and len(value) <= MAX_VISITS and all(map(is_number, value))
        else:
            fits = is_number(value, 0.0) if name in _NOT_NEGATIVE else (
                is_number(value) or (name == "limit" and value is None))
        if not fits:
            raise ValueError(f"{name} must not be {value!r:.40}")


def _seen(found: dict, learned: bool) -> dict[str, list[int]]:
    if not isinstance(found, dict) or set(found) != ({NEW, MOVED} if learned else set()):
        raise ValueError("seen must be an object of counts")
    for counts in found.values():
        if not isinstance(counts, list) or len(counts) != MAX_VISITS + 1 or not all(
                is_whole(count, 0, 2**62) for count in counts):
            raise ValueError(f"seen must be {MAX_VISITS + 1} counts, not {counts!r:.40}")
    return found


def _number(name: str, value: object, low: float) -> float:
    if not is_number(value, low):
        raise ValueError(f"{name} must be a number from {low:g} on, got {value!r:.40}")
    return float(value)


def _object(values: Any, names: set[str]) -> dict:
    if not isinstance(values, dict) or set(values) != names:
        raise ValueError(f"there must be an object of {', '.join(sorted(names))}")
    return values


def _read(path: Path) -> dict:
    try:
        values = json.loads(files.read_regular(path, MAX_BYTES))
    except OSError as error:
        raise WatchError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise WatchError(f"{path}: holds no watch ({error}); choose another name") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise WatchError(f"{path}: holds no watch; choose another name")
    return values
