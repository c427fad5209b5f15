# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm watch"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radiofm_ml.cli.options import with_options
from radiofm_ml.cli.recordings import (
    SIGNAL_MODEL,
    Batch,
    Channel,
    FalseAlarmRate,
    Metric,
    Model,
    Report,
    Threads,
)
from radiofm_ml.cli.survey import groups_for
from radiofm_ml.sigmf.stated import Stated
from radiofm_ml.terminal import say
from radiofm_ml.watch.settings import Settings

if TYPE_CHECKING:
    from radiofm_ml.sigmf.jobs import Job, Plan
    from radiofm_ml.survey.watching import Heard, Session

NEWS = 3  # exit status


def register(app: typer.Typer) -> None:
    app.command()(watch)


@with_options
def watch(
    context: typer.Context,
    kept: Annotated[
        Path, typer.Argument(metavar="STATE", help="File that the watch is kept in (.json); made if it is "
                                                   "not there.")
    ],
    sources: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="Recordings (.sigmf-meta, .sigmf, raw, WAV) or "
                                                         "folders, in the order in which they were made.")
    ],
    settings: Settings,
    recorded: Stated,
    normal: Annotated[
        bool, typer.Option("--normal", help="All of this is normal: learn from the whole of it, and from "
                                            "nothing after it.")
    ] = False,
    prototypes: Annotated[
        Path | None,
        typer.Option("--prototypes", "-p", help="What was taught about signals (radiofm enroll --signals). "
                                                "Left out: all are unknown, and put into groups."),
    ] = None,
    model: Model = SIGNAL_MODEL,
    false_alarm_rate: FalseAlarmRate = 0.05,
    metric: Metric = "euclidean",
    lines: Annotated[
        bool, typer.Option("--json", help="Print each alarm as a line of JSON, as soon as its recording is "
                                          "through, in place of a table.")
    ] = False,
    channel: Channel = 0,
    threads: Threads = 1,
    batch: Batch = 16,
) -> None:
    """Learn what is normal in a band; then say what is new in it, each once.

    **new**: a label or a group of the unknown that was never heard here. **moved**: a known label at a
    frequency where it was never heard. **silent**: a label that is not heard any more. The first recordings
    teach, until --learn seconds of them were heard or, with --normal, all that are named.

    STATE is written after each recording, with the groups of the unknown beside it
    (NAME.groups.safetensors): the next run goes on there, with the settings that it has, but for those that
    are named anew.

    Exit status: 0 if nothing is new, 3 if something is, 1 if a recording failed or a value or file
    will not do, 2 for wrong usage.

    `radiofm watch home.json monday.sigmf-meta --normal`

    `radiofm watch home.json tuesday.sigmf-meta`
    """
    from radiofm_ml.engines import open_engine
    from radiofm_ml.fewshot import FewShot
    from radiofm_ml.signals import SignalEncoder
    from radiofm_ml.survey.watching import Session

    jobs = _plan(sources, channel, recorded)
    encoder = SignalEncoder(open_engine(model, threads=threads, reads="signals"))
    few = FewShot.for_bundle(encoder.engine.bundle, prototypes or "", signals=True, metric=metric,
                             false_alarm_rate=false_alarm_rate)
    if normal:
        settings = replace(settings, learn=max(_seconds(jobs), 1e-3))
    session = Session(kept, encoder, few, groups_for(few), settings, _stated(context))
    if normal:
        _learn_all(session, settings.learn)
    news = False
    with Report("listening", jobs, "signals", "samples") as report:
        for outcome in report.each(session.hear(jobs, batch, report.progress), lambda heard: heard.signals):
            if outcome.error:
                continue
            if outcome.result.alarms:
                news = True
                show = _print_lines if lines else _print_table
                show(outcome.job.recording, outcome.result)
            session.save()  # what has been said is not said again
    if normal and session.watch.listened:
        session.watch.end_learning()
        session.save()
    _sum_up(session, news)
    report.end()
    if news:
        raise typer.Exit(NEWS)


def _stated(context: typer.Context) -> set[str]:
    """Names of the settings that stand on the command line."""
    names = {field.name for field in fields(Settings)}
    return {name for name in names if context.get_parameter_source(name).name == "COMMANDLINE"}


def _plan(sources: list[Path], channel: int, recorded: Stated) -> Plan:
    from radiofm_ml.sigmf.folders import survey
    from radiofm_ml.sigmf.jobs import Job, JobError, Plan

    found = [survey(source, stated=recorded) for source in sources]
    for source, each in zip(sources, found, strict=True):
        if not each.recordings:
            raise JobError(f"{source}: holds no SigMF recordings, raw or WAV files")
    return Plan([Job(path, channel=channel, stated=recorded) for each in found for path in each.recordings],
                [line for each in found for line in each.left_out])


def _seconds(jobs: list[Job]) -> float:
    """Of all recordings that state their rate together; what is wrong with others is said when they are
    heard."""
    from radiofm_ml.sigmf.jobs import attempt

    def length(recording, _) -> float:
        return recording.n_samples / recording.sample_rate if recording.sample_rate else 0.0

    return sum(attempt(job, length).result or 0.0 for job in jobs)


def _learn_all(session: Session, seconds: float) -> None:
    if not session.watch.learning:
        raise ValueError(f"{session.path}: has learned already what is normal; leave out --normal, or learn "
                         "anew in another file")
    session.watch.change(learn=session.watch.listened + seconds)


def _print_lines(recording: Path, heard: Heard) -> None:
    import json
    from dataclasses import asdict

    from radiofm_ml.terminal import echo

    for alarm, moment in zip(heard.alarms, heard.datetimes, strict=True):
        echo(json.dumps({"recording": str(recording), **asdict(alarm),
                         "datetime": None if moment is None else moment.isoformat()}), flush=True)


def _print_table(recording: Path, heard: Heard) -> None:
    from rich.table import Table

    from radiofm_ml.terminal import console

    table = Table(title=str(recording), title_justify="left")
    dated = any(heard.datetimes)
    for name in ("alarm", "label", "MHz", "seconds", *(["UTC"] if dated else []), "because"):
        table.add_column(name, justify="right" if name in ("MHz", "seconds") else "left",
                         no_wrap=name != "because")
    for alarm, moment in zip(heard.alarms, heard.datetimes, strict=True):
        edges = f"{alarm.freq_lower / 1e6:.4f} to {alarm.freq_upper / 1e6:.4f}"
        when = [moment.isoformat(" ", "milliseconds").removesuffix("+00:00") if moment else ""]
        table.add_row(alarm.kind, alarm.label, edges, f"{alarm.time:.3f}", *(when if dated else []),
                      alarm.reason)
    console().print(table)


def _sum_up(session: Session, news: bool) -> None:
    """One line of what the watch is at."""
    watch = session.watch
    if watch.learning:
        say(f"{session.path}: has learned for {watch.listened:.3f} of {watch.settings.learn:g} s")
    elif not news:
        say("nothing new")
    for kind in watch.blind:
        say(f"{session.path}: too little was learned for alarms of what is {kind} at "
            f"{watch.settings.false_alarms:g} an hour; learn longer, or state another rate")
