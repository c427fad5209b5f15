# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The kinds of heads and of tasks. All that is particular to a kind is in its class here, from the loss that
it is trained with to the decisions that leave a flowgraph; everything else asks the object:

    kind = KINDS[head.kind]
    probabilities = kind.finish(raw, head)

A new kind is a class here and a line in ``KINDS``. Needs numpy; the methods that train need torch.

Below, N examples have K labels: classes, or names of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from radiofm_ml.arguments import is_number
from radiofm_ml.fewshot.calibration import softmax
from radiofm_ml.heads import metrics
from radiofm_ml.heads.error import HeadError
from radiofm_ml.heads.rates import RateCode

if TYPE_CHECKING:
    import torch

ERROR_LEVELS = np.linspace(0, 1, 201)  # quantiles of the errors that a report keeps


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """How raw outputs become what a head says, and what it sees beside the tile.

    temperature     of probabilities: softmax(output / temperature)
    unit            of numbers, such as 'm' or 'deg'
    scale, offset   number = output * scale + offset, each one number or one for each
    rate            how the sample rate is seen; None: not at all
    """

    temperature: float = 1.0
    unit: str = ""
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    rate: RateCode | None = None

    @staticmethod
    def read(config: dict) -> dict:
        """Those of the fields that head.json has, lists as tuples; nothing is checked."""
        return {key: tuple(config[key]) if isinstance(config[key], list) else config[key]
                for key in Outputs.__dataclass_fields__ if key in config}


class Examples(Protocol):
    """What a kind reads of ``tasks.TaskData``."""

    targets: np.ndarray
    labels: tuple[str, ...]
    unit: str
    conditions: Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Decision:
    """What a head says of a tile, or of a part of it.

    label   number of the label; None where the scores are numbers, not probabilities
    scores  float (K,): of each label its probability, or the number
    place   (first sample from the tile's first on, count, band in fractions of the sample rate); None: the
            whole tile
    """

    label: int | None
    scores: np.ndarray
    place: tuple[int, int, tuple[float, float]] | None = None


