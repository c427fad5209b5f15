# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Table I and ProtoAoA: shots, centring, jobs that resume, and what the tables say of known results."""

import json
from dataclasses import replace

import numpy as np
import pytest
from radiofm_ml.cli.app import app
from radiofm_ml.data.beam_blocks import BeamBlocks
from radiofm_ml.data.beam_files import BeamFileError, write
from radiofm_ml.engines import open_engine
from radiofm_ml.evaluate import angles, beam_tables, beams
from radiofm_ml.evaluate.angles import AnglePlan, SimulatedAngles
from radiofm_ml.evaluate.antennas import RecordedAntennas, SimulatedAntennas
from radiofm_ml.evaluate.beams import DEEPBEAM, GAINS, MIXED, TUNED, Job, Plan
from radiofm_ml.fewshot import FewShot
from radiofm_ml.train.beam_export import export
from radiofm_ml.train.deepbeam import FineTuneConfig, FitConfig
from radiofm_ml.train.protobeam import embed, load_run
from typer.testing import CliRunner

LENGTH, BEAMS = 128, 3
PLAN = Plan(shots=(1, 2), seeds=(0,), draws=2, unlabelled=2, episodes=3, simulated_episodes=3,
            deepbeam=(FitConfig(1, 30, 1e-3),), tune=((FineTuneConfig("head", 1e-3, 2), (1, 2)),))


class Toy:
    """Two antennas of three beams, two gains; blocks are noise through a beam's own filter."""

    names = ("a", "b")

    def blocks(self, name: str, part: str) -> BeamBlocks:
        taps = np.random.default_rng(ord(name)).normal(size=(BEAMS, 4, 2)) @ [1, 1j]
        rng = np.random.default_rng([ord(name), len(part)])
        gain, beam, _ = np.indices((2, BEAMS, 9)).reshape(3, -1)
        white = rng.normal(size=(len(beam), LENGTH + 3, 2)) @ [1, 1j]
        iq = sum(taps[beam, k, None] * white[:, k:k + LENGTH] for k in range(4)) * 10.0 ** gain[:, None]
        return BeamBlocks(iq.astype(np.complex64), beam, gain, np.zeros_like(beam), ("0", "1", "2"))

    def facts(self) -> dict:
        return {"source": "toy"}


# -- shots and centring ------------------------------------------------------------------------------------
def test_shots_and_queries_share_no_block():
    beam = np.repeat(np.arange(4), 7)
    taught, asked = beams.split_shots(beam, 3, np.random.default_rng(0))
    assert taught.shape == (4, 3)
    assert sorted([*taught.ravel(), *asked]) == list(range(28))
    assert (beam[taught] == np.arange(4)[:, None]).all()
    with pytest.raises(ValueError, match="too few for 7 shots"):
        beams.split_shots(beam, 7, np.random.default_rng(0))


def test_at_one_gain_shots_and_queries_have_the_same():
    blocks = Toy().blocks("a", "test")
    seen = []

    def draw(taught, asked, number):
        seen.append((set(blocks.gain[taught.ravel()]), set(blocks.gain[asked])))
        return np.zeros(len(asked), int)

    found = beams.score(draw, blocks, PLAN, 0)
    assert all(pair[1] == {0, 1} for pair in seen[:4])
    assert seen[4:] == [({0}, {0}), ({1}, {1})] * 4
    assert found["each"]["1"]["accuracy"] == [pytest.approx(1 / 3)] * 2
    counts = np.array(found["each"]["1"]["confusion"])
    assert counts[:, 0].sum() == counts.sum() == 2 * 2 * BEAMS * 8


def test_labels_of_the_target_are_not_read_for_centring():
    blocks = Toy().blocks("b", "train")
    rng = np.random.default_rng(1)
    disguised = replace(blocks, beam=rng.permutation(blocks.beam))

    def embed(part):
        return part.iq[:, :5].real

    one, other = (beams.domain_mean(embed, part, 3) for part in (blocks, disguised))
    np.testing.assert_array_equal(one, other)
    index = np.linspace(0, len(blocks) - 1, 3 * BEAMS * 2).astype(int)
    np.testing.assert_allclose(one, blocks.iq[index, :5].real.mean(0), rtol=1e-6)


def test_the_nearest_prototype_decides():
    z = np.array([[0.0, 0], [0, 1], [5, 0], [5, 1], [0.2, 0.5], [4, 0.4], [3, 0.5]])
    decided = beams.decide(z, np.array([[0, 1], [2, 3]]), np.array([4, 5, 6]), "none", "euclidean", None)
    np.testing.assert_array_equal(decided, [0, 1, 1])
    # without a mean it is that of the shots: (2.5, 0.5), seen from which the last two lie in one direction
    taught, asked = np.array([[0, 1], [2, 3]]), np.array([4, 5, 6])
    one, other = (beams.decide(z + shift, taught, asked, "cl2n", "euclidean", mean)
                  for shift, mean in ((0, np.array([2.5, 0.5])), (100, None)))
    np.testing.assert_array_equal(one, other)


