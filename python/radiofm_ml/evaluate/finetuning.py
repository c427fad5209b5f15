# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How well an encoder is tuned for a task, over methods, numbers of labels and seeds, beside its baselines.

Every run draws its labels from the training part by its seed (the fewer are among the more), tunes, and is
scored on every test part. A folder keeps what is done: ``runs.jsonl`` has a line a run, so that the same
command goes on where it was stopped; then a report (``evaluate.reports``) and the heads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from radiofm_ml import atomic, heads, models
from radiofm_ml.bundle import Bundle
from radiofm_ml.evaluate import reports
from radiofm_ml.evaluate.supervised import fit_and_apply
from radiofm_ml.heads.kinds import KINDS, Outputs
from radiofm_ml.heads.rates import RateCode
from radiofm_ml.tasks import TaskData, TaskError, split_groups, take_turns
from radiofm_ml.train.frozen import Frozen
from radiofm_ml.train.tuning import TuneConfig, fit_probe, predict, tune

RUNS = "runs.jsonl"
BASELINES = ("random", "scratch", "cnn", "mean", "rate")
CHOOSE_FROM = 10  # examples of every class from which on a part of them is held out to choose by


@dataclass(frozen=True)
class Method:
    """A row of the report. ``encoder`` is 'pretrained', or 'random' (the same network with random weights,
    another for each seed), or none: 'cnn' (``evaluate.supervised``), 'mean' (of the training targets),
    or 'rate' (a linear head that sees nothing but the sample rate)."""

    name: str
    config: TuneConfig
    encoder: str = "pretrained"


def methods_of(configs: Sequence[TuneConfig], baselines: Sequence[str], data: TaskData) -> list[Method]:
    """What to run: the wanted ways, then the baselines that fit the task. 'random': those of the ways that
    leave the encoder as it is, on a random one. Raises ValueError for an unknown baseline."""
    unknown = set(baselines) - set(BASELINES)
    if unknown:
        raise ValueError(f"baseline must be of {', '.join(BASELINES)}, got {sorted(unknown)[0]!r}")
    wanted = [Method(c.method, c) for c in configs]
    if "random" in baselines:
        frozen = [c for c in configs if c.method in ("probe", "mlp")] or [replace(configs[0], method="probe")]
        wanted += [Method(f"random encoder, {c.method}", c, "random") for c in frozen]
    if "scratch" in baselines and all(c.method != "scratch" for c in configs):
        wanted.append(Method("from scratch", replace(configs[0], method="scratch")))
    fitting = KINDS[data.kind].baselines & set(baselines)
    if "cnn" in fitting:
        wanted.append(Method("small CNN from scratch", configs[0], "cnn"))
    if "mean" in fitting:
        wanted.append(Method("mean of the training targets", configs[0], "mean"))
    if "rate" in fitting and data.rates is not None:
        wanted.append(Method("sample rate alone", replace(configs[0], know_rate=False), "rate"))
    return wanted


def draw_labels(data: TaskData, count: int | None, seed: int) -> np.ndarray:
    """``count`` training examples of each class (in all, where examples have none) from as many groups as
    possible; all of them for None. Sorted. Raises TaskError where there are not so many."""
    train = np.asarray(data.splits["train"])
    if count is None:
        return np.sort(train)
    rng = np.random.default_rng([seed, 17])
    classes = KINDS[data.kind].classes(data, train)
    names = [""] if classes is None else [f" of '{label}'" for label in data.labels]
    drawn = []
    for label, name in enumerate(names):
        members = rng.permutation(train if classes is None else train[classes == label])
        if len(members) < count:
            raise TaskError(f"{data.task}: only {len(members)} training examples{name}, {count} are wanted; "
                            "give more data or ask for fewer")
        drawn.append(take_turns(members, data.groups[members])[:count])
    return np.sort(np.concatenate(drawn))


