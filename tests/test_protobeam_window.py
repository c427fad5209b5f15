# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""protobeam_new_antenna.grc without a screen: buttons swap the antenna and teach it, the window shows it."""

import os
import sys
import time
from pathlib import Path

import pytest
from activated import GRCC, run

pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")
pytest.importorskip("gnuradio.qtgui", reason="GNU Radio's Qt widgets are not installed")

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = "protobeam-sim"


@pytest.mark.skipif(GRCC is None, reason="grcc is not installed")
def test_buttons(tmp_path):
    """In a process of its own: Qt and GNU Radio end there whatever happens."""
    run("grcc", ROOT / "examples" / "protobeam_new_antenna.grc", folder=tmp_path)
    printed = run("python", __file__, BUNDLE, tmp_path / "window.png", folder=tmp_path,
                  QT_QPA_PLATFORM="offscreen")  # fmt: skip
    assert printed.splitlines()[-1] == "ended"


def drive(bundle: str, picture: str) -> None:
    """The hand: waits until it is taught, swaps the antenna, teaches it, reads what is shown."""
    sys.path.insert(0, os.getcwd())
    import protobeam_new_antenna
    from PyQt5 import Qt

    app = Qt.QApplication(sys.argv[:1])
    top = protobeam_new_antenna.protobeam_new_antenna(bundle=bundle)
    top.set_samp_rate(20e6)  # as fast as it goes
    top.start()
    top.show()

    def shown(window):
        return window.findChild(Qt.QLineEdit).text()

    def until(condition, what, seconds=120):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (f"waited in vain for: {what}; "
                                                 f"'{shown(top._accuracy_win)}', '{shown(top._answer_win)}'")
            app.processEvents()
            time.sleep(0.01)

    def right(antenna):
        """The share of right labels that is shown, of this antenna; None before."""
        text = shown(top._accuracy_win)
        return float(text.split()[0]) if text.endswith(f"(antenna {antenna})") else None

    until(lambda: len(top.classifier.labels()) == 24, "all beams to be taught")
    until(lambda: (right("a") or 0) > 60, "most labels of antenna a to be right")
    top.swap.click()
    until(lambda: top.source.front_end() == "b", "the antenna to be swapped")
    until(lambda: right("b") is not None and right("b") < 40, "most labels of antenna b to be wrong")
    top.teach.click()
    until(lambda: len(top.classifier.labels()) < 24, "what was taught to be forgotten")
    until(lambda: len(top.classifier.labels()) == 24, "all beams to be taught again")
    until(lambda: (right("b") or 0) > 60, "most labels of antenna b to be right")
    top.resize(1000, 600)
    until(lambda: shown(top._answer_win), "an answer")
    top.grab().save(picture)
    top.stop()
    top.wait()
    print("ended", flush=True)
    os._exit(0)  # past Qt's and GNU Radio's destructors, whose order is not defined


if __name__ == "__main__":
    drive(*sys.argv[1:])
