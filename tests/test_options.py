# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Options of a command, made of dataclasses."""

import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import pytest
import typer
from radiofm_ml.arguments import setting
from radiofm_ml.cli.app import app
from radiofm_ml.cli.options import with_options
from radiofm_ml.train.augment import Augmentation
from radiofm_ml.train.settings import AugmentationSettings, PretrainConfig, TuneConfig
from typer.testing import CliRunner


@dataclass(frozen=True)
class Settings:
    steps: int = setting(10, "How many steps.", low=1, high=20)
    ratio: float | None = setting(None, "A share.")
    whole: bool = setting(True, "All of it.", flags="--whole/--part")
    hidden: int = 3  # no setting, no option

    def __post_init__(self):
        if self.steps == 13:
            raise ValueError("not 13")


@dataclass(frozen=True)
class More:
    loud: bool = setting(False, "How it sounds.")


def invoke(*arguments):
    made, seen = typer.Typer(), []

    @made.command()
    @with_options
    def command(out: Path, settings: Settings, more: More,
                name: Annotated[str, typer.Option(help="Its name.")] = "none"):
        """What it does."""
        seen.append((out, settings, more, name))

    return CliRunner().invoke(made, list(arguments)), seen


def test_fields_become_options_and_come_back_as_their_dataclass():
    result, seen = invoke("here")
    assert result.exit_code == 0 and seen == [(Path("here"), Settings(), More(), "none")]
    result, seen = invoke("here", "--steps", "7", "--ratio", "0.5", "--part", "--loud", "--name", "n")
    assert result.exit_code == 0
    assert seen == [(Path("here"), Settings(7, 0.5, False), More(True), "n")]


def test_bounds_names_and_types_are_held():
    for wrong in (["--steps", "21"], ["--steps", "0"], ["--steps", "x"], ["--hidden", "4"], ["--no-whole"]):
        result, seen = invoke("here", *wrong)
        assert result.exit_code == 2 and not seen, wrong
    result, seen = invoke("here", "--steps", "13")
    assert isinstance(result.exception, ValueError) and str(result.exception) == "not 13" and not seen


def test_help_is_the_fields():
    text = invoke("--help")[0].output
    for part in ("--steps", "1<=x<=20", "How many steps.", "default: 10", "--whole", "--part", "it does."):
        assert part in text
    assert "hidden" not in text and "settings" not in text


def test_two_settings_of_one_name_are_refused_at_once():
    with pytest.raises(ValueError, match="steps"):
        @with_options
        def command(settings: Settings, steps: int = 1):
            pass


@pytest.mark.parametrize("command, settings", [
    ("pretrain", PretrainConfig), ("pretrain", AugmentationSettings), ("finetune", TuneConfig)])
def test_every_setting_is_an_option_with_its_default(command, settings):
    options = {option.name: option for option in typer.main.get_command(app).commands[command].params}
    named = [field for field in fields(settings) if "help" in field.metadata]
    assert len(named) > 5
    for field in named:
        option = options[field.name]
        assert (option.default, option.help) == (field.default, field.metadata["help"])
        flag = field.metadata["flags"].split("/")[0] or "--" + field.name.replace("_", "-")
        assert option.opts[0] == flag


def test_an_augmentation_is_its_settings():
    assert fields(Augmentation) == fields(AugmentationSettings)


def test_starting_the_command_reads_no_torch():
    code = "import sys, radiofm_ml.cli.app; sys.exit(bool({'torch', 'numpy', 'scipy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], timeout=100).returncode == 0
