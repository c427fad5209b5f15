# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm calibrate, radiofm fewshot-check, radiofm drift-check, radiofm watch-check"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radiofm_ml import atomic, outputs
from radiofm_ml.cli.options import Overwrite


def register(app: typer.Typer) -> None:
    app.command()(calibrate)
    app.command("fewshot-check")(fewshot_check)
    app.command("drift-check")(drift_check)
    app.command("watch-check")(watch_check)


def calibrate(
    model: Annotated[str, typer.Argument(help="Bundle; its calibration.json is written anew.")],
    out: Annotated[Path | None, typer.Option(help="Write this JSON file in place of the bundle's.")] = None,
    each: Annotated[
        int,
        typer.Option(min=2, help="Encoder of tiles or signals: synthetic receptions of each kind of signal."),
    ] = 12,
    front_ends: Annotated[int, typer.Option(min=2, help="Encoder of I/Q: simulated front ends.")] = 16,
    episodes: Annotated[
        int | None, typer.Option(min=1, help="For each number of shots and labels; else 100, of beams 300.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure what distances between a bundle's embeddings mean, for every metric, with 'cl2n' and with 'l2'.

    On signals that no training has heard: synthetic receptions, or simulated beams. An encoder of tiles is
    to tell receptions apart, one of signals kinds, by shots of other receptions. The bundle's id stays, and
    what was taught and trained with it goes on working.
    """
    from radiofm_ml import bundle as bundles
    from radiofm_ml.cli.progress import track

    bundle = bundles.load(model)
    if out:
        outputs.check_file(out, outputs.REPORT, lambda path: False, overwrite=overwrite)
    options = {"track": track, **({"episodes": episodes} if episodes else {})}
    made = {}
    if bundle.spec is not None:
        from radiofm_ml.train.export import calibrate_on_receptions

        made = calibrate_on_receptions(bundle.model, bundle.spec, each, **options)
    if bundle.signals is not None:
        from radiofm_ml.train.signal_export import calibrate_signals

        made |= calibrate_signals(bundle, each, **options)
    if bundle.reads == bundles.IQ:
        from radiofm_ml.evaluate.antennas import SimulatedAntennas
        from radiofm_ml.train.beam_export import HELD_OUT, calibrate_on_beams

        blocks = SimulatedAntennas().numbered(HELD_OUT, front_ends, 40)
        normalisation = bundle.calibration.get("normalisation", "cl2n")
        made = calibrate_on_beams(bundle.model, blocks, normalisation, **options)
    if out:
        atomic.write_json(out, made)
    else:
        bundles.save_calibration(bundle, made)
    typer.echo(f"calibration of {bundle.id} in {out or bundle.path / bundles.CALIBRATION}")


def fewshot_check(
    model: Annotated[str, typer.Argument(help="Bundle whose calibration is checked.")],
    data: Annotated[
        str,
        typer.Argument(
            help="'synthetic' (receptions, or beams); a folder with index.csv and its recordings; a file of "
            "beams (.h5); or an .npz with arrays embedding, label, and may be group, cluster."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.json, rates.png and reliability.png.")
    ] = None,
    across: Annotated[
        bool,
        typer.Option(
            "--across", help="Teach in one session, ask in another. Without: in the same recording."
        ),
    ] = False,
    shots: Annotated[str, typer.Option(help="Shots per label, comma-separated.")] = "1,2,3,5,8",
    ways: Annotated[
        str, typer.Option(help="Labels taught in an episode, comma-separated.")
    ] = "1,2,3,5,10,20",
    metrics: Annotated[str, typer.Option(help="Comma-separated.")] = "euclidean,mahalanobis",
    calibration: Annotated[
        Path | None, typer.Option(help="JSON of another calibration than the bundle's.")
    ] = None,
    each: Annotated[int, typer.Option(min=1, help="synthetic: receptions of each kind of signal.")] = 6,
    frames: Annotated[int, typer.Option(min=2, help=".h5: blocks of each beam.")] = 200,
    episodes: Annotated[
        int, typer.Option(min=1, help="For each number of shots and labels; more with fewer than 10 labels.")
    ] = 50,
    normalisation: Annotated[str, typer.Option(help="auto, cl2n, l2 or none.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the episodes.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Measure whether false-alarm rates and probabilities are what is stated, on data held out.

    Of an encoder of signals, the unit is the signal.
    Labels are taught with a few shots; measured are the share of their other tiles called unknown, at
    stated rates of 0.5 to 10 %, the share of tiles of labels that were left out, and the calibration error of
    the probabilities.
    """
    import json

    from radiofm_ml import bundle as bundles
    from radiofm_ml.cli.progress import track
    from radiofm_ml.evaluate import fewshot_check as checks
    from radiofm_ml.evaluate.fewshot_data import load
    from radiofm_ml.fewshot import FewShot
    from radiofm_ml.fewshot.geometry import METRICS

    counts = {}
    for name, text in (("shots", shots), ("ways", ways)):
        try:
            counts[name] = tuple(int(v) for v in text.split(","))
        except ValueError:
            raise ValueError(f"--{name} must be whole numbers with commas between, got {text!r}") from None
    chosen = tuple(metrics.split(","))
    if not set(chosen) <= set(METRICS):
        raise ValueError(f"--metrics must be of {', '.join(METRICS)}, got {metrics!r}")
    bundle = bundles.load(model)
    if out:
        outputs.claim_folder(out, "fewshot-check", overwrite=overwrite)
    of_signals = bundle.reads == bundles.SIGNALS
    size = bundle.signals.size if of_signals else bundle.embedding_size
    table = bundle.signals_calibration if of_signals else bundle.calibration
    try:
        table = json.loads(calibration.read_text(encoding="utf-8")) if calibration else table
    except ValueError as error:
        raise ValueError(f"{calibration}: not valid JSON: {error}") from None

    def classifier(metric: str) -> FewShot:
        return FewShot(size, model=bundle.id, calibration=table, metric=metric, normalisation=normalisation)

    found = load(bundle, data, across, each, frames, track)
    rows = checks.check(found, classifier, counts["shots"], chosen, counts["ways"], episodes=episodes,
                        seed=seed, track=track)
    checks.print_table(rows)
    if out:
        from radiofm_ml.plots.fewshot import draw_rates, draw_reliability

        about = {"model": bundle.id, "data": Path(data).name, "across": across, "episodes": episodes,
                 "normalisation": normalisation, "seed": seed, "embeddings": len(found.x), "rows": rows}
        outputs.write_report(out / "report.json", about)
        draw_rates(out / "rates.png", rows, title=f"{bundle.id}, {about['data']}")
        draw_reliability(out / "reliability.png", rows, title=f"{bundle.id}, {about['data']}")


def drift_check(
    rate: Annotated[float, typer.Option(help="Stated rate: false alarms per tile, 1e-9 to 1e-3.")] = 1e-4,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each kind of stream.")] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the numbers as JSON.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Simulate the drift test: how long to a false alarm, and how soon a change is found.

    The lower the rate, the longer it takes: a run without drift lasts up to 5 / rate tiles.
    """

    from radiofm_ml.cli.progress import track
    from radiofm_ml.evaluate import drift_check as checks

    if out:
        outputs.check_report(out, overwrite)
    rows = checks.simulate(rate, runs, seed, track)
    checks.print_table(rows, rate)
    if out:
        outputs.write_report(out, {"rate": rate, "rows": rows})


def watch_check(
    rates: Annotated[str, typer.Option(help="Stated false alarms per hour, comma-separated.")] = "0.1,1",
    runs: Annotated[int, typer.Option(min=1, help="Streams of each kind, 8 hours and the learning.")] = 40,
    learn: Annotated[float, typer.Option(min=1.0, help="Seconds that are learned.")] = 3600.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the numbers as JSON.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Simulate the watch: false alarms per hour where nothing changes, and how soon a change is found."""
    from radiofm_ml.cli.progress import track
    from radiofm_ml.evaluate import watch_check as checks
    from radiofm_ml.watch.settings import Settings

    try:
        stated = tuple(Settings(float(rate), learn).false_alarms for rate in rates.split(","))
    except ValueError as error:
        raise ValueError(f"--rates must be numbers with commas between, got {rates!r}: {error}") from None
    if out:
        outputs.check_report(out, overwrite)
    kept, found = checks.simulate(stated, runs, learn, seed, track)
    checks.print_tables(kept, found)
    if out:
        outputs.write_report(out, {"learn": learn, "seed": seed, "false_alarms": kept, "changes": found})
