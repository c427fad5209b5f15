# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What GNU Radio Companion accepts silently and should not, found through its own Platform.

grcc drops unknown parameters and impossible connections without a word; a ``.block.yml`` whose
expressions are wrong shows it only when somebody drags the block into a flowgraph.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import os
import re
from functools import cache
from pathlib import Path

import yaml
from gnuradio import gr
from gnuradio.grc.core import schema_checker
from gnuradio.grc.core.platform import Platform
from mako.lexer import Lexer

ROOT = Path(__file__).resolve().parents[1]
SECTIONS = {"inputs": "Input:", "outputs": "Output:", "parameters": "Parameters:"}


@cache
def platform() -> Platform:
    """GRC's library: the system's blocks and ours, from the source tree."""
    os.environ["GRC_BLOCKS_PATH"] = str(ROOT / "grc")
    library = Platform(version=gr.version(), prefs=gr.prefs(),
                       version_parts=(gr.major_version(), gr.api_version(), gr.minor_version()))
    library.build_library()
    return library


# -- block descriptions ---------------------------------------------------------------------------
def check_description(file: Path, library: Platform, package) -> list[str]:
    """Everything that is wrong with a ``.block.yml``. package: gnuradio.radiofm, whose block it describes."""
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    checker = schema_checker.Validator(schema_checker.BLOCK_SCHEME)
    checker.run(data)
    faults = [str(message) for message in checker.messages]
    if data.get("id") != file.name.removesuffix(".block.yml"):
        faults.append(f"id is {data.get('id')}, the file says otherwise")
    library.blocks.pop(data.get("id"), None)
    try:
        library.load_block_description(data, str(file))
    except Exception as error:  # whatever GRC's loader stumbles over
        faults.append(str(error))
    if data.get("id") not in library.blocks:
        return [*faults, "GRC does not load it"]
    for key in ("label", "category", "documentation", "templates", "flags"):
        if not data.get(key):
            faults.append(f"{key} is missing")
    faults = faults or [*_check_text(data), *_check_names(data)]
    return faults or [*_check_values(data, library), *_check_call(data, library, package)]


def _check_text(data: dict) -> list[str]:
    text = data["documentation"]
    ports = [*data.get("inputs", []), *data.get("outputs", [])]
    wanted = {heading for key, heading in SECTIONS.items() if data.get(key) and not all(
        port.get("domain") == "message" for port in data[key])}
    wanted |= {"Messages:"} if any(port.get("domain") == "message" for port in ports) else set()
    faults = [f"documentation has no '{heading}'" for heading in sorted(wanted) if heading not in text]
    faults += [f"documentation does not explain parameter '{parameter['label']}'"
               for parameter in data.get("parameters", [])
               if re.sub(r" \(.*\)$", "", parameter.get("label", "")) not in text]
    faults += [f"documentation does not explain port '{port['id']}'" for port in ports
               if port.get("domain") == "message" and port["id"] not in text]
    faults += [f"message port '{port['id']}' must be optional" for port in data.get("outputs", [])
               if port.get("domain") == "message" and not port.get("optional")]
    if data["category"] != "[RadioFM]":
        faults.append(f"category is {data['category']}")
    if data.get("file_format") != 1:
        faults.append("file_format is not 1")
    return faults


def _python_names(expression: str) -> set[str]:
    tree = ast.parse(expression.strip(), mode="eval")
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    return {name.id for name in names} - bound - set(dir(builtins))


def _mako_names(text: str) -> set[str]:
    """Names that a Mako template takes from outside."""
    names: set[str] = set()
    own: set[str] = set()  # that it makes itself

    def walk(node):
        if hasattr(node, "undeclared_identifiers"):
            names.update(node.undeclared_identifiers())
            own.update(node.declared_identifiers())
        for child in getattr(node, "nodes", ()):
            walk(child)

    walk(Lexer(text).parse())
    return names - own - set(dir(builtins))


def _python_parts(data: dict) -> dict[str, str]:
    """Where in the file each ${ } expression stands that GRC evaluates as Python."""
    parts = {}

    def walk(value, at):
        if isinstance(value, dict):
            for key, item in value.items():
                walk(item, f"{at}.{key}" if at else str(key))
        elif isinstance(value, list):
            for i, item in enumerate(value):
                walk(item, f"{at}[{i}]")
        elif isinstance(value, str) and re.fullmatch(r"\s*\$\{.*\}\s*", value, re.DOTALL):
            parts[at] = value.strip()[2:-1]

    walk({key: data[key] for key in ("parameters", "inputs", "outputs", "asserts") if key in data}, "")
    return parts


