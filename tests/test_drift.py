# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Drift: no more false alarms than stated, at the edge of what is assumed, and the change is found."""

from itertools import pairwise

import numpy as np
import pytest
from radiofm_ml.evaluate.drift_check import WITH, WITHOUT, run_lengths, simulate
from radiofm_ml.fewshot import FewShot
from radiofm_ml.fewshot.calibrating import calibrate
from radiofm_ml.fewshot.drift import DriftMonitor
from test_fewshot import D, labelled, world

BLOCK = DriftMonitor.BLOCK


@pytest.mark.parametrize("stream", WITHOUT)
def test_alarms_are_no_more_frequent_than_stated(stream):
    """At the edge: as many unknown signals as are assumed, tiles of a block independent or all the same."""
    lengths = run_lengths(WITHOUT[stream], rate=1e-3, runs=60, limit=6000)
    assert lengths.mean() >= 1000  # cut at 6000, so the true mean is larger yet


def test_the_rate_is_not_an_empty_promise():
    """A little beyond what is assumed and alarms come: the test does spend its rate."""
    assert (run_lengths(list(WITHOUT.values())[-1], rate=1e-3, runs=40, limit=20_000) < 20_000).mean() > 0.5
    assert (run_lengths(WITH["45% fit nothing"], rate=1e-6, runs=10, limit=4000) < 4000).all()


def test_a_change_is_found_within_blocks_and_later_at_a_lower_rate():
    change = {rate: run_lengths(WITH["p-values a tenth"], rate, 10, 4000).mean()
              for rate in (1e-3, 1e-6, 1e-9)}
    assert change[1e-3] < change[1e-6] < change[1e-9] <= 800
    assert change[1e-6] <= 16 * BLOCK


def test_simulation_reports_what_it_saw():
    rows = simulate(1e-3, runs=2)
    assert [r["drift"] for r in rows] == [False] * len(WITHOUT) + [True] * len(WITH)
    assert all(r["alarms"] == 2 and r["mean"] < 1000 for r in rows if r["drift"])
    assert rows[0]["alarms"] == 0 and rows[0]["mean"] == rows[0]["longest"] >= rows[0]["limit"] == 5000


def test_known_signals_taught_with_few_shots_raise_no_alarm_and_a_changed_receiver_does():
    """Signals stay on for long, so that neighbours are alike, a tenth of the time an unknown one is on; then
    a receiver with another gain, of which nothing was taught."""
    x, y = labelled(1, 40, 40)
    table = calibrate(x, y, "none", shots=(5,), ways=(6,), episodes=40, metrics=("euclidean",))
    alarms, delays = 0, []
    for seed in range(6):
        draw, rng = world([20, seed], 8), np.random.default_rng(seed)
        few = FewShot(D, calibration=table)
        for k in range(6):
            few.prototypes.enroll(str(k), draw(k, 5))

        def stream(tiles, gain, few=few, draw=draw, rng=rng):
            """Tiles until the alarm, in bursts of up to 24."""
            seen = 0
            while seen < tiles and not few.drift.drifting:
                n, k = int(rng.integers(1, 25)), rng.integers(6) if rng.random() < 0.9 else 7
                x = draw(k, n) * np.float32(gain)
                few.observe(x, few.predict(x))
                seen += n
            return seen

        alarms += stream(4000, 1.0) < 4000
        few.drift.reset()
        delays.append(stream(2000, 1.4))
    assert alarms == 0
    assert max(delays) < 600


def test_the_warning_goes_when_the_stream_looks_as_before_and_not_earlier():
    rng, monitor = np.random.default_rng(0), DriftMonitor()
    monitor.update(rng.random(500))
    assert not monitor.drifting and monitor.statistic < 0.5
    monitor.update(np.zeros(400))
    assert monitor.drifting and monitor.statistic >= 1.0
    monitor.update(np.zeros(2000))
    assert monitor.drifting
    monitor.update(rng.random(12 * BLOCK))
    assert not monitor.drifting and monitor.statistic < 0.5
    monitor.update(np.zeros(400))
    monitor.reset()
    assert not monitor.drifting and monitor.statistic == 0.0


def test_portions_do_not_matter():
    p, ends = np.random.default_rng(1).random(1000) ** 4, [0, 1, 30, 31, 33, 400, 999, 1000]
    whole, parts = DriftMonitor(), DriftMonitor()
    whole.update(p)
    for a, b in pairwise(ends):
        parts.update(p[a:b])
    assert whole.statistic == parts.statistic > 0


@pytest.mark.parametrize("rate", [0, 1e-10, 0.1, True, "1", float("nan"), None])
def test_the_rate_is_checked(rate):
    with pytest.raises(ValueError, match="drift_rate"):
        DriftMonitor(rate)
    few = FewShot(D, drift_rate=1e-5)
    with pytest.raises(ValueError, match="drift_rate"):
        few.drift.set_rate(rate)
    assert few.drift.rate == 1e-5
