# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""DeepBeam's network and its training."""

import numpy as np
import pytest
import torch
from radiofm_ml.models.deepbeam import DeepBeam
from radiofm_ml.train.deepbeam import (
    Case,
    FineTuneConfig,
    FitConfig,
    _batches,
    accuracy,
    choose_fine_tuning,
    fine_tune,
    fit,
    load_run,
    mean_loss,
    mixed_shares,
    predict,
)


@pytest.mark.parametrize(("classes", "blocks", "parameters"), [
    (24, 1, 324_184), (12, 1, 322_636), (5, 1, 321_733), (3, 1, 321_475), (24, 5, 848_472)])
def test_has_the_published_number_of_parameters(classes, blocks, parameters):
    with torch.device("meta"):
        model = DeepBeam(classes, blocks)
    assert sum(p.numel() for p in model.parameters()) == parameters


def by_hand(model: DeepBeam, x: np.ndarray) -> np.ndarray:
    """The network in numpy and float64: blocks (N, blocks, L, 2) to logits, all in Keras' order of axes."""
    weights = {k: v.double().numpy() for k, v in model.state_dict().items()}
    logits = []
    for example in x.astype(np.float64):
        flat = []
        for y in example:
            for i in range(model.config["layers"]):
                kernel = weights[f"convolutions.{i}.weight"][:, :, 0]
                outputs = np.array([
                    sum(np.correlate(y[:, c], k[c], "same") for c in range(y.shape[1])) for k in kernel])
                outputs += weights[f"convolutions.{i}.bias"][:, None]
                y = outputs.T
                y = np.maximum(y[0::2], y[1::2])
            flat.append(y)
        out = np.array(flat).ravel()  # (blocks, positions, kernels)
        for name in ("hidden.0", "hidden.1", "head"):
            out = weights[name + ".weight"] @ out + weights[name + ".bias"]
        logits.append(out)
    return np.array(logits)


