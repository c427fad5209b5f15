# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Other people's decoders, to judge what we synthesise. A test whose decoder is not installed is skipped.

    received = receive(signal, 250e3)              # at the decoder's rate, with a little noise
    packets = rtl_433(received, 250e3, "-R", "19")
    lines = multimon(fm_demodulate(received, 48e3, 3e3), 48e3, "POCSAG1200")
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly

TIMEOUT = 60  # seconds; a decoder takes one or two, a busy machine ten times that


def program(name: str) -> str:
    """Path of a decoder, or skip the test."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run(name: str, *args: object, data: bytes = b"", ok: tuple[int, ...] = (0,)) -> str:
    """What ``name args`` prints (stdout, then stderr), given ``data`` on its standard input.

    Fails the test on an exit status that is not in ``ok``, or after TIMEOUT seconds.
    """
    command = [program(name), *map(str, args)]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        pytest.fail(f"{' '.join(command)}: no end after {TIMEOUT} s")
    text = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")
    if done.returncode not in ok:
        pytest.fail(f"{' '.join(command)}: exit status {done.returncode}\n{text[-2000:]}")
    return text


# -- samples -----------------------------------------------------------------------------------------
def resample(x: np.ndarray, rate: float, to: float) -> np.ndarray:
    """``x`` at ``rate`` to the rate ``to``."""
    ratio = Fraction(to / rate).limit_denominator(4000)
    return x if ratio == 1 else resample_poly(x, ratio.numerator, ratio.denominator).astype(x.dtype)


def receive(
    signal, rate: float, snr_db: float = 30.0, offset: float = 0.0, pad: float = 0.05, seed: int = 0
) -> np.ndarray:
    """A Signal as a good receiver hears it: complex64 at ``rate``, ``pad`` seconds of noise around it.

    snr_db: power 1 over the noise in the whole received band. offset: of the carrier, in Hz.
    """
    x = resample(signal.iq, signal.sample_rate, rate)
    x = np.pad(x, int(pad * rate))
    x = x * np.exp(2j * np.pi * ((offset / rate * np.arange(len(x))) % 1))
    noise = np.random.default_rng(seed).standard_normal((len(x), 2)) @ [1, 1j]
    return (x + noise * 10 ** (-snr_db / 20) / np.sqrt(2)).astype(np.complex64)


def fm_demodulate(x: np.ndarray, rate: float, deviation: float) -> np.ndarray:
    """Instantaneous frequency over ``deviation`` (Hz), float32, one sample less."""
    return (np.angle(x[1:] * np.conj(x[:-1])) * (rate / (2 * np.pi * deviation))).astype(np.float32)


def am_demodulate(x: np.ndarray) -> np.ndarray:
    """Envelope around its mean, in units of it; float32."""
    envelope = np.abs(x)
    return (envelope / envelope.mean() - 1).astype(np.float32)


def to_cu8(x: np.ndarray, level: float = 0.5) -> bytes:
    """Interleaved unsigned 8-bit I/Q, as RTL-SDR tools read; the peak at ``level`` of full scale."""
    scaled = np.ascontiguousarray(x, np.complex64).view(np.float32) * (level / np.abs(x).max())
    return np.clip(np.round(scaled * 127.5 + 127.5), 0, 255).astype(np.uint8).tobytes()


def to_cs16(x: np.ndarray, level: float = 0.5) -> bytes:
    """Interleaved signed 16-bit I/Q, little-endian."""
    scaled = np.ascontiguousarray(x, np.complex64).view(np.float32) * (level / np.abs(x).max())
    return np.round(scaled * 32767).astype("<i2").tobytes()


def to_s16(audio: np.ndarray, level: float = 0.5) -> bytes:
    """Real samples, signed 16-bit little-endian; the 99.9 % quantile of the magnitude at ``level``."""
    top = np.quantile(np.abs(audio), 0.999)
    return np.round(np.clip(audio * (level / top), -1, 1) * 32767).astype("<i2").tobytes()


def write_wav(path: Path, audio: np.ndarray, rate: int, level: float = 0.5) -> Path:
    """Mono 16-bit WAV file. Returns its path."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(to_s16(audio, level))
    return path


