# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm pretrain, radiofm evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radiofm_ml import atomic


def register(app: typer.Typer) -> None:
    app.command()(pretrain)
    app.command()(evaluate)
    app.command()(readouts)


def pretrain(
    out: Annotated[
        Path, typer.Argument(help="Folder of the run: shards, checkpoint, log, and the bundle in the end.")
    ],
    preset: Annotated[str, typer.Option(help="Encoder: tiny, small, S, M or L.")] = "small",
    steps: Annotated[int, typer.Option(min=1, help="Optimisation steps.")] = 4000,
    batch_size: Annotated[int, typer.Option(min=1, help="Tiles in a step, on all processes together.")] = 64,
    shards: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of shards to train on, as `radiofm synth` makes them; may be repeated."),
    ] = None,
    tiles: Annotated[
        int, typer.Option(min=1, help="Without --shards: synthetic tiles to make (32 kB each on disk).")
    ] = 24576,
    recordings: Annotated[
        Path | None,
        typer.Option(
            help="Folder of SigMF recordings to train on as well; "
            "their labels are not read, and one session in three is left out."
        ),
    ] = None,
    recording_copies: Annotated[
        int, typer.Option(min=1, help="How often a tile of --recordings is seen in an epoch.")
    ] = 2,
    objective: Annotated[
        str, typer.Option(help="pixels: of hidden patches, as published. latent: an averaged encoder's view.")
    ] = "pixels",
    objective_weight: Annotated[
        float, typer.Option(min=0, help="Weight of the objective; 0 leaves the other terms alone.")
    ] = 1.0,
    mask: Annotated[
        str, typer.Option(help="What is hidden: random patches, bands in time or frequency, block, or mixed.")
    ] = "random",
    mask_ratio: Annotated[float, typer.Option(min=0.05, max=0.95, help="Share of patches to hide.")] = 0.75,
    mask_ratio_max: Annotated[
        float, typer.Option(min=0, max=0.95, help="Draw a step's share from --mask-ratio to this; 0 for not.")
    ] = 0.0,
    norm_pixels: Annotated[
        bool, typer.Option(help="Predict patches less their mean, over their standard deviation.")
    ] = False,
    latent_layers: Annotated[int, typer.Option(min=1, help="latent: last blocks of which to average.")] = 4,
    latent_whole: Annotated[
        bool,
        typer.Option(
            "--latent-whole/--latent-hidden", help="latent: the teacher sees the tile, or its hidden part."
        ),
    ] = True,
    momentum: Annotated[
        float, typer.Option(min=0, max=1, help="latent: of the teacher's average at the start; 1 at the end.")
    ] = 0.996,
    contrast: Annotated[
        float,
        typer.Option(min=0, help="Weight of the contrastive term. Uses the labels of synthetic tiles."),
    ] = 0.0,
    grouping: Annotated[
        str,
        typer.Option(
            help="contrast: near to each other are tiles of one synthetic label or one recording (label), "
            "or of one synthetic stream or one recording (source; no labels are used)."
        ),
    ] = "label",
    temperature: Annotated[float, typer.Option(min=0.01, help="contrast: its temperature.")] = 0.1,
    classify: Annotated[
        float, typer.Option(min=0, help="Weight of classifying synthetic tiles by their labels.")
    ] = 0.0,
    describe: Annotated[
        float, typer.Option(min=0, help="Weight of telling the whole tile's descriptors. No labels are used.")
    ] = 0.0,
    init: Annotated[
        Path | None, typer.Option(help="Folder of a run whose encoder this one begins with.")
    ] = None,
    decoder_dim: Annotated[int, typer.Option(min=8, help="Width of the decoder.")] = 128,
    decoder_depth: Annotated[int, typer.Option(min=1, help="Blocks of the decoder.")] = 2,
    base_rate: Annotated[float, typer.Option(min=1e-6, help="Learning rate at batch 256.")] = 2.4e-3,
    warmup: Annotated[int, typer.Option(min=0, help="Steps of linear warm-up.")] = 200,
    weight_decay: Annotated[float, typer.Option(min=0, help="Weight decay of matrices.")] = 0.05,
    patch_rows: Annotated[int, typer.Option(min=1, help="Rows in a patch.")] = 16,
    patch_cols: Annotated[int, typer.Option(min=1, help="Bins in a patch.")] = 32,
    mirror: Annotated[
        float, typer.Option(min=0, max=1, help="Augmentation: probability of a turned spectrum.")
    ] = 0.5,
    frequency_roll: Annotated[
        float, typer.Option(min=0, max=1, help="Augmentation: largest shift, as a share of the band.")
    ] = 1 / 16,
    time_roll: Annotated[
        float, typer.Option(min=0, max=1, help="Augmentation: largest shift, as a share of the tile.")
    ] = 0.0,
    gain_db: Annotated[float, typer.Option(min=0, help="Augmentation: largest shift of all levels.")] = 0.0,
    noise_db: Annotated[float, typer.Option(min=0, help="Augmentation: largest loss of SNR.")] = 0.0,
    erase: Annotated[
        float, typer.Option(min=0, max=1, help="Augmentation: largest share of rows erased.")
    ] = 0.0,
    precision: Annotated[
        str, typer.Option(help="auto: bfloat16 where the processor has it; or bfloat16, or float32.")
    ] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 for all cores.")] = 0,
    readers: Annotated[int, typer.Option(min=1, help="Threads that read and augment tiles.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the data, the weights and the masks.")] = 0,
    bundle: Annotated[bool, typer.Option(help="Make a bundle in the end.")] = True,
    receptions: Annotated[
        int,
        typer.Option(
            min=0,
            help="Synthetic receptions of each kind for the default labels and the calibration; 0: neither.",
        ),
    ] = 8,
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "",
) -> None:
    """Pre-train an encoder by masked spectrogram modeling, without labels, and make a bundle of it.

    Interrupt it whenever you like: the same command goes on from the last checkpoint (one every two minutes)
    with the same losses. OUT/log.jsonl has a line for every step, with the share of it spent waiting for
    data.

    On several GPUs or processes: `torchrun --nproc-per-node 2 -m radiofm_ml.cli pretrain OUT`, with the same
    options on each; they share each batch.
    """
    import torch

    from radiofm_ml.cli.progress import bar, stderr, track
    from radiofm_ml.data.shards import find_shards
    from radiofm_ml.models.vit import ViTConfig
    from radiofm_ml.spectrogram import SpectrogramSpec
    from radiofm_ml.train import distributed
    from radiofm_ml.train.augment import Augmentation
    from radiofm_ml.train.export import export
    from radiofm_ml.train.pretrain import PretrainConfig
    from radiofm_ml.train.pretrain import pretrain as train
    from radiofm_ml.train.reader import ShardReader
    from radiofm_ml.train.shards import prepare

    if threads:
        torch.set_num_threads(threads)
    config = PretrainConfig(
        steps=steps,
        batch_size=batch_size,
        base_rate=base_rate,
        warmup=warmup,
        weight_decay=weight_decay,
        mask=mask,
        mask_ratio=mask_ratio,
        mask_ratio_max=mask_ratio_max,
        objective=objective,
        objective_weight=objective_weight,
        norm_pixels=norm_pixels,
        latent_layers=latent_layers,
        latent_whole=latent_whole,
        momentum=momentum,
        decoder_dim=decoder_dim,
        decoder_depth=decoder_depth,
        contrast=contrast,
        temperature=temperature,
        classify=classify,
        describe=describe,
        precision=precision,
        seed=seed,
    )
    with distributed.processes():
        first = distributed.rank() == 0
        found = [find_shards(folder) for folder in shards or []]
        spec = found[0][1] if found else SpectrogramSpec()
        for folder, (_, other) in zip(shards or [], found, strict=True):
            if other != spec:
                raise ValueError(f"{folder}: these shards were made with another spec than {shards[0]}'s")
        paths = [path for more, _ in found for path in more]
        if not found or recordings:
            if first:
                prepare(out / "shards", spec, 0 if found else tiles, seed, recordings, track=track)
            distributed.wait()  # the others find them made
            paths += prepare(out / "shards", spec, 0 if found else tiles, seed, recordings)
        reader = ShardReader(
            paths,
            spec,
            batch_size,
            seed,
            {"recordings": recording_copies},
            Augmentation(mirror, frequency_roll, time_roll, gain_db, noise_db, erase),
            grouping if contrast else None,
        )
        shape = {"tile_rows": spec.tile_rows, "tile_cols": spec.tile_cols}
        vit = ViTConfig.preset(preset, **shape, patch_rows=patch_rows, patch_cols=patch_cols)
        with bar() as progress:
            task = progress.add_task("pre-training", total=steps, note="", visible=first)

            def show(record: dict) -> None:
                note = "loss {loss:.4f}  {tiles_per_s:.0f} tiles/s  waiting {wait:.0%}".format(**record)
                progress.update(task, completed=record["step"] + 1, note=note)

            train(out, vit, spec, config, reader, on_step=show, readers=readers, init=init)
    if not first or not bundle:
        return
    name = name or f"msm-{preset}"
    card = (
        f"# {name}\n\nA `{preset}` ViT encoder pre-trained by masked spectrogram modeling "
        f"with `radiofm pretrain`: "
        f"{steps} steps of {batch_size} tiles, {len(reader.shard)} tiles in an epoch"
        + (", real recordings among them" if recordings else "")
        + (", with the labels of synthetic tiles" if classify or contrast and grouping == "label" else "")
        + ". No evaluation has been run; `radiofm evaluate` runs one.\n"
    )
    made = export(out, out / "bundle", name, paths, card, each=receptions, track=track)
    stderr.print(f"bundle {made.id} in {made.path}")


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
    everything: Annotated[
        bool,
        typer.Option(
            "--everything",
            help="Take the recordings too that the index's column 'benchmark' leaves out, and split every "
            "label by session.",
        ),
    ] = False,
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
    result = run(model, data, counts, tuple(range(seeds)), episodes, everything=everything, track=track)
    print_table(result)
    if out:

        atomic.write_json(out, result)