# -- jobs --------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """The whole machinery at a toy's size: (folder, results, summary)."""
    folder = tmp_path_factory.mktemp("table")
    results = beams.run(Toy(), PLAN, folder)
    summary = beam_tables.summarise(results, Toy.names, Toy().facts(), PLAN)
    beam_tables.write(folder, summary)
    return folder, results, summary


def test_every_method_of_every_pair_is_in_the_table(table):
    folder, results, summary = table
    methods = {r["method"] for r in summary["rows"]}
    assert methods == {*beams.TABLE, beams.RANDOM, beams.STATISTICS, DEEPBEAM, MIXED, TUNED["head"]}
    for method, kinds in (*((method, GAINS) for method in beams.TABLE), (TUNED["head"], GAINS[:1])):
        for gains in kinds:
            for shots in (1, 2):
                for setup, cells in (("TTSA", ((0, 0), (1, 1))), ("TOTA", ((0, 1), (1, 0)))):
                    row = beam_tables.lookup(summary, method, gains, setup, shots)
                    matrix = summary["pairs"][method][gains][str(shots)]
                    assert row["mean"] == pytest.approx(np.mean([matrix[i][j] for i, j in cells]))
                    assert 0 <= row["mean"] <= 1 and len(row["seeds"]) == 1
    assert beam_tables.lookup(summary, DEEPBEAM, "mixed", "TOTA", 0) is not None
    assert beam_tables.lookup(summary, MIXED, "mixed", "TOTA", 0) is None  # has seen them all
    assert beam_tables.lookup(summary, beams.STATISTICS, "each", "TTSA", 1) is None  # trained on none


def test_what_is_written(table):
    folder, _, summary = table
    for name in ("table1.json", "table1.md", "table1.png", "pairs.png", "projections.png",
                 "same/report.json", "other/learning_curves.png", "other/confusion.png"):
        assert (folder / name).stat().st_size > 500, name
    text = (folder / "table1.md").read_text()
    row = beam_tables.lookup(summary, "ours", "mixed", "TOTA", 2)
    line = next(line for line in text.splitlines() if line.startswith("| ours |"))
    assert f"{100 * row['mean']:.1f}" in line


def test_what_is_done_is_not_done_again(table, monkeypatch):
    folder, results, _ = table
    monkeypatch.setattr(beams, "run_job", lambda *a, **k: pytest.fail("done already"))
    assert beams.run(Toy(), PLAN, folder) == results
    with pytest.raises(ValueError, match="other settings"):
        beams.run(Toy(), replace(PLAN, draws=3), folder)


def test_a_job_gives_the_same_whatever_ran_before(table, tmp_path):
    _, results, _ = table
    job = Job("ours", "b", 0)
    again = beams.run_job(job, Toy(), PLAN, tmp_path)
    kept = next(r for r in results if (r["method"], r["source"]) == ("ours", "b"))
    assert again["targets"] == kept["targets"]


def test_published_rows_are_switched_on_one_after_the_other():
    none, norm, augmented, prototypes, ours = beams.TABLE.values()
    assert none.encoder.normalise == "none" and norm.encoder.normalise == "rms"
    assert none.train == norm.train and norm.train.augmentation is None
    assert augmented == replace(norm, train=replace(norm.train, augmentation=augmented.train.augmentation))
    assert replace(prototypes.train, temperature=10.0) == replace(augmented.train, prototypes="cl2n")
    assert prototypes.normalisation == "cl2n" and prototypes.centre == "shots"
    assert {s.metric for s in (none, norm, augmented, prototypes)} == {"euclidean"}
    assert {s.train.front_ends for s in (none, norm, augmented, prototypes)} == {"one"}
    assert ours.train.front_ends == "virtual" and ours.normalisation == "cl2n"


# -- where the blocks come from ----------------------------------------------------------------------------
def test_simulated_antennas_are_split_in_time():
    antennas = SimulatedAntennas(frames=10)
    train, test = (antennas.blocks("b", part) for part in ("train", "test"))
    assert (len(train), len(test)) == (3 * 24 * 6, 3 * 24 * 4)
    assert np.bincount(test.beam).tolist() == [12] * 24 and np.bincount(test.gain).tolist() == [96] * 3
    whole = beams_capture("b", 1, 2, 5)
    np.testing.assert_array_equal(train.iq[(train.gain == 2) & (train.beam == 5)], whole[:6])
    np.testing.assert_array_equal(test.iq[(test.gain == 2) & (test.beam == 5)], whole[6:])


def beams_capture(name, number, gain, beam):
    from radiofm_ml.synth.beams import GAINS_DB, BeamSimulator

    rng = np.random.default_rng([0, number, gain, beam])
    return BeamSimulator(name).capture(beam, 10, rng, rx_gain_db=GAINS_DB[gain], blocks=1)[:, 0]


def test_numbered_front_ends():
    blocks = SimulatedAntennas().numbered(5, 2, 1)
    assert len(blocks) == 2 * 3 * 24 and set(blocks.front_end) == {0, 1}
    other = SimulatedAntennas().numbered(6, 1, 1)
    np.testing.assert_array_equal(blocks.iq[blocks.front_end == 1], other.iq)