def randomised(model: DeepBeam) -> DeepBeam:
    """With biases that are not zero, so that they count."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    return model.eval()


@pytest.mark.parametrize(("settings", "examples"), [
    ({"classes": 3, "blocks": 2, "kernels": 4, "kernel": 3, "layers": 3, "dense": 5, "length": 64}, 3),
    ({"classes": 24}, 1)])
def test_is_the_published_computation(settings, examples):
    torch.manual_seed(0)
    model = randomised(DeepBeam(**settings))
    shape = (examples, model.config["blocks"], model.config["length"], 2)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    with torch.inference_mode():
        ours = model(torch.from_numpy(x)).numpy()
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, by_hand(model, x), rtol=1e-4, atol=1e-4 * np.abs(ours).max())


def test_takes_one_block_with_and_without_its_axis_and_refuses_other_shapes():
    torch.manual_seed(0)
    model = DeepBeam(4, kernels=4, layers=2, dense=8, length=32)
    x = torch.randn(5, 32, 2)
    assert torch.equal(model(x), model(x[:, None]))
    with pytest.raises(ValueError, match=r"takes \(N, 1, 32, 2\), got \(5, 2, 32, 2\)"):
        model(torch.randn(5, 2, 32, 2))
    with pytest.raises(ValueError, match="length must be at least 128"):
        DeepBeam(4, length=64)
    with pytest.raises(ValueError, match="kernel must be odd"):
        DeepBeam(4, kernel=6)


def test_is_linear_but_for_max_pooling():
    torch.manual_seed(0)
    model = DeepBeam(4, kernels=4, layers=2, dense=8, length=32).eval()  # biases are zero at the start
    x = torch.randn(5, 32, 2)
    with torch.inference_mode():
        np.testing.assert_allclose(model(3 * x).numpy(), 3 * model(x).numpy(), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(model(-x), -model(x))


# -- training ----------------------------------------------------------------------------------------------
LENGTH = 32
QUICK = FitConfig(epochs=3, batch_size=15, rate=1e-2)


def small(classes: int = 3, blocks: int = 1) -> DeepBeam:
    torch.manual_seed(0)
    return DeepBeam(classes, blocks, kernels=8, kernel=5, layers=3, dense=16, length=LENGTH)


def beams(n: int = 90, turn: float = 0.0, blocks: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of noise about one of three levels, which another antenna turns by an angle."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    noise = rng.standard_normal((n, blocks, LENGTH, 2)).astype(np.float32).view(np.complex64)[..., 0]
    levels = np.exp(2j * np.pi * (y / 3 + turn))[:, None, None]
    return (noise + levels).astype(np.complex64), y


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("order", ["examples", "batches"])
def test_learns(order, precision):
    x, y = beams(blocks=2)
    model, seen = small(blocks=2), []
    before = accuracy(model, *beams(seed=1, blocks=2))
    history = fit(model, x, y, FitConfig(3, 15, 1e-2, order, precision), validation=beams(seed=1, blocks=2),
                  on_step=seen.append)
    assert history == seen and [r["step"] for r in history] == list(range(18))
    validations = [r["validation"] for r in history]
    assert [i for i, v in enumerate(validations) if v is not None] == [5, 11, 17]
    assert validations[-1] == accuracy(model, *beams(seed=1, blocks=2), precision=precision)
    assert validations[-1] > 0.95 > before
    assert not model.training


def test_published_settings_are_the_defaults():
    assert (FitConfig().epochs, FitConfig().batch_size, FitConfig().rate) == (10, 100, 1e-4)


@pytest.mark.parametrize("stop", [6, 8])  # at the end of an epoch, and within one
def test_goes_on_where_it_was_stopped(tmp_path, stop):
    x, y = beams()
    model = small()
    whole = fit(model, x[:, 0], y, QUICK, validation=(x, y), folder=tmp_path / "whole")
    part = fit(small(), x, y, QUICK, validation=(x, y), folder=tmp_path / "part", checkpoint_every=0,
               stop_after=stop)
    assert len(part) == stop
    again = small()
    torch.nn.init.zeros_(again.head.weight)  # it must not matter with what the second call begins
    rest = fit(again, x, y, QUICK, validation=(x, y), folder=tmp_path / "part")
    for key in ("step", "epoch", "loss", "validation"):
        assert [r[key] for r in rest] == [r[key] for r in whole]
    for found in (again, load_run(tmp_path / "part"), load_run(tmp_path / "whole")):
        for mine, theirs in zip(model.parameters(), found.parameters(), strict=True):
            assert torch.equal(mine, theirs)
    with pytest.raises(ValueError, match="holds a run with other settings"):
        fit(small(), x, y, FitConfig(4, 15), folder=tmp_path / "part")


def test_folders_without_a_run(tmp_path):
    with pytest.raises(ValueError, match=r"run.json is missing\); train one first"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match="not a run of DeepBeam"):
        load_run(tmp_path)


def test_batches_of_an_epoch():
    for order in ("examples", "batches"):
        first, second = (_batches(45, FitConfig(1, 10, order=order), epoch, None) for epoch in (0, 1))
        for batches in (first, second):
            assert sorted(np.concatenate(batches)) == list(range(45))
            assert sorted(map(len, batches)) == [5, 10, 10, 10, 10]
        assert not np.array_equal(np.concatenate(first), np.concatenate(second))
        neighbours = all((np.diff(batch) == 1).all() for batch in first)
        assert neighbours == (order == "batches")


def test_mixed_batches_come_from_the_files_in_turn():
    sources = np.repeat([7, 3, 5], [40, 40, 20])
    batches = _batches(100, FitConfig(1, 10), 0, sources)
    assert sorted(np.concatenate(batches)) == list(range(100))
    assert all(len(np.unique(sources[batch])) == 1 for batch in batches)
    assert [sources[batch[0]] for batch in batches] == [3, 5, 7, 3, 5, 7, 3, 7, 3, 7]


def test_mixed_shares_have_no_example_in_common():
    shares = mixed_shares(103, 4)
    assert [len(share) for share in shares] == [25] * 4
    assert len(np.unique(np.concatenate(shares))) == 100
    assert all((np.diff(share) > 0).all() for share in shares)
    with pytest.raises(ValueError, match="cannot be shared out"):
        mixed_shares(3, 4)


def test_mixed_training_knows_both_antennas():
    (xa, ya), (xb, yb) = beams(), beams(turn=0.5)
    model = small()
    fit(model, np.concatenate([xa, xb]), np.concatenate([ya, yb]), FitConfig(2, 15, 1e-2),
        sources=np.repeat([0, 1], len(ya)))
    alone = small()
    fit(alone, xa, ya, QUICK)
    assert accuracy(alone, *beams(turn=0.5, seed=1)) < 0.2  # the other antenna's beams are these, turned
    assert accuracy(model, *beams(turn=0.5, seed=1)) > accuracy(alone, *beams(turn=0.5, seed=1))


def test_data_that_do_not_fit_are_refused():
    x, y = beams()
    for bad_x, bad_y, message in ((x.astype(complex), y, "complex64"), (x[:, :, :-1], y, "complex64"),
                                  (np.repeat(x, 2, 1), y, "complex64"), (x, y[:-1], "labels must be"),
                                  (x, y + 1, r"0..2, got 1..3"), (x[:0], y[:0], "at least one")):
        with pytest.raises(ValueError, match=message):
            fit(small(), bad_x, bad_y)
        with pytest.raises(ValueError, match=message):
            fine_tune(small(), bad_x, bad_y)
    with pytest.raises(ValueError, match="sources must be"):
        fit(small(), x, y, sources=y[:-1])
    with pytest.raises(ValueError, match="order must be one of"):
        FitConfig(order="none")
    with pytest.raises(ValueError, match="layers must be one of"):
        FineTuneConfig(layers="none")
    with pytest.raises(FloatingPointError, match="not finite"):
        fit(small(), x * np.float32(np.inf), y)


def test_predict_is_the_model_in_batches():
    x, _ = beams(25)
    model = small()
    with torch.inference_mode():
        wanted = model(torch.view_as_real(torch.from_numpy(x))).numpy()
    np.testing.assert_allclose(predict(model, x, "float32", batch=10), wanted, atol=1e-5)
    assert predict(model, x[:0]).shape == (0, 3)


# -- fine-tuning -------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def source():
    model = small()
    fit(model, *beams(), QUICK)
    return model


@pytest.mark.parametrize(("layers", "changed"), [
    ("all", {"convolutions", "hidden", "head"}), ("dense", {"hidden", "head"}), ("head", {"head"})])
def test_fine_tuning_learns_the_shots_and_changes_only_its_layers(source, layers, changed):
    shots = beams(24, turn=0.2, seed=2)
    before = {name: value.clone() for name, value in source.state_dict().items()}
    tuned, losses = fine_tune(source, *shots, FineTuneConfig(layers, 1e-2, passes=15))
    assert all(torch.equal(value, before[name]) for name, value in source.state_dict().items())
    assert {name.split(".")[0] for name, value in tuned.state_dict().items()
            if not torch.equal(value, before[name])} == changed
    assert len(losses) == 15 and losses[-1] < 0.5 * losses[0]
    target = beams(turn=0.2, seed=3)
    assert accuracy(tuned, *target) > accuracy(source, *target)
    # what stays was computed once: the copy as a whole must say the same
    assert mean_loss(tuned, *shots) < losses[-2] + 0.02


def test_fine_tuning_stops_at_the_loss_of_the_source(source):
    goal = mean_loss(source, *beams(seed=1))
    config = FineTuneConfig("all", 1e-2, passes=100, stop_loss=goal)
    losses = fine_tune(source, *beams(24, turn=0.2, seed=2), config).losses
    assert 1 < len(losses) < 100
    assert losses[-1] <= goal < min(losses[:-1])
    assert len(fine_tune(source, *beams(24, seed=1), config).losses) < len(losses)


def test_the_way_to_tune_is_chosen_on_source_antennas(source):
    case = Case(source, *beams(24, turn=0.3, seed=2), *beams(60, turn=0.3, seed=3))
    configs = [FineTuneConfig("head", 1e-6, 1), FineTuneConfig("all", 1e-2, 15)]
    chosen, scores = choose_fine_tuning([case], configs)
    assert chosen == configs[1] and scores[1] > scores[0]
    assert choose_fine_tuning([case], configs[:1] * 2)[1][0] == scores[0]
