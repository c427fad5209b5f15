# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a task's evaluation leaves behind: a folder with ``report.json`` and the pictures drawn from it.

``report.json`` holds every number that a picture shows, so that a picture can be drawn again
(``draw_report``) and two runs can be compared without rerunning either:

    task, kind, model, ...   whatever the evaluation says of itself
    results                  [{method, labels_per_class, metric, mean, std, seeds}]; labels_per_class is
                             null where all labels were used, std is the spread over the seeds
    conditions               the same of parts of the test: [{condition, value, examples, method, ...}]
    confusion                {method: counts (K, K)}, with ``labels`` (K): row = truth, column = decision,
                             summed over the seeds
    errors                   {method: quantiles of the errors at 0, 0.5, ... 100 %}, with ``unit``
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from radiofm_ml import atomic
from radiofm_ml.atomic import plain
from radiofm_ml.heads.kinds import ERROR_LEVELS, KINDS, Kind

REPORT = "report.json"
CONFUSION, ERRORS, CURVES = "confusion.png", "error_cdf.png", "learning_curves.png"


def over_seeds(values: Sequence[float]) -> dict:
    """What a row of a table says of a figure: its mean, its spread, and each seed's."""
    return {"mean": float(np.mean(values)), "std": float(np.std(values)), "seeds": list(map(float, values))}


def result_rows(method: str, per_seed: Sequence[Mapping[str, float]],
                labels_per_class: int | None = None) -> list[dict]:
    """Entries of ``results``, one for each metric, from the metrics of each seed."""
    rows = []
    for metric in per_seed[0]:
        scores = np.array([m[metric] for m in per_seed], np.float64)  # a log's null is NaN again
        rows.append({"method": method, "labels_per_class": labels_per_class, "metric": metric,
                     **over_seeds(scores)})
    return rows


def write_report(folder: str | os.PathLike, report: Mapping, *, results: Sequence[Mapping] = (),
                 confusions: Mapping[str, np.ndarray] | None = None,
                 errors: Mapping[str, np.ndarray] | None = None) -> Path:
    """Write ``report.json`` and the pictures that its content gives into ``folder`` (made if need be).

    report: task, kind, model, labels (for confusions), unit (for errors), chance, title and whatever else
    JSON holds. results: see ``result_rows``. confusions: method to counts (K, K). errors: method to
    absolute errors (N,). Returns the path of report.json. The file is replaced in one step: an earlier one
    stays whole if this fails. Raises ValueError naming what does not fit.
    """
    folder = Path(folder)
    content = {**report, "results": [dict(row) for row in results]}
    if confusions:
        labels = list(content.get("labels", ()))
        for name, counts in confusions.items():
            if np.shape(counts) != (len(labels), len(labels)):
                raise ValueError(f"{name}: {len(labels)} labels, not a matrix of {np.shape(counts)}")
        content["confusion"] = {name: np.asarray(c).astype(int).tolist() for name, c in confusions.items()}
    if errors:
        content["errors"] = {
            name: [float(f"{q:.6g}") for q in np.quantile(np.asarray(e, np.float64), ERROR_LEVELS)]
            for name, e in errors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_json(folder / REPORT, plain(content), indent=1)
    draw_report(folder, errors)
    return folder / REPORT


def read_report(folder: str | os.PathLike) -> dict:
    """The report in a folder. Raises ValueError naming the file."""
    file = Path(folder) / REPORT
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{file}: missing; a report folder holds one") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(report, dict) or not isinstance(report.get("results"), list):
        raise ValueError(f"{file}: key 'results' is missing; not a report")
    return report


def draw_report(folder: str | os.PathLike, errors: Mapping[str, np.ndarray] | None = None) -> list[Path]:
    """Draw the pictures of a report folder anew; returns their paths.

    errors: the errors themselves, where at hand, instead of their stored quantiles.
    """
    from radiofm_ml.plots import results as plots

    folder = Path(folder)
    report = read_report(folder)
    title = report.get("title") or report.get("task", "")
    drawn = []
    if report.get("confusion"):
        plots.draw_confusion(folder / CONFUSION, report["confusion"], report["labels"], title=title)
        drawn.append(CONFUSION)
    if report.get("errors"):
        plots.draw_error_cdf(folder / ERRORS, errors or report["errors"], unit=report.get("unit", ""),
                             title=title)
        drawn.append(ERRORS)
    kind, (_, curves) = _kind(report), learning_curves(report)
    if curves:
        xlabel, ylabel = kind.curve_axes(report.get("unit", ""))
        plots.draw_learning_curves(folder / CURVES, curves, percent=kind.percent, title=title,
                                   chance=report.get("chance"), xlabel=xlabel, ylabel=ylabel)
        drawn.append(CURVES)
    return [folder / name for name in drawn]


def learning_curves(report: Mapping) -> tuple[str, dict[str, dict[float, list[float]]]]:
    """(metric, {method: {labels per class, infinity for all: scores of the seeds}}) of a report; empty where
    no method was measured at two numbers of labels or more. The metric is the ``curve_metric`` of the
    report's kind."""
    metric = _kind(report).curve_metric
    curves: dict[str, dict[float, list[float]]] = {}
    for row in report["results"]:
        count = math.inf if row["labels_per_class"] is None else int(row["labels_per_class"])
        if row["metric"] == metric and count:
            curves.setdefault(row["method"], {})[count] = row["seeds"]
    if max(map(len, curves.values()), default=0) < 2:
        return metric, {}
    return metric, curves


def _kind(report: Mapping) -> Kind:
    """Its kind; reports that name none are of numbers."""
    return KINDS.get(report.get("kind"), KINDS["regression"])


def print_results(report: Mapping) -> None:
    """The results on the terminal: a row a method, a column a metric; where there are several numbers of
    labels a table a metric, and a column each of them."""
    from radiofm_ml.terminal import console

    rows, title = report["results"], str(report.get("title") or report.get("task", ""))
    metrics = list(dict.fromkeys(r["metric"] for r in rows))
    if len({r["labels_per_class"] for r in rows}) <= 1:
        tables = [_table(title, rows, "metric", lambda metric: metric.replace("_", " "))]
    else:
        tables = [_table(f"{title}: {metric.replace('_', ' ')} by labels per class",
                         [r for r in rows if r["metric"] == metric], "labels_per_class",
                         lambda count: "all" if count is None else str(count)) for metric in metrics]
    for table in tables:
        console().print(table)


def _table(title: str, rows: Sequence[Mapping], key: str, name: Callable):
    """Rows of ``results``, a row a method and a column each value of ``key``."""
    from rich.table import Table

    seeds = max((len(r["seeds"]) for r in rows), default=0)
    table = Table(title=title, caption=f"mean ± spread over {seeds} seeds")
    table.add_column("method")
    columns = list(dict.fromkeys(r[key] for r in rows))
    for column in columns:
        table.add_column(name(column), justify="right")
    for method in dict.fromkeys(r["method"] for r in rows):
        cells = {r[key]: f"{r['mean']:.3f} ± {r['std']:.3f}" for r in rows if r["method"] == method}
        table.add_row(method, *(cells.get(c, "") for c in columns))
    return table
