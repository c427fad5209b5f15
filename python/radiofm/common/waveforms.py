# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The signals that waveform_source can send: GNU Radio's own modulators, fed with seeded random data.

Digital signals are defined in samples per symbol, so that they keep their look at every sample rate.
AM and FM have the audio bandwidths and deviations of their services in hertz.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from gnuradio import analog, blocks, digital, filter
from gnuradio.filter import firdes

EXCESS_BANDWIDTH = 0.35  # roll-off of the root-raised cosine
AUDIO_RATE = 48e3  # about; what divides the sample rate is taken
AM_DEPTH = 0.25  # RMS of the modulating audio; a quarter leaves room for its peaks
OFDM_FFT, OFDM_PREFIX, OFDM_CARRIERS = 256, 64, 100  # carriers fill 40 % of the band


@dataclass(frozen=True)
class Waveform:
    """Blocks to connect one behind the other, and the mean power of what the last one sends."""

    chain: tuple
    power: float


@dataclass(frozen=True)
class Settings:
    """samp_rate: Hz. sps: samples per symbol. seed: of the random data."""

    samp_rate: float
    sps: int
    seed: int


def _bytes(settings: Settings):
    return analog.random_uniform_source_b(0, 256, settings.seed)


def _bits(settings: Settings):
    return analog.random_uniform_source_b(0, 2, settings.seed)


def _tone(settings: Settings) -> Waveform:
    return Waveform((analog.sig_source_c(settings.samp_rate, analog.GR_CONST_WAVE, 0, 1.0),), 1.0)


def _chirp(settings: Settings) -> Waveform:
    """Up-chirps through a quarter of the band, 512 symbols long."""
    sweep = analog.sig_source_f(1.0, analog.GR_SAW_WAVE, 1.0 / (512 * settings.sps), 1.0, -0.5)
    return Waveform((sweep, analog.frequency_modulator_fc(2 * math.pi / 4)), 1.0)


def _audio(settings: Settings, cutoff: float, rms: float) -> tuple:
    """Band-limited noise, about as a crowd sounds, at the sample rate; never beyond +-1."""
    interpolation = max(1, round(settings.samp_rate / AUDIO_RATE))
    rate = settings.samp_rate / interpolation
    shape = firdes.low_pass(1.0, rate, cutoff, cutoff / 3)
    gain = rms / math.sqrt(sum(tap * tap for tap in shape))
    chain = (analog.noise_source_f(analog.GR_GAUSSIAN, gain, settings.seed), filter.fir_filter_fff(1, shape),
             analog.rail_ff(-1.0, 1.0))
    if interpolation > 1:
        images = firdes.low_pass(interpolation, settings.samp_rate, rate / 2, rate - 2.6 * cutoff)
        chain += (filter.interp_fir_filter_fff(interpolation, images),)
    return chain


def _am(settings: Settings) -> Waveform:
    carrier = (blocks.add_const_ff(1.0), blocks.float_to_complex(1))
    return Waveform(_audio(settings, 3e3, AM_DEPTH) + carrier, 1.0 + AM_DEPTH**2)


def _fm(transmitter, cutoff: float, rms: float, **options) -> Callable[[Settings], Waveform]:
    def make(settings: Settings) -> Waveform:
        # Audio comes interpolated: wfm_tx prints a line when it has to do that itself.
        rate = round(settings.samp_rate)
        return Waveform(_audio(settings, cutoff, rms) + (transmitter(rate, rate, **options),), 1.0)

    return make


