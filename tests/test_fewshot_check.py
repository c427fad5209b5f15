# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What the few-shot classifier states is measured on held-out domains, and a measurement can tell when it is
not so."""

import json

import numpy as np
import pytest
from conftest import ROOT  # noqa: F401  (OMP_NUM_THREADS)
from radiofm_ml import bundle as bundles
from radiofm_ml.cli.app import app
from radiofm_ml.evaluate import fewshot_check as checks
from radiofm_ml.evaluate import fewshot_data
from radiofm_ml.evaluate.fewshot_check import Data, binomial_interval, expected_calibration_error, share
from radiofm_ml.evaluate.fewshot_data import load
from radiofm_ml.fewshot import FewShot
from radiofm_ml.fewshot.calibrating import calibrate
from radiofm_ml.synth.beams import BeamSimulator
from radiofm_ml.synth.beams.files import write_captures
from scipy.stats import binomtest
from test_fewshot import D, labelled
from tiny_bundle import make_bundle
from typer.testing import CliRunner


# -- the rate and the probabilities, on domains that the calibration has not seen ---------------------
@pytest.fixture(scope="module")
def source():
    """Labels of sizes 1 to 5 that overlap."""
    x, y = labelled(31, 50, 40, spread=0.5)
    return calibrate(x, y, "l2", shots=(2, 3, 8), episodes=60, metrics=("euclidean",), ways=(4, 12))


@pytest.fixture(scope="module", params=["an entry of the table", "between two entries"])
def measured(source, request):
    """3 shots, 4 and 12 labels."""
    table = json.loads(json.dumps(source))
    between = request.param.startswith("between")
    if between:
        ratios = table["normalisations"]["l2"]["metrics"]["euclidean"]
        for key in ("ratios", "probabilities"):
            ratios[key] = [row for row in ratios[key] if row["shots"] != 3]
    played = []
    for domain in range(5):
        x, y = labelled([32, domain], 40, 25, spread=0.5)
        data = Data(x, y)
        played.append(checks.play(data, lambda: FewShot(D, calibration=table), 3, (4, 12), 12, domain, 2))
    rows = np.concatenate([p.row + 1000 * i for i, p in enumerate(played)])
    clusters = np.concatenate([p.cluster + 40 * i for i, p in enumerate(played)])
    rest = (np.concatenate([getattr(p, name) for p in played])
            for name in ("ways", "known", "p_value", "own", "confidence", "right"))
    return checks.Played(rows, clusters, *rest), between


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_of_its_own_label_the_stated_share_is_far(measured, rate):
    """Neither more nor fewer than stated at an entry of the table, not more between two; tiles of a label
    taken as dependent."""
    measured, between = measured
    known = measured.known
    found = share(measured.own[known] <= rate, measured.row[known], measured.cluster[known])
    low, high = found["widest"]
    assert low <= rate and found["distinct"] > 1000
    assert high >= rate / (3 if between else 1)
    assert high < 2.5 * rate  # an interval that could not fail to hold the rate would say nothing


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_false_alarms_are_at_most_as_stated(measured, rate):
    measured, _ = measured
    known = measured.known
    found = share(measured.p_value[known] <= rate, measured.row[known], measured.cluster[known])
    assert found["measured"] <= rate <= 0.05
    assert (measured.p_value[known] >= measured.own[known]).all()
    assert (measured.p_value[~known] <= rate).mean() > 2 * found["measured"]


def test_probabilities_are_calibrated_on_held_out_domains(measured):
    measured, _ = measured
    numbers = checks.summarise(measured)["ece"]["all"]
    assert 0.5 < numbers["accuracy"] < 0.9  # there is something to be unsure of
    assert numbers["width"] <= 0.05 and numbers["mass"] <= 0.05


def test_a_wrong_calibration_is_found_out(source):
    """Thresholds of signals twice as near, and probabilities twice as sure."""
    wrong = json.loads(json.dumps(source))
    table = wrong["normalisations"]["l2"]["metrics"]["euclidean"]
    for row in table["ratios"]:
        row["ratios"] = [r / 2 for r in row["ratios"]]
    for row in table["probabilities"]:
        row["exponent"] *= 3
    x, y = labelled([33, 0], 40, 25, spread=0.5)
    rows = checks.check(Data(x, y), lambda metric: FewShot(D, calibration=wrong, metric=metric), (2,),
                        ("euclidean",), (4, 12), episodes=10)
    own = {s["stated"]: s for s in rows[0]["own_label"]}
    assert own[0.05]["widest"][0] > 0.05
    assert rows[0]["ece"]["all"]["width"] > 0.05


# -- the numbers themselves ---------------------------------------------------------------------------
@pytest.mark.parametrize(("hits", "trials"), [(0, 50), (3, 50), (50, 50), (17, 1000)])
def test_binomial_interval_is_scipys(hits, trials):
    expected = binomtest(hits, trials).proportion_ci(0.95, "exact")
    np.testing.assert_allclose(binomial_interval(hits, trials), expected, atol=1e-12)


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(0)
    hits = np.repeat(rng.random(40) < 0.2, 25)
    found = share(hits, np.arange(1000), np.repeat(np.arange(40), 25))
    binomial, clusters = (found[key][1] - found[key][0] for key in ("binomial", "clusters"))
    assert clusters > 3 * binomial and found["n_clusters"] == 40
    alone = share(hits, np.arange(1000), np.arange(1000))
    assert alone["clusters"][1] - alone["clusters"][0] == pytest.approx(binomial, rel=0.2)


def test_expected_calibration_error_of_known_cases():
    confidence = np.repeat([0.9, 0.6], 500)
    right = np.r_[np.arange(500) % 10 < 8, np.arange(500) % 10 < 6]  # 80 % of what says 90 %
    for equal_mass in (False, True):
        assert expected_calibration_error(confidence, right, equal_mass) == pytest.approx(0.05, abs=0.012)
    assert expected_calibration_error([1.0, 1.0], [True, True]) == 0.0
    assert expected_calibration_error([1.0, 1.0], [False, False]) == 1.0
    assert sum(b["queries"] for b in checks.reliability(confidence, right, True)) == 1000


def test_what_is_asked_together_is_one_query_by_its_mean():
    rng = np.random.default_rng(1)
    groups, y = np.tile(np.repeat(np.arange(4), 10), 6), np.repeat(np.arange(6), 40)
    x = (rng.normal(size=(240, D)) + 0.3 * y[:, None]).astype(np.float32)
    recordings = np.repeat(np.arange(48), 5)
    data = Data(x, y, groups, together=recordings)
    rows = np.arange(8, 22)
    assert [q.tolist() for q in data.queries(rows, 3)] == [[8, 9], list(range(10, 15)), list(range(15, 20))]
    assert [q.tolist() for q in Data(x, y).queries(rows, 2)] == [[8], [9]]
    alone, together = (checks.play(d, lambda: FewShot(D, normalisation="none"), 5, (4,), 20, 0)
                       for d in (Data(x, y, groups), data))
    assert together.right[together.known].mean() > alone.right[alone.known].mean()
    # two groups of ten hold four recordings, of the four labels taught
    assert together.known.sum() <= 4 * 4 * 50 < alone.known.sum()


def test_shots_and_queries_do_not_share_a_group():
    rng = np.random.default_rng(1)
    groups = np.tile(np.repeat(np.arange(4), 10), 6)
    x, y = rng.normal(size=(240, D)).astype(np.float32), np.repeat(np.arange(6), 40)
    x[:, 0] = 100 * groups  # which group is all that can be seen
    for apart in (None, groups):
        played = checks.play(Data(x, y, apart), lambda: FewShot(D, normalisation="none"), 5, (2, 4), 10, 0)
        assert played.known.any() and (~played.known).any() and set(played.ways) == {2, 4}
    member, draws = np.flatnonzero(y == 2), np.random.default_rng(2)
    for _ in range(20):
        support, queries = checks._draw(member, groups, 5, draws)
        assert not set(groups[support]) & set(groups[queries]) and len(support) == 5


def test_labels_of_an_episode_come_from_one_domain():
    x, y = labelled(4, 12, 10)
    taught = []

    class Noted(FewShot):
        def predict(self, embeddings):
            asked = {int(np.flatnonzero((x == e).all(1))[0]) // 40 for e in embeddings}
            taught.append(({int(label) // 4 for label in self.labels}, asked))
            return super().predict(embeddings)

    data = Data(x, np.array([f"{k:02d}" for k in y]), domains=y // 4)
    played = checks.play(data, lambda: Noted(D, normalisation="none"), 2, (1, 3, 5), 4, 0)
    assert set(played.ways) == {1, 3} and (~played.known).any()  # a domain has four labels
    assert all(labels == asked and len(labels) == 1 for labels, asked in taught)
    assert {next(iter(labels)) for labels, _ in taught} == {0, 1, 2}


def test_check_refuses_what_it_cannot_measure():
    x, y = labelled(3, 3, 4)
    with pytest.raises(ValueError, match="fewer than 2 labels"):
        checks.check(Data(x, y), lambda metric: FewShot(D), (4,), ("euclidean",), (2,))


# -- the command --------------------------------------------------------------------------------------
def test_command(tmp_path):
    bundle = make_bundle(tmp_path / "model")
    size, rng = bundle.embedding_size, np.random.default_rng(4)
    x = (rng.normal(size=(12, 1, size)) + 0.2 * rng.normal(size=(12, 14, size))).reshape(-1, size)
    y = np.repeat([f"label {k}" for k in range(12)], 14)
    np.savez(tmp_path / "x.npz", embedding=x, label=y)
    (tmp_path / "c.json").write_text(json.dumps(calibrate(x, y, "none", (1, 5), ways=(1, 5), episodes=10)))
    run = CliRunner().invoke(app, [
        "fewshot-check", str(bundle.path), str(tmp_path / "x.npz"), "--out", str(tmp_path / "out"), "--shots",
        "1,5", "--ways", "2,5", "--episodes", "4", "--calibration", str(tmp_path / "c.json")])
    assert run.exit_code == 0, run.output
    assert "false alarms" in run.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [(r["metric"], r["shots"]) for r in report["rows"]] == [
        ("euclidean", 1), ("euclidean", 5), ("mahalanobis", 5)]
    assert report["rows"][0]["ece"]["all"]["accuracy"] > 0.9
    for name in ("rates.png", "reliability.png"):
        assert (tmp_path / "out" / name).stat().st_size > 10_000


def test_beams_of_a_file(tmp_path):
    file = write_captures(tmp_path, BeamSimulator("a"), 15, 1)
    data = load(bundles.load("protobeam-sim"), str(file), frames=12)
    assert data.x.shape == (24 * 12, 64)
    assert list(dict.fromkeys(data.labels)) == [f"beam {b}" for b in range(24)]
    few = FewShot(64, normalisation="l2")
    for label in dict.fromkeys(data.labels):
        few.prototypes.enroll(label, data.x[data.labels == label][:2])
    asked = np.tile(np.arange(12) >= 2, 24)
    decided = np.array(few.labels)[few.predict(data.x[asked]).index]
    assert (decided == data.labels[asked]).mean() > 0.8  # they are the blocks of those beams
    with pytest.raises(ValueError, match="bundle random.* reads tiles"):
        load(make_bundle(tmp_path / "model"), str(file))


def test_simulated_beams(monkeypatch):
    monkeypatch.setattr(fewshot_data, "FRONT_ENDS", range(200_000, 200_001))
    data = load(bundles.load("protobeam-sim"), "synthetic")
    assert data.x.shape == (3 * 24 * 40, 64) and len(np.unique(data.labels)) == 72
    assert len(np.unique(data.clusters)) == 24 and len(np.unique(data.domains)) == 3  # one for each gain
    for label in np.unique(data.labels):
        assert len(np.unique(data.domains[data.labels == label])) == 1


def test_calibrate_writes_what_the_bundle_then_uses(tmp_path):
    bundle = make_bundle(tmp_path / "model")
    assert not FewShot.for_bundle(bundle, shipped=False, normalisation="l2").calibrated
    for options in (["--out", str(tmp_path / "c.json")], []):
        command = ["calibrate", str(bundle.path), "--each", "2", "--episodes", "1", *options]
        run = CliRunner().invoke(app, command)
        assert run.exit_code == 0, run.output
    made = bundles.load(bundle.path)
    assert made.id == bundle.id and made.calibration["model"] == bundle.id
    assert made.calibration == {**json.loads((tmp_path / "c.json").read_text()), "model": bundle.id}
    for metric in ("euclidean", "cosine", "mahalanobis"):
        few = FewShot.for_bundle(made, shipped=False, metric=metric)
        assert few.calibrated and few.normalisation == "cl2n"


def test_files_that_are_refused(tmp_path):
    bundle = make_bundle(tmp_path / "model")
    path = tmp_path / "x.npz"
    for arrays, reason in (({"embedding": np.zeros((3, 2)), "label": ["a"] * 3}, "finite, got"),
                           ({"embedding": np.zeros((3, bundle.embedding_size))}, "'label'"),
                           ({"embedding": np.zeros((3, bundle.embedding_size)), "label": ["a"]}, "'label'")):
        np.savez(path, **arrays)
        with pytest.raises(ValueError, match=f"x.npz.*{reason}"):
            load(bundle, str(path))
    with pytest.raises(ValueError, match="no such file"):
        load(bundle, str(tmp_path / "absent.npz"))
