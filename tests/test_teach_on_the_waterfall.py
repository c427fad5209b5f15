# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""teach_on_the_waterfall.grc: what is clicked and named on the waterfall is recognised. Runs without
a screen.

RADIOFM_SCREENSHOTS=docs/images saves its picture in the documents.
"""

import json
import os
import sys
from pathlib import Path

import pytest
from activated import GRCC, run

pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")
pytest.importorskip("gnuradio.qtgui", reason="GNU Radio's Qt widgets are not installed")
pytest.importorskip("windows", reason="PyQt5 or pyqtgraph is not installed")

ROOT = Path(__file__).resolve().parents[1]
LENGTH = 24_000_000  # samples of the recording that the example simulates
NAMES = {"pocsag": "pager", "on-off-keying": "my remote", "fsk-sensor": "thermometer"}  # of the truth: ours


@pytest.mark.skipif(GRCC is None, reason="grcc is not installed")
def test_teach_on_the_waterfall(tmp_path):
    """In a process of its own: Qt and GNU Radio end there whatever happens."""
    run("grcc", ROOT / "examples" / "teach_on_the_waterfall.grc", folder=tmp_path)
    pictures = os.environ.get("RADIOFM_SCREENSHOTS")
    more = {"RADIOFM_SCREENSHOTS": str(Path(pictures).resolve())} if pictures else {}
    printed = run("python", __file__, folder=tmp_path, QT_QPA_PLATFORM="offscreen",
                  PYTHONPATH=str(ROOT / "tests"), **more)
    assert printed.splitlines()[-1] == "ended"


@pytest.mark.skipif(GRCC is None, reason="grcc is not installed")
def test_teach_signals_live(tmp_path):
    """Its twin without windows, to completion: what was taught by time and frequency is annotated right."""
    run("grcc", ROOT / "examples" / "teach_signals_live.grc", folder=tmp_path)
    printed = run("python", "teach_signals_live.py", folder=tmp_path)
    assert printed.count("(ok . #t) (command . enroll)") == 3 * len(NAMES)
    truth = json.loads((tmp_path / "simulated" / "band.sigmf-meta").read_text())["annotations"]
    ours = [a for a in json.loads((tmp_path / "taught.sigmf-meta").read_text())["annotations"]
            if a.get("core:generator", "").startswith("gr-radiofm")]
    for kind, name in NAMES.items():
        emissions = [a for a in truth if a["core:label"] == kind][3:]
        labels = [b["core:label"] for a in emissions for b in ours if is_half_of(b, a)]
        assert len(labels) >= 0.8 * len(emissions) > 5
        assert labels.count(name) >= 0.8 * len(labels), (kind, labels)


def is_half_of(b: dict, a: dict) -> bool:
    """Is an annotation of ours one of an emission, at least of half of it?"""
    middle = b["core:sample_start"] + b["core:sample_count"] / 2 - a["core:sample_start"]
    frequency = (b["core:freq_lower_edge"] + b["core:freq_upper_edge"]) / 2
    return (0 <= middle < a["core:sample_count"] < 2 * b["core:sample_count"]
            and a["core:freq_lower_edge"] <= frequency <= a["core:freq_upper_edge"])


def drive() -> None:
    """The hand: waits for signals, clicks three of each of three transmitters, types names, reads what is
    said of those that follow."""
    sys.path.insert(0, os.getcwd())
    import windows
    from PyQt5 import QtCore, QtTest

    windows.application()
    import teach_on_the_waterfall

    top = teach_on_the_waterfall.teach_on_the_waterfall()
    truth = json.loads(Path("simulated/band.sigmf-meta").read_text())["annotations"]
    top.start()
    top.show()
    top.resize(1180, 1000)
    window, model = top.waterfall.qwidget(), top.waterfall._model
    windows.wait(0.5)
    # a larger window than the screen that there is not
    window.zoom_in_time(1.2, 0)

    def is_one(box, a: dict) -> bool:
        """Is a box an emission of the recording, which is played again and again?"""
        middle = (box.first + box.last) / 2 % LENGTH - a["core:sample_start"]
        return (0 <= middle < a["core:sample_count"] and box.last - box.first > a["core:sample_count"] / 2
                and a["core:freq_lower_edge"] <= (box.lower + box.upper) / 2 <= a["core:freq_upper_edge"])

    def of(kind: str, label: str | None = None, behind: float = 0.0) -> list:
        """Boxes of a transmitter that are decided, behind a sample."""
        return [box for box in model.boxes.all()
                if box.label and box.first > behind and label in (None, box.label)
                and any(a["core:label"] == kind and is_one(box, a) for a in truth)]

    for kind, name in NAMES.items():
        windows.until(lambda kind=kind: len(of(kind)) >= 3, f"three signals of {kind}", 60)
        for shot, box in enumerate(of(kind)[-3:]):
            window.set_live(False)
            area = model.area(box)
            window.top = area.last + window.span / 3
            windows.wait(0.25)
            middle = (area.first + area.last) / 2, (area.lower + area.upper) / 2
            at = window._point(*middle) - QtCore.QPoint(8, 8)
            QtTest.QTest.mouseClick(window.plot.viewport(), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, at)
            windows.until(window.prompt.isVisible, "the prompt")
            QtTest.QTest.keyClicks(window.prompt.edit, name)
            QtTest.QTest.keyClick(window.prompt.edit, QtCore.Qt.Key_Return)
            windows.until(lambda name=name, shot=shot: top.panel._model.shots.get(name) == shot + 1,
                          f"'{name}' to have {shot + 1} shots; said: {window.note.text()}", 30)
        window.set_live(True)
    taught_at = model.rows.latest.sample_of(model.rows.span()[1])
    for kind, name in NAMES.items():
        windows.until(lambda kind=kind, name=name: len(of(kind, name, taught_at)) >= 2,
                      f"{kind} to be called {name}", 60)
    windows.wait(6.0)
    windows.photograph(top, "teach_on_the_waterfall")
    called = [box.label for kind, name in NAMES.items() for box in of(kind, behind=taught_at)
              if box.label in NAMES.values() and box.label != name]
    right = sum(len(of(kind, name, taught_at)) for kind, name in NAMES.items())
    print(f"{right} right, {len(called)} wrong: {called}")
    assert len(called) <= right / 10, (called, right)
    assert top.waterfall.refused() == top.panel.refused() == top.similar.refused() == 0
    assert len(top.similar._model.dots()) > 50
    assert [len(one.shots) for one in top.similar._model.taught()] == [3] * len(NAMES)
    top.stop()
    top.wait()
    print("ended", flush=True)
    os._exit(0)  # past Qt's and GNU Radio's destructors, whose order is not defined


if __name__ == "__main__":
    drive()
