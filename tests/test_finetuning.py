# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tuning as a whole: labels that are drawn, reports, going on after a stop, and the two signal tasks."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from radiofm_ml import heads
from radiofm_ml.cli import main
from radiofm_ml.evaluate import finetuning
from radiofm_ml.evaluate.finetuning import choose_by, draw_labels, evaluate
from radiofm_ml.synth import dataset
from radiofm_ml.synth.dataset import SceneSettings
from radiofm_ml.tasks import TaskError, identification, images, load_task
from radiofm_ml.train.tuning import TuneConfig
from test_tuning import arrays, rated, stripes
from tiny_bundle import SPEC, make_bundle

QUICK = TuneConfig("lora", epochs=1, min_steps=2, max_steps=2, batch_size=8, rank=2)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"), dim=32, depth=2)


def test_labels_are_drawn_by_class_and_group_and_fewer_are_among_more():
    data = stripes()
    few, more = draw_labels(data, 2, 5), draw_labels(data, 10, 5)
    assert set(few) < set(more) <= set(data.splits["train"])
    assert np.bincount(data.targets[more]).tolist() == [10, 10, 10]
    for label in range(3):  # two groups of five are enough for two labels of different groups
        drawn = few[data.targets[few] == label]
        assert len(np.unique(data.groups[drawn])) == 2
    assert set(draw_labels(data, 2, 6)) != set(few)
    assert np.array_equal(draw_labels(data, None, 0), data.splits["train"])
    with pytest.raises(TaskError, match="only 20 training examples of 'none', 21 are wanted"):
        draw_labels(data, 21, 0)
    assert len(draw_labels(arrays(), 7, 0)) == 7


def test_a_part_to_choose_by_shares_no_group_and_is_left_out_where_labels_are_few():
    data = stripes()
    train, held = choose_by(data, draw_labels(data, None, 0), 0.25, 0)
    assert not set(data.groups[train]) & set(data.groups[held])
    assert len(train) + len(held) == len(data.splits["train"])
    assert set(data.targets[train]) == set(data.targets[held]) == {0, 1, 2}
    few = draw_labels(data, 2, 0)
    assert choose_by(data, few, 0.25, 0)[1] is None and choose_by(data, few, 0.25, 0)[0] is few


