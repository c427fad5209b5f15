# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm survey"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radiofm_ml.cli.options import Overwrite, with_options
from radiofm_ml.cli.recordings import (
    SIGNAL_MODEL,
    Averaging,
    Batch,
    Channel,
    Data,
    FalseAlarmRate,
    FftSize,
    Metric,
    Model,
    Replace,
    Report,
    Source,
    Threads,
)
from radiofm_ml.detect.settings import Settings
from radiofm_ml.sigmf.stated import Stated
from radiofm_ml.terminal import say

if TYPE_CHECKING:
    from radiofm_ml.fewshot import FewShot
    from radiofm_ml.fewshot.groups import Groups
    from radiofm_ml.survey.report import Line


def register(app: typer.Typer) -> None:
    app.command()(survey)


@with_options
def survey(
    source: Source,
    target: Annotated[Path, typer.Option("--out", "-o", help="Folder for what is found.")],
    settings: Settings,
    stated: Stated,
    prototypes: Annotated[
        Path | None,
        typer.Option("--prototypes", "-p", help="What was taught about signals (radiofm enroll --signals). "
                                                "Left out: all are unknown."),
    ] = None,
    model: Model = SIGNAL_MODEL,
    false_alarm_rate: FalseAlarmRate = 0.05,
    metric: Metric = "euclidean",
    fft_size: FftSize = 0,
    averaging: Averaging = 8,
    replace: Replace = False,
    data: Data = "auto",
    overwrite: Overwrite = False,
    channel: Channel = 0,
    threads: Threads = 1,
    batch: Batch = 16,
) -> None:
    """Find every signal of a band, cut it out, name it, count it and draw it.

    What fits no taught label at the stated false-alarm rate is *unknown*. The folder OUT gets, of each
    recording, annotations (.sigmf-meta), the signals' embeddings (.npz) and a picture with their boxes
    (waterfall.png, or NAME.png for a folder of recordings), and table.csv. Run again, with more taught or
    after an interruption, the signals that were found are kept: only names are decided anew. A recording
    that was interrupted is begun anew.

    The unknown are put into groups, *unknown 1*, *unknown 2* and so on, over all recordings of the run.

    `radiofm survey band.sigmf-meta -o found`

    `radiofm name taught.safetensors "unknown 1" lora found`
    """
    from radiofm_ml import outputs
    from radiofm_ml.engines import open_engine
    from radiofm_ml.fewshot import FewShot, group_file
    from radiofm_ml.sigmf.container import META, base_name
    from radiofm_ml.sigmf.jobs import Plan, plan
    from radiofm_ml.signals import SignalEncoder
    from radiofm_ml.survey import run
    from radiofm_ml.survey.naming import GROUP_FILE
    from radiofm_ml.survey.report import TABLE, check_table, write_table
    from radiofm_ml.survey.signals import Detection

    outputs.claim_folder(target, "survey", overwrite=overwrite)
    check_table(target / TABLE, overwrite)
    jobs = plan(source, target, META, channel, stated)
    encoder = SignalEncoder(open_engine(model, threads=threads, reads="signals"))
    few = FewShot.for_bundle(encoder.engine.bundle, prototypes or "", signals=True, metric=metric,
                             false_alarm_rate=false_alarm_rate)
    detection = Detection(settings, fft_size, averaging)
    with Report("finding", jobs, "signals", "samples") as report:
        found = list(report.each(run.find(jobs, encoder, detection, batch, report.progress,
                                          overwrite=overwrite)))
    done = [outcome.job for outcome in found if outcome.error is None]
    if found and not done:  # what an earlier run has written stays
        report.end()
    pictures = [target / run.WATERFALL if not source.is_dir() else
                base_name(job.output).with_name(f"{base_name(job.output).name}{outputs.PICTURE}")
                for job in done]
    groups = groups_for(few)
    lines, written = run.write(done, few, groups, pictures, overwrite=overwrite, replace=replace, data=data)
    if groups is not None:
        group_file.save(groups, target / GROUP_FILE)
    with Report("writing", Plan(done), "signals") as writing:
        report.failed += [outcome.job.recording for outcome in writing.each(written) if outcome.error]
    write_table(target / TABLE, lines, overwrite=overwrite)
    _show(lines, len(done))
    report.end()


def groups_for(few: FewShot) -> Groups | None:
    """For what fits no label; None, and it is said why, where the model does not tell how near one kind
    is."""
    from radiofm_ml.fewshot.groups import Groups

    try:
        return Groups.of(few)
    except ValueError as error:
        say(f"the unknown are not put into groups: {error}")
        return None


def _show(lines: Sequence[Line], recordings: int) -> None:
    from rich.table import Table

    from radiofm_ml.terminal import console

    shown = Table(pad_edge=False)
    shown.add_column("label", overflow="fold")
    # headings break, so that 'unknown 1' has room on 80 columns
    names = ["count", "seconds", "MHz", "SNR\n(dB)", "confi-\ndence"]
    for name in names + ["recor-\ndings"] * (recordings > 1):
        shown.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        edges = f"{line.freq_lower_edge / 1e6:.4f} to {line.freq_upper_edge / 1e6:.4f}"
        cells = [line.label, str(line.count), f"{line.seconds:.3f}", edges, f"{line.snr:.1f}",
                 "" if math.isnan(line.confidence) else f"{line.confidence:.2f}"]
        shown.add_row(*cells, *([str(line.recordings)] if recordings > 1 else []))
    console().print(shown if lines else "no signals")
