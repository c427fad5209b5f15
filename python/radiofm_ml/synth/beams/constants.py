# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Every number of the beam simulator that is not geometry: the frozen table.

The spreads (how much one front end differs from the next), the SNRs, the strength of the echoes and the drift
were set once, by ``bench/calibrate_beams.py``, against what is published of DeepBeam's own network on the
recorded data set: 85.9 % on the antenna that it was trained on, 15.4 % on another, about 50 % when trained on
a mixture. Here it has 86.4, 20.3 and 38.9 % (docs/beams.md). No prototypical network was looked at. A change
of any number here is a new ``VERSION``; tests/test_beams_sim.py holds the output of this one.
"""

from __future__ import annotations

VERSION = 1

# Link: the converters of the NI mmWave transceiver run at 3.072 GS/s; SiBeam's heads were tuned to 60.48 GHz.
SAMPLE_RATE = 3.072e9
CARRIER = 60.48e9
SAMPLES_PER_SYMBOL = 2
ROLL_OFF = 0.25

# Layout of the recorded data: blocks of 2048 samples, 15 to a frame, a frame every 10 ms, and 10,000 frames,
# so 100 s, for each gain and beam.
BLOCK = 2048
BLOCKS_PER_FRAME = 15
FRAME_SECONDS = 0.01
CAPTURE_SECONDS = 100.0

# Receiver. SNR_DB: of a perfect array's best beam on an open line of sight; what other beams send lies up to
# 30 dB below. RMS: of that signal at 60 dB; the unit of all samples.
GAINS_DB = (40, 50, 60)
SNR_DB = {40: 17.0, 60: 23.0}
RMS = 1.0

# Spread of the transmitters' arrays (standard deviations over elements and front ends).
ELEMENT_GAIN_DB = 0.6
ELEMENT_PHASE_DEG = 10.0
SHIFTER_GAIN_DB = 0.3
SHIFTER_PHASE_DEG = 4.0
GAIN_POLYNOMIAL = (0.06, 0.04, 0.02)  # of an element over the band: 1st, 2nd, 3rd order, at the edge
POINTING_DEG = 1.0

# Spread of the rest of a transmitter.
PA_BACKOFF_DB = (3.0, 9.0)  # saturation over the mean power
PA_AMPM_DEG = (2.0, 12.0)  # at saturation
IMAGE = 0.02
LEAK = 0.02
CFO_HZ = 250e3
CFO_DRIFT_HZ = 5e3
PHASE_NOISE = 0.004  # radians per square root of sample, at most
RIPPLE = 0.05

# Spread of the receivers.
RX_GAIN_ERROR_DB = 0.5
RX_ELEMENT_GAIN_DB = 0.7
RX_ELEMENT_PHASE_DEG = 10.0
RX_GAIN_POLYNOMIAL = (0.05, 0.03, 0.02)
RX_IMAGE = 0.015
RX_DC = 0.004  # of RMS

# Room. ECHO_DB is added to every echo's level.
ECHO_DB = 4.0
INSTALL_PHASE_RAD = 0.75  # of an echo, from one head to the next put in the same place
DRIFT_SECONDS = 40.0
DRIFT_PHASE_RAD = 0.15  # of an echo against the line of sight
DRIFT_LEVEL_DB = 0.15
