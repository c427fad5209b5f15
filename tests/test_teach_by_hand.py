# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""teach_by_hand.grc: typing a name and pressing Enter teaches what is on the air. Runs without a screen."""

import os
import sys
import time
from pathlib import Path

import pytest
from activated import GRCC, run

pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")
pytest.importorskip("gnuradio.qtgui", reason="GNU Radio's Qt widgets are not installed")

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(GRCC is None, reason="grcc is not installed")
def test_teach_by_hand(tmp_path):
    """In a process of its own: Qt and GNU Radio end there whatever happens."""
    run("grcc", ROOT / "examples" / "teach_by_hand.grc", folder=tmp_path)
    printed = run("python", __file__, folder=tmp_path, QT_QPA_PLATFORM="offscreen")
    assert printed.splitlines()[-1] == "ended"


def drive() -> None:
    """The hand: chooses signals, types names, presses the button, reads what is shown."""
    sys.path.insert(0, os.getcwd())
    import pmt
    import teach_by_hand
    from gnuradio import blocks
    from PyQt5 import Qt, QtTest

    app = Qt.QApplication(sys.argv[:1])
    top = teach_by_hand.teach_by_hand()
    arrived = blocks.message_debug()
    top.msg_connect(top.embedder, "embeddings", arrived, "store")
    top.start()
    top.show()

    def until(condition, what, seconds=120):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for: {what}; heard '{shown(top._heard_win)}'"
            app.processEvents()
            time.sleep(0.01)

    def shown(window):
        return window.findChild(Qt.QLineEdit).text()

    def embedded():
        """First sample of the newest embedded tile."""
        if not arrived.num_messages():
            return -1
        meta = pmt.to_python(pmt.car(arrived.get_message(arrived.num_messages() - 1)))
        return meta["sample_start"]

    def put_on_air(label):
        top.set_on_air(label)
        until(lambda: top.source.label() == label, f"{label} to be sent")
        sent = top.source.sent()
        until(lambda: embedded() >= sent, f"{label} to be embedded")

    def teach(name):
        edit = top._name_to_teach_win.findChild(Qt.QLineEdit)
        edit.setText(name)
        QtTest.QTest.keyClick(edit, Qt.Qt.Key_Return)
        until(lambda: name in top.classifier.labels(), f"{name} to be taught")

    put_on_air("ofdm")
    until(lambda: shown(top._heard_win).startswith("unknown"), "nothing to be known")
    for label in ("ofdm", "gfsk", "ook"):
        put_on_air(label)
        teach(f"my {label}")
        told = f"enroll my {label}: 5 shots"
        until(lambda told=told: shown(top._answer_win) == told, told)
    for label in ("gfsk", "ofdm"):
        put_on_air(label)
        until(lambda label=label: shown(top._heard_win).startswith(f"my {label}"), f"{label} to be heard")
    put_on_air("noise")
    until(lambda: shown(top._heard_win).startswith("unknown"), "noise to be unknown")
    top.undo.click()
    until(lambda: top.classifier.labels() == ("my ofdm", "my gfsk"), "the last label to be taken back")
    top.stop()
    top.wait()
    print("ended", flush=True)
    os._exit(0)  # past Qt's and GNU Radio's destructors, whose order is not defined


if __name__ == "__main__":
    drive()
