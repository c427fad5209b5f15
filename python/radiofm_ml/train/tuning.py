# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tuning an encoder for a task: how much of it is trained is the method; the loop is one.

    probe         nothing but a linear map of the frozen read-out, fitted to the end (segmentation: a decoder)
    mlp           a hidden layer on the frozen read-out
    published-lp  what arXiv 2511.15162 calls LP: blocks frozen; tokenizer, CLS token, norm and head trained
    last-k        the last blocks, the norm and the head
    lora          low-rank additions to q and v (``models.lora``), and the head
    full          everything, from the pre-trained weights
    scratch       everything, from random weights: the baseline

The settings are the published ones (AdamW, base rate 1e-3 per 256 examples, weight decay 0.05, layer decay
0.75, warm-up, cosine, label smoothing) where nothing else is said. What the method leaves frozen is computed
once (``train.frozen``). The best of several states, by the validation part, is kept; nothing here sees a test
part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from radiofm_ml.heads import Head, fit_linear
from radiofm_ml.heads.kinds import KINDS
from radiofm_ml.heads.rates import RateCode
from radiofm_ml.heads.tuned import TunedHead
from radiofm_ml.heads.tuned_config import TunedConfig
from radiofm_ml.models.lora import LoraConfig
from radiofm_ml.tasks import TaskData, TaskError
from radiofm_ml.train.frozen import Frozen, autocast, batches
from radiofm_ml.train.settings import TuneConfig

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)  # of the probe, chosen on the validation part
PENALTY = 1e-2  # where there is none
VALIDATIONS = 8  # in a run


@dataclass(frozen=True)
class Tuned:
    """head: ``Head`` or ``TunedHead``; history: [{step, loss, rate, validation}], validation None where it
    was not measured."""

    head: Head | TunedHead
    history: list[dict]


# -- tuning ------------------------------------------------------------------------------------------------
def tune(frozen: Frozen, train: np.ndarray, config: TuneConfig, model: str = "",
         validation: np.ndarray | None = None,
         on_step: Callable[[int, int, float], None] = lambda step, steps, loss: None) -> Tuned:
    """Tune the encoder of ``frozen`` for its task with the examples ``train`` (indices).

    model       id of the bundle, for the head
    validation  indices to choose the best of the run by (and the probe's penalty, and the temperature of the
                probabilities); they are not trained on. None: the last state is the result.
    on_step     called with step, steps and loss

    The encoder is not changed. Raises TaskError where a class has no example, FloatingPointError if the loss
    is not finite.
    """
    data, kind = frozen.data, KINDS[frozen.data.kind]
    _check(data, train, config)
    torch.manual_seed(config.seed)
    fitted = None
    linear = not kind.decodes and not config.hidden and config.method != "mlp"
    if linear and config.method != "scratch" and (config.warm_start or config.method == "probe"):
        def features(index):
            return frozen.features(config.read_out, index).cpu().numpy()

        fitted = fit_probe(data, features, config, train, validation, model)
        if config.method == "probe" and config.read_out == "embedding" and data.tiles:
            return Tuned(fitted, [])
    head = _build(frozen, config, model, train)
    if fitted is not None:
        _set_layers(head, frozen.features(config.read_out, train), fitted)
    elif head.layers is not None and config.method != "scratch":
        _standardise(head, frozen.features(config.read_out, train))
    history = []
    if not (linear and config.method == "probe"):
        history = _train(head, frozen, train, config, validation, on_step)
    if validation is not None and kind.calibrated:
        found = predict(head, frozen, config, validation)
        head.config = replace(head.config, temperature=_temperature(found, data.targets[validation]))
    return Tuned(head.cpu().eval().requires_grad_(False), history)


def _check(data: TaskData, train: np.ndarray, config: TuneConfig) -> None:
    """Raise TaskError where the task has not what the training needs."""
    kind = KINDS[data.kind]
    classes = kind.classes(data, train)
    if classes is not None:
        for label in np.setdiff1d(np.arange(len(data.labels)), classes):
            raise TaskError(f"{data.task}: no example of '{data.labels[label]}' to train on; "
                            "give more labels")
    if config.know_rate and (data.rates is None or kind.decodes):
        why = f"a {kind.name} does not read it" if kind.decodes else "its data do not state it"
        raise TaskError(f"{data.task}: no head can know the sample rate here: {why}; withhold it")


