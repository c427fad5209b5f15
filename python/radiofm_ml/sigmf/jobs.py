# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The same work for one recording or for a folder of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from radiofm_ml.sigmf.container import META, base_name
from radiofm_ml.sigmf.recording import Recording, find_recordings, open_recording


class JobError(ValueError):
    """A source or target that cannot be used; one line that names it and the cure."""


@dataclass(frozen=True)
class Job:
    """A recording and the file to make of it."""

    recording: Path
    output: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a Job: ``result`` of the work, or ``error``, one line that names the file."""

    job: Job
    result: object = None
    error: str | None = None


def plan(source: str | os.PathLike, target: str | os.PathLike, suffix: str) -> list[Job]:
    """What to do for ``source``, a recording or a folder of them.

    Of a folder, ``target`` is a folder too, and every recording's file lies at its relative path with
    ``suffix`` (``.npz``, ``.sigmf-meta``). Of a recording, it is the file, or an existing folder for it.
    Recordings inside ``target`` are left out where ``target`` lies in ``source``. Raises JobError,
    RecordingError.
    """
    source, target = Path(source), Path(target)
    if not source.is_dir():
        recording = find_recordings(source)[0]
        if target.is_dir():
            target = target / (base_name(recording).name + suffix)
        return [Job(recording, target)]
    if target.exists() and not target.is_dir():
        raise JobError(f"{target}: is a file; for the folder {source} name a folder")
    inside = target.resolve() != source.resolve() and target.resolve().is_relative_to(source.resolve())
    found = [path for path in find_recordings(source)
             if not (inside and path.resolve().is_relative_to(target.resolve()))]
    if not found:
        raise JobError(f"{source}: holds no SigMF recordings ({META} or .sigmf files)")
    jobs = {}
    for path in found:
        output = _output(path.relative_to(source), target, suffix)
        if output in jobs:  # recordings that differ in their suffix only
            output = output.with_name(path.name + suffix)
        jobs[output] = Job(path, output)
    return list(jobs.values())


def _output(relative: Path, target: Path, suffix: str) -> Path:
    folders = [base_name(Path(part)).name for part in relative.parent.parts]  # archive.sigmf -> archive
    return target.joinpath(*folders, base_name(relative).name + suffix)


def run(jobs: list[Job], work: Callable[[Recording, Path], object]) -> Iterator[Outcome]:
    """Do ``work(recording, output)`` for each job and yield what came of it.

    A recording that fails ends its own job only. Folders for the outputs are made.
    """
    for job in jobs:
        yield _do(job, work)


def _do(job: Job, work: Callable[[Recording, Path], object]) -> Outcome:
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        with open_recording(job.recording) as recording:
            return Outcome(job, work(recording, job.output))
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        named = str(job.recording) in line or str(job.output) in line
        return Outcome(job, error=line if named else f"{job.recording}: {line}")