class Kind:
    """A kind whose labels are classes, one of which is right.

    name          in files and reports
    decodes       a decoder makes a picture of labels of the tokens; else layers make K outputs of the
                  read-out, which may know the sample rate, too
    weighted      rare classes count more where nothing else is said
    calibrated    the temperature is fitted on the validation part
    baselines     of ``evaluate.finetuning.BASELINES`` beside 'random' and 'scratch', those that make sense
    curve_metric  of a report, drawn against the number of labels; '' for none
    percent       that is a share
    """

    name: str
    decodes = False
    weighted = False
    calibrated = False
    baselines: frozenset[str] = frozenset()
    curve_metric = ""
    percent = False

    # -- the head --------------------------------------------------------------------------------------
    def check(self, head: Any, size: int) -> None:
        """Raise HeadError unless labels and settings of a head fit its ``size`` outputs."""
        if len(head.labels) < 2 or not is_number(head.temperature) or head.temperature <= 0:
            raise HeadError(f"a {self.name} head needs two labels or more and a 'temperature' above 0")

    def settings(self, head: Outputs) -> dict:
        """The kind's own keys of head.json."""
        return {"temperature": head.temperature}

    def finish(self, raw: np.ndarray, head: Outputs) -> np.ndarray:
        """Raw outputs (N, K) to probabilities or numbers."""
        return softmax(raw / head.temperature)

    def finish_tensor(self, raw: torch.Tensor, head: Outputs) -> torch.Tensor:
        """The same in torch, also of pictures (N, K, H, W)."""
        return (raw / head.temperature).softmax(1)

    def keep(self, finished: np.ndarray) -> np.ndarray:
        """What is worth keeping of finished outputs, to be scored."""
        return finished

    def decisions(self, engine: Any, finished: np.ndarray, min_pixels: int) -> Iterator[Decision]:
        """What a tile's finished outputs (K,) or (K, H, W) say. engine: ``heads.running.HeadEngine``."""
        yield Decision(int(finished.argmax()), finished)

    def decoder(self) -> dict | None:
        """Configuration of the decoder of a new head."""
        return None

    # -- training --------------------------------------------------------------------------------------
    def classes(self, data: Examples, index: np.ndarray) -> np.ndarray | None:
        """Class of each of these examples, int (n,); None where an example as a whole has none."""
        return None

    def outputs(self, data: Examples, train: np.ndarray) -> dict:
        """Settings of a new head, known from its training examples: keys of ``Outputs``."""
        return {}

    def counted(self, targets: np.ndarray) -> np.ndarray:
        """Labels (n,) in targets that count."""
        return np.asarray(targets).ravel()

    def class_weights(self, data: Examples, train: np.ndarray) -> np.ndarray:
        """Weights (K,) of the classes: inverse frequency, 1 on average over all that counts; 0 for a class
        that does not occur."""
        counts = np.zeros(len(data.labels), np.int64)
        for part in np.array_split(train, -(-len(train) // 64)):
            counts += np.bincount(self.counted(data.targets[part]), minlength=len(counts))
        present = counts > 0
        return present * counts.sum() / (present.sum() * np.maximum(counts, 1))

    def loss(self, data: Examples, train: np.ndarray, *, weighted: bool = False, label_smoothing: float = 0.0,
             device: str | torch.device = "cpu") -> Callable:
        """loss(raw outputs of n examples, their indices (n,)), to train on ``train`` with."""
        import torch
        from torch.nn.functional import cross_entropy

        weights = None
        if weighted:
            weights = torch.from_numpy(self.class_weights(data, train)).float().to(device)

        options = self._cross_entropy_options(label_smoothing)

        def loss(raw, index):
            truth = torch.from_numpy(data.targets[index].astype(np.int64)).to(device)
            return cross_entropy(raw.float(), truth, weights, **options)

        return loss

    def _cross_entropy_options(self, label_smoothing: float) -> dict:
        return {"label_smoothing": label_smoothing}

    # -- judging ---------------------------------------------------------------------------------------
    def misfit(self, finished: np.ndarray, truth: np.ndarray) -> float:
        """How badly finished outputs (n, K) fit their targets, the smaller the better: what the penalty of a
        linear map is chosen by."""
        return -np.log(np.maximum(finished[np.arange(len(truth)), truth], 1e-12)).mean()

    def score(self, predicted: np.ndarray, truth: np.ndarray, labels: tuple[str, ...]) -> float:
        """What a run is chosen by, the higher the better; predicted: what ``keep`` gave."""
        raise NotImplementedError

    def measure(self, data: Examples, index: np.ndarray, predicted: np.ndarray) -> dict:
        """Of a test part: 'metrics', and 'confusion' (counts) or 'errors' (their quantiles), perhaps
        'conditions'."""
        raise NotImplementedError

    def report(self, data: Examples) -> dict:
        """What else a report says."""
        return {}

    def curve_axes(self, unit: str) -> tuple[str, str]:
        """(x, y) labels of the picture of ``curve_metric`` over the numbers of labels."""
        return "Labelled examples", self.curve_metric.replace("_", " ").capitalize()


class Classification(Kind):
    """A class for each tile. Targets: int64 (N,), numbers of labels."""

    name = "classification"
    weighted = calibrated = percent = True
    baselines = frozenset({"cnn", "rate"})
    curve_metric = "balanced_accuracy"

    def classes(self, data: Examples, index: np.ndarray) -> np.ndarray | None:
        return data.targets[index]

    def score(self, predicted: np.ndarray, truth: np.ndarray, labels: tuple[str, ...]) -> float:
        return metrics.classification_metrics(truth, predicted.argmax(1), len(labels))["balanced_accuracy"]

    def measure(self, data: Examples, index: np.ndarray, predicted: np.ndarray) -> dict:
        truth, decided, size = data.targets[index], predicted.argmax(1), len(data.labels)
        conditions = [{"condition": condition, "value": value, "examples": int(mask[index].sum()),
                       "metrics": metrics.classification_metrics(truth[mask[index]], decided[mask[index]],
                                                                 size)}
                      for condition, values in data.conditions.items()
                      for value, mask in values.items() if mask[index].any()]
        return {"metrics": metrics.classification_metrics(truth, decided, size),
                "confusion": metrics.confusion_matrix(truth, decided, size).tolist(),
                "conditions": conditions}

    def report(self, data: Examples) -> dict:
        return {"chance": 1 / len(data.labels)}

    def curve_axes(self, unit: str) -> tuple[str, str]:
        return "Labels per class", super().curve_axes(unit)[1]


class Regression(Kind):
    """K numbers for each tile. Targets: float32 (N, K) in ``unit``."""

    name = "regression"
    baselines = frozenset({"cnn", "mean", "rate"})
    curve_metric = "mean"

    def check(self, head: Any, size: int) -> None:
        if not head.labels:
            raise HeadError("key 'labels' must name the numbers")
        if not isinstance(head.unit, str):
            raise HeadError("key 'unit' must be a word")
        for key in ("scale", "offset"):
            values = getattr(head, key)
            fits = isinstance(values, tuple) and len(values) in (1, size) and all(map(is_number, values))
            if not fits:
                raise HeadError(f"key '{key}' must be a list of 1 or {size} finite numbers")

    def settings(self, head: Outputs) -> dict:
        return {"unit": head.unit, "scale": list(head.scale), "offset": list(head.offset)}

    def finish(self, raw: np.ndarray, head: Outputs) -> np.ndarray:
        return raw * np.array(head.scale) + np.array(head.offset)

    def finish_tensor(self, raw: torch.Tensor, head: Outputs) -> torch.Tensor:
        return raw * raw.new_tensor(head.scale) + raw.new_tensor(head.offset)

    def decisions(self, engine: Any, finished: np.ndarray, min_pixels: int) -> Iterator[Decision]:
        yield Decision(None, finished)

    def outputs(self, data: Examples, train: np.ndarray) -> dict:
        y = data.targets[train].reshape(len(train), -1).astype(np.float64)
        return {"unit": data.unit, "offset": tuple(y.mean(0).tolist()),
                "scale": tuple(np.maximum(y.std(0), 1e-9).tolist())}

    def loss(self, data: Examples, train: np.ndarray, *, weighted: bool = False, label_smoothing: float = 0.0,
             device: str | torch.device = "cpu") -> Callable:
        import torch
        from torch.nn.functional import smooth_l1_loss

        known = Outputs(**self.outputs(data, train))
        goal = data.targets.reshape(len(data.targets), -1) - np.array(known.offset)
        goal = (goal / np.array(known.scale)).astype(np.float32)
        return lambda raw, index: smooth_l1_loss(raw.float(), torch.from_numpy(goal[index]).to(device))

    def misfit(self, finished: np.ndarray, truth: np.ndarray) -> float:
        return metrics.distances(finished, truth).mean()

    def score(self, predicted: np.ndarray, truth: np.ndarray, labels: tuple[str, ...]) -> float:
        return -float(metrics.distances(predicted, truth).mean())

    def measure(self, data: Examples, index: np.ndarray, predicted: np.ndarray) -> dict:
        errors = metrics.distances(predicted, data.targets[index])
        return {"metrics": metrics.error_metrics(errors),
                "errors": [float(q) for q in np.quantile(errors, ERROR_LEVELS)]}

    def curve_axes(self, unit: str) -> tuple[str, str]:
        x, y = super().curve_axes(unit)
        return x, f"{y} error in {unit}".strip()


class Segmentation(Kind):
    """A class for each pixel of a tile. Targets: uint8 (N, H, W), numbers of labels, ``metrics.IGNORED``
    where a pixel does not count; the first label is the background."""

    name = "segmentation"
    decodes = True

    def keep(self, finished: np.ndarray) -> np.ndarray:
        return finished.argmax(1).astype(np.uint8)

    def decisions(self, engine: Any, finished: np.ndarray, min_pixels: int) -> Iterator[Decision]:
        for box in engine.boxes(finished, min_pixels):
            yield Decision(box.label, box.scores, engine.place(box))

    def decoder(self) -> dict | None:
        from radiofm_ml.models.segmentation import PixelDecoderConfig

        return PixelDecoderConfig().to_dict()

    def counted(self, targets: np.ndarray) -> np.ndarray:
        labels = super().counted(targets)
        return labels[labels != metrics.IGNORED]

    def _cross_entropy_options(self, label_smoothing: float) -> dict:
        return {"ignore_index": metrics.IGNORED}

    def score(self, predicted: np.ndarray, truth: np.ndarray, labels: tuple[str, ...]) -> float:
        pixels = metrics.pixel_confusion(truth, predicted, len(labels))
        return metrics.pixel_metrics(pixels, labels)["mean_iou"]

    def measure(self, data: Examples, index: np.ndarray, predicted: np.ndarray) -> dict:
        pixels = metrics.pixel_confusion(data.targets[index], predicted, len(data.labels))
        found = metrics.pixel_metrics(pixels, data.labels)
        return {"metrics": {key: found[key] for key in ("pixel_accuracy", "mean_iou")},
                "confusion": pixels.tolist()}


KINDS: dict[str, Kind] = {kind.name: kind for kind in (Classification(), Regression(), Segmentation())}
