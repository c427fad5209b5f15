# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Options that several commands have, and options from dataclasses, so that a setting, its default and its
help are written once.

    @dataclass(frozen=True)
    class Settings:
        steps: int = setting(4000, "Optimisation steps.", low=1)    # ``radiofm_ml.arguments.setting``

    @app.command()
    @with_options
    def train(out: Path, settings: Settings) -> None:               # train OUT --steps 4000

Modules of such dataclasses are read whenever the command starts, so they import neither torch nor NumPy.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Annotated, get_type_hints

import typer

Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Write over what is there, also if this command did not write it."),
]


def with_options(command: Callable) -> Callable:
    """``command`` with, in the place of each parameter that is annotated with a dataclass, an option for each
    of its fields that is a ``setting``. Fields that are none keep their defaults."""
    hints = get_type_hints(command, include_extras=True)
    parameters, made = [], {}
    for parameter in inspect.signature(command).parameters.values():
        wanted = hints[parameter.name]
        if not is_dataclass(wanted):
            parameters.append(parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=wanted))
            continue
        options = _options(wanted)
        made[parameter.name] = wanted, [option.name for option in options]
        parameters += options

    @functools.wraps(command)
    def run(**values):
        for name, (settings, options) in made.items():
            values[name] = settings(**{option: values.pop(option) for option in options})
        return command(**values)

    run.__signature__ = inspect.Signature(parameters)  # raises ValueError where two options share a name
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del run.__wrapped__  # its annotations are not those of ``run``
    return run


def _options(settings: type) -> list[inspect.Parameter]:
    hints = get_type_hints(settings)
    found = []
    for field in fields(settings):
        about = field.metadata
        if "help" in about:
            flags = [about["flags"]] if about["flags"] else []
            option = typer.Option(*flags, help=about["help"], min=about["min"], max=about["max"],
                                  parser=about["parse"] and _parser(about["parse"], field.name))
            found.append(inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default,
                                           annotation=Annotated[hints[field.name], option]))
    return found


def _parser(parse: Callable, name: str) -> Callable:
    """``parse`` for typer, which says on its own what a ValueError is about, but not why."""
    def parser(text: str):
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    parser.__name__ = name.upper()  # the help's word for what is to be typed
    return parser