def test_a_report_with_baselines_that_goes_on_where_it_was_stopped(tmp_path, bundle, monkeypatch):
    data, done = stripes(), []
    run = finetuning._run

    def counted(method, frozen, bundle, data, count, seed, on_step):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append((method.name, count, seed))
        return run(method, frozen, bundle, data, count, seed, on_step)

    configs = [replace(QUICK, method="probe"), QUICK]
    arguments = bundle, data, configs, tmp_path, (1, 4), (0, 1), ("random", "scratch")
    monkeypatch.setattr(finetuning, "_run", counted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(*arguments)
    monkeypatch.setattr(finetuning, "_run", lambda *a: done.append((a[0].name, a[4], a[5])) or run(*a))
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"settings": {"cut')  # as a stop in the middle of a line leaves it
    report = evaluate(*arguments)["test"]
    assert len(done) == len(set(done)) == 4 * 2 * 2
    rows = {(r["method"], r["labels_per_class"]): r for r in report["results"]
            if r["metric"] == "balanced_accuracy"}
    names = {"probe", "lora", "random encoder, probe", "from scratch"}
    assert set(rows) == {(name, count) for name in names for count in (1, 4)}
    for row in rows.values():
        assert len(row["seeds"]) == 2 and row["mean"] == pytest.approx(np.mean(row["seeds"]))
    tested = len(data.splits["test"])
    assert all(np.sum(counts) == 2 * tested for counts in report["confusion"].values())
    assert report["chance"] == pytest.approx(1 / 3) and report["model"] == bundle.id
    assert (tmp_path / "confusion.png").exists() and (tmp_path / "learning_curves.png").exists()
    assert {heads.load(f).labels for f in (tmp_path / "heads").iterdir()} == {data.labels}
    assert json.loads((tmp_path / "report.json").read_text())["results"] == report["results"]
    with pytest.raises(ValueError, match="other data"):
        evaluate(bundle, stripes(60), configs, tmp_path)


def test_a_regression_reports_errors(tmp_path, bundle):
    report = evaluate(bundle, arrays(), [replace(QUICK, method="probe")], tmp_path, (None,), (0,),
                      ("random", "cnn", "mean"))["test"]
    assert {r["metric"] for r in report["results"]} == {"mean", "median", "p90"}
    found = {r["method"]: r["mean"] for r in report["results"] if r["metric"] == "mean"}
    assert set(found) == {"probe", "random encoder, probe", "small CNN from scratch",
                          "mean of the training targets"}
    data = arrays()
    train, test = (data.targets[data.splits[part]] for part in ("train", "test"))
    trivial = np.linalg.norm(test - train.mean(0), axis=1).mean()
    assert found["mean of the training targets"] == pytest.approx(trivial)
    assert found["probe"] < trivial and found["small CNN from scratch"] < trivial
    assert report["unit"] == "dB" and (tmp_path / "error_cdf.png").exists()


@pytest.mark.parametrize(("known", "baselines"), [(False, ("rate",)), (True, ("random", "cnn", "rate"))])
def test_baselines_know_the_sample_rate_where_the_heads_do(tmp_path, bundle, known, baselines):
    """Slow kinds and fast ones, which differ in nothing but the rate."""
    config = replace(QUICK, method="probe", know_rate=known)
    report = evaluate(bundle, rated(), [config], tmp_path, (None,), (0,), baselines)["test"]
    assert report["sample_rate"] == ("known" if known else "withheld")
    assert len(report["confusion"]) == 1 + len(baselines)
    for method, counts in report["confusion"].items():
        counts = np.array(counts).reshape(2, 2, 2, 2).sum((1, 3))  # slow and fast
        right = np.trace(counts) / counts.sum()
        assert right > 0.9 if known or method == "sample rate alone" else right < 0.8, (method, right)
    assert (heads.load(tmp_path / "heads" / "probe").rate is not None) == known


# -- identification ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "SHARD_TILES", 24)
        for part, ends, seed in (("train", range(3), 1), ("test", range(7, 9), 2)):
            settings = SceneSettings(("ais", "pocsag"), ends, (-3, 20), neighbours=0.0, on=False)
            dataset.write_shards(folder / part, SPEC, 24, seed, settings)
    return folder


def test_synthetic_tiles_split_by_receiver(shards):
    data = load_task("identification", shards, SPEC)
    assert set(data.labels) == {"ais", "pocsag"}
    train, test = data.splits["train"], data.splits["test"]
    assert not set(data.groups[train]) & set(data.groups[test])
    assert data.inputs[test[:3]].shape == (3, 1, 32, 64) and data.tiles
    assert len(data.rates) == len(data.inputs) and data.rates.min() >= 24e3
    parts = [identification.read_shards(shards / part) for part in ("train", "test")]
    assert len(train) == (parts[0].snr_db >= 0).sum() and len(test) == (parts[1].snr_db >= 0).sum()


def test_reports_tell_snrs_and_rates_apart(shards, bundle, tmp_path):
    data = load_task("identification", shards, SPEC)
    test = data.splits["test"]
    assert list(data.conditions) == ["SNR", "sample rate over the kind's least"]
    for values in data.conditions.values():  # every example has one value
        assert (sum(mask.astype(int) for mask in values.values()) == 1).all()
    parts = [identification.read_shards(shards / part) for part in ("train", "test")]
    snr = np.concatenate([p.snr_db[p.snr_db >= 0] for p in parts])
    assert np.array_equal(data.conditions["SNR"]["10 to 20 dB"], (snr >= 10) & (snr < 20))
    report = evaluate(bundle, data, [replace(QUICK, method="probe")], tmp_path, (None,), (0, 1),
                      ("rate",))["test"]
    whole = {(r["method"], r["metric"]): r for r in report["results"]}
    for name in data.conditions:
        rows = [r for r in report["conditions"] if r["condition"] == name and r["metric"] == "accuracy"]
        assert {r["method"] for r in rows} == {"probe", "sample rate alone"}
        for method in ("probe", "sample rate alone"):
            own = [r for r in rows if r["method"] == method]
            assert sum(r["examples"] for r in own) == len(test)
            right = sum(r["examples"] * r["mean"] for r in own) / len(test)
            assert right == pytest.approx(whole[method, "accuracy"]["mean"])
            assert all(len(r["seeds"]) == 2 for r in own)
    with pytest.raises(TaskError, match="of condition 'SNR'"):
        replace(data, conditions={"SNR": {"all": np.ones(3, bool)}})


def test_a_part_may_have_several_sets(shards, tmp_path):
    one = load_task("identification", shards, SPEC)
    for part in ("train", "test"):
        (tmp_path / part).symlink_to(shards / part)
    (tmp_path / "test-again").symlink_to(shards / "test")
    two = load_task("identification", tmp_path, SPEC)
    old, new = one.splits["test"], two.splits["test"]
    assert np.array_equal(two.splits["train"], one.splits["train"]) and len(new) == 2 * len(old)
    for again in (new[:len(old)], new[len(old):]):
        assert np.array_equal(two.targets[again], one.targets[old])
        assert np.array_equal(two.rates[again], one.rates[old])
        assert np.array_equal(two.inputs[again], one.inputs[old])
    assert len(np.unique(two.groups[new])) == 2 * len(np.unique(one.groups[old]))


def test_receivers_on_both_sides_are_refused(shards, tmp_path):
    (tmp_path / "train").symlink_to(shards / "train")
    (tmp_path / "test").symlink_to(shards / "train")
    with pytest.raises(TaskError, match="receiver 0 is in train and in test"):
        load_task("identification", tmp_path, SPEC)
    with pytest.raises(TaskError, match=r"clip_db .-20.0, 80.0., the model's have .-10.*tiles OUT --model"):
        load_task("identification", shards, replace(SPEC, clip_db=(-10.0, 60.0)))
    with pytest.raises(TaskError, match="no labelled tiles.*radiofm synth tiles"):
        load_task("identification", shards / "train", SPEC)


# -- pictures --------------------------------------------------------------------------------------------
def picture(path: Path, label: int, rng) -> None:
    """A waterfall with frequency down and time across: a line in frequency, or in time."""
    grey = rng.integers(60, 90, (120, 160), np.uint8)
    if label:
        grey[int(rng.integers(120))] = 255
    else:
        grey[:, int(rng.integers(160))] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.stack([grey] * 3, 2)).save(path)


@pytest.mark.parametrize("nested", [False, True])
def test_pictures_in_the_published_layouts(tmp_path, nested):
    rng = np.random.default_rng(0)
    for label, name in enumerate(("ads-b", "RS41-Radiosonde")):
        for recording in "abcd":
            for number in range(3):
                file = f"{name}/{recording} ({number}).png" if nested else f"{name}_{recording}_{number}.png"
                picture(tmp_path / file, label, rng)
    data = load_task("images", tmp_path, SPEC)
    assert data.labels == ("RS41-Radiosonde", "ads-b") and len(data.inputs) == 24
    assert len(np.unique(data.groups)) == 8
    train, test = data.splits["train"], data.splits["test"]
    assert not set(data.groups[train]) & set(data.groups[test]) and set(data.targets[test]) == {0, 1}
    x = data.inputs[np.arange(24)]
    assert x.shape == (24, 1, 32, 64) and x.dtype == np.float32 and -1 <= x.min() < x.max() <= 1.2
    # frequency, down in the file, is across in a tile: the radiosonde's line runs down in time
    down = x[:, 0].mean(1).max(1) > x[:, 0].mean(2).max(1)
    assert (down == (data.targets == 0)).all()


def test_pictures_that_do_not_serve_are_refused(tmp_path):
    with pytest.raises(TaskError, match="holds no pictures"):
        images.load(tmp_path, SPEC)
    picture(tmp_path / "fm_1.png", 0, np.random.default_rng(0))
    with pytest.raises(TaskError, match="all pictures are of 'fm'"):
        images.load(tmp_path, SPEC)
    for name in ("am_a_1.png", "am_b_1.png", "fm_b_1.png"):
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(TaskError, match="am_a_1.png: not a readable picture"):
        images.load(tmp_path, SPEC).inputs[[0]]
    (tmp_path / "nolabel.png").write_bytes(b"")
    with pytest.raises(TaskError, match="nolabel.png: does not say its label"):
        images.load(tmp_path, SPEC)


# -- the command -------------------------------------------------------------------------------------------
def command(monkeypatch, capsys, *arguments) -> tuple[str, str, int]:
    """What 'radiofm finetune' prints, on stdout and on stderr, and its exit status."""
    monkeypatch.setattr(sys, "argv", ["radiofm", "finetune", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        sys.exit(main())
    return *capsys.readouterr(), end.value.code or 0


def test_the_command_makes_a_report_and_heads(tmp_path, shards, bundle, monkeypatch, capsys):
    _, problem, status = command(
        monkeypatch, capsys, "identification", shards, "--model", bundle.path, "--out", tmp_path, "--method",
        "probe,lora", "--shots", "2,1", "--seeds", "1", "--baselines", "random", "--max-steps", "2",
        "--rank", "2")
    assert status == 0, problem
    report = json.loads((tmp_path / "report.json").read_text())
    assert {(r["method"], r["labels_per_class"]) for r in report["results"]} == {
        (name, count) for name in ("probe", "lora", "random encoder, probe") for count in (1, 2)}
    assert heads.load(tmp_path / "heads" / "lora").config.lora.rank == 2


def test_the_command_says_in_one_line_what_is_wrong(tmp_path, shards, monkeypatch, capsys):
    for arguments, reason in ((["magic", shards], "no task 'magic'"), (["images"], "needs its data"),
                              (["images", shards, "--shots", "0"], "--shots"),
                              (["images", shards, "--method", "x"], "--method"),
                              (["images", shards, "--baselines", "x"], "--baselines"),
                              (["identification", shards], "made with fft_size 64, the model's have 256"),
                              (["identification", tmp_path / "no"], "no such file or folder")):
        _, problem, status = command(monkeypatch, capsys, *arguments)
        assert status and reason in problem and problem.count("\n") == 1 and "Traceback" not in problem