def _linear(points) -> Callable[[Settings], Waveform]:
    def make(settings: Settings) -> Waveform:
        # generic_mod's filter grows with the square of the samples per symbol: it runs at two to
        # three of them, and a plain interpolator does the rest at a quarter of the cost.
        interpolation = max(1, settings.sps // 2)
        inner = settings.sps / interpolation
        constellation = points()
        modulator = digital.generic_mod(constellation.base(), differential=False, samples_per_symbol=inner,
                                        excess_bw=EXCESS_BANDWIDTH)
        mean = sum(abs(p) ** 2 for p in constellation.points()) / len(constellation.points())
        power = mean * sum(tap * tap for tap in modulator.rrc_taps) / 32  # generic_mod has 32 filter phases
        chain = (_bytes(settings), modulator)
        if interpolation > 1:
            edge = (1 + EXCESS_BANDWIDTH) / 2
            taps = firdes.low_pass(interpolation, settings.sps, inner / 2, inner - 2 * edge)
            chain += (filter.interp_fir_filter_ccf(interpolation, taps),)
        return Waveform(chain, power)

    return make


def _ook(settings: Settings) -> Waveform:
    """On-off keying of a remote control's speed: 64 times slower than the other digital signals."""
    return Waveform((_bits(settings), digital.chunks_to_symbols_bc((0, 1), 1),
                     blocks.repeat(8, 64 * settings.sps)), 0.5)


def _fsk(settings: Settings) -> Waveform:
    """Two tones, half a band/sps apart at a quarter of the symbol rate."""
    return Waveform((_bits(settings), analog.cpfsk_bc(4.0, 1.0, 4 * settings.sps)), 1.0)


def _msk(settings: Settings) -> Waveform:
    return Waveform((_bits(settings), analog.cpfsk_bc(0.5, 1.0, settings.sps)), 1.0)


def _gfsk(settings: Settings) -> Waveform:
    return Waveform((_bytes(settings), digital.gfsk_mod(settings.sps, math.pi / settings.sps, 0.5)), 1.0)


def _gmsk(settings: Settings) -> Waveform:
    return Waveform((_bytes(settings), digital.gmsk_mod(settings.sps, 0.3)), 1.0)


def _ofdm(settings: Settings) -> Waveform:
    """Packets of digital.ofdm_tx: two preambles, a header, 8 symbols of 8PSK."""
    half = OFDM_CARRIERS // 2
    pilots = (-42, -14, 14, 42)
    carriers = [c for c in range(-half, half + 1) if c != 0 and c not in pilots]
    packet = 8 * len(carriers) * 3 // 8 - 4  # bytes that, with their CRC, fill the symbols
    transmitter = digital.ofdm_tx(fft_len=OFDM_FFT, cp_len=OFDM_PREFIX, packet_length_tag_key="length",
                                  occupied_carriers=(carriers,), pilot_carriers=(pilots,),
                                  pilot_symbols=((1, 1, 1, -1),), bps_header=1, bps_payload=3)
    return Waveform((_bytes(settings), blocks.stream_to_tagged_stream(1, 1, packet, "length"), transmitter),
                    float(OFDM_CARRIERS))


WAVEFORMS: dict[str, Callable[[Settings], Waveform]] = {
    "tone": _tone,
    "chirp": _chirp,
    "am": _am,
    "nbfm": _fm(analog.nbfm_tx, 3e3, 0.2, max_dev=5e3),
    "wbfm": _fm(analog.wfm_tx, 12e3, 0.2, max_dev=75e3),
    "ook": _ook,
    "fsk": _fsk,
    "msk": _msk,
    "gfsk": _gfsk,
    "gmsk": _gmsk,
    "bpsk": _linear(digital.constellation_bpsk),
    "qpsk": _linear(digital.constellation_qpsk),
    "8psk": _linear(digital.constellation_8psk),
    "16qam": _linear(digital.constellation_16qam),
    "ofdm": _ofdm,
}
MIN_RATE = {"am": 20e3, "nbfm": 40e3, "wbfm": 250e3}  # Hz, so that the signal fits into the band
NOISE = "noise"  # nothing but noise
LABELS = (NOISE, *WAVEFORMS)


def labels_at(samp_rate: float) -> tuple[str, ...]:
    """Labels that fit into a band of ``samp_rate`` Hz."""
    return tuple(label for label in LABELS if samp_rate >= MIN_RATE.get(label, 0.0))
