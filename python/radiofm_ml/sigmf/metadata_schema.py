# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The SigMF schema, from the sigmf package, and what of other people's metadata may break it without harm."""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import cache

from sigmf import __specification__ as VERSION  # the version of the standard that the schema is of
from sigmf import schema

from radiofm_ml.sigmf.errors import shown

__all__ = ["VERSION", "check", "tidied"]

EXTENSIONS = ("radiofm",)  # those that are known here, so that a recording may require them
SECTIONS = ("global", "captures", "annotations")
# What the samples mean, and where they are: nothing is guessed about these.
_ESSENTIAL = {
    "global": {"core:datatype", "core:num_channels", "core:offset", "core:trailing_bytes", "core:sample_rate",
               "core:dataset"},
    "captures": {"core:sample_start", "core:frequency", "core:header_bytes", "core:global_index"},
    "annotations": {"core:sample_start", "core:sample_count", "core:freq_lower_edge", "core:freq_upper_edge",
                    "core:label"},
}
_REQUIRED = {"core:datatype", "core:version", "core:sample_start"}
_WHOLE = {"core:num_channels", "core:offset", "core:trailing_bytes", "core:sample_start", "core:sample_count",
          "core:header_bytes", "core:global_index"}


def check(metadata: dict) -> None:
    """Raises ValueError that names the key where ``metadata`` breaks the schema of ``.sigmf-meta`` files.

    What the package sigmf's ``validate`` checks, but for the order of captures and annotations; the schema
    itself is prepared once (sigmf does that anew for every file, which takes 50 ms).
    """
    _raise_best(_validator().iter_errors(metadata))


def tidied(metadata: dict) -> tuple[dict, list[str]]:
    """A copy of ``metadata`` that keeps the schema, and what had to be changed for it, a sentence each.

    A key that nothing here depends on is left out where its value is wrong; so is any key that may be left
    out where its value is null or NaN. Entries are copied, values are not.
    Raises ValueError that names the key where the rest breaks the schema.
    """
    if not isinstance(metadata.get("global"), dict):
        raise ValueError("$.global: must be an object")
    notes: Counter[str] = Counter()
    meta = _copied(metadata, notes)
    _mend_version(meta["global"], notes)
    _mend_extensions(meta["global"], notes)
    for section, entry in _entries(meta):
        _mend_numbers(section, entry, notes)
    _leave_out_wrong(meta, notes)
    return meta, [text + (f" ({count} times)" if count > 1 else "") for text, count in notes.items()]


def check_extensions(metadata: dict) -> None:
    """Raises ValueError that names an extension without which the recording must not be read, if it is not
    known here."""
    for extension in metadata["global"].get("core:extensions", []):
        if not extension["optional"] and extension["name"] not in EXTENSIONS:
            raise ValueError(f"requires the extension {shown(extension['name'])} (core:extensions, optional: "
                             "false), which is not known here; if the samples do not depend on it, set "
                             "optional to true")


# -- mending ----------------------------------------------------------------------------------------
def _copied(metadata: dict, notes: Counter) -> dict:
    for name in metadata.keys() - set(SECTIONS):
        notes[f"{shown(name)} is no section of SigMF metadata; left out"] += 1
    meta = {"global": dict(metadata["global"])}
    for section in SECTIONS[1:]:
        entries = metadata.get(section)
        entries = [] if entries is None else entries
        if isinstance(entries, list):
            entries = [dict(entry) if isinstance(entry, dict) else entry for entry in entries]
        meta[section] = entries
    return meta


def _mend_version(info: dict, notes: Counter) -> None:
    given = info.get("core:version")
    if given is None:
        notes["does not say its core:version"] += 1
        info["core:version"] = VERSION
        return
    text = given.strip().lstrip("vV") if isinstance(given, str) else ""
    info["core:version"] = text if re.match(r"\d+\.\d+\.\d", text) else VERSION
    if info["core:version"] != given:
        notes[f"core:version {shown(given)} is not like {VERSION}; "
              f"taken for {info['core:version']}"] += 1