def fit_probe(data: TaskData, features: Callable[[np.ndarray], np.ndarray], config: TuneConfig,
              train: np.ndarray, validation: np.ndarray | None = None, model: str = "") -> Head:
    """Linear head on ``features(indices)``, float (n, D); its penalty is the best on the validation part, and
    so is the temperature of its probabilities."""
    kind = KINDS[data.kind]
    classes = kind.classes(data, train)
    targets = data.targets[train] if classes is None else np.array(data.labels)[classes]
    options = {"kind": data.kind, "task": data.task, "model": model, "labels": data.labels, "unit": data.unit,
               "balanced": _weighted(config, data)}

    def rates(index):
        return data.rates[index] if config.know_rate else None

    def fit(penalty):
        return fit_linear(features(train), targets, penalty=penalty, rates=rates(train), **options)

    if validation is None:
        return fit(PENALTY)
    x = features(validation)

    def misfit(head):
        return kind.misfit(head(x, rates(validation)), data.targets[validation])

    best = min(map(fit, PENALTIES), key=misfit)
    if not kind.calibrated:
        return best
    found = best(x, rates(validation))
    return replace(best, temperature=_temperature(found, data.targets[validation]))


def _build(frozen: Frozen, config: TuneConfig, model: str, train: np.ndarray) -> TunedHead:
    data, depth, method = frozen.data, frozen.encoder.config.depth, config.method
    vit = frozen.encoder.config
    if config.read_out != "embedding":
        vit = replace(vit, read_out=config.read_out or vit.read_out, projection=0)
    first = {"last-k": max(0, depth - config.last), "lora": config.from_layer, "full": 0, "scratch": 0}
    made = TunedConfig(
        data.kind, data.task, model, data.labels, vit, first.get(method, depth),
        lora=LoraConfig(config.rank, config.alpha, config.stabilised) if method == "lora" else None,
        tokenizer=method in ("published-lp", "full", "scratch"), front=frozen.front_config,
        hidden=config.hidden or ((256,) if method == "mlp" else ()), decoder=config.decoder,
        rate=RateCode() if config.know_rate else None, **KINDS[data.kind].outputs(data, train))
    head = TunedHead(made)
    if method != "scratch":
        head.start_from(frozen.encoder)
    for name, parameter in head.named_parameters():
        parameter.requires_grad_(_trained(name, head, method))
    for number in range(head.from_layer, depth):
        head.encoder.blocks[number].drop_path = config.drop_path * number / max(1, depth - 1)
    return head


def _weighted(config: TuneConfig, data: TaskData) -> bool:
    return KINDS[data.kind].weighted if config.class_weights is None else config.class_weights


def _trained(name: str, head: TunedHead, method: str) -> bool:
    if name.startswith(("layers.", "decoder.")) or method in ("full", "scratch"):
        return not name.startswith("front.") or head.config.front.channels > 1
    if name.startswith("front."):
        return method in ("published-lp", "lora") and head.config.front.channels > 1
    if method == "published-lp":
        return name.startswith(("encoder.patch_embed.", "encoder.cls", "encoder.norm."))
    if method == "last-k":
        return head.owns(name)
    return method == "lora" and "lora_" in name


def _standardise(head: TunedHead, features: torch.Tensor) -> None:
    head.layers.centre.copy_(features.mean(0))
    head.layers.spread.copy_(features.std(0, unbiased=False).clamp_min(1e-3))


def _set_layers(head: TunedHead, features: torch.Tensor, fitted: Head) -> None:
    """The fitted linear map as the head's last layer, on standardised features, so that its weights are of
    one size for the optimiser."""
    _standardise(head, features)
    (weight, bias), = fitted.layers
    weight, bias = torch.from_numpy(weight).double(), torch.from_numpy(bias).double()
    last, layers = head.layers.linear[0], head.layers
    size = len(layers.centre)  # behind these come the weights of the sample rate, which is not standardised
    with torch.no_grad():
        last.weight.copy_(torch.cat([weight[:, :size] * layers.spread, weight[:, size:]], 1))
        last.bias.copy_(bias + weight[:, :size] @ layers.centre.double())


