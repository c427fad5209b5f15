/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "stft_kernel.h"
#include "row_math.h"
#include <fftw3.h>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace gr {
namespace radiofm {

stft_window::stft_window(const std::vector<float>& taps)
{
    for (const float tap : taps)
        if (!std::isfinite(tap))
            throw std::invalid_argument("every tap of the window must be finite");
    const double sum = std::accumulate(taps.begin(), taps.end(), 0.0);
    if (std::abs(sum) < 1e-30)
        throw std::invalid_argument(
            "the window's taps sum to zero, so there is no 0 dB: use other taps");
    d_pairs.reserve(2 * taps.size());
    for (const float tap : taps)
        d_pairs.insert(d_pairs.end(), 2, static_cast<float>(tap / sum));
}

// Measuring plans of a huge FFT takes minutes and gains little: it is bound by memory.
static unsigned planning(size_t fft_size)
{
    return (fft_size <= 65536 ? FFTW_MEASURE : FFTW_ESTIMATE) | FFTW_DESTROY_INPUT;
}

stft_kernel::stft_kernel(size_t fft_size, bool shift)
    : d_size(fft_size), d_first(shift ? (fft_size + 1) / 2 : 0), d_in(fft_size), d_out(fft_size)
{
    if (fft_size < 8)
        throw std::invalid_argument("fft_size must be at least 8");
    d_plan = fftwf_plan_dft_1d(static_cast<int>(fft_size),
                               reinterpret_cast<fftwf_complex*>(d_in.data()),
                               reinterpret_cast<fftwf_complex*>(d_out.data()),
                               FFTW_FORWARD,
                               planning(fft_size));
    if (!d_plan)
        throw std::runtime_error("FFTW has no plan for this fft_size");
}

stft_kernel::~stft_kernel() { fftwf_destroy_plan(d_plan); }

void stft_kernel::transform(const stft_window& window, const std::complex<float>* in)
{
    row_math::best().window(reinterpret_cast<const float*>(in),
                            window.pairs(),
                            reinterpret_cast<float*>(d_in.data()),
                            d_size);
    fftwf_execute(d_plan);
}

void stft_kernel::row(const stft_window& window,
                      const std::complex<float>* in,
                      float* out,
                      row_scale scale)
{
    transform(window, in);
    const row_math& math = row_math::best();
    const auto convert = scale == row_scale::db      ? math.db
                         : scale == row_scale::power ? math.power
                                                     : math.magnitude;
    // Two pieces make the shift.
    convert(&d_out[d_first], out, d_size - d_first);
    convert(&d_out[0], out + d_size - d_first, d_first);
}

void stft_kernel::complex_row(const stft_window& window,
                              const std::complex<float>* in,
                              std::complex<float>* out)
{
    transform(window, in);
    std::rotate_copy(d_out.begin(), d_out.begin() + d_first, d_out.end(), out);
}

void stft_kernel::add_power(const stft_window& window,
                            const std::complex<float>* in,
                            float* sum)
{
    transform(window, in);
    const row_math& math = row_math::best();
    math.add_power(&d_out[d_first], sum, d_size - d_first);
    math.add_power(&d_out[0], sum + d_size - d_first, d_first);
}

void stft_kernel::finish(const float* sum, size_t rows, float* out, row_scale scale) const
{
    const row_math& math = row_math::best();
    const auto convert = scale == row_scale::db      ? math.finish_db
                         : scale == row_scale::power ? math.finish_power
                                                     : math.finish_magnitude;
    convert(sum, 1.0f / static_cast<float>(rows), out, d_size);
}

#ifdef __SSE2__
denormals_off::denormals_off() : d_saved(_mm_getcsr())
{
    const unsigned flush_to_zero = 0x8000, denormals_are_zero = 0x0040;
    _mm_setcsr(d_saved | flush_to_zero | denormals_are_zero);
}
denormals_off::~denormals_off() { _mm_setcsr(d_saved); }
#else
denormals_off::denormals_off() : d_saved(0) {}
denormals_off::~denormals_off() {}
#endif

} // namespace radiofm
} // namespace gr
