# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Drift on simulated beams: false alarms on the front end that was taught, and how soon a swap is reported.

Front ends a and c at a gain of 50 dB are taught with a few blocks of each of 24 beams; then come blocks of
random beams, of the same front end and of each other one. The default rate of false alarms; the shipped
encoder. A minute.
"""

import numpy as np
from radiofm_ml.engines import open_engine
from radiofm_ml.fewshot import FewShot
from radiofm_ml.synth.beams import BeamSimulator

TAUGHT, OTHERS, SHOTS, BEAMS, GAIN_DB = "ac", "abcd", (2, 5, 10), 24, 50
BLOCKS, AFTER, STEP = 26_000, 4_000, 16


def embedded(engine, front_end: str, beams: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    simulator = BeamSimulator(front_end, rx_gain_db=GAIN_DB)
    iq = np.empty((len(beams), engine.block), np.complex64)
    for beam in np.unique(beams):
        where = np.flatnonzero(beams == beam)
        iq[where] = simulator.blocks(int(beam), len(where), rng, length=engine.block)
    return engine.embed(iq)


def listen(few: FewShot, engine, front_end: str, blocks: int, rng: np.random.Generator):
    """(share of right labels, number of alarms, blocks to the first one or None)."""
    few.drift.reset()
    right, alarms, first, drifting = 0, 0, None, False
    for start in range(0, blocks, 2000):
        beams = rng.integers(0, BEAMS, min(2000, blocks - start))
        embeddings = embedded(engine, front_end, beams, rng)
        for at in range(0, len(beams), STEP):
            some = embeddings[at:at + STEP]
            decision = few.predict(some)
            few.observe(some, decision)
            right += np.sum(np.array(few.labels)[decision.index] == beams[at:at + STEP].astype(str))
            if few.drift.drifting and not drifting:
                alarms, first = alarms + 1, first or start + at + STEP
            drifting = few.drift.drifting
    return right / blocks, alarms, first


def main() -> None:
    engine, rng = open_engine("protobeam-sim"), np.random.default_rng(5)
    print("taught shots  right  alarms | swapped for: right, reported after")
    for front_end in TAUGHT:
        for shots in SHOTS:
            few = FewShot.for_bundle(engine.bundle, "", shipped=False)
            for beam in range(BEAMS):
                few.prototypes.enroll(str(beam), embedded(engine, front_end, np.full(shots, beam), rng))
            right, alarms, _ = listen(few, engine, front_end, BLOCKS, rng)
            swaps = []
            for other in OTHERS.replace(front_end, ""):
                after, _, first = listen(few, engine, other, AFTER, rng)
                swaps.append(f"{other}: {after:.2f}, {first}")
            print(f"{front_end:>6} {shots:5}  {right:.3f}  {alarms} in {BLOCKS} | {'; '.join(swaps)}",
                  flush=True)


if __name__ == "__main__":
    main()
