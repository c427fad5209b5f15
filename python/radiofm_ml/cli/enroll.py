# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm enroll"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radiofm_ml import atomic
from radiofm_ml.cli.options import with_options
from radiofm_ml.cli.recordings import DEFAULT_MODEL, MODEL_HELP, SIGNAL_MODEL, Channel, Report, Threads
from radiofm_ml.sigmf.stated import Stated

if TYPE_CHECKING:
    import numpy as np

    from radiofm_ml.engines import Engine
    from radiofm_ml.fewshot import FewShot
    from radiofm_ml.sigmf.jobs import Outcome
    from radiofm_ml.survey.shots import Shot

    Taught = tuple[dict[str, np.ndarray], list[Outcome]]  # shots of each label, and what came of recordings


def register(app: typer.Typer) -> None:
    app.command()(enroll)


@with_options
def enroll(
    prototypes: Annotated[
        Path, typer.Argument(help="File of prototypes, .safetensors; extended if it exists.")
    ],
    label: Annotated[str, typer.Argument(help="Name of the signal; '' to take the recordings' annotations.")],
    recordings: Annotated[list[Path], typer.Argument(help="Recordings of it, or folders.")],
    stated: Stated,
    shots: Annotated[
        int, typer.Option(min=0, help="Tiles, or signals, to teach, spread evenly; 0 for all.")
    ] = 5,
    signals: Annotated[
        bool | None,
        typer.Option("--signals/--tiles", help="Teach by signals, cut out of the band, or by tiles of all "
                                               "of it. Left out: as PROTOTYPES has it, or the model."),
    ] = None,
    from_annotations: Annotated[
        bool, typer.Option("--from-annotations",
                           help="Teach by the boxes of annotations (of LABEL; '' for all), not by what is "
                                "found.")
    ] = False,
    at: Annotated[
        str | None, typer.Option(metavar="SECONDS,HZ", help="Teach the signal that is found there, in one "
                                                            "recording.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help=f"{MODEL_HELP} Left out: {DEFAULT_MODEL} for tiles, "
                                                       f"{SIGNAL_MODEL} for signals.")
    ] = None,
    channel: Channel = 0,
    threads: Threads = 1,
) -> None:
    """Teach a label by example: no training, a few tiles or signals are enough.

    Tiles are spread evenly over the recordings. With the label '' every annotation with a label teaches that
    label, by the tiles that lie more in it than outside. Of signals the strongest are taught, as many of each
    recording, less those that are unlike the others; or what annotations box, or what lies at a time and a
    frequency. Labels that PROTOTYPES has already gain shots.

    `radiofm enroll taught.safetensors pocsag pager1.sigmf-meta pager2.sigmf-meta --shots 8`
    """
    from radiofm_ml import bundle as bundles
    from radiofm_ml.engines import open_engine
    from radiofm_ml.fewshot import FewShot
    from radiofm_ml.fewshot.prototypes import SUFFIX, check_label
    from radiofm_ml.outputs import check_file
    from radiofm_ml.sigmf.container import ARCHIVES, META
    from radiofm_ml.sigmf.folders import survey
    from radiofm_ml.sigmf.jobs import Plan
    from radiofm_ml.signals import SignalEncoder

    # what a file of another content is, loading it says
    few_path = check_file(prototypes, SUFFIX, lambda _: True)
    label = label.strip()
    if label.lower().endswith((META, *ARCHIVES)):
        raise ValueError(f"{label}: is the name of a recording; the label comes before the recordings")
    if label:
        check_label(label)
    if at is not None and from_annotations:
        raise ValueError("give --at or --from-annotations, not both")
    place = None if at is None else _place(at, label)
    found = [survey(given, stated=stated) for given in recordings]
    paths = [path for each in found for path in each.recordings]
    if place and len(paths) != 1:
        raise ValueError(f"--at is a place in one recording, {len(paths)} are given")
    wanted = True if place or from_annotations else signals
    if signals is False and wanted:
        raise ValueError("--at and --from-annotations teach signals, not --tiles")
    if wanted is None and few_path.exists():
        wanted = _are_of_signals(few_path)
    engine = open_engine(model or (SIGNAL_MODEL if wanted else DEFAULT_MODEL), threads=threads,
                         reads={True: "signals", False: "tiles", None: None}[wanted])
    if wanted is None:
        wanted = engine.bundle.signals is not None
        bundles.load(engine.bundle, bundles.SIGNALS if wanted else bundles.TILES)
    encoder = SignalEncoder(engine) if wanted else None

    def there() -> FewShot:
        return FewShot.for_bundle(engine.bundle, few_path if few_path.exists() else "", shipped=False,
                                  signals=wanted)

    there()  # what is wrong with it is said before the work
    if not wanted:
        taught, outcomes = _tiles(paths, engine, label, shots, channel, stated)
        nothing = "no annotation with a label covers half a tile; name the label to teach"
    else:
        chosen, outcomes = _signals(paths, encoder, label, shots, channel, place, from_annotations, stated)
        _show_shots(chosen)
        taught = _vectors(chosen)
        nothing = (f"no annotation is called '{label}'" if from_annotations and label else
                   "no annotation names a signal" if from_annotations else
                   "no signal was found; docs/detection.md says what counts as one")
    left_out = [line for each in found for line in each.left_out]
    report = Report("teaching", Plan([outcome.job for outcome in outcomes], left_out))
    for outcome in outcomes:
        report.note(outcome)
    if not taught:
        if not report.failed:
            raise ValueError(f"{recordings[0]}: {nothing}")
        report.end()
    with atomic.alone(few_path):
        few = there()  # with what others have taught meanwhile
        for name, vectors in taught.items():
            few.prototypes.enroll(name, vectors)
        few.save(few_path)
    show_prototypes(few, prototypes.name)
    report.end()


