/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "row_math.h"
#include "stft_kernel.h"
#include <fftw3.h>
#include <volk/volk.h>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#ifdef __x86_64__
#define RADIOFM_X86
#include "stft_avx512.h"
#else
namespace gr::radiofm::avx512 {
struct plan {
};
} // namespace gr::radiofm::avx512
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
    d_taps.reserve(taps.size());
    for (const float tap : taps)
        d_taps.push_back(static_cast<float>(tap / sum));
}

static void power_of(const std::complex<float>* bins, float* out, size_t n)
{
    volk_32fc_magnitude_squared_32f(out, bins, static_cast<unsigned>(n));
}

stft_kernel::stft_kernel(size_t fft_size, bool shift, [[maybe_unused]] engine use)
    : d_size(fft_size),
      d_first(shift ? (fft_size + 1) / 2 : 0),
      d_in(fft_size),
      d_bins(fft_size)
{
    if (fft_size < 8)
        throw std::invalid_argument("fft_size must be at least 8");
    // Measuring the plans of some large sizes takes minutes: one second is enough.
    fftwf_set_timelimit(1.0);
    d_fftw = fftwf_plan_dft_1d(static_cast<int>(fft_size),
                               reinterpret_cast<fftwf_complex*>(d_in.data()),
                               reinterpret_cast<fftwf_complex*>(d_bins.data()),
                               FFTW_FORWARD,
                               FFTW_MEASURE | FFTW_DESTROY_INPUT);
    fftwf_set_timelimit(FFTW_NO_TIMELIMIT);
    if (!d_fftw)
        throw std::runtime_error("FFTW has no plan for this fft_size");
#ifdef RADIOFM_X86
    if (use == engine::best && avx512::supported(fft_size))
        d_avx512 = std::make_unique<avx512::plan>(fft_size, shift);
#endif
}

stft_kernel::~stft_kernel() { fftwf_destroy_plan(d_fftw); }

void stft_kernel::row(const stft_window& window,
                      const std::complex<float>* in,
                      float* out,
                      row_scale scale)
{
#ifdef RADIOFM_X86
    if (d_avx512) {
        const auto row = scale == row_scale::db ? avx512::row<avx512::scale::db>
                         : scale == row_scale::power
                             ? avx512::row<avx512::scale::power>
                             : avx512::row<avx512::scale::magnitude>;
        return row(*d_avx512, window.taps(), in, out);
    }
#endif
    transform(window, in);
    const auto convert = scale == row_scale::db      ? row_math::best().db
                         : scale == row_scale::power ? power_of
                                                     : row_math::best().magnitude;
    shifted(convert, out);
}

void stft_kernel::add_power(const stft_window& window,
                            const std::complex<float>* in,
                            float* sum)
{
#ifdef RADIOFM_X86
    if (d_avx512)
        return avx512::row<avx512::scale::sum>(*d_avx512, window.taps(), in, sum);
#endif
    transform(window, in);
    shifted(row_math::best().add_power, sum);
}

void stft_kernel::complex_row(const stft_window& window,
                              const std::complex<float>* in,
                              std::complex<float>* out)
{
    transform(window, in);
    std::rotate_copy(d_bins.begin(), d_bins.begin() + d_first, d_bins.end(), out);
}

void stft_kernel::finish(const float* sum, size_t rows, float* out, row_scale scale) const
{
    const float factor = 1.0f / static_cast<float>(rows);
    if (scale == row_scale::db)
        return row_math::best().mean_db(sum, factor, out, d_size);
    if (scale == row_scale::magnitude)
        return row_math::best().mean_magnitude(sum, factor, out, d_size);
    volk_32f_s32f_multiply_32f(out, sum, factor, static_cast<unsigned>(d_size));
}

//! The window and the FFT, into d_bins.
void stft_kernel::transform(const stft_window& window, const std::complex<float>* in)
{
    volk_32fc_32f_multiply_32fc(
        d_in.data(), in, window.taps(), static_cast<unsigned>(d_size));
    fftwf_execute(d_fftw);
}

//! The bins in the order of the row, in two pieces.
void stft_kernel::shifted(loop convert, float* out) const
{
    const size_t negative = d_size - d_first;
    convert(&d_bins[d_first], out, negative);
    convert(&d_bins[0], out + negative, d_first);
}

#ifdef RADIOFM_X86
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