def _mako_parts(data: dict) -> dict[str, str]:
    templates = {**data["templates"], **{f"cpp.{k}": v for k, v in data.get("cpp_templates", {}).items()}}
    return {f"{key}[{i}]": text for key, value in templates.items()
            for i, text in enumerate(value if isinstance(value, list) else [value]) if isinstance(text, str)}


def _check_names(data: dict) -> list[str]:
    parameters = {parameter["id"] for parameter in data.get("parameters", [])}
    faults, used, made = [], set(), set()
    for part, expression in _python_parts(data).items():
        if part.startswith("asserts") and not re.search(r"#\s*\S", expression):
            faults.append(f"{part} gives no reason")
        try:
            names = _python_names(expression)
        except SyntaxError as error:
            faults.append(f"{part} is not Python: {error}")
            continue
        faults += [f"{part}: '{name}' is not defined" for name in sorted(names - parameters)]
        used |= names
    faults += [f"asserts[{i}] is not in ${{ }}" for i, text in enumerate(data.get("asserts", []))
               if f"asserts[{i}]" not in _python_parts(data)]
    for part, text in _mako_parts(data).items():
        names = _mako_names(text)
        unknown = sorted(names - parameters - {"id"})
        faults += [f"templates.{part}: '{name}' is not defined" for name in unknown]
        used |= names
        made |= names if part.startswith("make") else set()
    faults += [f"parameter '{name}' is used nowhere" for name in sorted(parameters - used)]
    lost = sorted((parameters - made - _selectors(data)) & used)
    return faults + [f"parameter '{name}' does not reach make" for name in lost]


def _selectors(data: dict) -> set[str]:
    """Parameters whose attributes or visibility, not whose value, matter: they need not reach make."""
    ports = [*data.get("inputs", []), *data.get("outputs", [])]
    text = " ".join(str(value) for port in ports for value in port.values())
    return {parameter["id"] for parameter in data.get("parameters", [])
            if parameter.get("dtype") == "enum" and re.search(rf"\b{parameter['id']}\b", text)}


def placed(block_id: str, library: Platform):
    """A block with its defaults in a flowgraph that has the usual variable samp_rate."""
    graph = library.make_flow_graph()
    graph.import_data({"options": graph.options_block.export_data(), "blocks": [], "connections": [],
                       "metadata": {"file_format": 1}})
    rate = graph.new_block("variable")
    rate.params["id"].set_value("samp_rate")
    rate.params["value"].set_value("1e6")
    block = graph.new_block(block_id)
    block.params["id"].set_value("block_0")
    graph.rewrite()
    graph.validate()
    return block


def _check_values(data: dict, library: Platform) -> list[str]:
    """Defaults and asserts, evaluated. A default '' of a file that must be chosen may fail its assert."""
    block = placed(data["id"], library)
    faults = []
    for parameter in block.params.values():
        parameter.validate()
        faults += [f"default of parameter '{parameter.key}': {message}"
                   for message in parameter.get_error_messages() if not _is_missing_file(parameter)]
    for text in data.get("asserts", []):
        try:
            block.evaluate(text.strip()[2:-1])
        except Exception as error:  # GRC passes on whatever the expression raises
            faults.append(f"assert {text} fails to evaluate: {error!r}")
    return faults


def _is_missing_file(parameter) -> bool:
    return parameter.dtype in ("file_open", "file_save") and parameter.get_value() in ("", "''", '""')


# -- the Python behind it -------------------------------------------------------------------------
def _check_call(data: dict, library: Platform, package) -> list[str]:
    block = placed(data["id"], library)
    # behind that of a block with a window: where it stands, in two statements of GRC's own form
    make = ast.parse(block.templates.render("make").strip())
    statements = 3 if "gui_hint" in block.params else 1
    if len(make.body) != statements or not isinstance(make.body[0], ast.Expr):
        return [f"make is not {'one expression' if statements == 1 else 'a block, its window and its place'}"]
    call = make.body[0].value
    name = ast.unparse(call.func)
    if not name.startswith("radiofm."):
        return [f"make calls {name}, not a block of radiofm"]
    block_class = getattr(package, name.split(".")[1], None)
    if block_class is None:
        return [f"make calls {name}, which does not exist"]
    faults = _check_arguments("make", call, _signature(block_class))
    called = set()
    for text in block.templates.render("callbacks"):
        callback = ast.parse(text.strip(), mode="eval").body
        if not isinstance(callback, ast.Call):
            faults.append(f"callback {text} is not a call")
            continue
        setter = ast.unparse(callback.func)
        called.add(setter)
        if not hasattr(block_class, setter):
            faults.append(f"callback {text}: there is no {setter}")
            continue
        faults += _check_arguments(f"callback {text}", callback, _signature(block_class, setter))
    ours = [part for part in block_class.__mro__ if part.__module__.startswith(package.__name__)]
    setters = {key for part in ours for key in vars(part) if key.startswith("set_")} - set(dir(gr.sync_block))
    if "gui_hint" in block.params and not hasattr(block_class, "qwidget"):
        faults.append("there is no qwidget for GUI Hint to place")
    return faults + [f"setter {name} has no callback" for name in sorted(setters - called)]