def test_recorded_antennas(tmp_path):
    for number in (0, 1):
        iq = np.random.default_rng(number).normal(size=(2 * 3 * 10 * 2 * 64, 2)) @ [1, 1j]
        write(tmp_path / f"srf-basic-config-3-beams-tx-ant-{number}-rx-ant-{1 - number}.h5", [iq], [40, 60],
              [0, 1, 2], None, 10, 2, 64)
    antennas = RecordedAntennas(str(tmp_path), frames=5)
    assert antennas.names == ("0", "1")
    train, test = antennas.blocks("1", "train"), antennas.blocks("1", "test")
    assert (len(train), len(test)) == (2 * 3 * 3, 2 * 3 * 2)
    assert train.labels == ("beam 0", "beam 1", "beam 2")
    with pytest.raises(BeamFileError, match="two antennas or more"):
        RecordedAntennas(str(tmp_path / "none")).names  # noqa: B018


# -- angles ------------------------------------------------------------------------------------------------
def test_every_fourth_angle_is_trained_on():
    np.testing.assert_array_equal(angles.seen_angles(9), [0, 4, 8])


def test_estimated_angle_is_the_mean_by_probability():
    z = np.array([[-1.0, 0], [1.0, 0], [0.0, 0.001], [-0.9, 0]])
    taught, degrees = np.array([[0], [1]]), np.array([-30.0, 30.0])
    nearest, angle = angles.estimate(z, taught, np.array([2, 3]), degrees, "none", "euclidean", None)
    assert angle[0] == pytest.approx(0, abs=1e-6)
    assert nearest[1] == 0 and angle[1] == pytest.approx(-30, abs=0.01)


def test_protoaoa_asks_only_for_angles_that_were_not_trained_on(tmp_path, monkeypatch):
    sweeps = SimulatedAngles(("a", "b"), frames=14)
    plan = AnglePlan(shots=(1, 2), seeds=(0,), draws=1, unlabelled=1, episodes=3,
                     methods=("ours", angles.RANDOM, angles.SUPERVISED))
    trained = []
    original = angles.train_setup
    monkeypatch.setattr(angles, "train_setup", lambda setup, folder, blocks, *rest: (
        trained.append(set(blocks.beam)), original(setup, folder, blocks, *rest))[1])
    results = angles.run(sweeps, plan, tmp_path)
    assert trained == [set(range(0, 31, 4))] * 2
    report = angles.write(tmp_path, results, sweeps, plan)
    seen = set(report["facts"]["trained_on"])
    assert len(seen) == 8 and report["facts"]["step"] == 3
    truth = report["examples"]["ours, 1 shots"]["truth"]
    assert len(set(truth)) == 23 and not seen & set(truth)
    methods = {r["method"] for r in report["results"]}
    assert methods == {"ours, same antenna", "ours, another antenna", "random encoder, same antenna",
                       "random encoder, another antenna", angles.SUPERVISED}
    metrics = {r["metric"]: r["mean"] for r in report["results"] if r["labels_per_class"] == 2}
    assert metrics["accuracy"] <= metrics["within_one_step"] <= 1
    assert (tmp_path / "angles.png").stat().st_size > 5000
    assert json.loads((tmp_path / "plan.json").read_text())["plan"]["episodes"] == 3


# -- the command -------------------------------------------------------------------------------------------
def test_train_evaluate_and_bundle(tmp_path):
    def radiofm(*arguments):
        done = CliRunner().invoke(app, ["protobeam", *map(str, arguments)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output

    assert radiofm("train", tmp_path, "--setup", "list").splitlines() == list(beams.SETUPS)
    run = ["train", tmp_path / "run", "--frames", 14, "--episodes", 2, "--setup"]
    radiofm(*run, "ours")
    radiofm("evaluate", tmp_path / "run", "--frames", 14, "--target", "b", "--shots", "1,2", "--out",
            tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())["antennas"]
    assert list(found) == ["b"] and list(found["b"]["each"]) == ["1", "2"]
    assert np.mean(found["b"]["each"]["2"]["accuracy"]) > 2 / 24  # well above chance even so
    for arguments, words in ((("train", tmp_path / "x", "--source", "e"), "antennas are a, b, c, d"),
                             ((*run, "theirs"), "--setup must be one of"),
                             ((*run, "none"), "other settings"),
                             (("evaluate", tmp_path / "run", "--shots", "0"), "--shots must be"),
                             (("plot", tmp_path), "radiofm protobeam table1 writes it")):
        with pytest.raises(ValueError, match=words):
            radiofm(*arguments)

    held_out = SimulatedAntennas().numbered(100_000, 2, 4)
    made = export(tmp_path / "run", tmp_path / "made", "made", held_out, "# made\n", episodes=2)
    few = FewShot.for_bundle(made)
    assert few.calibrated and few.normalisation == "cl2n"
    np.testing.assert_allclose(open_engine(made).embed(held_out.iq[:5]),
                               embed(load_run(tmp_path / "run")[0].encoder, held_out)[:5], atol=0.02)
