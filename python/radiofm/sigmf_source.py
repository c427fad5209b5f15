# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""SigMF Source: a recording as a stream, with tags that say its rate, frequency and time."""

import numpy as np
import pmt
from gnuradio import gr

from .common import messages
from .common.lifetime import Held
from .common.optional import optional
from .common.specs import spec_of

_NAME = "SigMF Source"
_BUFFER = 1 << 16  # output items: few calls into Python, still small beside a second of any stream


class sigmf_source(Held, gr.sync_block):
    """Complex stream of a SigMF recording, full scale 1.0, tagged with its metadata.

    Every sample type of the standard is read, from pairs and archives, in pieces. At the first sample and
    at the start of every capture segment stand the tags ``rx_rate`` (samples/s), ``rx_freq`` (Hz) and
    ``rx_time`` (seconds since 1970 UTC as {uint64, double}), each only if the metadata state it. By the
    standard a segment's frequency holds for that segment only: where one does not state it but others do,
    ``rx_freq`` is 0 (baseband). ``rx_time`` allows for samples that were lost (``core:global_index``). The
    tag ``recording_shift`` (long) says where the stream is in the recording: a sample's index there, less
    its index in the stream; it stands where it changes, at the first sample of every pass. The stream ends
    with the recording. Started again (also by ``lock`` and ``unlock``) it begins again.

    filename  ``.sigmf-meta``, ``.sigmf-data``, their base name, or an archive (``.sigmf``); archive/name for
              one of several recordings in it
    repeat    begin again at the end, without a gap; ``rx_time`` runs on as if the recording had been longer
    channel   which interleaved channel
    pad_to    a bundle (its path, its name, or loaded) or SpectrogramSpec: the last tile is completed by the
              rule of ``SpectrogramSpec.padded_length`` with the tile's own samples again. The tag
              ``radiofm_pad`` (uint64: offset of the first of them) stands there, or before it on the last
              sample that counts to that tile. '' for none
    start     first sample to deliver
    count     samples to deliver, 0 for all

    Raises ValueError (RecordingError, BundleError among them) naming the file and the cure, and ImportError
    if a Python package is missing.
    """

    def __init__(self, filename: str, repeat: bool = False, channel: int = 0, pad_to="", start: int = 0,
                 count: int = 0):
        gr.sync_block.__init__(self, name=_NAME, in_sig=None, out_sig=[np.complex64])
        self._log = gr.logger(self.alias())
        library = optional("radiofm_ml.sigmf.recording", _NAME)
        self._recording = library.open_recording(str(filename), int(channel))
        self._later = library.later
        self._repeat = bool(repeat)
        self._first, self._count = self._stretch(int(start), int(count))
        self._total = self._count
        self._spec = _spec(pad_to)
        if self._spec is not None:
            if self._repeat:
                raise ValueError(f"{_NAME}: a stream that repeats has no end to pad; leave pad_to empty")
            self._total = self._spec.padded_length(self._count)
        self._pad_mark = None  # the sample that is tagged radiofm_pad: one that counts to the last tile
        if self._total > self._count:
            next_tile = self._spec.tail_start(self._count) + self._spec.stride
            self._pad_mark = min(self._count, next_tile - 1)
        self._tags = self._pass_tags()
        self._period = self._samples_per_pass()
        self._padding = None
        self._position, self._pass = 0, 0
        self.set_min_output_buffer(0, _BUFFER)

    # -- for other blocks' parameters -----------------------------------------------------------------
    def sample_rate(self) -> float | None:
        """Sample rate in samples/s, None if the metadata do not state it."""
        return self._recording.sample_rate

    def frequency(self) -> float | None:
        """Centre frequency in Hz at the first sample, None if the metadata do not state it."""
        return self._recording.capture_at(self._first).frequency

    def n_samples(self) -> int:
        """Samples in a pass, padding included."""
        return self._total

    def set_repeat(self, repeat: bool) -> None:
        """Takes effect at the end of the recording."""
        if repeat and self._spec is not None:
            self._log.warn("a stream that repeats has no end to pad; repeat stays off")
            return
        self._repeat = bool(repeat)

    # -- stream -------------------------------------------------------------------------------------
    def start(self):
        self._position, self._pass = 0, 0  # offsets in the stream count from 0 again, too
        return True

    def stop(self):
        self._recording.close()
        return True

    def work(self, input_items, output_items):
        try:
            return self._produce(output_items[0])
        except Exception as error:  # an exception here would leave a flowgraph that never ends
            self._log.error(f"{error}; the stream ends here")
            return -1

    def _produce(self, out: np.ndarray) -> int:
        done = 0
        while done < len(out):
            if self._position == self._total:
                if not self._repeat:
                    break
                self._position, self._pass = 0, self._pass + 1
            done += self._piece(out[done:], self.nitems_written(0) + done)
        return done or -1

    def _piece(self, out: np.ndarray, offset: int) -> int:
        """Fill the beginning of ``out``, whose first sample has this offset in the stream; how much."""
        if self._position < self._count:
            n = min(len(out), self._count - self._position)
            self._recording.read_into(self._first + self._position, out[:n])
            self._tag(offset, n)
        else:
            if self._position == self._count:
                self._padding = self._cyclic_tail()
            done = self._position - self._count
            n = min(len(out), len(self._padding) - done)
            out[:n] = self._padding[done:done + n]
        if self._pad_mark is not None and self._position <= self._pad_mark < self._position + n:
            self.add_item_tag(0, offset + self._pad_mark - self._position, messages.PAD,
                              pmt.from_uint64(offset + self._count - self._position))
        self._position += n
        return n

    def _cyclic_tail(self) -> np.ndarray:
        tail = self._spec.tail_start(self._count)
        samples = self._recording.read(self._first + tail, self._count - tail)
        return np.resize(samples, self._total - self._count)

    # -- tags ---------------------------------------------------------------------------------------
    def _tag(self, offset: int, n: int) -> None:
        if self._position == 0:
            self.add_item_tag(0, offset, messages.SHIFT, pmt.from_long(self._first - offset))
        for position, frequency, time in self._tags:
            if not self._position <= position < self._position + n:
                continue
            at = offset + position - self._position
            rate = self._recording.sample_rate
            if rate is not None:
                self.add_item_tag(0, at, messages.RX_RATE, pmt.from_double(rate))
            if frequency is not None:
                self.add_item_tag(0, at, messages.RX_FREQ, pmt.from_double(frequency))
            time = self._later(time, self._pass * self._period, rate)
            if time is not None and time[0] >= 0:
                self.add_item_tag(0, at, messages.RX_TIME, messages.time_to_pmt(*time))

    def _pass_tags(self) -> list[tuple]:
        """(position in the pass, frequency, time) of the first sample and of every capture's."""
        end = self._first + self._count
        starts = [self._first, *(c.sample_start for c in self._recording.captures
                                 if self._first < c.sample_start < end)]
        tags = []
        for start in starts:
            capture, time = self._recording.capture_at(start), self._recording.time_at(start)
            if tags and not {"core:datetime", "core:global_index"} & capture.meta.keys():
                time = None  # it follows from the tag before
            tags.append((start - self._first, capture.frequency, time))
        if any(time is not None and time[0] < 0 for _, _, time in tags):
            self._log.warn("a time before 1970 cannot be a tag; left out")
        return tags

    def _samples_per_pass(self) -> int:
        """How far rx_time moves from one pass to the next, in samples: gaps between captures count."""
        timed = [(position, time) for position, _, time in self._tags if time is not None]
        rate = self._recording.sample_rate
        if not timed or rate is None:
            return self._count
        (first, begin), (last, end) = timed[0], timed[-1]
        gaps = round(((end[0] - begin[0]) + (end[1] - begin[1])) * rate) - (last - first)
        return self._count + max(0, gaps)

    def _stretch(self, start: int, count: int) -> tuple[int, int]:
        n = self._recording.n_samples
        if not 0 <= start < n:
            raise ValueError(f"{_NAME}: start must be one of the samples 0..{n - 1}, got {start}")
        if count < 0 or start + count > n:
            raise ValueError(f"{_NAME}: count must be 0 (all) to {n - start} from sample {start} on, "
                             f"got {count}")
        return start, count or n - start


def _spec(pad_to):
    """SpectrogramSpec of a bundle or its name; None for ''."""
    if isinstance(pad_to, str):
        if not pad_to:
            return None
        optional("radiofm_ml.engines", _NAME)  # first: it says how torch threads wait
    return spec_of(pad_to, f"{_NAME}, pad_to")
