# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What the documents, help texts and messages show runs as it is shown.

Every command is parsed against the options that there are. Every command of ``radiofm`` that stands in a
block, or complete in a sentence, runs, in the order of its document and in a folder with the files that it
names. Long ones run with SMALLER options behind their own. What cannot run stands in NOT_RUN, with why.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import activated
import documents
import numpy as np
import pytest
import torch
import typer
from command import radiofm
from conftest import ROOT
from radiofm_ml.cli.app import app
from radiofm_ml.embeddings import Embeddings
from radiofm_ml.sigmf.sample_types import SampleType
from sigmf_files import write_recording
from test_cir import archive as uwb_archive
from test_csi import esp32_archive
from test_interop import random_state

COMMANDS = documents.commands()
PROGRAM = typer.main.get_command(app)
WrongUsage = typer.BadParameter.__bases__[0]

# What stands behind a command here, so that it ends within seconds. What the options do is tested elsewhere.
SMALLER = {
    "synth signals": "--samples 40000",
    "synth tiles": "--count 60 --labels ais,lora,pocsag",
    "synth pictures": "--count 40",
    "synth lte-nr": "--frames 8 --front-ends 4",
    "synth positioning": "--positions 12",
    "synth beams": "--frames 10 --blocks 1 --gain 40",
    "pretrain": "--preset tiny --steps 2 --batch-size 8 --tiles 64 --receptions 0",
    "finetune": "--max-steps 1 --epochs 1 --batch-size 8 --seeds 1 --shots 2 --baselines none",
    "fewshot-check": "--episodes 1 --ways 2 --shots 1",
    "drift-check": "--runs 1 --rate 1e-3",
    "groups-check": "--scenes 1 --kinds 3 --each 2",
    "watch-check": "--runs 1 --rates 1",
    "figures reconstructions": "--count 2",
    "figures accuracy": "--count 8 --ratios 0.5",
    "figures pca": "--count 8",
    "protobeam train": "--episodes 1 --frames 20",
    "protobeam evaluate": "--frames 20 --shots 2",
}

# Commands that do not run here, by how they begin, and why.
NOT_RUN = {
    r"radiofm protobeam table1": "an hour, --quick two minutes; test_beam_tables.py runs its parts",
    r"radiofm protobeam plot": "draws what table1 has written; test_beam_tables.py draws it",
    r"radiofm finetune ((identification|segmentation)$|TASK)": "names a task, or none, and no data",
    r"radiofm synth tiles OUT --model MODEL": "how it is done: MODEL stands for a bundle",
    r"radiofm calibrate": "minutes, and writes into what ships; test_fewshot_check.py runs it on another",
    r"radiofm protobeam bundle": "ten seconds each; test_beam_tables.py trains, evaluates and bundles",
    r"radiofm (evaluate|readouts)": "a minute of synthesis and of training; test_identification.py runs both",
    r"radiofm protobeam aoa": "half an hour of one core; test_beam_tables.py runs its parts",
    r"radiofm (name|groups) taught": "takes groups of signals that were heard; test_group_names.py runs both",
    r"radiofm synth beams sim --frames 10000": "177 GB",
    r"torchrun": "test_pretrain.py runs two processes",
    r"\./run demo": "test_demo.py runs it",
    r"\./run test": "is what runs this",
    r"\./run grc": "needs a display; test_examples.py compiles and runs what it opens",
    r"\./run shell$": "waits for somebody to type",
    r"\./run bench": "minutes, on an idle machine",
    r"git |conda |sudo |apt |pip |\S+/bin/pip ": "changes the system, or needs the network",
    r"(/usr/bin/)?python3 |cmake |ctest |env/bin/": "a build from nothing, which CI does on every system",
    r"cd |source |export ": "of the shell; test_examples.py runs grcc in a shell with .venv activated",
}

# Run as they stand, by a shell in the project's root.
RUN_IN_A_SHELL: set[str] = {
    "./run shell -c 'grcc examples/recording_to_annotations.grc && python recording_to_annotations.py'",
    "grcc examples/teach_live.grc",
    "python teach_live.py",
}


# -- the tables above fit -----------------------------------------------------------------------------------
def reason_not_to_run(command: str) -> str | None:
    return next((reason for start, reason in NOT_RUN.items() if re.match(start, command)), None)


