# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Narrowband digital signals: published test vectors, and what other people's decoders make of them."""

import numpy as np
import pytest
from decoders import (
    direwolf_packets,
    dump1090,
    fm_demodulate,
    minimodem,
    multimon,
    program,
    receive,
    run,
    to_cu8,
    to_s16,
)
from radiofm_ml.synth.signals import (
    adsb,
    ais,
    digital_voice,
    dmr,
    dstar,
    keying,
    p25,
    packet,
    paging,
    radiosonde,
)
from radiofm_ml.synth.signals.coding import (
    bits_of_bytes,
    bytes_of_bits,
    crc_ccitt,
    integer_of,
    reed_solomon,
    shift_register,
)
from radiofm_ml.synth.signals.modulation import Burst, assemble, four_levels, fsk, gaussian
from scipy.signal import firwin, lfilter


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def narrow(x: np.ndarray, rate: float, offset: float, width: float) -> np.ndarray:
    """One channel of ``width`` Hz at ``offset``, moved to the centre."""
    moved = x * np.exp(-2j * np.pi * (offset / rate * np.arange(len(x)) % 1))
    return lfilter(firwin(401, width / 2, fs=rate), 1, moved)


# -- codes -------------------------------------------------------------------------------------------
def test_crc_check_values():
    """The check values of CRC-16/X-25 (HDLC) and CRC-16/CCITT-FALSE over '123456789'."""
    hdlc = crc_ccitt(bits_of_bytes(b"123456789", "little"), invert=True)
    assert integer_of(hdlc[::-1]) == 0x906E
    assert integer_of(crc_ccitt(bits_of_bytes(b"123456789"))) == 0x29B1


def test_reed_solomon_published_block():
    """The worked example of ISO/IEC 18004 (QR code 1-M, '01234567')."""
    data = [0x10, 0x20, 0x0C, 0x56, 0x61, 0x80] + [0xEC, 0x11] * 5
    assert reed_solomon(data, 10) == [0xA5, 0x24, 0xD4, 0xC1, 0xED, 0x36, 0xC7, 0x87, 0x2C, 0x55]


def test_shift_register_is_of_full_length():
    bits = shift_register(1, (9, 5), 9, 1022)
    assert np.array_equal(bits[:511], bits[511:]) and bits[:511].sum() == 256


# -- ADS-B -------------------------------------------------------------------------------------------
def published(message: np.ndarray) -> str:
    return bytes_of_bits(adsb.with_parity(message)).hex().upper()


def test_ads_b_published_messages():
    """Messages received off air that 'The 1090 MHz riddle' (J. Sun) takes apart."""
    assert published(adsb.identification(0x4840D6, "KLM1023", 0)) == "8D4840D6202CC371C32CE0576098"
    even = adsb.airborne_position(0x40621D, 52.25720, 3.91937, 38000, odd=0)
    odd = adsb.airborne_position(0x40621D, 52.26578, 3.93891, 38000, odd=1)
    assert published(even) == "8D40621D58C382D690C8AC2863A7"
    assert published(odd) == "8D40621D58C386435CC412692AD6"
    assert published(adsb.airborne_velocity(0x485020, -8, -159, -832, 550)) == "8D485020994409940838175B284F"


def test_ads_b_decodes(tmp_path):
    signal = adsb.generate(rng(1), 0.04, traffic=1500)
    sent = signal.truth["messages"]
    received = dump1090(receive(signal, 2.4e6, 40), 2.4e6)
    extended = [m for m in sent if m.startswith("8d")]
    assert len(extended) > 20
    found = [m for m in extended if m in received]
    assert len(found) > 0.5 * len(extended), f"{len(found)} of {len(extended)}"  # some overlap, some are weak
    path = tmp_path / "samples.cu8"
    path.write_bytes(to_cu8(receive(signal, 2.4e6, 40)))
    text = run("dump1090-mutability", "--ifile", path, "--oversample")
    aircraft = {f"{a['address']:06x}": a["callsign"] for a in signal.truth["aircraft"]}
    named = {m[2:8] for m in found if int(m[8:10], 16) >> 3 == 4}
    assert named
    for address in named:
        assert address.upper() in text.upper() and aircraft[address] in text


