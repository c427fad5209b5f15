# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm finetune"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from radiofm_ml.cli.options import Overwrite, with_options
from radiofm_ml.outputs import claim_folder
from radiofm_ml.terminal import echo
from radiofm_ml.train.settings import METHODS, TuneConfig


def register(app: typer.Typer) -> None:
    app.command()(finetune)


@dataclass(frozen=True)
class FinetuneConfig(TuneConfig):
    """Settings of all methods, where the least number of steps gives way to the most."""

    def __post_init__(self):
        object.__setattr__(self, "min_steps", min(self.min_steps, self.max_steps))
        super().__post_init__()


@with_options
def finetune(
    task: Annotated[str, typer.Argument(help="'list' shows the tasks.")],
    config: FinetuneConfig,
    data: Annotated[Path | None, typer.Argument(help="The task's data: a folder or a file.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the report, pictures and heads.")] = Path("tuned"),
    model: Annotated[str, typer.Option(help="Bundle to tune.")] = "radiofm-small",
    method: Annotated[
        str,
        typer.Option(
            help="One or more, with commas between: probe, mlp, published-lp, last-k, lora, full, scratch."
        ),
    ] = "probe,lora",
    shots: Annotated[
        str,
        typer.Option(
            help="Labels per class (of a regression: in all), with commas between; 'all' for all there are."
        ),
    ] = "all",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of the labels, the order and the weights.")] = 3,
    baselines: Annotated[
        str,
        typer.Option(
            help="Rows beside it, with commas between, or none: random (encoder), scratch, cnn, "
            "of a regression mean (of the training targets), and rate (the sample rate alone)."
        ),
    ] = "random,scratch,cnn,mean,rate",
    split_seed: Annotated[int, typer.Option(help="Seed of the split, where the task draws one.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 for all cores.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Tune a model for a task with few labels or many, and report it beside its baselines.

    Interrupt it whenever you like: the same command goes on with the runs that are missing. OUT gets
    report.json, its pictures, and heads/METHOD, of the first seed and the most labels, for the Task Head
    block.
    """
    import torch

    from radiofm_ml import bundle as bundles
    from radiofm_ml.cli.progress import bar
    from radiofm_ml.evaluate.finetuning import BASELINES, evaluate
    from radiofm_ml.evaluate.reports import print_results
    from radiofm_ml.heads.kinds import KINDS
    from radiofm_ml.tasks import LOADERS, load_task

    if task == "list":
        for name in sorted(LOADERS):
            echo(name)
        return
    if data is None:
        raise ValueError(f"task '{task}' needs its data; the documentation says what that is")
    if threads:
        torch.set_num_threads(threads)
    methods = [_one_of(name, METHODS, "--method") for name in _parts(method)]
    rows = [_one_of(name, BASELINES, "--baselines") for name in _parts(baselines) if name != "none"]
    counts = [None if part == "all" else _count(part) for part in _parts(shots)]
    if not methods or not counts:
        raise ValueError("--method and --shots must name one or more")
    counts.sort(key=lambda count: float("inf") if count is None else count)
    bundle = bundles.load(model, bundles.TILES)
    loaded = load_task(task, data, bundle.spec, split_seed)
    claim_folder(out, "finetune", overwrite=overwrite)
    common = replace(config, decoder=KINDS[loaded.kind].decoder())
    with bar() as progress:
        line = progress.add_task("", total=1, note="")
        results = evaluate(
            bundle, loaded, [replace(common, method=name) for name in methods], out, counts, range(seeds),
            rows,
            on_step=lambda name, step, steps, loss: progress.update(
                line, description=name, completed=step, total=steps, note=f"loss {loss:.3f}"),
        )  # fmt: skip
    for report in results.values():
        print_results(report)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _one_of(name: str, known, option: str) -> str:
    if name not in known:
        raise ValueError(f"{option} must be of {', '.join(known)}, got '{name}'")
    return name


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"--shots must be whole numbers from 1 with commas between, or all, got '{text}'")
    return int(text)
