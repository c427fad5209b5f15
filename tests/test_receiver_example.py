# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""receiver.grc: one block annotates a band in absolute hertz, though its source sends no tags."""

import json
from pathlib import Path

import pytest
from activated import GRCC, run

pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")
ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(GRCC is None, reason="grcc is not installed")
def test_receiver(tmp_path):
    run("grcc", ROOT / "examples" / "receiver.grc", folder=tmp_path)
    run("python", "receiver.py", folder=tmp_path)
    truth = json.loads((tmp_path / "simulated" / "receiver.sigmf-meta").read_text())["annotations"]
    ours = json.loads((tmp_path / "received.sigmf-meta").read_text())["annotations"]
    found = [any(a["core:freq_lower_edge"] <= (b["core:freq_lower_edge"] + b["core:freq_upper_edge"]) / 2
                 <= a["core:freq_upper_edge"]
                 and b["core:sample_start"] < a["core:sample_start"] + a["core:sample_count"]
                 and a["core:sample_start"] < b["core:sample_start"] + b["core:sample_count"] for b in ours)
             for a in truth]
    assert len(found) > 10 and sum(found) >= 0.8 * len(found)
