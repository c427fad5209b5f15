# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm protobeam ..."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radiofm_ml import outputs
from radiofm_ml.cli.options import Overwrite
from radiofm_ml.terminal import console, echo

protobeam = typer.Typer(
    no_args_is_help=True, help="Beams from raw I/Q that survive a new antenna: train, teach, compare."
)

Data = Annotated[
    Path | None,
    typer.Option(help="Folder of DeepBeam's files (radiofm synth beams writes such); else the simulator."),
]
Frames = Annotated[int, typer.Option(min=10, help="Frames of each gain and beam, one block of each.")]
Shots = Annotated[str, typer.Option(help="Blocks taught of each beam, with commas between.")]


def register(app: typer.Typer) -> None:
    app.add_typer(protobeam, name="protobeam")


@protobeam.command()
def train(
    out: Annotated[Path, typer.Argument(help="Folder of the run.")],
    setup: Annotated[
        str, typer.Option(help="Row of the table: none, data norm, ..., ours; 'list' shows them.")
    ] = "ours",
    source: Annotated[str, typer.Option(help="Antenna to train on.")] = "a",
    data: Data = None,
    frames: Frames = 100,
    episodes: Annotated[int, typer.Option(min=1)] = 300,
    seed: Annotated[int, typer.Option(help="Of weights and episodes.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Train an encoder by Algorithm 1 on one antenna, or over simulated front ends.

    Interrupt it whenever you like: the same command goes on where it was.
    """
    from radiofm_ml.cli.progress import bar
    from radiofm_ml.evaluate.beams import SETUPS, SIMULATED, Plan, train_setup

    if setup == "list":
        for name in SETUPS:
            echo(name)
        return
    if setup not in SETUPS:
        raise ValueError(f"--setup must be one of: {'; '.join(SETUPS)}; got '{setup}'")
    antennas = _antennas(data, frames)
    if setup == SIMULATED:
        if data is not None:
            raise ValueError(f"--setup '{setup}' is of the simulator; leave --data out")
        blocks = antennas.numbered(0, *Plan().simulated)
    else:
        blocks = antennas.blocks(_antenna(source, antennas, "--source"), "train")
    outputs.claim_folder(out, "protobeam train", overwrite=overwrite)
    with bar() as progress:
        line = progress.add_task("training", total=episodes, note="")

        def show(record: dict) -> None:
            note = "loss {loss:.3f}  accuracy {accuracy:.2f}".format(**record)
            progress.update(line, completed=record["step"] + 1, note=note)

        train_setup(SETUPS[setup], out, blocks, episodes, seed, on_step=show)


@protobeam.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a radiofm protobeam train run.")],
    target: Annotated[str, typer.Option(help="Antennas to teach, with commas between; else all.")] = "",
    data: Data = None,
    frames: Frames = 100,
    shots: Shots = "2,4,8,16,32",
    metric: Annotated[str, typer.Option(help="euclidean, or mahalanobis from 5 shots on.")] = "mahalanobis",
    seed: Annotated[int, typer.Option(help="Of the shots.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the numbers as JSON.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Teach a run's encoder the beams of antennas with a few blocks each, and print how well it
    recognises them.

    Once with shots and queries at any gain of the receiver, once at one gain (the mean over the gains).
    """
    from dataclasses import replace

    import numpy as np
    from rich.table import Table

    from radiofm_ml.evaluate.beams import CENTRED, GAINS, Plan, embedder, score_embeddings
    from radiofm_ml.fewshot.geometry import METRICS
    from radiofm_ml.train.protobeam import load_run

    if metric not in METRICS:
        raise ValueError(f"--metric must be one of {', '.join(METRICS)}, got '{metric}'")
    if out:
        outputs.check_report(out, overwrite)
    antennas = _antennas(data, frames)
    names = [_antenna(n, antennas, "--target") for n in target.split(",") if n] or list(antennas.names)
    net, record = load_run(run)
    plan = replace(Plan(), shots=_counts(shots))
    how = replace(CENTRED, normalisation=record["config"]["prototypes"], metric=metric)
    found = score_embeddings(embedder(net.encoder), antennas, names, how, plan, seed)
    table = Table("antenna", "gains", *(f"{n} shots" for n in plan.shots), title=str(run))
    for name, by_gains in found.items():
        for gains in GAINS:
            scores = by_gains.get(gains, {})
            table.add_row(name, gains, *(
                f"{100 * np.mean(scores[str(n)]['accuracy']):.1f} %" if str(n) in scores else ""
                for n in plan.shots))
    console().print(table)
    if out:
        outputs.write_report(out, {"antennas": found})


@protobeam.command()
def table1(
    out: Annotated[Path, typer.Argument(help="Folder for the table, pictures, runs and results.")],
    data: Data = None,
    frames: Frames = 100,
    quick: Annotated[
        bool, typer.Option("--quick", help="One seed, two antennas, short trainings: does it run?")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, of one thread each.")] = 2,
    overwrite: Overwrite = False,
) -> None:
    """ProtoBeam's Table I with our rows and its baselines, of every pair of antennas.

    Interrupt it whenever you like: the same command goes on with the trainings that are missing.
    """
    from dataclasses import replace

    from radiofm_ml.cli.progress import bar
    from radiofm_ml.evaluate import beam_tables
    from radiofm_ml.evaluate.beams import Plan, run

    plan = Plan.quick() if quick else replace(Plan(), seeds=tuple(range(seeds)))
    antennas = _antennas(data, 40 if quick else frames)
    if quick and data is None:
        antennas = replace(antennas, names=antennas.names[:2])
    outputs.claim_folder(out, "protobeam table1", overwrite=overwrite)
    with bar() as progress:
        line = progress.add_task("jobs", total=None, note="")
        results = run(antennas, plan, out, jobs, lambda name, done, total: progress.update(
            line, completed=done, total=total, note=name))
    beam_tables.write(out, beam_tables.summarise(results, antennas.names, antennas.facts(), plan))
    echo((out / "table1.md").read_text(encoding="utf-8"))


@protobeam.command()
def aoa(
    out: Annotated[Path, typer.Argument(help="Folder for the report, pictures, runs and results.")],
    frames: Frames = 100,
    quick: Annotated[bool, typer.Option("--quick", help="One seed, two antennas: does it run?")] = False,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, of one thread each.")] = 2,
    overwrite: Overwrite = False,
) -> None:
    """ProtoAoA: train on every fourth angle of arrival, teach the others with a few blocks each.

    Interrupt it whenever you like: the same command goes on with the trainings that are missing.
    """
    from dataclasses import replace

    from radiofm_ml.cli.progress import bar
    from radiofm_ml.evaluate import angles
    from radiofm_ml.evaluate.reports import print_results

    plan = angles.AnglePlan.quick() if quick else replace(angles.AnglePlan(), seeds=tuple(range(seeds)))
    sweeps = angles.SimulatedAngles(("a", "b"), frames=40) if quick else angles.SimulatedAngles(frames=frames)
    outputs.claim_folder(out, "protobeam aoa", overwrite=overwrite)
    with bar() as progress:
        line = progress.add_task("jobs", total=None, note="")
        results = angles.run(sweeps, plan, out, jobs, lambda name, done, total: progress.update(
            line, completed=done, total=total, note=name))
    print_results(angles.write(out, results, sweeps, plan))


@protobeam.command()
def bundle(
    run: Annotated[Path, typer.Argument(help="Folder of a radiofm protobeam train run.")],
    out: Annotated[Path, typer.Argument(help="Folder of the bundle, made if need be.")],
    name: Annotated[str, typer.Option(help="Of the bundle; else that of the folder.")] = "",
    front_ends: Annotated[int, typer.Option(min=2, help="Held out, of the simulator, to calibrate on.")] = 16,
    card: Annotated[Path | None, typer.Option(help="Its README.md; else a few lines are written.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a bundle of a run, for the blocks and for FewShot, calibrated on front ends not trained on."""
    from radiofm_ml.evaluate.antennas import SimulatedAntennas
    from radiofm_ml.train.beam_export import HELD_OUT, export

    outputs.claim_folder(out, "protobeam bundle", overwrite=overwrite)
    name = name or out.name
    text = card.read_text(encoding="utf-8") if card else (
        f"# {name}\n\nEncoder of blocks of I/Q, trained by `radiofm protobeam train`. No evaluation has been "
        "run; `radiofm protobeam evaluate` runs one.\n")
    blocks = SimulatedAntennas().numbered(HELD_OUT, front_ends, 40)
    made = export(run, out, name, blocks, text)
    echo(f"bundle {made.id} in {made.path}")


@protobeam.command()
def plot(
    folder: Annotated[Path, typer.Argument(help="Folder that radiofm protobeam table1 wrote.")],
) -> None:
    """Draw the table's pictures anew."""
    from radiofm_ml.evaluate import beam_tables

    for path in beam_tables.draw(folder):
        echo(path)


def _antennas(data: Path | None, frames: int):
    from radiofm_ml.evaluate.antennas import RecordedAntennas, SimulatedAntennas

    return SimulatedAntennas(frames=frames) if data is None else RecordedAntennas(str(data), frames)


def _antenna(name: str, antennas, option: str) -> str:
    if name.strip() not in antennas.names:
        raise ValueError(f"{option}: antennas are {', '.join(antennas.names)}, got '{name}'")
    return name.strip()


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        counts = (0,)
    if counts[0] < 1:
        raise ValueError(f"--shots must be whole numbers from 1 with commas between, got '{text}'")
    return counts