def path_of(arguments: list[str]) -> tuple[str, list[str]]:
    """('synth tiles', the arguments behind): which command of radiofm it is."""
    command, path, rest = PROGRAM, [], list(arguments)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest[0]]
        path.append(rest.pop(0))
    return " ".join(path), rest


def parse(arguments: list[str]) -> None:
    """As ``radiofm`` parses them. Raises WrongUsage for an option or a command that there is not."""
    command, context, rest = PROGRAM, None, list(arguments)
    while True:
        try:
            context = command.make_context("radiofm", rest, parent=context)
        except typer.Exit:  # --help
            return
        if not hasattr(command, "commands"):
            return
        _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])


def is_complete(arguments: list[str]) -> bool:
    """All that the command needs is there. A group of commands is none."""
    command = PROGRAM
    for part in path_of(arguments)[0].split():
        command = command.commands[part]
    if hasattr(command, "commands"):
        return False
    try:
        parse(arguments)
    except WrongUsage:
        return False
    return True


def of_radiofm(shown: documents.Shown) -> list[str] | None:
    """Arguments behind ``radiofm``, also where torchrun starts it."""
    if shown.text.startswith("radiofm "):
        return documents.words(shown.text)[1:]
    if "-m radiofm_ml.cli " in shown.text:
        return documents.words(shown.text.partition("-m radiofm_ml.cli ")[2])
    return None


RADIOFM = [(shown, arguments) for shown in COMMANDS if (arguments := of_radiofm(shown))]
OTHERS = [shown for shown in COMMANDS if not of_radiofm(shown)]


def test_commands_are_found():
    """Enough of them, in all the places where they stand: the search itself does not come to nothing."""
    files = {shown.file for shown in COMMANDS}
    assert {"README.md", "CONTRIBUTING.md", "docs/tasks.md", "examples/README.md", "run"} <= files
    assert any("/cli/" in file for file in files) and any("/pretrained/" in file for file in files)
    assert len(RADIOFM) > 80


@pytest.mark.parametrize(("shown", "arguments"), RADIOFM, ids=[str(shown) for shown, _ in RADIOFM])
def test_options_are_those_that_there_are(shown, arguments):
    path, rest = path_of(arguments)
    assert path, f"{shown}: there is no command `{shown.text}`"
    if rest or shown.block:  # else its name within a sentence
        try:
            parse(arguments)
        except WrongUsage as error:
            pytest.fail(f"{shown}: `{shown.text}`: {error.format_message()}")


@pytest.mark.parametrize("shown", OTHERS, ids=str)
def test_other_commands_are_known(shown):
    """Neither run here nor excused: a command that nobody has tried. Files that it names are there."""
    parts = documents.words(shown.text)
    if parts[0] == "./run":
        usage = subprocess.run([ROOT / "run", "--help"], capture_output=True, text=True, check=True).stdout
        assert re.search(rf"^  {parts[1]} ", usage, re.MULTILINE), f"{shown}: ./run has no `{parts[1]}`"
    assert reason_not_to_run(shown.text) or shown.text in RUN_IN_A_SHELL, f"{shown}: `{shown.text}`"
    missing = [part for part in re.findall(r"examples/\w+\.grc", shown.text)
               if "NAME" not in part and not (ROOT / part).is_file()]
    assert missing == []


def test_tables_hold_nothing_that_is_not_shown():
    texts = [shown.text for shown in COMMANDS]
    assert [start for start in NOT_RUN if not any(re.match(start, text) for text in texts)] == []
    paths = {path_of(arguments)[0] for _, arguments in RADIOFM}
    assert sorted(set(SMALLER) - paths) == []
    assert sorted(set(RUN_IN_A_SHELL) - set(texts)) == []


# -- commands of radiofm ------------------------------------------------------------------------------------
def recording(path: Path) -> None:
    """Three tiles of noise with a carrier."""
    rng, n = np.random.default_rng(1), 3 * 16384 + 128
    iq = 0.05 * rng.standard_normal(2 * n).astype(np.float32).view(np.complex64)
    base = path.with_suffix("")
    write_recording(base, iq + np.exp(0.7j * np.arange(n)).astype(np.complex64), sample_rate=1e6,
                    captures=[{"core:sample_start": 0, "core:frequency": 433.92e6}])  # fmt: skip


