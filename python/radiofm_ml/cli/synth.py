# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm synth signals, radiofm synth tiles, radiofm synth pictures, radiofm synth classes;
beams and positioning have files of their own"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radiofm_ml.arguments import setting
from radiofm_ml.cli import beams, positioning, spectrum
from radiofm_ml.cli.options import Overwrite, with_options
from radiofm_ml.outputs import claim_folder
from radiofm_ml.terminal import console

if TYPE_CHECKING:
    from radiofm_ml.synth.dataset import SceneSettings

synth = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Synthesise standard signals over random channels and receivers.",
)

BAND = ("lora", "on-off-keying", "fsk-sensor", "wireless-m-bus", "pocsag", "digital-speech-decoder",
        "packet", "remote-keyless-entry")
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything.")]


@dataclass(frozen=True)
class Scenes:
    """What the scenes are like, as the commands take it."""

    labels: str = setting(
        "", "Kinds of signals, comma-separated, and 'noise'; the twenty published if empty.")
    snr: str = setting("0:30", "LOW:HIGH in dB, while on, in the signal's own band.")
    neighbours: float = setting(0.3, "Probability of another signal beside.", low=0, high=0.9)
    zoom: float | None = setting(
        None, "Sample rate at most so many times the kind's least; any if not given.", low=1)
    front_ends: str = setting(
        "0:100", "Numbers FIRST:END of the receivers; sets with other numbers share none.")

    def settings(self, **more: Any) -> SceneSettings:
        """As ``SceneSettings``. Raises ValueError."""
        from radiofm_ml.synth.dataset import SceneSettings

        labels = tuple(name.strip() for name in self.labels.split(",") if name.strip())
        return SceneSettings(labels, range(*_pair(self.front_ends, int, "--front-ends")),
                             _pair(self.snr, float, "--snr"), self.neighbours, zoom=self.zoom, **more)


def register(app: typer.Typer) -> None:
    positioning.register(synth)
    spectrum.register(synth)
    beams.register(synth)
    app.add_typer(synth, name="synth")


@synth.command()
@with_options
def signals(
    out: Annotated[Path, typer.Argument(help="Folder of the recordings.")],
    scenes: Scenes,
    count: Annotated[int, typer.Option(min=1, help="Recordings of each kind.")] = 4,
    samples: Annotated[int, typer.Option(min=64, help="Samples in a recording.")] = 1 << 18,
    datatype: Annotated[str, typer.Option(help="SigMF datatype: ci16_le, cf32_le, ci8, cu8 ...")] = "ci16_le",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write SigMF recordings, annotated with every emission in them.

    What is there already is kept: the same command goes on where it was interrupted, also with another count,
    seed or labels. OUT/index.csv lists the recordings.

    `radiofm synth signals out --labels lora,pocsag --count 2`
    """
    from radiofm_ml.cli.progress import stderr, track
    from radiofm_ml.synth.recordings import write_recordings

    settings = scenes.settings()
    about = {"samples": samples, "datatype": datatype, **asdict(scenes)}
    del about["labels"]  # more of them may join; each has files of its own, as each seed has
    claim_folder(out, "synth signals", overwrite=overwrite, settings=about)
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
def band(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Recording, .sigmf-meta.")],
    labels: Annotated[
        str, typer.Option(help="Kinds of signals, comma-separated, one transmitter each.")
    ] = ",".join(BAND),
    rate: Annotated[float, typer.Option(min=8e3, max=100e6, help="Samples per second.")] = 4e6,
    frequency: Annotated[float, typer.Option(min=0, help="Centre frequency in Hz.")] = 434e6,
    seconds: Annotated[float, typer.Option(min=0.01, max=600, help="How long.")] = 2.0,
    times: Annotated[int, typer.Option(min=1, help="How often each is heard, if there is room.")] = 4,
    snr: Annotated[str, typer.Option(help="LOW:HIGH in dB, while on, in the signal's own band.")] = "15:30",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write a SigMF recording of a band with many transmitters, annotated with every emission in it.

    `radiofm synth band band.sigmf-meta`
    """
    from radiofm_ml.cli.progress import stderr
    from radiofm_ml.outputs import check_file
    from radiofm_ml.sigmf.container import META
    from radiofm_ml.synth.bands import write_band
    from radiofm_ml.synth.recordings import is_synthetic

    path = check_file(out, META, is_synthetic, overwrite=overwrite)
    kinds = [name.strip() for name in labels.split(",") if name.strip()]
    count = write_band(path, kinds, rate, frequency, seconds, times, _pair(snr, float, "--snr"), seed)
    stderr.print(f"{count} emissions in {out}")


@synth.command()
@with_options
def tiles(
    out: Annotated[Path, typer.Argument(help="Folder of the shards.")],
    scenes: Scenes,
    count: Annotated[int, typer.Option(min=1, help="Tiles, as many of each kind (32 kB each).")] = 20480,
    model: Annotated[str, typer.Option(help="Bundle whose tiles to make; the usual ones if empty.")] = "",
    on: Annotated[bool, typer.Option(help="Only tiles in which the signal is on.")] = False,
    windows: Annotated[int, typer.Option(min=1, help="Tiles cut from a transmission.")] = 4,
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
    settings = scenes.settings(windows=windows, on=on)
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
def pictures(
    out: Annotated[Path, typer.Argument(help="Folder of the shards.")],
    count: Annotated[int, typer.Option(min=1, help="Pictures of synthetic signals (32 kB each).")] = 30720,
    recordings: Annotated[
        Path | None, typer.Option(help="Also pictures of the signals found in these recordings, unlabelled.")
    ] = None,
    seed: Seed = 1,
    overwrite: Overwrite = False,
) -> None:
    """Write pictures of signals, cut out as the detector would, in shards that `radiofm pretrain` reads.

    A third of the recordings' sessions, chosen by a hash of their names, is left out. The same command goes
    on where it was interrupted.

    `radiofm synth pictures pictures --recordings FOLDER`
    """
    from radiofm_ml.cli.progress import stderr, track
    from radiofm_ml.pictures import PictureSpec
    from radiofm_ml.spectrogram import SpectrogramSpec
    from radiofm_ml.train.signal_shards import prepare_pictures

    claim_folder(out, "synth pictures", overwrite=overwrite)
    paths = prepare_pictures(out, SpectrogramSpec(), PictureSpec(), count, seed, recordings, track=track)
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


def _pair(text: str, kind: type, option: str) -> tuple:
    try:
        low, high = (kind(value) for value in text.split(":"))
    except ValueError:
        raise ValueError(f"{option} must be two numbers LOW:HIGH, got {text!r}") from None
    if low >= high if kind is int else low > high:
        raise ValueError(f"{option} must ascend, got {text!r}")
    return low, high