def _signature(block_class, method: str | None = None) -> inspect.Signature | None:
    """Of a Python class or method, or what pybind11 wrote into a docstring; None if it wrote nothing."""
    function = getattr(block_class, method) if method else block_class.__init__
    if inspect.isfunction(function):
        return inspect.signature(function)
    line = next((line for line in (function.__doc__ or "").splitlines() if re.match(r"\w+\(self", line)), "")
    inner = re.match(r"\w+\((.*)\) -> ", line)
    if inner is None:
        return None
    names = re.findall(r"(?:^|, )(\w+): [^=,]*(?:\[[^\]]*\])?[^=,]*(= )?", inner.group(1))
    return inspect.Signature([inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD,
                                                default=None if default else inspect.Parameter.empty)
                              for name, default in names])


def _check_arguments(where: str, call: ast.Call, signature: inspect.Signature | None) -> list[str]:
    if signature is None:
        return []
    try:
        signature.bind("self", *call.args, **{keyword.arg: keyword.value for keyword in call.keywords})
    except TypeError as error:
        return [f"{where}: {error}"]
    return []


# -- flowgraphs -----------------------------------------------------------------------------------
def check_flowgraph(file: Path, library: Platform, scratch: Path) -> list[str]:
    """Everything that GRC would drop from a ``.grc``, object to, or write differently."""
    text = file.read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    graph = library.make_flow_graph()
    graph.grc_file_path = str(file)
    graph.import_data(data)
    graph.rewrite()
    graph.validate()
    kept = {block.name: block for block in graph.blocks}
    faults = []
    for entry in data["blocks"]:
        block = kept.get(entry["name"])
        if block is None or block.is_dummy_block:
            faults.append(f"{entry['name']}: there is no block {entry['id']}")
            continue
        faults += [f"{entry['name']}: there is no parameter {key}"
                   for key in sorted(set(entry["parameters"]) - set(block.params))]
    connections = [tuple(connection.export_data()) for connection in graph.connections]
    faults += [f"connection {' '.join(entry)} is dropped" for entry in data["connections"]
               if tuple(entry) not in connections]
    faults += [f"{element}: {message}" for element, message in _errors(graph)]
    faults += _check_options(file, data)
    faults += [f"{entry['name']}: {key} is the absolute path {value}" for entry in [*data["blocks"]]
               for key, value in entry["parameters"].items() if re.match(r"['\"]?(/|~)\w", str(value))]

    written = scratch / file.name
    library.save_flow_graph(str(written), graph)
    back = written.read_text(encoding="utf-8")
    if not faults and not (_without_version(back) == _without_version(text) if _by_this_grc(data, library)
                           else _holds_flowgraph(yaml.safe_load(back), data)):
        faults.append("is not as GRC writes it; open and save it there")
    return faults


def _by_this_grc(data: dict, library: Platform) -> bool:
    return str(data["metadata"].get("grc_version")) == str(library.config.version)


def _holds_flowgraph(written: dict, data: dict) -> bool:
    """Is all of ``data`` in what another version of GRC wrote? Options come and go with the version."""
    options = written["options"]["parameters"]
    kept = {key: value for key, value in data["options"]["parameters"].items() if key in options}
    return _holds(written, data | {"options": data["options"] | {"parameters": kept}})


def _holds(written, data) -> bool:
    """Is all of ``data`` in ``written``? GRC may add parameters, and computes its caches."""
    if isinstance(data, dict):
        return isinstance(written, dict) and all(
            key in ("grc_version", "_io_cache") or (key in written and _holds(written[key], value))
            for key, value in data.items())
    if isinstance(data, list):
        return (isinstance(written, list) and len(written) == len(data)
                and all(map(_holds, written, data)))
    return written == data


def _errors(graph) -> list[tuple[str, str]]:
    return [(str(element), message) for element, message in graph.iter_error_messages()]


def _check_options(file: Path, data: dict) -> list[str]:
    options = data["options"]["parameters"]
    told = ("title", "author", "description")
    faults = [f"options: {key} is empty" for key in told if not options.get(key)]
    if options.get("id") != file.stem:
        faults.append(f"options: id is {options.get('id')}, the file is {file.stem}")
    if data["metadata"]["file_format"] != 1:
        faults.append("file_format is not 1")
    return faults


def _without_version(text: str) -> str:
    return re.sub(r"^  grc_version: .*$", "", text, flags=re.MULTILINE)