def archive(path: Path) -> None:
    import sigmf

    recording(path.with_suffix(".sigmf-meta"))
    sigmf.sigmffile.fromfile(str(path.with_suffix(".sigmf-meta"))).archive(str(path))
    for ending in ("-meta", "-data"):
        path.with_name(path.name + ending).unlink()


def noise_file(path: Path, datatype: str) -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal(2 * 50000).astype(np.float32).view(np.complex64)
    path.write_bytes(SampleType.parse(datatype).from_complex(noise).tobytes())


def wav_file(path: Path) -> None:
    import wave

    noise_file(path, "ci16_le")
    samples = path.read_bytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(1000000)
        file.writeframes(samples)


def run(command: str, folder: Path) -> None:
    radiofm(*documents.words(command), folder=folder)


def labelled_recordings(path: Path) -> None:
    run(f"synth signals {path} --labels ais,lora,pocsag --count 4 --samples 40000 --seed 5", path.parent)


def labelled_signals(path: Path) -> None:
    rng = np.random.default_rng(1)
    np.savez(path, embedding=rng.standard_normal((40, 8)), label=[f"kind {i % 5}" for i in range(40)])


def checkpoint(path: Path) -> None:
    torch.save({"model": random_state(), "epoch": 1}, path)


def pretrained(path: Path) -> None:
    run(f"pretrain {path} {SMALLER['pretrain']}", path.parent)


def beam_run(path: Path) -> None:
    run(f"protobeam train {path} {SMALLER['protobeam train']}", path.parent)


def surveyed(path: Path) -> None:
    provide("band.sigmf-meta", path.parent)
    run(f"survey band.sigmf-meta -o {path}", path.parent)


def tuned(path: Path) -> None:
    for part, receivers in (("train", "0:100"), ("test", "100:150")):
        run(f"synth tiles tiles/{part} --on --front-ends {receivers} {SMALLER['synth tiles']}", path.parent)
    run(f"finetune identification tiles --out {path} --method lora {SMALLER['finetune']} --baselines scratch",
        path.parent)  # fmt: skip


# What a document takes to be there, if none of its commands has made it before.
GIVEN = {
    r"band\.sigmf-meta": lambda path: run(f"synth band {path}", path.parent),
    r"found": surveyed,
    r"\w+\.sigmf-meta": recording,
    r"\w+\.sigmf": archive,
    r"\w+\.cu8": lambda path: noise_file(path, "cu8"),
    r"[\w.]+\.wav": wav_file,
    r"\w+\.cf32": lambda path: np.zeros(40000, np.complex64).tofile(path),
    r"~/recordings|FOLDER": labelled_recordings,
    r"esp32_har\.npz": lambda path: np.savez(path, **esp32_archive()),
    r"uwb_cir\.npz": lambda path: np.savez(path, **uwb_archive()),
    r"(signals|source)\.npz": labelled_signals,
    r"wavesfm-v1p0\.pth": checkpoint,
    r"runs/mine": pretrained,
    r"RUN|run": beam_run,
    r"tuned": tuned,
}


def inputs(arguments: list[str]) -> list[str]:
    """The words of a command without those that name what it writes."""
    path, rest = path_of(arguments)
    written = {word for option, word in zip(rest, rest[1:], strict=False) if option in ("-o", "--out")}
    if path.startswith("synth ") or path in ("pretrain", "protobeam train"):
        written.update(rest[:1])
    return [word for word in rest if word not in written]


def provide(part: str, folder: Path) -> None:
    """Make a file or folder that a command names, if it is GIVEN and not there."""
    for pattern, make in GIVEN.items():
        path = folder / part.removeprefix("~/")
        if re.fullmatch(pattern, part) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)


def to_run(file: str) -> list[documents.Shown]:
    """Those of a document that are complete, each once, in its order."""
    found = {}
    for shown, arguments in RADIOFM:
        if (shown.file == file and not reason_not_to_run(shown.text)
                and (shown.block or is_complete(arguments))):  # fmt: skip
            found.setdefault(shown.text, shown)
    return list(found.values())


