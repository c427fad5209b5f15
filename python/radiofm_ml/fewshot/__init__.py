# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Labels from a few examples: prototypes, their geometry, calibrated decisions, drift. Needs numpy only.

    few = FewShot.open(bundle)
    few.prototypes.enroll("lora", embeddings, bundle.id)
    decision = few.predict(embeddings)
"""

from radiofm_ml.fewshot.calibrating import calibrate
from radiofm_ml.fewshot.classifier import CENTRES, Decision, FewShot, StreamMean
from radiofm_ml.fewshot.drift import DriftMonitor
from radiofm_ml.fewshot.geometry import METRICS, NORMALISATIONS
from radiofm_ml.fewshot.prototypes import UNKNOWN, PrototypeError, PrototypeSet

__all__ = ["CENTRES", "METRICS", "NORMALISATIONS", "UNKNOWN", "Decision", "DriftMonitor", "FewShot",
           "PrototypeError", "PrototypeSet", "StreamMean", "calibrate"]
