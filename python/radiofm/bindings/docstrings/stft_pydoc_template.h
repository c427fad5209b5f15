/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "pydoc_macros.h"
#define D(...) DOC(gr, radiofm, __VA_ARGS__)

static const char* __doc_gr_radiofm_stft = R"doc(
Short-time Fourier transform: complex64 samples in, rows of fft_size bins out.

Transform i starts at sample i * hop and uses samples [i * hop, i * hop + fft_size). With
averaging n, row r is the mean power of transforms r * n ... r * n + n - 1. With w the window,
power is |FFT(w x)|^2 / (sum w)^2: a full-scale tone on a bin reads 0 dB. Rows in dB are not
below -200.

Every row that has all its samples is delivered, whatever the chunking; at the end, what
remains is shorter than a row and is dropped. A tag at sample s goes to row
floor(s / (hop * averaging)); rx_time is moved back to that row's first sample, by samp_rate, or
where that is 0 by the latest rx_rate tag. A tag rx_time, rx_rate or rx_freq that cannot be read
is left out, said once and counted. Setters may be called at any time and take effect with the
next row that is begun.
)doc";

static const char* __doc_gr_radiofm_stft_make_0 = R"doc(
stft(fft_size, hop, window=fft.window.WIN_HANN, averaging=1, output="db", shift=True,
     samp_rate=0.0, window_param=6.76)

Args:
    fft_size: samples in a transform and bins in a row; 8 or more, any number
    hop: samples from one transform's start to the next; 1 or more, may exceed fft_size
    window: a window type of gnuradio.fft.window
    averaging: transforms whose power is averaged into a row; 1 for complex rows
    output: "db", "power" or "magnitude" (float32 x fft_size) or "complex" (complex64 x fft_size)
    shift: True: a row begins at -samp_rate / 2 and DC is bin fft_size // 2; False: DC is bin 0
    samp_rate: samples a second; 0: as the rx_rate tags say
    window_param: the parameter of the windows that have one, such as Kaiser's beta (0 to 100)

Raises:
    ValueError: a parameter is out of range
)doc";

static const char* __doc_gr_radiofm_stft_make_1 = R"doc(
stft(fft_size, hop, window, averaging=1, output="db", shift=True, samp_rate=0.0)

The same with a window of one's own: a list of fft_size finite taps whose sum is not zero.
)doc";

static const char* __doc_gr_radiofm_stft_fft_size =
    "Samples in a transform and bins in a row.";
static const char* __doc_gr_radiofm_stft_hop =
    "Samples from one transform's start to the next.";
static const char* __doc_gr_radiofm_stft_shift = "True if DC is in the middle of a row.";
static const char* __doc_gr_radiofm_stft_taps = "The window's taps, as they were given.";
static const char* __doc_gr_radiofm_stft_set_window_0 =
    "Use one of GNU Radio's windows from the next row on. ValueError if it cannot be "
    "built.";
static const char* __doc_gr_radiofm_stft_set_window_1 =
    "Use a window of fft_size taps from the next row on. ValueError if they do not fit.";
static const char* __doc_gr_radiofm_stft_averaging = "Transforms averaged into a row.";
static const char* __doc_gr_radiofm_stft_set_averaging =
    "Average so many transforms into each row, from the next row on.";
static const char* __doc_gr_radiofm_stft_output =
    "\"db\", \"power\", \"magnitude\" or \"complex\".";
static const char* __doc_gr_radiofm_stft_set_output =
    "Change between \"db\", \"power\" and \"magnitude\" from the next row on. ValueError "
    "between "
    "float and complex rows: they are different item types.";
static const char* __doc_gr_radiofm_stft_samp_rate =
    "Samples a second, as set; 0: as the rx_rate tags say.";
static const char* __doc_gr_radiofm_stft_set_samp_rate =
    "Set the samples a second; 0: as the rx_rate tags say.";
static const char* __doc_gr_radiofm_stft_bad_tags =
    "Tags of this run that could not be read, and were left out.";
