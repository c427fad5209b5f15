# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Scores, report folders, and the pictures of results."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from radiofm_ml.evaluate import reports
from radiofm_ml.heads import metrics
from radiofm_ml.plots import draw_confusion, draw_error_cdf, draw_learning_curves, style


def read(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def pixels_of(picture: np.ndarray, colour: str) -> np.ndarray:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return np.abs(picture - wanted).max(-1) <= 12


def test_scores_of_a_classification():
    truth, decided = [0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 0, 0]
    counts = metrics.confusion_matrix(truth, decided, 4)
    assert counts.tolist() == [[3, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    scores = metrics.classification_metrics(truth, decided, 4)
    assert scores["accuracy"] == pytest.approx(4 / 7)
    assert scores["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)  # label 3 never occurs
    assert scores["macro_f1"] == pytest.approx((6 / 9 + 2 / 4 + 0) / 3)
    with pytest.raises(ValueError, match="decided has a label number outside 0..1"):
        metrics.confusion_matrix([0, 1], [0, 2], 2)
    with pytest.raises(ValueError, match="3 true labels for 2"):
        metrics.confusion_matrix([0, 1, 1], [0, 1], 2)
    with pytest.raises(ValueError, match="no query"):
        metrics.classification_metrics([], [], 2)


def test_scores_of_a_regression():
    errors = metrics.distances([[0, 0, 0], [1, 2, 2]], [[3, 4, 0], [1, 2, 2]])
    assert errors.tolist() == [5, 0]
    assert metrics.distances([1.0, -2.0], [0.0, 0.0]).tolist() == [1, 2]
    scores = metrics.error_metrics(np.arange(11.0))
    assert scores == {"mean": 5, "median": 5, "p90": 9}
    with pytest.raises(ValueError, match=r"\(2, 3\), the truth is \(2, 1\)"):
        metrics.distances(np.zeros((2, 3)), np.zeros(2))


def example_report(folder):
    results = [row for method, base in (("probe", 0.6), ("from scratch", 0.3)) for count in (1, 5, 20)
               for row in reports.result_rows(method, [{"balanced_accuracy": base + count / 100 + seed / 50}
                                                       for seed in range(3)], count)]
    return reports.write_report(
        folder, {"task": "demo", "kind": "classification", "labels": ["a", "b"], "chance": 0.5,
                 "note": np.float32(2), "none": float("nan")},
        results=results, confusions={"probe": np.array([[9, 1], [0, 5]])})


def test_report_folder_holds_numbers_and_pictures(tmp_path):
    file = example_report(tmp_path / "new" / "report")
    report = json.loads(file.read_text())
    assert report["results"][0] == {"method": "probe", "labels_per_class": 1, "metric": "balanced_accuracy",
                                    "mean": pytest.approx(0.63), "std": pytest.approx(0.02 * (2 / 3) ** 0.5),
                                    "seeds": pytest.approx([0.61, 0.63, 0.65])}
    assert report["confusion"] == {"probe": [[9, 1], [0, 5]]}
    assert (report["note"], report["none"]) == (2, None)
    assert {p.name for p in file.parent.iterdir()} == {"report.json", "confusion.png", "learning_curves.png"}
    metric, curves = reports.learning_curves(report)
    assert metric == "balanced_accuracy" and list(curves) == ["probe", "from scratch"]
    assert curves["probe"][20] == pytest.approx([0.8, 0.82, 0.84])
    more = {**report, "results": [*report["results"], {**report["results"][0], "labels_per_class": None}]}
    assert list(reports.learning_curves(more)[1]["probe"]) == [1, 5, 20, math.inf]

    drawn = read(file.parent / "learning_curves.png")
    (file.parent / "learning_curves.png").unlink()
    assert {p.name for p in reports.draw_report(file.parent)} == {"confusion.png", "learning_curves.png"}
    np.testing.assert_array_equal(read(file.parent / "learning_curves.png"), drawn)


def test_report_of_a_regression_draws_its_quantiles(tmp_path):
    errors = {"probe": np.linspace(0, 4, 1001), "mean of the labels": np.linspace(0, 8, 1001)}
    file = reports.write_report(tmp_path, {"task": "pos", "kind": "regression", "unit": "m"}, errors=errors,
                                results=reports.result_rows("probe",
                                                            [metrics.error_metrics(errors["probe"])]))
    report = reports.read_report(tmp_path)
    assert len(report["errors"]["probe"]) == 201 and report["errors"]["probe"][100] == pytest.approx(2)
    exact = read(tmp_path / "error_cdf.png")
    reports.draw_report(file.parent)  # from the quantiles alone
    assert (np.abs(read(tmp_path / "error_cdf.png") - exact).max(-1) > 60).mean() < 0.01
    assert not (tmp_path / "learning_curves.png").exists()


def test_a_report_that_does_not_fit_leaves_the_earlier_one(tmp_path):
    before = example_report(tmp_path).read_bytes()
    with pytest.raises(ValueError, match="probe: 3 labels, not a matrix of"):
        reports.write_report(tmp_path, {"labels": list("abc")}, confusions={"probe": np.eye(2, dtype=int)})
    assert (tmp_path / "report.json").read_bytes() == before
    (tmp_path / "report.json").write_text('{"results": 3}')
    with pytest.raises(ValueError, match="report.json: key 'results' is missing"):
        reports.read_report(tmp_path)
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(ValueError, match="report.json: not valid JSON"):
        reports.read_report(tmp_path)
    with pytest.raises(ValueError, match="report.json: missing"):
        reports.read_report(tmp_path / "nothing")


def test_confusion_picture_of_twenty_labels_is_blue_on_the_diagonal_and_red_off_it(tmp_path):
    labels = [f"signal-number-{i}" for i in range(20)]
    right = np.eye(20, dtype=int) * 40
    wrong = np.roll(right, 1, axis=1)
    draw_confusion(tmp_path / "two.png", {"right": right, "wrong": wrong}, labels, title="20 labels")
    picture = read(tmp_path / "two.png")
    assert picture.shape[1] > 2 * 20 * 48  # cells wide enough for their numbers
    blue, red = pixels_of(picture, "#7fcbf5"), pixels_of(picture, "#ff6b8b")
    half = np.flatnonzero(red.any(0))[0] - 10
    for colour, side in ((blue, slice(None, half)), (red, slice(half, None))):
        assert colour[:, side].sum() > 20 * 1500 and colour.sum() == colour[:, side].sum()
    rows, columns = np.nonzero(blue)
    assert np.corrcoef(rows, columns)[0, 1] > 0.99
    with pytest.raises(ValueError, match=r"'odd': 20 labels need counts of shape \(20, 20\)"):
        draw_confusion(tmp_path / "no.png", {"odd": np.eye(3, dtype=int)}, labels)


def test_error_cdf_marks_the_median_and_the_ninetieth_percentile(tmp_path):
    draw_error_cdf(tmp_path / "e.png", {"one": np.linspace(0, 10, 2001)}, unit="m")
    picture = read(tmp_path / "e.png")
    assert picture.shape == (640, 1000, 3)
    rows, columns = np.nonzero(pixels_of(picture, style.PALETTE[0]))
    legend = columns > 560  # the curve of a uniform error is a straight line from corner to corner
    legend &= rows > 400
    assert np.corrcoef(rows[~legend], columns[~legend])[0, 1] < -0.97
    thick = np.bincount(columns[~legend], minlength=1000)
    left, width = 75, 905
    for level in (0.5, 0.9):  # a dot is taller than the line
        at = left + int(width * level / (10 * 0.99 * 1.04 / 10))
        assert thick[at - 3 : at + 4].max() > 1.5 * np.median(thick[thick > 0])
    with pytest.raises(ValueError, match="errors of 'bad' must be finite"):
        draw_error_cdf(tmp_path / "no.png", {"bad": [1.0, np.nan]})
    with pytest.raises(ValueError, match="no errors"):
        draw_error_cdf(tmp_path / "no.png", {})


def test_learning_curves_rise_where_the_scores_do(tmp_path):
    curves = {"probe": {1: [0.4, 0.5], 20: [0.8, 0.9]}, "from scratch": {1: [0.1, 0.1], 20: [0.3, 0.7]}}
    draw_learning_curves(tmp_path / "l.png", curves, chance=0.05)
    picture = read(tmp_path / "l.png")
    heights = []
    for colour in style.PALETTE[:2]:
        rows, columns = np.nonzero(pixels_of(picture, colour)[:, 330:800])  # between the counts, no legend
        assert np.corrcoef(rows, columns)[0, 1] < -0.99
        heights.append(rows.mean())
    assert heights[0] < heights[1] - 100  # the first method lies higher
    with pytest.raises(ValueError, match="needs a score"):
        draw_learning_curves(tmp_path / "no.png", {"a": {1: []}})


def test_the_terminal_shows_a_table_of_each_metric_over_the_labels(capsys):
    one = reports.result_rows("probe", [{"accuracy": 0.5, "macro_f1": 0.25}], None)
    reports.print_results({"task": "t", "results": one})
    text = capsys.readouterr().out
    assert "accuracy" in text and "macro f1" in text and "0.250 ± 0.000" in text
    many = [*one, *reports.result_rows("probe", [{"accuracy": 0.125, "macro_f1": 0.75}], 5)]
    reports.print_results({"task": "t", "results": many})
    first, second = capsys.readouterr().out.split("macro f1 by labels per class")
    assert "accuracy by labels per class" in first and "0.125 ± 0.000" in first and "all" in first
    assert "0.750 ± 0.000" in second and "0.125" not in second


def test_a_picture_is_whole_or_not_there(tmp_path, monkeypatch):
    def full(file, **_):
        Path(file).write_bytes(before[:50])
        raise OSError("disk full")

    fig = style.figure(1, 1)
    style.save(fig, tmp_path / "a.png")
    style.save(fig, tmp_path / "named")
    style.save(fig, tmp_path / "a.svg")
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(ValueError, match="txt"):
        style.save(fig, tmp_path / "a.txt")
    monkeypatch.setattr(fig, "savefig", full)
    with pytest.raises(OSError, match="disk full"):
        style.save(fig, tmp_path / "a.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "a.svg", "named.png"]
    assert (tmp_path / "a.png").read_bytes() == before and before.startswith(b"\x89PNG")