# -- AIS ---------------------------------------------------------------------------------------------
def test_ais_published_sentence():
    """!AIVDM,1,1,,B,177KQJ5000G?tO`K>RA1wUbN0TKH,0*5C, the example of gpsd's AIVDM documentation."""
    message = ais.position(
        477553000, 47.582833333, -122.345833333, status=5, turn=0, speed=0, course=51.0, heading=181,
        second=15, state=149208,
    )  # fmt: skip
    assert ais.armour(message) == "177KQJ5000G?tO`K>RA1wUbN0TKH"


def test_ais_decodes():
    signal = ais.generate(rng(2), 1.2, load=0.5)
    x = receive(signal, ais.RATE, 35)
    kinds = set()
    for channel, offset in ais.CHANNELS.items():
        audio = fm_demodulate(narrow(x, ais.RATE, offset, 16e3), ais.RATE, 5e3)
        lines = direwolf_packets(audio, ais.RATE, "AIS").splitlines()
        heard = {line.split(",")[5][:70] for line in lines if "!AIVDM" in line}  # the 71st has fill bits
        sent = {payload[:70] for where, payload in signal.truth["messages"] if where == channel}
        assert len(sent) > 15 and heard <= sent
        assert len(heard) > 0.7 * len(sent), f"{channel}: {len(heard)} of {len(sent)}"
        kinds |= {payload[0] for payload in heard}
    assert kinds >= set("135")


def test_ais_packets_fit_their_slots():
    zeros = np.zeros(168, np.uint8)
    assert len(ais.line_bits(zeros)) == 8 + 24 + 8 + 168 + 16 + 8 + 5
    size = (100, 50, 20, 10)
    voyage = ais.voyage(257_123_456, 9_074_729, "LA1234", "EVER GIVEN", 70, size, "ROTTERDAM")
    assert len(voyage) == 424 and 256 < len(ais.line_bits(voyage)) < 512


# -- packet ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("variant", "baud"), [("afsk1200", 1200), ("fsk9600", 9600)])
def test_packet_decodes(variant, baud):
    signal = packet.generate(rng(3), 6, variant=variant)
    audio = fm_demodulate(receive(signal, 48e3), 48e3, 5e3)
    sent = signal.truth["messages"]
    assert sent and signal.variant == variant
    heard = direwolf_packets(audio, 48e3, baud)
    assert [m for m in sent if m not in heard] == []
    if variant == "afsk1200":
        lines = multimon(audio, 48e3, "AFSK1200", args=("-A",))
        assert [m for m in sent if f"APRS: {m}" not in lines] == []


# -- POCSAG ------------------------------------------------------------------------------------------
def test_pocsag_published_codewords():
    for word in (paging.IDLE, paging.SYNC):  # both are codewords of the BCH code themselves
        bits = (word >> np.arange(31, -1, -1) & 1).astype(np.uint8)
        assert integer_of(paging.codeword(bits[:21])) == word


@pytest.mark.parametrize("speed", paging.SPEEDS)
def test_pocsag_decodes(speed):
    pages = [(1234567, 3, "The quick brown fox, 0815!", False), (8, 0, "0123456789-", True)]
    signal = paging.generate(rng(4), 6.0 if speed == 512 else 3.0, speed=speed, messages=pages)
    audio = fm_demodulate(receive(signal, 48e3), 48e3, 5e3)
    heard = "\n".join(multimon(audio, 48e3, f"POCSAG{speed}"))
    assert signal.truth["messages"]
    assert "Address: 1234567  Function: 3  Alpha:   The quick brown fox, 0815!" in heard
    assert "Address:       8  Function: 0  Numeric: 0123456789-" in heard


