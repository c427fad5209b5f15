# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Linear heads on frozen embeddings, fitted to the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from radiofm_ml.fewshot.calibration import softmax
from radiofm_ml.fewshot.geometry import normalise
from radiofm_ml.heads.error import HeadError
from radiofm_ml.heads.head import Head
from radiofm_ml.heads.rates import RateCode


def fit_linear(embeddings: ArrayLike, targets: ArrayLike, *, task: str, model: str = "", unit: str = "",
               labels: Sequence[str] = (), normalisation: str = "none", penalty: float = 1e-2,
               balanced: bool = False, rates: ArrayLike | None = None, kind: str = "") -> Head:
    """Linear head on frozen embeddings, fitted to the end (logistic regression, or ridge regression).

    embeddings  float (N, D)
    targets     N names for classification; float (N,) or (N, M) for regression
    labels      names of the M numbers of a regression; 'value' if there is one. Of a classification: the
                classes in the order wanted, each of which occurs; alphabetic if left out
    penalty     weight of the squared weights (of standardised embeddings) against the mean loss
    balanced    classification: every class counts the same, however often it occurs
    rates       of the N examples in samples/s, for a head that knows the rate
    kind        of ``heads.kinds.KINDS``; left out: 'classification' for names, 'regression' for numbers
    """
    x = np.asarray(embeddings, np.float64)
    mean = x.mean(0).astype(np.float32) if normalisation == "cl2n" else None
    x = normalise(x, normalisation, mean)
    centre, spread = x.mean(0), np.maximum(x.std(0), 1e-9)
    x = (x - centre) / spread
    rate = None
    if rates is not None:
        rate = RateCode()
        basis = rate(rates)
        x = np.concatenate([x, basis], 1)
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
    kind = kind or ("regression" if options else "classification")
    return Head(kind, task, model, tuple(map(str, labels)), (layer,), normalisation=normalisation, mean=mean,
                rate=rate, **options)


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
