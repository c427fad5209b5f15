# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm figures reconstructions, accuracy, pca, confusion"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radiofm_ml import outputs
from radiofm_ml.cli.options import Overwrite
from radiofm_ml.terminal import echo

figures = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Pictures of what a model has learned, and JSON of their numbers beside them.",
)

Out = Annotated[Path, typer.Argument(help="Picture to write (.png); its numbers go to the .json beside it.")]
Data = Annotated[
    Path,
    typer.Option(
        help="Tiles to show: a folder of shards (`radiofm synth tiles`), or of recordings with an index.csv, "
        "of which sessions are taken that no pre-training sees."
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of the choice of tiles, and of the masks.")]


def register(app: typer.Typer) -> None:
    app.add_typer(figures, name="figures")


@figures.command()
def reconstructions(
    out: Out,
    run: Annotated[Path, typer.Option(help="Folder of a `radiofm pretrain` run that learned pixels.")],
    data: Data,
    count: Annotated[int, typer.Option(min=1, max=24, help="Tiles, of different labels.")] = 6,
    mask: Annotated[str, typer.Option(help="random, time, frequency, block or mixed.")] = "random",
    ratios: Annotated[str, typer.Option(help="Shares hidden, with commas between.")] = "0.5,0.75,0.9",
    labels: Annotated[str, typer.Option(help="Labels to show, with commas between; all if empty.")] = "",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Spectrograms, what was visible of them, and what the model made of that."""
    import torch

    from radiofm_ml.cli.progress import track
    from radiofm_ml.evaluate.reconstruction import hidden_pixels, model_filler, reconstruction_accuracy
    from radiofm_ml.evaluate.samples import sample_tiles
    from radiofm_ml.plots.pretraining import draw_reconstructions
    from radiofm_ml.train.masks import masks
    from radiofm_ml.train.pretrain import load_run

    _check(out, overwrite)
    shares = _shares(ratios)
    model, spec, record = load_run(run)
    fill = model_filler(model)
    wanted = [name.strip() for name in labels.split(",") if name.strip()]
    tiles, names = sample_tiles(data, spec, count, seed, labels=wanted, track=track)
    filled, accuracies = {}, {}
    for ratio in shares:
        generator = torch.Generator().manual_seed(seed)
        keep, hidden = masks(mask, len(tiles), model.encoder.config.grid, ratio, generator)
        where, pictures = hidden_pixels(model.encoder, hidden), fill(tiles, keep, hidden)
        every, unseen = reconstruction_accuracy(pictures, tiles, where)
        filled[ratio] = where.numpy(), pictures.numpy(), unseen.numpy()
        accuracies[str(ratio)] = {"all": every.tolist(), "hidden": unseen.tolist()}
    draw_reconstructions(out, tiles.numpy(), names, filled, title=_title("Filled in", record, mask))
    _write(out, {"run": run.name, "step": record["step"], "mask": mask, "labels": names.tolist(),
                 "accuracy": accuracies})  # fmt: skip


@figures.command()
def accuracy(
    out: Out,
    run: Annotated[list[Path], typer.Option(help="Folder of a run that learned pixels; may be repeated.")],
    data: Data,
    count: Annotated[int, typer.Option(min=8, help="Tiles.")] = 256,
    kinds: Annotated[
        str, typer.Option(help="Kinds of masks, with commas between.")
    ] = "random,time,frequency,block",
    ratios: Annotated[str, typer.Option(help="Shares hidden; 0.2 to 0.95 in steps of 0.05 if empty.")] = "",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Reconstruction accuracy over mask ratio, by the published measure and of the hidden part alone.

    Beside the model: a copy of the nearest visible patch, and the mean of all visible ones.
    """
    from radiofm_ml.cli.progress import track
    from radiofm_ml.evaluate.reconstruction import (
        RATIOS,
        accuracy_curves,
        mean_filler,
        model_filler,
        nearest_filler,
    )
    from radiofm_ml.evaluate.samples import sample_tiles
    from radiofm_ml.plots.pretraining import draw_accuracy
    from radiofm_ml.train.pretrain import load_run

    _check(out, overwrite)
    shares = _shares(ratios) if ratios else RATIOS
    loaded = {folder: load_run(folder) for folder in run}
    first, spec, record = loaded[run[0]]
    for folder, (model, other, _) in loaded.items():
        if other != spec or model.encoder.config.grid != first.encoder.config.grid:
            raise ValueError(f"{folder}: has other tiles or patches than {run[0]}")
    tiles, _ = sample_tiles(data, spec, count, seed, track=track)
    fillers = {_run_name(folder, run): model_filler(model) for folder, (model, _, _) in loaded.items()}
    baselines = {
        "nearest visible patch": nearest_filler(first.encoder),
        "mean of the visible": mean_filler(first.encoder),
    }
    kind_names = [name.strip() for name in kinds.split(",")]
    methods = {**fillers, **baselines}
    found = accuracy_curves(first.encoder, methods, tiles, kind_names, shares, seed, track)
    title = _title("Reconstruction accuracy", record) if len(run) == 1 else "Reconstruction accuracy"
    draw_accuracy(out, found["ratios"], found["curves"], baselines=list(baselines), title=title)
    _write(out, {**found, "runs": [str(f) for f in run], "step": record["step"]})


@figures.command()
def pca(
    out: Out,
    data: Annotated[
        list[Path],
        typer.Option(help="Folder of shards, or of recordings with an index.csv; may be repeated."),
    ],
    model: Annotated[str, typer.Option(help="Bundle that embeds.")] = "radiofm-small",
    count: Annotated[int, typer.Option(min=8, help="Tiles of each set, evenly over its labels.")] = 1000,
    normalised: Annotated[bool, typer.Option(help="Embeddings of length one, as cosines see them.")] = True,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Embeddings on their first two principal axes, coloured by label."""
    import numpy as np

    from radiofm_ml import bundle as bundles
    from radiofm_ml.cli.progress import track
    from radiofm_ml.evaluate.samples import sample_tiles
    from radiofm_ml.plots.pretraining import draw_clusters
    from radiofm_ml.train.export import encode

    _check(out, overwrite)
    bundle = bundles.load(model, bundles.TILES)
    panels = {}
    for folder in data:
        tiles, labels = sample_tiles(folder, bundle.spec, count, seed, unseen=False, track=track)
        parts = track(tiles.split(64), f"embedding {folder.name}")
        vectors = np.concatenate([encode(bundle.model, part) for part in parts])
        if normalised:
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        panels[folder.name] = vectors, labels
    numbers = draw_clusters(out, panels, title=f"Embeddings of {model}")
    _write(out, {"model": bundle.id, "panels": numbers})


@figures.command()
def confusion(
    out: Out,
    report: Annotated[
        list[Path], typer.Option(help="Folder that `radiofm finetune` wrote; may be repeated.")
    ],
    method: Annotated[
        list[str] | None,
        typer.Option(help="Beginning of a method's name in the report; all if left out; may be repeated."),
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the picture.")] = "",
    overwrite: Overwrite = False,
) -> None:
    """Confusion matrices beside each other: from scratch against pre-trained.

    `radiofm figures confusion fig7.png --report tuned --method "from scratch" --method lora`
    """
    import numpy as np

    from radiofm_ml.evaluate.reports import read_report
    from radiofm_ml.plots import draw_confusion

    _check(out, overwrite)
    reports = {folder: read_report(folder) for folder in report}
    labels = next(iter(reports.values())).get("labels")
    known = sorted({name for content in reports.values() for name in content.get("confusion") or {}})
    for wanted in method or []:
        if not any(name.startswith(wanted) for name in known):
            raise ValueError(f"--method {wanted}: the reports have {', '.join(known) or 'none'}")
    matrices = {}
    for folder, content in reports.items():
        if content.get("labels") != labels or not content.get("confusion"):
            raise ValueError(f"{folder}: has no confusion matrix of the same labels as {report[0]}")
        for name, counts in content["confusion"].items():
            if not method or name.startswith(tuple(method)):
                matrices[name if len(reports) == 1 else f"{folder.name}: {name}"] = np.array(counts)
    first = next(iter(reports.values()))
    draw_confusion(out, matrices, labels, title=title or first.get("title") or first.get("task", ""))
    _write(out, {"labels": labels, "confusion": {name: counts.tolist() for name, counts in matrices.items()}})


def _shares(text: str) -> list[float]:
    try:
        shares = [float(value) for value in text.split(",")]
    except ValueError:
        shares = []
    if not shares or not all(0 < share < 1 for share in shares):
        raise ValueError(f"--ratios must be shares between 0 and 1 with commas between, got {text!r}")
    return shares


def _title(what: str, record: dict, mask: str = "") -> str:
    """What a run was trained on, in a line."""
    config = record["config"]
    share = f"{config['mask_ratio']:.0%}"
    if config.get("mask_ratio_max"):
        share += f" to {config['mask_ratio_max']:.0%}"
    how = f"{config['mask']} masks of {share}, {record['step']} steps"
    return f"{what}: trained with {how}" + (f"; shown with {mask} masks" if mask else "")


def _run_name(folder: Path, runs: list[Path]) -> str:
    if len(runs) == 1:
        return "pre-trained"
    return folder.name if len({f.name for f in runs}) == len(runs) else str(folder)


def _check(picture: Path, overwrite: bool) -> None:
    outputs.check_picture(picture, overwrite)
    outputs.check_report(picture.with_suffix(outputs.REPORT), overwrite)


def _write(picture: Path, numbers: dict) -> None:
    path = picture.with_suffix(outputs.REPORT)
    outputs.write_report(path, numbers)
    echo(f"{picture} and {path}")