def choose_by(data: TaskData, train: np.ndarray, share: float,
              seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """(training indices, validation indices or None): a part of the labels held out by group, where there are
    enough of them."""
    targets = KINDS[data.kind].classes(data, train)
    least = np.bincount(targets, minlength=len(data.labels)).min() if targets is not None else len(train) // 5
    if share <= 0 or least < CHOOSE_FROM:
        return train, None
    kept, held = split_groups(data.groups[train], share, seed, targets)
    if not len(held) or (targets is not None and len(np.unique(targets[kept])) < len(data.labels)):
        return train, None
    return train[kept], train[held]


def evaluate(bundle: Bundle, data: TaskData, configs: Sequence[TuneConfig], out: Path,
             counts: Sequence[int | None] = (None,), seeds: Sequence[int] = (0, 1, 2),
             baselines: Sequence[str] = BASELINES,
             on_step: Callable[[str, int, int, float], None] = lambda name, step, steps, loss: None) -> dict:
    """Run everything and write ``out``; returns {test part: report}.

    counts: labels a class (in all, where examples have none), None for all. on_step: called with the name of
    a run, step, steps and loss. Raises TaskError, and ValueError where ``out`` holds runs of something else.
    """
    methods = methods_of(configs, baselines, data)
    plan = [(method, count, seed) for seed in seeds for count in counts for method in methods]
    out.mkdir(parents=True, exist_ok=True)
    log = _Log(out / RUNS, {"model": bundle.id, "task": data.task, "examples": len(data.inputs),
                            "train": len(data.splits["train"])})
    frozen = {"pretrained": Frozen(bundle.model, data)}
    for number, (method, count, seed) in enumerate(plan, 1):
        settings = {"method": method.name, "labels_per_class": count, "seed": seed, "encoder": method.encoder,
                    "config": asdict(replace(method.config, seed=seed))}
        if log.has(settings):
            continue
        title = f"{number}/{len(plan)} {method.name}, {count or 'all'} labels, seed {seed}"
        on_step(title, 0, 1, float("nan"))
        if method.encoder == "random" and f"random {seed}" not in frozen:
            frozen = {"pretrained": frozen["pretrained"], f"random {seed}": Frozen(
                random_encoder(bundle, seed), data)}
        source = frozen[f"random {seed}" if method.encoder == "random" else "pretrained"]
        started = time.monotonic()
        head, history, found = _run(method, source, bundle, data, count, seed,
                                    lambda *progress, title=title: on_step(title, *progress))
        if head is not None and method.encoder == "pretrained" and seed == seeds[0] and count == counts[-1]:
            heads.save(out / "heads" / method.name.replace(" ", "-"), head)
            if KINDS[data.kind].decodes:
                picture = out / f"examples-{method.name.replace(' ', '-')}.png"
                _draw_segments(picture, head, source, method.config)
        log.add(settings, {"seconds": round(time.monotonic() - started, 2), "found": found,
                           "history": [h for h in history if h["validation"] is not None]})
    runs = [log.of({"method": m.name, "labels_per_class": c, "seed": s, "encoder": m.encoder,
                    "config": asdict(replace(m.config, seed=s))}) for m, c, s in plan]
    return {part: _report(out if len(data.tests) == 1 else out / part, part, bundle, data, plan, runs)
            for part in data.tests}


def _draw_segments(path: Path, head, frozen: Frozen, config: TuneConfig, count: int = 6) -> None:
    """Tiles of the first test part, spread over it, with their truth and what the head decides."""
    from radiofm_ml.plots import draw_segments

    data = frozen.data
    index = np.asarray(data.splits[data.tests[0]])
    index = index[np.linspace(0, len(index) - 1, min(count, len(index))).astype(int)]
    draw_segments(path, data.inputs[index][:, 0], data.targets[index], predict(head, frozen, config, index),
                  data.labels)


def random_encoder(bundle: Bundle, seed: int) -> torch.nn.Module:
    """The bundle's architecture with random weights."""
    torch.manual_seed(seed)
    return models.build(bundle.config["architecture"]).eval().requires_grad_(False)


def _run(method: Method, frozen: Frozen, bundle: Bundle, data: TaskData, count, seed: int, on_step: Callable):
    """(head or None, history, {test part: what was found})."""
    train, config = draw_labels(data, count, seed), replace(method.config, seed=seed)
    kind = KINDS[data.kind]
    if method.encoder == "cnn":
        return None, [], {part: kind.measure(data, index, _cnn(frozen, train, index, config))
                          for part, index in _tests(data)}
    if method.encoder == "mean":
        mean = data.targets[train].mean(0, keepdims=True)
        return None, [], {part: kind.measure(data, index, mean.repeat(len(index), 0))
                          for part, index in _tests(data)}
    train, validation = choose_by(data, train, config.validation, seed)
    if method.encoder == "rate":
        def features(index):
            return RateCode()(data.rates[index])

        head = fit_probe(data, features, config, train, validation)
        return None, [], {part: kind.measure(data, index, head(features(index)))
                          for part, index in _tests(data)}
    tuned = tune(frozen, train, config, bundle.id, validation, on_step)
    found = {part: kind.measure(data, index, predict(tuned.head, frozen, config, index))
             for part, index in _tests(data)}
    return tuned.head, tuned.history, found


def _tests(data: TaskData) -> Iterator[tuple[str, np.ndarray]]:
    return ((part, np.asarray(data.splits[part])) for part in data.tests)


def _cnn(frozen: Frozen, train: np.ndarray, index: np.ndarray, config: TuneConfig) -> np.ndarray:
    """What the small CNN makes of ``index``: probabilities (n, classes), or numbers (n, M).

    Spectrogram tiles are augmented in training; of arrays nobody knows what a mirrored or shifted one means.
    """
    data, kind, used = frozen.data, KINDS[frozen.data.kind], np.concatenate([train, index])
    tiles = torch.cat([frozen.tiles(part).cpu() for part in np.array_split(used, -(-len(used) // 64))])
    loss = kind.loss(data, train, weighted=kind.weighted, label_smoothing=config.label_smoothing)
    steps = int(np.clip(10 * len(train) // 32, 120, 600))
    beside = torch.from_numpy(RateCode()(data.rates[used])) if config.know_rate else None
    raw = fit_and_apply(tiles, np.arange(len(train)), len(data.labels),
                        lambda raw, chosen: loss(raw, train[chosen]), config.seed, steps,
                        augmented=data.tiles, beside=beside)
    return kind.finish(raw[len(train):].numpy(), Outputs(**kind.outputs(data, train)))


def _report(folder: Path, part: str, bundle: Bundle, data: TaskData, plan, runs) -> dict:
    results, confusions, errors, conditions = [], {}, {}, []
    most = plan[-1][1]
    for method, count in dict.fromkeys((m.name, c) for m, c, _ in plan):
        found = [run["found"][part] for (m, c, _), run in zip(plan, runs, strict=True)
                 if (m.name, c) == (method, count)]
        results += reports.result_rows(method, [f["metrics"] for f in found], count)
        for parts in zip(*(f.get("conditions", ()) for f in found), strict=True):  # the same in every seed
            about = {key: parts[0][key] for key in ("condition", "value", "examples")}
            rows = reports.result_rows(method, [p["metrics"] for p in parts], count)
            conditions += [{**about, **row} for row in rows]
        if count == most and "confusion" in found[0]:
            confusions[method] = np.sum([f["confusion"] for f in found], 0)
        elif count == most:
            errors[method] = np.concatenate([np.array(f["errors"], np.float64) for f in found])
    report = {"task": data.task, "kind": data.kind, "test": part, "model": bundle.id, "unit": data.unit,
              "labels": list(data.labels), "facts": {**data.facts, "test_examples": len(data.splits[part]),
                                                     "seconds": sum(run["seconds"] for run in runs)},
              "title": f"{data.task}, {bundle.id}" + (f", {part}" if part != "test" else "")}
    report |= KINDS[data.kind].report(data)
    if conditions:
        report["conditions"] = conditions
    if data.rates is not None:
        report["sample_rate"] = "known" if plan[0][0].config.know_rate else "withheld"
    reports.write_report(folder, report, results=results, confusions=confusions, errors=errors)
    return reports.read_report(folder)


class _Log:
    """Runs that are done, a line of JSON each; the first line says of what."""

    def __init__(self, path: Path, about: Mapping):
        self.path, self.runs = path, {}
        about = json.loads(json.dumps(about))
        if not path.exists():
            atomic.write_json(path, about, indent=None)
            return
        lines = path.read_text(encoding="utf-8").splitlines()
        if not lines or json.loads(lines[0]) != about:
            raise ValueError(f"{path}: these runs are of another model or other data; choose another folder "
                             "or remove it")
        for line in lines[1:]:
            try:
                run = json.loads(line)
            except json.JSONDecodeError:
                continue  # cut short when it was stopped; it is run again
            self.runs[self._key(run["settings"])] = run

    @staticmethod
    def _key(settings: Mapping) -> str:
        return json.dumps(settings, sort_keys=True)

    def has(self, settings: Mapping) -> bool:
        return self._key(settings) in self.runs

    def of(self, settings: Mapping) -> dict:
        return self.runs[self._key(settings)]

    def add(self, settings: Mapping, result: Mapping) -> None:
        run = {"settings": settings, **result}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(atomic.json_line(run))
        self.runs[self._key(settings)] = run
