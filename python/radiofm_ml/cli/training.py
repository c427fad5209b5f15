# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm pretrain, radiofm evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(pretrain)
    app.command()(evaluate)


def pretrain(
    out: Annotated[
        Path, typer.Argument(help="Folder of the run: shards, checkpoint, log, and the bundle in the end.")
    ],
    preset: Annotated[str, typer.Option(help="Encoder: tiny, small, S, M or L.")] = "small",
    steps: Annotated[int, typer.Option(min=1, help="Optimisation steps.")] = 4000,
    batch_size: Annotated[int, typer.Option(min=1, help="Tiles in a step.")] = 64,
    tiles: Annotated[
        int, typer.Option(min=1, help="Synthetic tiles to train on (32 kB each on disk).")
    ] = 24576,
    recordings: Annotated[
        Path | None,
        typer.Option(
            help="Folder of SigMF recordings to train on as well; "
            "their labels are not read, and one session in three is left out."
        ),
    ] = None,
    mask_ratio: Annotated[float, typer.Option(min=0.05, max=0.95, help="Share of patches to hide.")] = 0.75,
    norm_pixels: Annotated[
        bool, typer.Option(help="Predict patches less their mean, over their standard deviation.")
    ] = False,
    base_rate: Annotated[float, typer.Option(min=1e-6, help="Learning rate at batch 256.")] = 2.4e-3,
    warmup: Annotated[int, typer.Option(min=0, help="Steps of linear warm-up.")] = 200,
    patch_cols: Annotated[int, typer.Option(min=1, help="Bins in a patch.")] = 32,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 for all cores.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the data, the weights and the masks.")] = 0,
    calibration_streams: Annotated[
        int,
        typer.Option(
            min=4, help="Synthetic streams of each family for the default labels and the calibration."
        ),
    ] = 40,
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "",
) -> None:
    """Pre-train an encoder by masked spectrogram modeling, without labels, and make a bundle of it.

    Interrupt it whenever you like: the same command goes on from the last checkpoint (one every two minutes)
    with the same losses. OUT/log.jsonl has a line for every step.
    """
    import torch

    from radiofm_ml.cli.progress import bar, stderr, track
    from radiofm_ml.models.vit import ViTConfig
    from radiofm_ml.spectrogram import SpectrogramSpec
    from radiofm_ml.train.export import export
    from radiofm_ml.train.pretrain import PretrainConfig
    from radiofm_ml.train.pretrain import pretrain as train
    from radiofm_ml.train.shards import ShardReader, prepare

    if threads:
        torch.set_num_threads(threads)
    spec = SpectrogramSpec()
    vit = ViTConfig.preset(preset, tile_rows=spec.tile_rows, tile_cols=spec.tile_cols, patch_cols=patch_cols)
    config = PretrainConfig(
        steps=steps,
        batch_size=batch_size,
        base_rate=base_rate,
        warmup=warmup,
        mask_ratio=mask_ratio,
        norm_pixels=norm_pixels,
        seed=seed,
    )
    shards = prepare(out / "shards", spec, tiles, seed, recordings, track=track)
    reader = ShardReader(shards, spec, batch_size, seed, {"recordings": 2})
    with bar() as progress:
        task = progress.add_task("pre-training", total=steps, note="")
        train(
            out,
            vit,
            spec,
            config,
            reader,
            on_step=lambda step, loss, rate: progress.update(
                task, completed=step + 1, note=f"loss {loss:.4f}"
            ),
        )
    name = name or f"msm-{preset}"
    card = (
        f"# {name}\n\nA `{preset}` ViT encoder pre-trained by masked spectrogram modeling "
        f"with `radiofm pretrain`: "
        f"{steps} steps of {batch_size} tiles, {tiles} synthetic tiles"
        + (", real recordings too" if recordings else "")
        + ". No evaluation has been run; `radiofm evaluate` runs one.\n"
    )
    bundle = export(
        out, out / "bundle", name, shards, card, streams_per_family=calibration_streams, track=track
    )
    stderr.print(f"bundle {bundle.id} in {bundle.path}")


def evaluate(
    model: Annotated[str, typer.Argument(help="Bundle to judge.")],
    data: Annotated[
        Path,
        typer.Argument(help="Folder with index.csv (label, session, file, sample_rate) and its recordings."),
    ],
    out: Annotated[Path | None, typer.Option(help="Write the numbers as JSON.")] = None,
    shots: Annotated[str, typer.Option(help="Shots per label, comma-separated.")] = "1,5",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of splits, shots and random encoders.")] = 3,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes per seed.")] = 40,
) -> None:
    """Few-shot identification of real recordings, split by session, beside its baselines.

    Shots and queries come from different sessions, and the sample rate is withheld: no feature sees it.
    Printed beside
    the model: the same network with random weights, the log power spectrum, a CNN trained from scratch
    on the same shots, and the sample rate alone.
    """
    from radiofm_ml.cli.progress import track
    from radiofm_ml.evaluate.identification import evaluate as run
    from radiofm_ml.evaluate.identification import print_table

    try:
        counts = tuple(int(v) for v in shots.split(","))
    except ValueError:
        raise ValueError(f"--shots must be whole numbers with commas between, got {shots!r}") from None
    result = run(model, data, counts, tuple(range(seeds)), episodes, track=track)
    print_table(result)
    if out:
        import json

        out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
