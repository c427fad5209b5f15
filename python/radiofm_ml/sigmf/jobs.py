# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The same work for one recording or for a folder of them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from radiofm_ml import outputs
from radiofm_ml.sigmf.container import META, base_name, stem
from radiofm_ml.sigmf.folders import survey
from radiofm_ml.sigmf.recording import Recording, open_recording
from radiofm_ml.sigmf.stated import NOTHING, Stated


class JobError(ValueError):
    """A source or target that cannot be used; one line that names it and the cure."""


@dataclass(frozen=True)
class Job:
    """A recording, the channel of it that is read, what is stated of it, and the file to make of it, if
    any."""

    recording: Path
    output: Path | None = None
    channel: int = 0
    stated: Stated = NOTHING


class Plan(list):
    """Jobs, and ``left_out``: a line for everything in the source that is none."""

    def __init__(self, jobs: list[Job], left_out: list[str] | None = None):
        super().__init__(jobs)
        self.left_out = left_out or []


@dataclass(frozen=True)
class Outcome:
    """What became of a Job: ``result`` of the work, or ``error``, one line that names the file; ``warnings``
    of the recording."""

    job: Job
    result: object = None
    error: str | None = None
    warnings: tuple[str, ...] = ()


def plan(source: str | os.PathLike, target: str | os.PathLike, suffix: str, channel: int = 0,
         stated: Stated = NOTHING) -> Plan:
    """What to do for ``source``, a recording or a folder of them.

    Of a folder, ``target`` is a folder too, and every recording's file lies at its relative path with
    ``suffix`` (``.npz``, ``.sigmf-meta``); names of an archive's members never lead out of it. Of a
    recording, it is the file, or an existing folder for it. Recordings inside ``target`` are left out where
    ``target`` lies in ``source``. channel: the one that is read of each. stated: what recordings do not say.
    Raises JobError, RecordingError, OutputError.
    """
    source, target = Path(source), Path(target)
    if target.is_dir() and target.name.lower().endswith((META, suffix)):
        raise JobError(f"{target}: is a folder with the name of a file; choose another name")
    if not source.is_dir():
        recording = _single(source, stated)
        if target.is_dir():
            target = target / (stem(recording) + suffix)
        return Plan([Job(recording, outputs.check_name(target, suffix), channel, stated)])
    if target.exists() and not target.is_dir() or target.name.lower().endswith((META, suffix)):
        raise JobError(f"{target}: is a file; for the folder {source} name a folder")
    found = survey(source, None if outputs.same_file(source, target) else target, stated)
    if not found.recordings:
        first = f"; left out: {found.left_out[0]}" if found.left_out else ""
        raise JobError(f"{source}: holds no SigMF recordings ({META} or .sigmf files), raw or WAV files"
                       f"{first}")
    jobs: dict[Path, Job] = {}
    for path in found.recordings:
        # not path.relative_to: a member's name may be absolute
        relative = Path(str(path).removeprefix(str(source)).lstrip("/"))
        wanted = _output(relative, target, suffix)
        # recordings that differ in their suffix only keep it, or get a number
        others = (wanted.with_name(f"{relative.name}{number}{suffix}")
                  for number in itertools.chain([""], (f"-{n}" for n in itertools.count(2))))
        output = next(name for name in itertools.chain([wanted], others) if name not in jobs)
        jobs[output] = Job(path, output, channel, stated)
    return Plan(list(jobs.values()), found.left_out)


def _single(source: Path, stated: Stated) -> Path:
    try:
        return survey(source, stated=stated).recordings[0]
    except (OSError, ValueError):
        raise
    except Exception as error:
        raise JobError(_line(error, source)) from None


def _output(relative: Path, target: Path, suffix: str) -> Path:
    parts = [part for part in relative.parts if part not in ("/", "..", ".")] or ["recording"]
    folders = [base_name(Path(part)).name for part in parts[:-1]]  # archive.sigmf -> archive
    return target.joinpath(*folders, stem(Path(parts[-1])) + suffix)


def run(jobs: list[Job], work: Callable[[Recording, Path], object]) -> Iterator[Outcome]:
    """Do ``work(recording, output)`` for each job and yield what came of it.

    A recording that fails, in whatever way, ends its own job only. Folders for the outputs are made.
    """
    for job in jobs:
        yield attempt(job, work)


def attempt(job: Job, work: Callable[[Recording, Path | None], object]) -> Outcome:
    """One job of ``run``."""
    try:
        with open_recording(job.recording, job.channel, job.stated) as recording:
            if job.output is not None:
                _make_folder(job.output)
            return Outcome(job, work(recording, job.output), warnings=tuple(recording.warnings))
    except Exception as error:  # files from elsewhere break readers in ways that nobody has foreseen
        return Outcome(job, error=_line(error, job.recording, job.output))


def _make_folder(output: Path) -> None:
    """The folder for a file. Raises OutputError where it would lie in a file, such as an archive."""
    there = next(parent for parent in output.parents if os.path.lexists(parent))
    if not there.is_dir():
        raise outputs.OutputError(f"{output}: {there} is no folder; choose another place")
    output.parent.mkdir(parents=True, exist_ok=True)


def _line(error: Exception, recording: Path, output: Path | None = None) -> str:
    """One line that names the file, also of an error that was never meant to be read."""
    text = " ".join(str(error).split())
    if any(path is not None and str(path) in text for path in (recording, output)):
        return text
    if not isinstance(error, (OSError, ValueError)) or not text:
        text = f"cannot be used ({type(error).__name__}{': ' if text else ''}{text}); is it damaged?"
    return f"{recording}: {text}"