def _place(at: str, label: str) -> tuple[float, float]:
    """(seconds, hertz). Raises ValueError."""
    if not label:
        raise ValueError("--at teaches one label; name it")
    try:
        seconds, hertz = map(float, at.split(","))
    except ValueError:
        seconds = hertz = math.nan
    if not (math.isfinite(seconds) and math.isfinite(hertz) and seconds >= 0):
        raise ValueError(f"--at is SECONDS,HZ such as 1.25,868.1e6; got {at!r}")
    return seconds, hertz


def _are_of_signals(path: Path) -> bool:
    from radiofm_ml.bundle import SIGNALS
    from radiofm_ml.fewshot.prototypes import model_of

    return model_of(path).endswith(SIGNALS)


def _tiles(paths: Sequence[Path], engine: Engine, label: str, shots: int, channel: int,
           stated: Stated) -> Taught:
    from radiofm_ml.cli.progress import track
    from radiofm_ml.pipeline import shots_of

    return shots_of(paths, engine, label, shots, channel=channel, track=track, stated=stated)


def _signals(paths: Sequence[Path], encoder: Callable, label: str, shots: int, channel: int,
             place: tuple[float, float] | None, boxed: bool,
             stated: Stated) -> tuple[list[Shot], list[Outcome]]:
    from radiofm_ml.cli.progress import track
    from radiofm_ml.survey import shots as choose
    from radiofm_ml.survey.signals import Detection

    if place:
        return choose.at(paths[0], encoder, label, *place, Detection(), channel, track, stated)
    if not boxed and not label:
        raise ValueError("the label '' takes annotations: say --from-annotations, or name the label")
    take = choose.annotated if boxed else choose.strongest
    return take(paths, encoder, label, shots, Detection(), channel, track, stated)


def _vectors(chosen: Sequence[Shot]) -> dict[str, np.ndarray]:
    import numpy as np

    taught: dict[str, list[np.ndarray]] = {}
    for shot in chosen:
        if not shot.unlike:
            taught.setdefault(shot.label, []).append(shot.vector)
    return {label: np.stack(vectors) for label, vectors in taught.items()}


def _show_shots(chosen: Sequence[Shot]) -> None:
    """Which signals teach, and which were passed over."""
    from rich.table import Table

    from radiofm_ml.terminal import console

    if not chosen:
        return
    table = Table()
    for name in ("label", "recording", "signal"):
        table.add_column(name)
    table.add_column("SNR (dB)", justify="right")
    table.add_column("")
    for shot in chosen:
        snr = shot.box.snr_db
        table.add_row(shot.label, shot.recording.name, shot.place, "" if math.isnan(snr) else f"{snr:.1f}",
                      "unlike the others, not taught" if shot.unlike else "taught")
    console().print(table)
    unlike = Counter(shot.unlike for shot in chosen)[True]
    if unlike:
        console(stderr=True).print(f"{unlike} of {len(chosen)} signals are unlike the others and were not "
                                   "taught; teach such a one with --at if it is what is meant")


def show_prototypes(few: FewShot, name: str) -> None:
    """What a file of prototypes holds now."""
    from rich.table import Table

    from radiofm_ml.terminal import console

    table = Table(title=name, title_justify="left")
    table.add_column("label")
    table.add_column("shots", justify="right")
    for prototype in few.prototypes:
        table.add_row(prototype.label, str(prototype.shots))
    console().print(table)
