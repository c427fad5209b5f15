# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A simulator of 60 GHz links whose transmitter sweeps beams: received I/Q with the faults of its front end.

    simulator = BeamSimulator(front_end="a", geometry="basic", codebook=24, rx_gain_db=50)
    x = simulator.blocks(beam=7, n=100, rng=np.random.default_rng(0))    # complex64 (100, 2048)
    stream = simulator.stream(np.random.default_rng(1))                  # continuous; settings may change

It stands in for the DeepBeam data set (hdl.handle.net/2047/D20409451) where that is not at hand: the same
layout, codebooks, gains and names. It is a simulation, calibrated once against what is published of
DeepBeam's own network (``constants``) and frozen: ``VERSION`` changes with any change of its output.
"""

from radiofm_ml.synth.beams.array import CODEBOOKS
from radiofm_ml.synth.beams.constants import BLOCK, BLOCKS_PER_FRAME, GAINS_DB, SAMPLE_RATE, VERSION
from radiofm_ml.synth.beams.frontend import NAMED
from radiofm_ml.synth.beams.geometry import GEOMETRIES
from radiofm_ml.synth.beams.simulator import AOA_ANGLES, AOA_BEAMS, BeamSimulator
from radiofm_ml.synth.beams.stream import BeamStream

__all__ = ["AOA_ANGLES", "AOA_BEAMS", "BLOCK", "BLOCKS_PER_FRAME", "CODEBOOKS", "GAINS_DB", "GEOMETRIES",
           "NAMED", "SAMPLE_RATE", "VERSION", "BeamSimulator", "BeamStream"]