def readouts(
    run: Annotated[Path, typer.Argument(help="Folder of a `radiofm pretrain` run.")],
    data: Annotated[Path, typer.Argument(help="Folder with index.csv and its recordings, as for evaluate.")],
    shards: Annotated[
        list[Path], typer.Option(help="Folder of shards that fit the projections; may be repeated.")
    ],
    out: Annotated[Path | None, typer.Option(help="Write the numbers as JSON.")] = None,
) -> None:
    """Compare ways to make an embedding of a run's encoder: read-outs, with and without principal components.

    Ordered by what may decide, accuracy on synthetic signals and on real ones of sessions that are not held
    out; the last column has no say.
    """
    from rich.console import Console
    from rich.table import Table

    from radiofm_ml.cli.progress import track
    from radiofm_ml.data.shards import find_shards
    from radiofm_ml.evaluate.readouts import study

    rows = study(run, data, [path for folder in shards for path in find_shards(folder)[0]], track=track)
    table = Table("read-out", "projection", "power", "synthetic", "real", "held out", title="5 shots")
    for row in rows:
        numbers = (f"{row[key]:.3f}" for key in ("synthetic", "real", "held_out"))
        table.add_row(row["read_out"], str(row["projection"] or "none"), f"{row['power']:g}", *numbers)
    Console().print(table)
    if out:

        atomic.write_json(out, rows)
