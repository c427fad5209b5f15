# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm pretrain, radiofm evaluate, radiofm readouts"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from radiofm_ml import outputs
from radiofm_ml.cli.options import Overwrite, with_options
from radiofm_ml.terminal import console
from radiofm_ml.train.settings import AugmentationSettings, PretrainConfig


def register(app: typer.Typer) -> None:
    app.command()(pretrain)
    app.command()(evaluate)
    app.command()(readouts)


@with_options
def pretrain(
    out: Annotated[
        Path, typer.Argument(help="Folder of the run: shards, checkpoint, log, and the bundle in the end.")
    ],
    config: PretrainConfig,
    augmentation: AugmentationSettings,
    preset: Annotated[str, typer.Option(help="Encoder: pico, tiny, small, S, M or L.")] = "small",
    patch_rows: Annotated[int, typer.Option(min=1, help="Rows in a patch.")] = 16,
    patch_cols: Annotated[int, typer.Option(min=1, help="Bins in a patch.")] = 32,
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
    grouping: Annotated[
        str,
        typer.Option(
            help="contrast: near to each other are tiles of one synthetic label or one recording (label), "
            "or of one synthetic stream or one recording (source; no labels are used)."
        ),
    ] = "label",
    init: Annotated[
        Path | None, typer.Option(help="Folder of a run whose encoder this one begins with.")
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 for all cores.")] = 0,
    readers: Annotated[int, typer.Option(min=1, help="Threads that read and augment tiles.")] = 1,
    bundle: Annotated[bool, typer.Option(help="Make a bundle in the end.")] = True,
    receptions: Annotated[
        int,
        typer.Option(
            min=0,
            help="Synthetic receptions of each kind for the default labels and the calibration; 0: neither.",
        ),
    ] = 8,
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "",
    overwrite: Overwrite = False,
) -> None:
    """Pre-train an encoder by masked spectrogram modeling, without labels, and make a bundle of it.

    Shards of pictures (`radiofm synth pictures`) make one that reads signals, others one that reads tiles.

    Interrupt it whenever you like: the same command goes on from the last checkpoint (one every two minutes)
    with the same losses. OUT/log.jsonl has a line for every step, with the share of it spent waiting for
    data.

    On several GPUs or processes: `torchrun --nproc-per-node 2 -m radiofm_ml.cli pretrain OUT`, with the same
    options on each; they share each batch.
    """
    import torch

    from radiofm_ml.cli.progress import bar, stderr, track
    from radiofm_ml.data.shards import hold_pictures
    from radiofm_ml.models.vit import ViTConfig
    from radiofm_ml.train import distributed
    from radiofm_ml.train.augment import Augmentation
    from radiofm_ml.train.export import export
    from radiofm_ml.train.pretrain import pretrain as train
    from radiofm_ml.train.reader import ShardReader
    from radiofm_ml.train.signal_export import export_signals

    if threads:
        torch.set_num_threads(threads)
    with distributed.processes():
        first = distributed.rank() == 0
        if first:
            outputs.claim_folder(out, "pretrain", overwrite=overwrite)
        paths, spec = _training_shards(out, shards or [], tiles, config.seed, recordings, first)
        reader = ShardReader(paths, spec, config.batch_size, config.seed, {"recordings": recording_copies},
                             Augmentation(**asdict(augmentation)), grouping if config.contrast else None)
        shape = {"tile_rows": spec.tile_rows, "tile_cols": spec.tile_cols}
        vit = ViTConfig.preset(preset, **shape, patch_rows=patch_rows, patch_cols=patch_cols)
        with bar() as progress:
            task = progress.add_task("pre-training", total=config.steps, note="", visible=first)

            def show(record: dict) -> None:
                note = "loss {loss:.4f}  {tiles_per_s:.0f} tiles/s  waiting {wait:.0%}".format(**record)
                progress.update(task, completed=record["step"] + 1, note=note)

            train(out, vit, spec, config, reader, on_step=show, readers=readers, init=init)
    if not first or not bundle:
        return
    name = name or f"msm-{preset}"
    labelled = config.classify or config.contrast and grouping == "label"
    card = (
        f"# {name}\n\nA `{preset}` ViT encoder pre-trained by masked spectrogram modeling "
        f"with `radiofm pretrain`: "
        f"{config.steps} steps of {config.batch_size} tiles, {len(reader.shard)} tiles in an epoch"
        + (", real recordings among them" if recordings else "")
        + (", with the labels of synthetic tiles" if labelled else "")
        + ". No evaluation has been run; `radiofm evaluate` runs one.\n"
    )
    make = export_signals if hold_pictures(paths) else export
    made = make(out, out / "bundle", name, paths, card, each=receptions, track=track)
    stderr.print(f"bundle {made.id} in {made.path}")


def _training_shards(out: Path, folders: list[Path], tiles: int, seed: int, recordings: Path | None,
                     first: bool) -> tuple:
    """(paths, spec) of the shards in ``folders``, and of those that are made: of ``recordings``, and without
    folders of synthetic tiles. The ``first`` process makes them, the others wait."""
    from radiofm_ml.cli.progress import track
    from radiofm_ml.data.shards import find_shards
    from radiofm_ml.spectrogram import SpectrogramSpec
    from radiofm_ml.train import distributed
    from radiofm_ml.train.shards import prepare

    found = [find_shards(folder) for folder in folders]
    spec = found[0][1] if found else SpectrogramSpec()
    for folder, (_, other) in zip(folders, found, strict=True):
        if other != spec:
            raise ValueError(f"{folder}: these shards were made with another spec than {folders[0]}'s")
    paths = [path for more, _ in found for path in more]
    if not found or recordings:
        if first:
            prepare(out / "shards", spec, 0 if found else tiles, seed, recordings, track=track)
        distributed.wait()  # the others find them made
        paths += prepare(out / "shards", spec, 0 if found else tiles, seed, recordings)
    return paths, spec


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
    signals: Annotated[
        bool, typer.Option("--signals", help="By the signals that are found, not by tiles of the whole band.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Few-shot identification of real recordings, split by session, beside its baselines.

    Shots and queries come from different sessions, and the sample rate is withheld: no feature sees it.
    Printed beside
    the model: the same network with random weights, the log power spectrum, a CNN trained from scratch
    on the same shots, and the sample rate alone. With --signals, a random encoder, bandwidth and duration
    without an encoder, and whole tiles by radiofm-small.
    """
    from radiofm_ml.cli.progress import track

    if signals:
        from radiofm_ml.evaluate.signals import evaluate as run
        from radiofm_ml.evaluate.signals import print_table
    else:
        from radiofm_ml.evaluate.identification import evaluate as run
        from radiofm_ml.evaluate.identification import print_table

    try:
        counts = tuple(int(v) for v in shots.split(","))
    except ValueError:
        raise ValueError(f"--shots must be whole numbers with commas between, got {shots!r}") from None
    if out:
        outputs.check_report(out, overwrite)
    result = run(model, data, counts, tuple(range(seeds)), episodes, everything=everything, track=track)
    print_table(result)
    if out:
        outputs.write_report(out, result)


def readouts(
    run: Annotated[Path, typer.Argument(help="Folder of a `radiofm pretrain` run.")],
    data: Annotated[Path, typer.Argument(help="Folder with index.csv and its recordings, as for evaluate.")],
    shards: Annotated[
        list[Path], typer.Option(help="Folder of shards that fit the projections; may be repeated.")
    ],
    out: Annotated[Path | None, typer.Option(help="Write the numbers as JSON.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare ways to make an embedding of a run's encoder: read-outs, with and without principal components.

    Ordered by what may decide, accuracy on synthetic signals and on real ones of sessions that are not held
    out; the last column has no say.
    """
    from rich.table import Table

    from radiofm_ml.cli.progress import track
    from radiofm_ml.data.shards import find_shards
    from radiofm_ml.evaluate.readouts import study

    if out:
        outputs.check_report(out, overwrite)
    rows = study(run, data, [path for folder in shards for path in find_shards(folder)[0]], track=track)
    table = Table("read-out", "projection", "power", "synthetic", "real", "held out", title="5 shots")
    for row in rows:
        numbers = (f"{row[key]:.3f}" for key in ("synthetic", "real", "held_out"))
        table.add_row(row["read_out"], str(row["projection"] or "none"), f"{row['power']:g}", *numbers)
    console().print(table)
    if out:
        outputs.write_report(out, {"rows": rows})
