# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm synth signals, radiofm synth tiles, radiofm synth classes;
beams and positioning have files of their own"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from radiofm_ml.cli import beams, positioning, spectrum
from radiofm_ml.cli.options import Overwrite
from radiofm_ml.outputs import claim_folder
from radiofm_ml.terminal import console

synth = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Synthesise standard signals over random channels and receivers.",
)

Labels = Annotated[
    str,
    typer.Option(help="Kinds of signals, comma-separated, and 'noise'; the twenty published if empty."),
]
FrontEnds = Annotated[
    str, typer.Option(help="Numbers FIRST:END of the receivers; sets with other numbers share none.")
]
Snr = Annotated[str, typer.Option(help="LOW:HIGH in dB, while on, in the signal's own band.")]
Neighbours = Annotated[float, typer.Option(min=0, max=0.9, help="Probability of another signal beside.")]
Zoom = Annotated[
    float | None,
    typer.Option(min=1, help="Sample rate at most so many times the kind's least; any if not given."),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything.")]


def register(app: typer.Typer) -> None:
    positioning.register(synth)
    spectrum.register(synth)
    beams.register(synth)
    app.add_typer(synth, name="synth")


@synth.command()
def signals(
    out: Annotated[Path, typer.Argument(help="Folder of the recordings.")],
    count: Annotated[int, typer.Option(min=1, help="Recordings of each kind.")] = 4,
    samples: Annotated[int, typer.Option(min=64, help="Samples in a recording.")] = 1 << 18,
    labels: Labels = "",
    datatype: Annotated[str, typer.Option(help="SigMF datatype: ci16_le, cf32_le, ci8, cu8 ...")] = "ci16_le",
    snr: Snr = "0:30",
    neighbours: Neighbours = 0.3,
    zoom: Zoom = None,
    front_ends: FrontEnds = "0:100",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write SigMF recordings, annotated with every emission in them.

    What is there already is kept: the same command goes on where it was interrupted. OUT/index.csv lists the
    recordings.

    `radiofm synth signals out --labels lora,pocsag --count 2`
    """
    from radiofm_ml.cli.progress import stderr, track
    from radiofm_ml.synth.recordings import write_recordings

    settings = _settings(labels, front_ends, snr, neighbours, zoom)
    claim_folder(out, "synth signals", overwrite=overwrite)
    paths = write_recordings(
        out,
        count,
        samples,
        seed,
        settings,
        datatype=datatype,
        track=track,
    )
    stderr.print(f"{len(paths)} recordings in {out}")


@synth.command()
def tiles(
    out: Annotated[Path, typer.Argument(help="Folder of the shards.")],
    count: Annotated[int, typer.Option(min=1, help="Tiles, as many of each kind (32 kB each).")] = 20480,
    model: Annotated[str, typer.Option(help="Bundle whose tiles to make; the usual ones if empty.")] = "",
    labels: Labels = "",
    on: Annotated[bool, typer.Option(help="Only tiles in which the signal is on.")] = False,
    snr: Snr = "0:30",
    neighbours: Neighbours = 0.3,
    windows: Annotated[int, typer.Option(min=1, help="Tiles cut from a transmission.")] = 4,
    zoom: Zoom = None,
    front_ends: FrontEnds = "0:100",
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write labelled tiles with boxes, in shards that `radiofm pretrain` reads.

    The same command goes on where it was interrupted.

    `radiofm synth tiles train --front-ends 0:100 --seed 1`

    `radiofm synth tiles test --front-ends 100:150 --seed 2 --count 4000 --on`
    """
    from radiofm_ml import bundle as bundles
    from radiofm_ml.cli.progress import stderr, track
    from radiofm_ml.spectrogram import SpectrogramSpec
    from radiofm_ml.synth.dataset import write_shards

    spec = bundles.load(model, bundles.TILES).spec if model else SpectrogramSpec()
    settings = replace(_settings(labels, front_ends, snr, neighbours, zoom), windows=windows, on=on)
    claim_folder(out, "synth tiles", overwrite=overwrite)
    paths = write_shards(
        out,
        spec,
        count,
        seed,
        settings,
        jobs=jobs,
        track=track,
    )
    stderr.print(f"{len(paths)} shards in {out}")


@synth.command()
def classes() -> None:
    """List the kinds of signals, their forms, and the receiver rates that they are seen at."""
    from rich.table import Table

    from radiofm_ml.synth.signals import TWENTY, all_classes

    table = Table()
    for name in ("label", "what", "rates (samples/s)", "forms"):
        table.add_column(name)
    for kind in all_classes().values():
        star = "*" if kind.label in TWENTY else ""
        rates = f"{kind.rates[0]:g} to {kind.rates[1]:g}"
        table.add_row(kind.label + star, kind.title, rates, ", ".join(kind.variants))
    console().print(table)
    console().print("* of the twenty published")


def _settings(labels: str, front_ends: str, snr: str, neighbours: float, zoom: float | None):
    from radiofm_ml.synth.dataset import SceneSettings

    return SceneSettings(
        tuple(name.strip() for name in labels.split(",") if name.strip()),
        range(*_pair(front_ends, int, "--front-ends")),
        _pair(snr, float, "--snr"),
        neighbours,
        zoom=zoom,
    )


def _pair(text: str, kind: type, option: str) -> tuple:
    try:
        low, high = (kind(value) for value in text.split(":"))
    except ValueError:
        raise ValueError(f"{option} must be two numbers LOW:HIGH, got {text!r}") from None
    if low >= high if kind is int else low > high:
        raise ValueError(f"{option} must ascend, got {text!r}")
    return low, high