def _mend_extensions(info: dict, notes: Counter) -> None:
    given = info.get("core:extensions")
    if given is None:
        return
    if isinstance(given, dict):  # before SigMF 1.0: {name: version}
        given = [{"name": name, "version": version, "optional": True} for name, version in given.items()]
    mended = []
    for entry in given if isinstance(given, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            required = entry.get("optional") is False
            mended.append({"name": entry["name"], "version": str(entry.get("version", "")),
                           "optional": not required})
    info["core:extensions"] = mended
    if mended != given:
        notes["core:extensions is not a list of {name, version, optional}; the rest of it is left out"] += 1


def _mend_numbers(section: str, entry: dict, notes: Counter) -> None:
    """Whole numbers as int, NaN as null, no NaN or infinity inside what we do not read."""
    for key, value in list(entry.items()):
        if isinstance(value, float) and key in _WHOLE and value.is_integer():
            entry[key] = int(value)  # 1e6
        elif isinstance(value, float) and math.isnan(value):
            if key in _REQUIRED:
                entry[key] = None  # for the schema to refuse
            else:
                _leave_out(section, entry, key, notes)
        elif key not in _ESSENTIAL[section] and not _is_finite(value):
            _leave_out(section, entry, key, notes)


def _leave_out_wrong(meta: dict, notes: Counter) -> None:
    """Leave out what breaks the schema and may; ValueError for the rest."""
    fatal = []
    for error in _validator().iter_errors(meta):
        places = {_place(leaf) for leaf in _leaves(error)}
        if all(_may_go(meta, place) for place in places):
            for section, index, key in places:
                entry = meta[section] if index is None else meta[section][index]
                _leave_out(section, entry, key, notes)
        else:
            fatal.append(error)
    _raise_best(fatal)


def _may_go(meta: dict, place: tuple | None) -> bool:
    if place is None:
        return False
    section, index, key = place
    entry = meta[section] if index is None else meta[section][index]
    return key not in _REQUIRED and (
        key not in _ESSENTIAL[section] or entry.get(key) is None)  # also one that has gone already


def _leave_out(section: str, entry: dict, key: str, notes: Counter) -> None:
    if key in entry:
        value = entry.pop(key)
        where = "" if section == "global" else f" of the {section}"
        what = "is empty" if value is None or value == "" else (
            "is not a number" if isinstance(value, float) and not math.isfinite(value)
            else "is not what SigMF has there")
        notes[f"{key if key.isprintable() else shown(key)}{where} {what}; left out"] += 1


def _entries(meta: dict):
    yield "global", meta["global"]
    for section in SECTIONS[1:]:
        if isinstance(meta[section], list):
            yield from ((section, entry) for entry in meta[section] if isinstance(entry, dict))


def _is_finite(value) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, list) else True


# -- the schema -------------------------------------------------------------------------------------
def _leaves(error):
    """The errors of an anyOf's branches instead of its own: these say the key."""
    if error.validator in ("anyOf", "oneOf", "allOf") and error.context:
        for inner in error.context:
            yield from _leaves(inner)
    else:
        yield error


def _place(error) -> tuple[str, int | None, str] | None:
    """(section, index, key) of the entry that an error lies in; None where it is not in one."""
    path = list(error.absolute_path)
    if len(path) >= 2 and path[0] == "global":
        return "global", None, path[1]
    return tuple(path[:3]) if len(path) >= 3 else None


def _raise_best(errors) -> None:
    from jsonschema.exceptions import best_match

    error = best_match(iter(errors))
    if error is not None:
        raise ValueError(f"{error.json_path}: {error.message[:200]}")


@cache
def _validator():
    from jsonschema.validators import validator_for

    reference = schema.get_schema()
    return validator_for(reference)(reference)