def smaller(arguments: list[str]) -> list[str]:
    path, _ = path_of(arguments)
    return [*arguments, *documents.words(SMALLER.get(path, ""))]


FILES = [file for file in dict.fromkeys(shown.file for shown, _ in RADIOFM) if to_run(file)]


@pytest.mark.parametrize("file", FILES)
def test_commands_run(file, tmp_path):
    """In the order of the document; what one makes is there for the next."""
    failed = []
    for shown in to_run(file):
        arguments = of_radiofm(shown)
        if not shown.block:  # OUT in a sentence is another folder each time
            shutil.rmtree(tmp_path / "OUT", ignore_errors=True)
        try:
            for part in inputs(arguments):
                provide(part, tmp_path)
            radiofm(*smaller(arguments), folder=tmp_path)
        except (Exception, pytest.fail.Exception) as error:
            failed.append(f"{shown}: `{shown.text}`: {error}")
    assert failed == []


# -- commands of a shell, and Python -------------------------------------------------------------------------
IN_VENV = Path(sys.prefix) == ROOT / ".venv"


@pytest.mark.skipif(not IN_VENV, reason="./run uses the .venv of this folder, and this is another Python")
def test_commands_of_a_shell_run(tmp_path):
    """As they stand, in a folder that has the project's ./run and examples."""
    for name in ("run", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    for command in sorted(RUN_IN_A_SHELL, key=[shown.text for shown in COMMANDS].index):
        activated.run("bash", "-c", f"source '{sys.prefix}/bin/activate' && {command}", folder=tmp_path)
    assert (tmp_path / "annotated.sigmf-meta").is_file() and (tmp_path / "teach_live.sigmf-meta").is_file()


def radio_names() -> dict:
    """What snippets take from the reader's own flowgraph."""
    radiofm = pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")
    return {"classifier": radiofm.prototype_classifier("radiofm-small")}


def ready_made(folder: Path) -> dict:
    """What snippets take from the reader's own program."""
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(2 * 100_000).astype(np.float32).view(np.complex64)
    return {"iq": torch.from_numpy(noise), "blocks": noise[: 3 * 2048].reshape(3, 2048), "rng": rng,
            "inputs": {0: rng.standard_normal((2, 65, 256)).astype(np.float32)}, "rates": None}  # fmt: skip


def embeddings_of_signals(path: Path) -> None:
    one = np.ones(3)
    Embeddings(np.ones((3, 4), np.float32), *[one.astype(np.int64)] * 2, *[one] * 4, "m", one, one).save(path)


SNIPPETS = documents.snippets()
# Files and folders that they open.
OPENED = {
    "BeamFile(": lambda folder: run("synth beams . --antenna a --frames 20 --blocks 1", folder),
    "tuned/heads/lora": lambda folder: tuned(folder / "tuned"),
    "band.npz": lambda folder: embeddings_of_signals(folder / "band.npz"),
    "band.sigmf-meta": lambda folder: run(f"synth band {folder / 'band.sigmf-meta'}", folder),
    "capture.cu8": lambda folder: noise_file(folder / "capture.cu8", "cu8"),
    "recording.cf32": lambda folder: np.zeros(40000, np.complex64).tofile(folder / "recording.cf32"),
}


def test_snippets_are_found():
    assert {"README.md", "docs/beams.md", "docs/messages.md"} <= {shown.file for shown in SNIPPETS}


@pytest.mark.parametrize("shown", SNIPPETS, ids=str)
def test_python_runs(shown, tmp_path, monkeypatch):
    names = ready_made(tmp_path)
    if re.search(r"\b(pmt|gnuradio|classifier)\b", shown.text):
        names |= radio_names()
        import pmt

        names["pmt"] = pmt
    for word, make in OPENED.items():
        if word in shown.text:
            make(tmp_path)
    monkeypatch.chdir(tmp_path)
    text, heard = shown.text, None
    if "import zmq" in text:
        zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")
        heard = zmq.Context.instance().socket(zmq.PULL)
        text = text.replace("5555", str(heard.bind_to_random_port("tcp://127.0.0.1")))
    exec(compile(text, str(shown), "exec"), names)
    if heard is not None:
        assert heard.poll(10_000) and b"enroll" in heard.recv()
        heard.close()
        names["socket"].close()
