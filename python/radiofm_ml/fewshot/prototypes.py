# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What has been taught: one prototype a label, with undo, and the file they are kept in.

A prototype is the mean of the embeddings ("shots") taught for a label, in the encoder's own space, as it
came. Normalising, centring and whitening are the classifier's (``fewshot``): so a prototype can be carried
to another receiver, or kept in a file, without knowing how it will be compared.

K labels, D values in an embedding. Everything is float32, so that a copy sent elsewhere is exact.
"""

from __future__ import annotations

import os
import unicodedata
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.arguments import is_whole, whole
from radiofm_ml.fewshot import tensor_file
from radiofm_ml.fewshot.tensor_file import PrototypeError

FORMAT = "radiofm-prototypes"
FORMAT_VERSION = 1
SUFFIX = ".safetensors"
UNKNOWN = "unknown"  # what a prediction is called that fits no prototype; so no prototype may have that name
MAX_LABEL = 128  # characters
MAX_LABELS = 1000
MAX_SHOTS = 2**31 - 1
MAX_SUPPORT = 32  # newest shots kept per label, for leave-one-out scores and scatter
MAX_UNDO = 64
_TENSORS = {"prototypes": ("F32", 2), "support": ("F32", 2), "mean": ("F32", 1)}  # the last may be left out


@dataclass(frozen=True)
class Prototype:
    """vector: float32 (D,), mean of all ``shots``; support: float32 (k, D), the newest k of them."""

    label: str
    vector: np.ndarray
    shots: int
    support: np.ndarray

    def __eq__(self, other) -> bool:
        return (isinstance(other, Prototype) and self.label == other.label and self.shots == other.shots
                and np.array_equal(self.vector, other.vector) and np.array_equal(self.support, other.support))


@dataclass(frozen=True)
class _State:
    prototypes: tuple[Prototype, ...] = ()
    model: str = ""
    mean: np.ndarray | None = None


def check_label(label: str) -> str:
    """``label`` if it can name a prototype; PrototypeError otherwise."""
    if not isinstance(label, str) or not 0 < len(label) <= MAX_LABEL:
        raise PrototypeError(f"a label must be a name of 1 to {MAX_LABEL} characters")
    if label != label.strip() or any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in label):
        raise PrototypeError(f"label {label!r} must not begin or end with a space, nor hold control "
                             "characters")
    if label == UNKNOWN:
        raise PrototypeError(f"label '{UNKNOWN}' is reserved for signals that fit no prototype")
    return label


def check_vectors(values: ArrayLike, size: int, what: str = "an embedding") -> np.ndarray:
    """float32 (n, size) of one or several finite vectors; PrototypeError otherwise."""
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
            values = np.array(values, np.float32, ndmin=2)
    except (TypeError, ValueError):
        raise PrototypeError(f"{what} must be {size} numbers") from None
    if values.ndim != 2 or values.shape[1] != size:
        raise PrototypeError(f"{what} must have {size} values, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise PrototypeError(f"{what} holds NaN or infinite values")
    return values


def _check_shots(shots, least: int = 1) -> int:
    if not is_whole(shots, least, MAX_SHOTS):
        raise PrototypeError(f"shots must be a whole number of at least {least}, got {shots!r}")
    return int(shots)


class PrototypeSet:
    """The prototypes of one classifier. Every method either does all of its change or raises PrototypeError.

    embedding_size  D
    model           id of the bundle that makes the embeddings; "" while it is not known, then the first
                    thing taught or loaded that names a model decides
    mean            float32 (D,), the domain's mean embedding that travels with the prototypes, or None
    """

    def __init__(self, embedding_size: int, model: str = "", mean: ArrayLike | None = None):
        self.embedding_size = whole("embedding_size", embedding_size, 1)
        self._given_model = model
        self._state = _State(model=model, mean=None if mean is None else self._vector(mean, "the mean"))
        self._undo: deque[_State] = deque(maxlen=MAX_UNDO)

    def __len__(self) -> int:
        return len(self._state.prototypes)

    def __iter__(self):
        return iter(self._state.prototypes)

    def __contains__(self, label: str) -> bool:
        return any(p.label == label for p in self)

    def __getitem__(self, label: str) -> Prototype:
        for prototype in self:
            if prototype.label == label:
                return prototype
        raise PrototypeError(f"no prototype is called '{label}'")

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order in which they were taught first."""
        return tuple(p.label for p in self)

    @property
    def model(self) -> str:
        return self._state.model

    @property
    def mean(self) -> np.ndarray | None:
        return self._state.mean

    @property
    def snapshot(self) -> object:
        """Stands for the present state: another object after every change, so that a cache can tell."""
        return self._state

    @property
    def undo_depth(self) -> int:
        return len(self._undo)

    # -- changes ----------------------------------------------------------------------------------
    def enroll(self, label: str, vectors: ArrayLike, model: str = "") -> Prototype:
        """Add shots to a label, new or known. vectors: (n, D) or (D,)."""
        vectors = check_vectors(vectors, self.embedding_size)
        if not len(vectors):
            raise PrototypeError("nothing to enroll: no embedding was given")
        old = self[label] if label in self else None
        before, kept = (old.shots, old.support) if old else (0, vectors[:0])
        shots = _check_shots(before + len(vectors))
        total = vectors.sum(0, dtype=np.float64) + (before * old.vector.astype(np.float64) if old else 0.0)
        support = np.concatenate([kept, vectors])[-MAX_SUPPORT:]
        vector = (total / shots).astype(np.float32)
        return self._put(Prototype(check_label(label), vector, shots, support), model)

    def set(self, label: str, vector: ArrayLike, shots: int = 1, support: ArrayLike | None = None,
            model: str = "") -> Prototype:
        """Put a label's prototype in place of what it had. support: (k <= shots, D), those shots if known."""
        return self._put(self._prototype(label, vector, shots, support), model)

    def remove(self, label: str) -> None:
        self[label]
        self._commit(prototypes=tuple(p for p in self if p.label != label))

    def rename(self, label: str, new: str) -> None:
        """Give a label another name; one that is taken is refused (remove it first)."""
        self[label]
        if check_label(new) in self:
            raise PrototypeError(f"a prototype called '{new}' exists already; remove it first")
        self._commit(prototypes=tuple(replace(p, label=new) if p.label == label else p for p in self))

    def clear(self) -> None:
        """Forget everything (``undo`` brings it back)."""
        if not len(self):
            raise PrototypeError("there are no prototypes to clear")
        self._commit(prototypes=(), model=self._given_model)

    def undo(self) -> None:
        """Take back the last change, whatever it was; up to 64 in a row."""
        if not self._undo:
            raise PrototypeError("there is nothing to undo")
        self._state = self._undo.pop()

    def forget_history(self) -> None:
        """Make this the beginning, behind which ``undo`` cannot go."""
        self._undo.clear()

    # -- the whole state --------------------------------------------------------------------------
    def state(self, mean: ArrayLike | None = None) -> dict:
        """Everything, as ``load_state`` takes it: {format, format_version, model, embedding_size, mean,
        prototypes: [{label, vector, shots, support}]}. mean: one to state in place of the set's own."""
        return {"format": FORMAT, "format_version": FORMAT_VERSION, "model": self.model,
                "embedding_size": self.embedding_size,
                "mean": self.mean if mean is None else self._vector(mean, "the mean"),
                "prototypes": [{"label": p.label, "vector": p.vector, "shots": p.shots, "support": p.support}
                               for p in self]}

    def load_state(self, state: dict) -> bool:
        """Take over a whole state in place of this one. Returns whether a prototype changed.

        A state without a mean leaves the mean that is there. One that brings the same prototypes is no
        change (and no undo step), so that two classifiers that mirror each other come to rest.
        """
        model = state.get("model") or ""
        for key, wanted in (("format", FORMAT), ("format_version", FORMAT_VERSION),
                            ("embedding_size", self.embedding_size)):
            if state.get(key) != wanted:
                if key == "embedding_size":
                    self._join_model(model, fresh=True)  # says more, if that is why
                raise PrototypeError(f"{key} must be {wanted}, got {state.get(key)!r}")
        entries = state.get("prototypes")
        if not isinstance(entries, (list, tuple)) or len(entries) > MAX_LABELS:
            raise PrototypeError(f"prototypes must be a list of at most {MAX_LABELS}")
        prototypes = tuple(self._prototype(e.get("label"), e.get("vector"), e.get("shots"), e.get("support"))
                           if isinstance(e, dict) else self._prototype(None, (), 0) for e in entries)
        labels = [p.label for p in prototypes]
        if len(set(labels)) != len(labels):
            raise PrototypeError("a label stands twice among the prototypes")
        mean = self.mean if state.get("mean") is None else self._vector(state["mean"], "the mean")
        model = self._join_model(model, fresh=True)
        if prototypes == self._state.prototypes:
            self._state = replace(self._state, mean=mean, model=model)
            return False
        self._commit(prototypes=prototypes, model=model, mean=mean)
        return True

    def save(self, path: str | os.PathLike, mean: ArrayLike | None = None) -> Path:
        """Write the state to a safetensors file, whole or not at all. Raises PrototypeError."""
        path = _check_path(path)
        if path.exists():
            _read(path)  # a file that is something else is not ours to overwrite
        state = self.state(mean)
        entries = state.pop("prototypes")
        tensors = {"prototypes": _stack([e["vector"] for e in entries], self.embedding_size),
                   "support": _stack([row for e in entries for row in e["support"]], self.embedding_size)}
        if (mean := state.pop("mean")) is not None:
            tensors["mean"] = mean
        header = {**state, "labels": [e["label"] for e in entries], "shots": [e["shots"] for e in entries],
                  "support": [len(e["support"]) for e in entries]}
        tensor_file.write(path, header, tensors)
        return path

    def load(self, path: str | os.PathLike) -> bool:
        """Take over the state of a file. Returns whether a prototype changed. Raises PrototypeError."""
        path = _check_path(path)
        header, tensors = _read(path)
        counts = header.get("support")
        vectors, support = tensors["prototypes"], tensors["support"]
        lists = [header.get("labels"), header.get("shots"), counts]
        if not all(isinstance(v, list) and len(v) == len(vectors) for v in lists) or not all(
                is_whole(v, 0) for v in counts) or sum(counts) != len(support):
            raise PrototypeError(f"{path}: the header does not fit the tensors; the file is damaged")
        ends = np.cumsum(counts, dtype=int)
        entries = [{"label": label, "vector": vector, "shots": shots, "support": support[end - count:end]}
                   for label, shots, count, vector, end in zip(*lists, vectors, ends, strict=True)]
        try:
            return self.load_state({**header, "mean": tensors.get("mean"), "prototypes": entries})
        except PrototypeError as error:
            raise PrototypeError(f"{path}: {error}") from None

    # -- inside -----------------------------------------------------------------------------------
    def _vector(self, values, what: str) -> np.ndarray:
        vectors = check_vectors(values, self.embedding_size, what)
        if len(vectors) != 1:
            raise PrototypeError(f"{what} must be one vector of {self.embedding_size} values")
        return vectors[0]

    def _prototype(self, label, vector, shots, support=None) -> Prototype:
        label, vector, shots = check_label(label), self._vector(vector, "a prototype"), _check_shots(shots)
        if support is None or not len(support):
            return Prototype(label, vector, shots, np.zeros((0, self.embedding_size), np.float32))
        support = check_vectors(support, self.embedding_size, "a support vector")
        if len(support) > shots:
            raise PrototypeError(f"'{label}' with {shots} shots cannot have {len(support)} support vectors")
        return Prototype(label, vector, shots, support[-MAX_SUPPORT:])

    def _join_model(self, model: str, fresh: bool = False) -> str:
        """The model of the set once something taught by ``model`` has come in."""
        own = self._given_model if fresh else self.model
        if not isinstance(model, str):
            raise PrototypeError("model must be the id of a bundle")
        if own and model and own != model:
            raise PrototypeError(f"taught by model '{model}', the prototypes here belong to '{own}'; what "
                                 "one model was taught no other knows, nor signals what tiles were: keep "
                                 "a file for each")
        return model or own

    def _put(self, prototype: Prototype, model: str) -> Prototype:
        model = self._join_model(model)
        if prototype.label in self:
            replaced = tuple(prototype if p.label == prototype.label else p for p in self)
            self._commit(model=model, prototypes=replaced)
        elif len(self) >= MAX_LABELS:
            raise PrototypeError(f"there are {MAX_LABELS} prototypes already; remove one first")
        else:
            self._commit(model=model, prototypes=(*self, prototype))
        return prototype

    def _commit(self, **changes) -> None:
        self._undo.append(self._state)
        self._state = replace(self._state, **changes)


# -- the file -------------------------------------------------------------------------------------
def model_of(path: str | os.PathLike) -> str:
    """Id of the bundle that a file of prototypes was taught by; '' if not known. Raises PrototypeError."""
    model = _read(_check_path(path))[0].get("model", "")
    return model if isinstance(model, str) else ""


def _check_path(path: str | os.PathLike) -> Path:
    path = Path(path)
    if path.suffix.lower() != SUFFIX or "\0" in str(path):
        raise PrototypeError(f"{str(path)!r}: a file of prototypes must end in {SUFFIX}")
    return path


def _stack(rows: list, size: int) -> np.ndarray:
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, size), np.float32)


def _read(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    return tensor_file.read(path, FORMAT, "prototypes", _TENSORS, ("mean",))