# -- decoders ----------------------------------------------------------------------------------------
def rtl_433(x: np.ndarray, rate: float, *args: object, frequency: float = 433.92e6) -> list[dict]:
    """What rtl_433 decodes in the samples, a dict a packet; ``args`` such as "-R", 19."""
    program("rtl_433")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.cs16"
        path.write_bytes(to_cs16(x))
        text = run("rtl_433", "-r", path, "-s", int(rate), "-f", int(frequency), "-F", "json", "-M", "level",
                   *args)  # fmt: skip
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def multimon(audio: np.ndarray, rate: float, *modes: str, args: tuple[str, ...] = ()) -> list[str]:
    """Lines that multimon-ng prints for demodulated audio at any rate; ``modes`` such as "POCSAG1200"."""
    audio = resample(np.asarray(audio, np.float32), rate, 22050)
    chosen = [word for mode in modes for word in ("-a", mode)]
    text = run("multimon-ng", "-q", *args, *chosen, "-t", "raw", "-", data=to_s16(audio))
    return [line for line in text.splitlines() if line.strip()]


def direwolf_packets(audio: np.ndarray, rate: float, baud: int = 1200, *args: object) -> str:
    """What direwolf's ``atest`` prints for demodulated audio: the packets and their number."""
    program("atest")
    with tempfile.TemporaryDirectory() as folder:
        path = write_wav(Path(folder) / "audio.wav", resample(np.asarray(audio), rate, 48000), 48000)
        return run("atest", "-B", baud, *args, path)


def dump1090(x: np.ndarray, rate: float, *args: object) -> list[str]:
    """Raw Mode S messages ('8D4840D6...;' without the star) that dump1090 finds; resampled to 2.4 MS/s."""
    program("dump1090-mutability")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.cu8"
        path.write_bytes(to_cu8(resample(x, rate, 2.4e6)))
        text = run("dump1090-mutability", "--ifile", path, "--oversample", "--raw", *args)
    return [line.strip("*; ") for line in text.splitlines() if line.startswith("*")]


def minimodem(audio: np.ndarray, rate: float, *args: object) -> str:
    """Text that minimodem reads from demodulated audio; ``args`` such as "--rx", "rtty"."""
    program("minimodem")
    with tempfile.TemporaryDirectory() as folder:
        path = write_wav(Path(folder) / "audio.wav", resample(np.asarray(audio), rate, 48000), 48000)
        return run("minimodem", "--rx", "--file", path, *args, ok=(0, 1))


# Debian's grgsm_decode asks GNU Radio 3.10 for a block under its old name; it is for sending the messages on
# by UDP, which we do not want.
_GRGSM = """
import runpy, sys
import pmt
from gnuradio import gr, pdu

class nowhere(gr.basic_block):
    def __init__(self, *unused):
        gr.basic_block.__init__(self, "nowhere", None, None)
        self.message_port_register_in(pmt.intern("pdus"))
        self.set_msg_handler(pmt.intern("pdus"), lambda message: None)

pdu.socket_pdu = nowhere
sys.argv[0] = "grgsm_decode"
runpy.run_path(%r, run_name="__main__")
"""


def grgsm_decode(x: np.ndarray, rate: float, mode: str = "BCCH") -> list[tuple[int, bytes]]:
    """(frame number, 23 octets) of the messages that gr-gsm decodes on time slot 0 of a C0 carrier."""
    path = program("grgsm_decode")
    interpreter = Path(path).read_text().splitlines()[0].removeprefix("#!").split()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "samples.cfile"
        np.asarray(x, np.complex64).tofile(file)
        text = run(*interpreter, "-c", _GRGSM % path, "-c", file, "-s", rate, "-f", 940e6, "-m", mode, "-v")
    lines = re.findall(r"^ *(\d+) +\d+: +((?:[0-9a-f]{2} ?){23})", text, re.MULTILINE)
    return [(int(frame), bytes.fromhex(octets)) for frame, octets in lines]


def welle_cli(x: np.ndarray, wanted: tuple[str, ...]) -> str:
    """What welle-cli prints about DAB at 2.048 MS/s, until all of ``wanted`` is in it or it has had its time.

    It plays a file in real time, and over again.
    """
    path = program("welle-cli")
    with tempfile.TemporaryDirectory() as folder:
        file, log = Path(folder) / "samples.u8", Path(folder) / "log"
        file.write_bytes(to_cu8(x, 0.8))
        with log.open("wb") as out:
            # no such programme: it goes on listening for one
            player = subprocess.Popen([path, "-f", file, "-p", "none"], stdout=out, stderr=out, cwd=folder)
            try:
                deadline = time.monotonic() + TIMEOUT
                while player.poll() is None and time.monotonic() < deadline:
                    if all(word in log.read_text("utf-8", "replace") for word in wanted):
                        break
                    time.sleep(0.2)
            finally:
                player.kill()
                player.wait()
        return log.read_text("utf-8", "replace")