# -- the loop ----------------------------------------------------------------------------------------------
def _train(head: TunedHead, frozen: Frozen, train: np.ndarray, config: TuneConfig, validation,
           on_step: Callable) -> list[dict]:
    data, steps = frozen.data, config.steps(len(train))
    head.to(frozen.device).train()
    optimizer = torch.optim.AdamW(_groups(head, config), betas=(0.9, 0.999))
    kind = KINDS[data.kind]
    loss_of = kind.loss(data, train, weighted=_weighted(config, data),
                        label_smoothing=config.label_smoothing, device=frozen.device)
    validated = set()
    if validation is not None:
        validated = {round((i + 1) * steps / VALIDATIONS) - 1 for i in range(VALIDATIONS)}
    rng = np.random.default_rng(config.seed)
    best, best_state, history, order = -math.inf, None, [], np.empty(0, int)
    for step in range(steps):
        while len(order) < config.batch_size:
            order = np.concatenate([order, rng.permutation(train)])
        index, order = order[:config.batch_size], order[config.batch_size:]
        for group in optimizer.param_groups:
            group["lr"] = config.rate(step, steps) * group["factor"]
        loss = loss_of(_outputs(head, frozen, config, index), index)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"step {step}: the loss is not finite; lower the learning rate")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in head.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        found = None
        if step in validated:
            predicted = predict(head, frozen, config, validation)
            found = kind.score(predicted, data.targets[validation], data.labels)
            if found >= best:
                best, best_state = found, {k: v.detach().clone() for k, v in head.own_state().items()}
            head.train()
        history.append({"step": step, "loss": loss.item(), "rate": config.rate(step, steps),
                        "validation": found})
        on_step(step + 1, steps, history[-1]["loss"])
    if best_state is not None:
        head.load_state_dict(best_state, strict=False)
    return history


def _outputs(head: TunedHead, frozen: Frozen, config: TuneConfig, index: np.ndarray) -> torch.Tensor:
    """Raw outputs of examples; what the method leaves frozen comes from ``frozen``."""
    begins_at_tile = head.config.tokenizer or (
        head.config.front is not None and head.config.front.channels > 1 and config.method == "lora")
    beside = head.beside(frozen.rates(index), len(index))
    with autocast(frozen.device):
        if begins_at_tile:
            return head(frozen.inputs(index), beside=beside)
        if head.decoder is None and head.from_layer == frozen.encoder.config.depth:
            return head.layers(frozen.features(config.read_out, index), beside)
        tiles = frozen.tiles(index) if head.reads_tile else None
        return head.from_tokens(frozen.tokens(head.from_layer, index), tiles, beside)


def predict(head: Head | TunedHead, frozen: Frozen, config: TuneConfig, index: np.ndarray) -> np.ndarray:
    """Probabilities or numbers of examples, as ``TunedHead.predict`` gives them, float32; of pictures the
    most probable label of each pixel, uint8 (n, H, W)."""
    if isinstance(head, Head):
        features = frozen.features(config.read_out, index).cpu().numpy()
        return head(features, frozen.rates(index)).astype(np.float32)
    head.to(frozen.device).eval()
    with torch.inference_mode():
        return np.concatenate([KINDS[head.kind].keep(head.finish(_outputs(head, frozen, config, part)))
                               for part in batches(index)])


def _groups(head: TunedHead, config: TuneConfig) -> list[dict]:
    """Parameter groups: the rate falls by ``layer_decay`` from block to block towards the input, and vectors
    are not decayed. Nothing is learnt already in 'scratch', so all its rates are the same there."""
    depth = head.config.vit.depth
    decay = 1.0 if config.method == "scratch" else config.layer_decay
    groups: dict[tuple, dict] = {}
    for name, parameter in head.named_parameters():
        if not parameter.requires_grad:
            continue
        place = depth + 1
        if name.startswith(("front.", "encoder.patch_embed.", "encoder.cls")):
            place = 0
        elif name.startswith("encoder.blocks."):
            place = int(name.split(".")[2]) + 1
        weight_decay = config.weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault((place, weight_decay), {
            "params": [], "factor": decay ** (depth + 1 - place), "weight_decay": weight_decay})
        group["params"].append(parameter)
    return list(groups.values())


def _temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The temperature at which ``probabilities`` (made at 1) say best how sure one can be."""
    from scipy.optimize import minimize_scalar

    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-12))

    def loss(log_temperature):
        scaled = logits / math.exp(log_temperature)
        scaled -= scaled.max(1, keepdims=True)
        return (np.log(np.exp(scaled).sum(1)) - scaled[np.arange(len(truth)), truth]).mean()

    return float(math.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