# -- radioteletype and morse -------------------------------------------------------------------------
def upper_sideband(signal, tone: float) -> np.ndarray:
    x = receive(signal, 48e3)
    return np.real(x * np.exp(2j * np.pi * (tone / 48e3 * np.arange(len(x)) % 1)))


@pytest.mark.parametrize(("baud", "shift", "seed"), [(45.4545, 170, 1), (50, 450, 3), (75, 850, 4)])
def test_rtty_decodes(baud, shift, seed):
    signal = keying.rtty(rng(seed), 25, baud=baud, shift=shift)
    assert signal.truth["messages"]
    tones = [1500 + shift / 2, 1500 - shift / 2]
    mark, space = tones[::-1] if signal.truth["reversed"] else tones
    line = ("--baudot", "--startbits", 1, "--stopbits", 1.5, baud)
    heard = minimodem(upper_sideband(signal, 1500), 48e3, "-M", mark, "-S", space, *line)
    for text in "\r\n".join(signal.truth["messages"]).split("\r\n"):
        assert text.replace("=", ";") in heard  # minimodem has the American alphabet


def test_rtty_alphabet():
    """ITU-T S.1: RY is a row of reversals, and every code is used once on each page."""
    assert keying.baudot("RY 1=") == [31, 0b01010, 0b10101, 4, 27, 23, 30]
    assert all(len(page) == 32 for page in keying.ITA2.values())
    assert keying.rtty_line([0b10101]).tolist() == [0, 0] + [1, 1, 0, 0] * 2 + [1, 1] + [1] * 3


def test_morse_decodes():
    text = "PARIS PARIS CQ DE DL1ABC 599 = HW?"
    signal = keying.morse(rng(5), 35, variant="one", wpm=20, jitter=0.03, text=text)
    assert signal.truth["messages"]
    heard = " ".join(multimon(upper_sideband(signal, 700), 48e3, "MORSE_CW"))
    assert "CQ DE DL1ABC 599 = HW?" in heard


def test_morse_timing():
    """PARIS and the gap after it are 50 dots."""
    dots = sum(length for _, length in keying.morse_elements("PARIS PARIS"))
    assert dots == 2 * 50 - 7
    assert len(keying.morse_keying("PARIS PARIS", 24)) == round(dots * 0.05 * keying.MORSE_RATE) + 2 * 40


