# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm groups, radiofm name, radiofm groups-check"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radiofm_ml import outputs
from radiofm_ml.cli.options import Overwrite

if TYPE_CHECKING:
    from radiofm_ml.fewshot.groups import Groups

WATCH = ".json"


def register(app: typer.Typer) -> None:
    app.command()(groups)
    app.command()(name)
    app.command("groups-check")(groups_check)


def groups(
    source: Annotated[
        Path, typer.Argument(metavar="OF", help="Whose groups: the folder of a survey, the file of a watch "
                                                "(.json), or one of prototypes (.safetensors).")
    ],
) -> None:
    """List the groups of the unknown: how often each was heard, and from when to when.

    `radiofm groups found`
    """
    from rich.table import Table

    from radiofm_ml.fewshot import group_file
    from radiofm_ml.terminal import console, echo

    found = group_file.load(_groups_of(source))
    table = Table()
    for title in ("group", "signals", "first heard, s", "last heard, s", "like signal"):
        table.add_column(title, justify="left" if title == "group" else "right")
    for group in found:
        table.add_row(group.label, f"{group.count:,}", f"{group.first:,.3f}", f"{group.last:,.3f}",
                      str(group.mark))
    console().print(table)
    for number, label in found.named.items():
        echo(f"'unknown {number}' is '{label}' now")
    for number in found.merged:
        echo(f"'unknown {number}' went into '{found.label(number)}'")


def name(
    prototypes: Annotated[
        Path, typer.Argument(help="File of prototypes (.safetensors) that it is taught to.")
    ],
    group: Annotated[str, typer.Argument(help="The group, as 'unknown 3'.")],
    label: Annotated[str, typer.Argument(help="What it is; one that is taught already gets more shots.")],
    annotations: Annotated[
        list[Path] | None,
        typer.Argument(help="Files (.sigmf-meta) in which it was annotated; or the folder of a survey or the "
                            "file of a watch (.json), which have their own groups."),
    ] = None,
) -> None:
    """Name a group of the unknown: it becomes a taught label, and what was written of it is renamed.

    Its signals are the label's shots. In the annotations what has gone into other groups meanwhile is
    renamed, too. With a group that has this name already only the annotations are. Of a survey its table and
    pictures are renewed as well.

    `radiofm name taught.safetensors "unknown 3" lora out/capture.sigmf-meta`

    `radiofm name taught.safetensors "unknown 1" pocsag found`
    """
    from radiofm_ml.fewshot import group_file
    from radiofm_ml.fewshot.groups import group_number
    from radiofm_ml.terminal import echo

    number = group_number(group)
    group_file.path_beside(prototypes)  # whatever is wrong with the name
    owners = [path for path in annotations or () if _has_groups(path)]
    if owners:
        annotations = _annotated(owners[0], annotations)
    place = _groups_of(owners[0] if owners else prototypes)
    found = group_file.load(place)
    for path in annotations or ():
        _rename(path, found, write=False)  # whatever is wrong with one is said before anything is changed
    if found.label(number) == label:
        echo(f"'{group}' is '{label}' already: nothing was taught, {prototypes} is as it was")
    else:
        taught = _teach(prototypes, found, number, label)
        group_file.save(found, place)
        echo(f"'{group}' is '{label}' now, taught with {taught.shots} shots, in {prototypes}")
    for path in annotations or ():
        count = _rename(path, found)
        echo(f"{path}: {count} annotation{'' if count == 1 else 's'} renamed")
    if owners and owners[0].is_dir():
        from radiofm_ml.survey.renewing import renew

        renew(owners[0])


def groups_check(
    data: Annotated[
        str,
        typer.Argument(
            help="'synthetic' (receptions, by the model); or an .npz with arrays embedding, label, may be "
            "group (the session) and, to compare with, random and physical. A row is a signal."
        ),
    ],
    model: Annotated[str, typer.Option(help="Bundle; of an .npz the one that made it, if any.")] = "",
    source: Annotated[
        Path | None,
        typer.Option(help=".npz of the source domain, which shows how near one kind is; else the data."),
    ] = None,
    kinds: Annotated[int, typer.Option(min=2, help="Kinds of signal in a scene.")] = 10,
    scenes: Annotated[int, typer.Option(min=1, help="Scenes, each of other kinds in another order.")] = 10,
    share: Annotated[
        float,
        typer.Option(min=0.01, max=0.99, help="Of pairs of one kind: these are as near as a group is."),
    ] = 0.65,
    normalisation: Annotated[str, typer.Option(help="cl2n, l2 or none.")] = "cl2n",
    each: Annotated[int, typer.Option(min=2, help="synthetic: receptions of each kind of signal.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the scenes.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the numbers as JSON.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure whether groups of the unknown are kinds of signal.

    A scene is signals of some kinds, one after the other. What near means comes from the other kinds, those
    that are not in the scene. The best mutual information that there can be is 1, and the best number of
    groups that of the kinds.
    """
    from radiofm_ml.cli.progress import track
    from radiofm_ml.evaluate import groups_check as checks

    if out:
        outputs.check_report(out, overwrite)
    found = checks.load(data, model, each, track)
    shown_by = checks.load(str(source), "", each, track) if source else found
    rows = checks.check(found, shown_by, kinds, scenes, share, normalisation, seed, track)
    checks.print_table(rows, kinds)
    if out:
        about = {"data": Path(data).name, "model": model, "kinds": kinds, "scenes": scenes, "share": share,
                 "normalisation": normalisation, "seed": seed, "rows": rows}
        outputs.write_report(out, about)


def _has_groups(path: Path) -> bool:
    """Has what lies there groups of its own?"""
    return path.is_dir() or path.suffix.lower() == WATCH


def _groups_of(source: Path) -> Path:
    """The file of groups of a survey, a watch or a file of prototypes. Raises ValueError where there is
    none."""
    from radiofm_ml.fewshot import group_file
    from radiofm_ml.survey.naming import GROUP_FILE
    from radiofm_ml.survey.watching import groups_beside

    if source.is_dir():
        place, cure = source / GROUP_FILE, "name the folder that radiofm survey wrote"
    elif source.suffix.lower() == WATCH:
        place, cure = groups_beside(source), "name the file that radiofm watch wrote"
    else:
        place = group_file.path_beside(source)
        cure = "name the folder of a survey, or the file of a watch, that has them"
    if not place.is_file():
        raise ValueError(f"{source}: has no groups ({place.name}); {cure}, with a model that tells how near "
                         "one kind is")
    return place


def _annotated(owner: Path, given: list[Path]) -> list[Path]:
    """The annotations of a survey or a watch. Raises ValueError."""
    from radiofm_ml.survey.renewing import annotations_of

    if len(given) > 1:
        raise ValueError(f"{owner}: has groups of its own; name it alone")
    return annotations_of(owner) if owner.is_dir() else []


def _teach(path: Path, groups: Groups, number: int, label: str):
    from radiofm_ml.fewshot.prototypes import PrototypeSet

    prototypes = PrototypeSet(groups.embedding_size, groups.model)
    if path.exists():
        prototypes.load(path)
    taught = groups.name(number, label, prototypes)
    prototypes.save(path)
    return taught


def _rename(path: Path, groups: Groups, write: bool = True) -> int:
    from radiofm_ml.sigmf.renaming import rename_unknown

    return rename_unknown(path, groups.name_now if write else lambda label, cell: label)
