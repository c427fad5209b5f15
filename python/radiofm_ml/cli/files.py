# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm import, radiofm plot, radiofm convert"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radiofm_ml.cli.options import Overwrite, with_options
from radiofm_ml.cli.recordings import Channel, Data, Report, Source
from radiofm_ml.sigmf.stated import Stated
from radiofm_ml.terminal import echo


def register(app: typer.Typer) -> None:
    app.command("import")(import_files)
    app.command()(plot)
    app.command()(convert)


@with_options
def import_files(
    source: Source,
    stated: Stated,
    target: Annotated[
        Path | None, typer.Option("--out", "-o", help="File .sigmf-meta or, for a folder, a folder. Left "
                                                      "out: beside the samples.")
    ] = None,
    data: Data = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Write SigMF metadata for raw I/Q and I/Q WAV files; their samples stay where they are.

    Sample rate, centre frequency, sample type and time are taken from the options, the header of a WAV file,
    or the names that gqrx, rtl_433, SDR#, HDSDR, SDRuno, SigDigger and hackrf_transfer give; what was taken
    is said. Every other command reads such files as they are; this one writes down what is known of them
    (docs/files.md).

    `radiofm import capture.cu8 --rate 2.4M --frequency 433.92M`
    """
    from radiofm_ml.sigmf.annotations import AnnotationWriter
    from radiofm_ml.sigmf.container import META, is_archive, stem
    from radiofm_ml.sigmf.jobs import Plan, plan, run

    if target is None:
        target = source if source.is_dir() else source.with_name(stem(source) + META)
    jobs = plan(source, target, META, stated=stated)
    raw = [job for job in jobs if job.recording.is_file() and not is_archive(job.recording)
           and not job.recording.name.lower().endswith(META)]
    if not raw:
        raise ValueError(f"{source}: has metadata already, such as {jobs[0].recording}; correct or remove "
                         "them")

    def work(recording, output: Path) -> int:
        with AnnotationWriter(output, recording, data=data, overwrite=overwrite):
            pass
        return 0

    with Report("importing", Plan(raw, jobs.left_out)) as report:
        for outcome in report.each(run(raw, work)):
            if outcome.error is None:
                echo(outcome.job.output)
    report.end()


@with_options
def plot(
    source: Source,
    stated: Stated,
    target: Annotated[
        Path | None, typer.Option("--out", "-o", help="Picture .png or, for a folder, a folder. Left out: "
                                                      "NAME.png in the current folder.")
    ] = None,
    start: Annotated[float, typer.Option(min=0, help="Where the picture begins, in seconds.")] = 0.0,
    seconds: Annotated[float | None, typer.Option(min=0, help="What it shows; all if left out.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Show the picture, too.")] = False,
    channel: Channel = 0,
    overwrite: Overwrite = False,
) -> None:
    """Draw a recording: its waterfall, with its annotations as boxes and their labels.

    `radiofm plot out.sigmf-meta -o out.png`
    """
    from radiofm_ml.outputs import PICTURE, check_picture
    from radiofm_ml.plots.recording import boxes_of, draw_recording
    from radiofm_ml.sigmf.container import stem
    from radiofm_ml.sigmf.jobs import plan, run

    if target is None:
        target = Path("pictures") if source.is_dir() else Path(stem(source) + PICTURE)
    jobs = plan(source, target, PICTURE, channel, stated)

    def work(recording, output: Path) -> int:
        picture = check_picture(output, overwrite)
        rate = recording.sample_rate or 1.0
        count = None if seconds is None else max(1, round(seconds * rate))
        draw_recording(picture, recording, boxes_of(recording), round(start * rate), count)
        return 0

    with Report("drawing", jobs) as report:
        for outcome in report.each(run(jobs, work)):
            if outcome.error is None:
                echo(outcome.job.output)
                if show and typer.launch(str(outcome.job.output)):
                    raise ValueError(f"{outcome.job.output}: is drawn, but no program here opens pictures")
    report.end()


@with_options
def convert(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Recording with annotations, a folder of them, or embeddings "
                                                ".npz.")
    ],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="Annotations: .csv or .jsonl. Embeddings: .parquet or .csv.")
    ],
    stated: Stated,
    channel: Channel = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write annotations as a table, or embeddings for other programs.

    OUT.csv has a line an annotation, in seconds and hertz; OUT.jsonl has them as JSON lines like rtl_433's
    (time, model, freq, snr). Embeddings become a table with a row a tile or signal; Parquet needs the package
    pyarrow.

    `radiofm convert out.sigmf-meta found.csv`
    """
    from radiofm_ml.embeddings import SUFFIX, Embeddings
    from radiofm_ml.embeddings_tables import write_table
    from radiofm_ml.outputs import check_file
    from radiofm_ml.sigmf.folders import survey
    from radiofm_ml.sigmf.jobs import Job, Plan, run
    from radiofm_ml.sigmf.tables import CSV, JSON_LINES, is_lines, lines_of, write_lines

    if source.name.lower().endswith(SUFFIX):
        write_table(target, Embeddings.load(source), overwrite=overwrite, sources=[source])
        echo(target)
        return
    ending = JSON_LINES if target.name.lower().endswith(JSON_LINES) else CSV
    check_file(target, ending, is_lines, overwrite=overwrite)
    found = survey(source, stated=stated)
    jobs = Plan([Job(path, None, channel, stated) for path in found.recordings], found.left_out)
    lines: list = []

    def work(recording, _) -> int:
        part = lines_of(recording)
        lines.extend(part)
        return len(part)

    with Report("reading", jobs, "annotations") as report:
        failed = [outcome for outcome in report.each(run(jobs, work)) if outcome.error is not None]
    if len(failed) < len(jobs):
        write_lines(target, lines, overwrite=overwrite, sources=found.recordings)
        echo(target)
    report.end()
