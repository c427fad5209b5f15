# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Block descriptions and examples as GNU Radio Companion sees them."""

import inspect
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML, which comes with GNU Radio Companion, is not installed")
radiofm = pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")
grc_checks = pytest.importorskip("grc_checks", reason="GNU Radio Companion is not installed")


ROOT = Path(__file__).resolve().parents[1]
BLOCKS = sorted((ROOT / "grc").glob("*.block.yml"))
EXAMPLES = sorted((ROOT / "examples").glob("*.grc"))


@pytest.fixture(scope="module")
def library():
    return grc_checks.platform()


@pytest.mark.parametrize("file", BLOCKS, ids=lambda file: file.name)
def test_block_description(file, library):
    assert grc_checks.check_description(file, library, radiofm) == []


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_example_is_canonical(file, library, tmp_path):
    assert grc_checks.check_flowgraph(file, library, tmp_path) == []


def test_every_description_is_installed():
    listed = (ROOT / "grc" / "CMakeLists.txt").read_text()
    assert [file.name for file in BLOCKS if file.name not in listed] == []


def test_every_block_has_a_description():
    described = {file.name.removesuffix(".block.yml").removeprefix("radiofm_") for file in BLOCKS}
    blocks = {name for name, item in vars(radiofm).items()
              if inspect.isclass(item) and not hasattr(item, "__members__")}  # bound enums have members
    assert blocks == described


def test_every_example_is_explained():
    readme = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert [file.name for file in EXAMPLES if file.name not in readme] == []


# -- the checks find what they are there to find --------------------------------------------------
WAVEFORM_SOURCE = ROOT / "grc" / "radiofm_waveform_source.block.yml"
GOOD = yaml.safe_load(WAVEFORM_SOURCE.read_text(encoding="utf-8"))


def broken(change):
    data = yaml.safe_load(yaml.safe_dump(GOOD))
    change(data)
    return data


def drop_parameter(data):
    data["parameters"] = [p for p in data["parameters"] if p["id"] != "snr"]


def add_parameter(data):
    data["parameters"].append({"id": "gain", "label": "Gain (dB)", "dtype": "float", "default": "0"})


def bad_assert(data):
    data["asserts"][0] = "${ !samp_rate# not Python }"


def silent_assert(data):
    data["asserts"][0] = "${ samp_rate > 0 }"


def bad_callback(data):
    data["templates"]["callbacks"][0] = "set_snr()"


def missing_callback(data):
    data["templates"]["callbacks"].pop()


def bad_make(data):
    data["templates"]["make"] = data["templates"]["make"].replace("samp_rate=", "rate=")


def bad_default(data):
    data["parameters"][5]["default"] = "'one'"


def bad_schema(data):
    data["outputs"][0]["multiplicity"] = []


@pytest.mark.parametrize(("change", "fault"), [
    (drop_parameter, "'snr' is not defined"), (add_parameter, "'gain' is used nowhere"),
    (bad_assert, "is not Python"), (silent_assert, "gives no reason"),
    (bad_callback, "missing a required argument"),
    (missing_callback, "setter set_center_freq has no callback"),
    (bad_make, "unexpected keyword argument 'rate'"), (bad_default, "default of parameter 'seed'"),
    (bad_schema, "multiplicity")])
def test_a_broken_description_is_found(change, fault, library, tmp_path):
    file = tmp_path / WAVEFORM_SOURCE.name
    file.write_text(yaml.safe_dump(broken(change), sort_keys=False), encoding="utf-8")
    try:
        found = grc_checks.check_description(file, library, radiofm)
    finally:
        library.load_block_description(GOOD, str(WAVEFORM_SOURCE))
    assert any(fault in text for text in found), found