# -- RS41 --------------------------------------------------------------------------------------------
def rs41_frames(x: np.ndarray, rate: float) -> list[bytes]:
    """A receiver for RS41 of our own: matched filter, header search, mask off. 320 octets each."""
    sps = round(rate / 4800)
    soft = np.convolve(fm_demodulate(narrow(x, rate, 0, 10e3), rate, 2e3), np.ones(sps) / sps, "same")
    header = bits_of_bytes(bytes.fromhex("10b6ca11229612f8"), "little")  # as it is on the air
    reference = np.repeat(2.0 * header - 1, sps)
    match = np.correlate(np.sign(soft), reference) / len(reference)
    out, at = [], 0
    while (found := np.flatnonzero(match[at:] > 0.8)).size:
        peak = at + found[0] + int(np.argmax(match[at + found[0] : at + found[0] + sps]))
        bits = soft[peak + sps // 2 :: sps][:2560] > 0
        octets = np.packbits(bits[: len(bits) // 8 * 8], bitorder="little")
        out.append((octets ^ radiosonde.MASK[: len(octets)]).tobytes())
        at = peak + 2000 * sps
    return out


def test_rs41_published_values():
    """The mask's first octets and the empty block (7611 00…00 ECC7), as the RS project lists them."""
    assert radiosonde.MASK[:8].tobytes() == bytes.fromhex("96833e51b1490898")
    assert radiosonde.MASK[60:68].tobytes() == bytes.fromhex("bf7b4cc196833e51")
    assert radiosonde.block(0x76, bytes(17)) == bytes.fromhex("7611" + "00" * 17 + "ecc7")


def syndromes(codeword: bytes, count: int) -> list[int]:
    """A codeword, lowest power first, at the first ``count`` (<= 8) powers of 2 in the field of 0x11D."""
    out = []
    for root in (1 << np.arange(count)).tolist():
        value = 0
        for octet in codeword[::-1]:
            product = 0
            for bit in range(8):
                if root >> bit & 1:
                    product ^= value << bit
            for bit in range(15, 7, -1):
                if product >> bit & 1:
                    product ^= 0x11D << (bit - 8)
            value = product ^ octet
        out.append(value)
    return out


def test_rs41_frames_are_received_and_are_codewords():
    signal = radiosonde.generate(rng(6), 2.7)
    sent = signal.truth["messages"]
    frames = rs41_frames(receive(signal, 48e3, 20), 48e3)
    assert len(sent) == 2
    whole = {data[0x3D:0x45].decode() + str(int.from_bytes(data[0x3B:0x3D], "little")): data
             for data in frames if len(data) == 320}  # fmt: skip
    for message in sent:
        data = whole[f"{message['id']}{message['frame']}"]
        for k in (0, 1):
            word = data[8 + 24 * k : 32 + 24 * k] + data[56 + k :: 2]
            assert syndromes(word, 8) == [0] * 8
        at, numbers = 0x39, []
        while at < 320:
            contents = data[at + 2 : at + 2 + data[at + 1]]
            check = integer_of(crc_ccitt(bits_of_bytes(contents)))
            assert check == int.from_bytes(data[at + 2 + len(contents) : at + 4 + len(contents)], "little")
            numbers.append(data[at])
            at += len(contents) + 4
        assert numbers == [0x79, 0x7A, 0x7C, 0x7D, 0x7B, 0x76]
        x = np.frombuffer(data[0x114:0x120], "<i4") / 100
        assert np.allclose(x, radiosonde.earth_centred(*message["position"]), atol=0.01)


# -- digital voice -----------------------------------------------------------------------------------
def discriminator(signal, deviation: float) -> np.ndarray:
    """FM-demodulated at 48 kHz, the squelch closed between the emissions."""
    audio = np.zeros(len(signal.iq), np.float32)
    x = receive(signal, 48e3, 40, pad=0)
    for e in signal.emissions:
        audio[e.start + 1 : e.start + e.count] = fm_demodulate(
            x[e.start : e.start + e.count], 48e3, deviation
        )
    return audio


def dsd(signal, tmp_path, *args) -> str:
    """What dsdcc logs about a signal."""
    program("dsdccx")
    log = tmp_path / "messages.txt"
    options = ("-i", "-", "-o", "/dev/null", "-n", "-m", 0.0001, "-M", log)
    return run("dsdccx", *options, *args, data=to_s16(discriminator(signal, 5e3))) + log.read_text(
        errors="replace"
    )


def test_dmr_published_codewords():
    """The codes' first rows as TS 102 361-1 gives them: Golay(20,8), QR(16,7), Hamming(7,4)."""
    assert integer_of(dmr.slot_type(0, 1)) == 0x018EB
    assert integer_of(dmr.embedded_signalling(0, 1)) == 0x0273
    assert dmr.access_channel(1, False)[[0, 4, 8, 12, 14, 18, 22]].tolist() == [0, 1, 1, 1, 0, 1, 0]


@pytest.mark.parametrize("seed", [1, 8])
def test_dmr_decodes(tmp_path, seed):
    """Colour code from the embedded signalling, addresses from the link control.

    The call is in slot 2: in slot 1, dsdcc 1.9.3 makes nothing of the embedded signalling.
    """
    signal = digital_voice.generate(rng(seed), 3, variant="dmr", side="base")
    truth = signal.truth
    assert truth["slot"] == 2
    call = f"{truth['source']:08d}>G{truth['target']:08d}"
    text = dsd(signal, tmp_path, "-fr", "-T", 3)
    assert f"{truth['colour']:02d} VOX {call}" in text


def test_dmr_mobile_is_recognised(tmp_path):
    signal = digital_voice.generate(rng(8), 4, variant="dmr", side="mobile")
    assert max(e.count for e in signal.emissions) == 1440 and len(signal.emissions) > 10  # 30 ms
    text = dsd(signal, tmp_path, "-fr", "-T", 3)
    assert "DMR>Sta: MS S1:" in text and "VOX" in text and "BS" not in text


def test_dstar_header_decodes(tmp_path):
    bits = dstar.transmission(rng(9), "DL1ABC", 30, preamble=480)
    wave = fsk(np.where(bits, 1200.0, -1200.0), 10, 48e3, gaussian(0.5, 10))
    signal = assemble(1.0, 48e3, [Burst(2000, wave)])
    assert "RPT 1: DIRECT   YOUR: CQCQCQ   MY: DL1ABC  /" in dsd(signal, tmp_path, "-fd")


def test_p25_symbols_and_identifier():
    """A receiver of our own: integrate, slice at the four levels, read the network identifiers."""
    signal = digital_voice.generate(rng(10), 2.5, variant="p25")
    soft = np.convolve(discriminator(signal, 1800.0), np.ones(10) / 10, "same")
    sync = four_levels(bits_of_bytes(p25.SYNC.to_bytes(6, "big")), 1.0)
    match = sum(level * soft[10 * k : len(soft) - 240 + 10 * k] for k, level in enumerate(sync)) / 24
    peaks = [k for k in np.flatnonzero(match > 0.9) if match[k] == match[max(k - 9, 0) : k + 10].max()]
    assert len(peaks) > 3
    units = []
    for at in peaks:
        symbols = soft[at : at + 570 : 10]  # 24 of the synchronisation, 32 and a status symbol
        assert np.abs(np.abs(symbols) - np.where(np.abs(symbols) > 2 / 3, 1, 1 / 3)).max() < 0.15
        bits = np.stack([symbols < 0, np.abs(symbols) > 2 / 3], 1).astype(np.uint8).ravel()
        identifier = np.concatenate([bits[48:70], bits[72:114]])  # the status symbol lies between
        nac, unit = integer_of(identifier[:12]), integer_of(identifier[12:16])
        assert nac == signal.truth["nac"]
        assert np.array_equal(identifier, p25.network_identifier(nac, unit))
        units.append(unit)
    assert {5, 10} <= set(units) <= {0, 3, 5, 10}


def test_p25_data_units_have_their_lengths():
    bits = p25.call(rng(), 0x293, 1, 2, pairs=1)
    assert len(bits) == 792 + 2 * 1728 + 144
    assert (p25.BCH.bit_length(), p25.BCH.bit_count()) == (48, 27)  # TIA-102.BAAA 8.5.2: 27 terms, degree 47


# -- all ---------------------------------------------------------------------------------------------
MODULES = (adsb, ais, digital_voice, keying, packet, paging, radiosonde)
EVERY = [(c, v) for module in MODULES for c in module.CLASSES for v in c.variants or (None,)]


@pytest.mark.parametrize(("entry", "variant"), EVERY, ids=[f"{c.label}-{v}" for c, v in EVERY])
def test_signals_keep_the_contract(entry, variant):
    fixed = {"variant": variant} if variant else {}
    for seed, duration in enumerate((entry.span[0] / 3, entry.span[0], entry.span[1])):
        signal = entry.generate(rng(seed), duration, **fixed)
        assert signal.iq.dtype == np.complex64 and len(signal.iq) == round(duration * signal.sample_rate)
        assert signal.variant == (variant or "")
        on = np.zeros(len(signal.iq), bool)
        assert signal.emissions
        for e in signal.emissions:
            assert 0 <= e.start and e.count > 0 and e.start + e.count <= len(on)
            assert -signal.sample_rate / 2 <= e.lower < e.upper <= signal.sample_rate / 2
            on[e.start : e.start + e.count] = True
        assert not signal.iq[~on].any()
        assert np.mean(np.abs(signal.iq[on]) ** 2) == pytest.approx(1, rel=1e-3)
        again = entry.generate(rng(seed), duration, **fixed)
        assert np.array_equal(signal.iq, again.iq)
