/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_STFT_KERNEL_H
#define INCLUDED_RADIOFM_STFT_KERNEL_H

#include <volk/volk_alloc.hh>
#include <complex>
#include <cstddef>
#include <memory>
#include <vector>

struct fftwf_plan_s;

namespace gr {
namespace radiofm {

namespace avx512 {
struct plan;
}

//! What a row of real numbers holds.
enum class row_scale {
    db,        //!< 10 log10(power), not below floor_db
    power,     //!< |FFT(w x)|^2 / (sum w)^2
    magnitude, //!< the square root of the power
};

/*!
 * \brief A window, divided by its sum, so that a full-scale tone on a bin has power 1.
 *
 * Throws std::invalid_argument if a tap is not finite or the taps sum to zero.
 */
class stft_window
{
public:
    explicit stft_window(const std::vector<float>& taps);
    size_t size() const { return d_taps.size(); }
    const float* taps() const { return d_taps.data(); }

private:
    volk::vector<float> d_taps;
};

/*!
 * \brief A row of a short-time Fourier transform: fft_size samples in, fft_size bins out.
 *
 * With shift the row runs from -fs/2 upwards and DC is at bin fft_size / 2; without, DC
 * is bin 0. Samples may stand at any address. Nothing is allocated after construction.
 *
 * FFTW's planner is not thread-safe: construction and destruction must not run beside any
 * other planning in the process. Everything else may, one thread to a kernel.
 */
class stft_kernel
{
public:
    //! Rows in dB stop here, which also is what silence gives.
    static constexpr float floor_db = -200.0f;

    //! Which code transforms rows: the fastest for this size and processor, or FFTW.
    enum class engine { best, fftw };

    //! Throws std::invalid_argument if fft_size < 8, std::runtime_error without a plan.
    stft_kernel(size_t fft_size, bool shift, engine use = engine::best);
    ~stft_kernel();
    stft_kernel(const stft_kernel&) = delete;
    stft_kernel& operator=(const stft_kernel&) = delete;

    size_t fft_size() const { return d_size; }

    //! Are rows transformed by the AVX-512 code, not by FFTW?
    bool uses_avx512() const { return d_avx512 != nullptr; }

    //! One row on the given scale.
    void row(const stft_window& window,
             const std::complex<float>* in,
             float* out,
             row_scale scale);

    //! One complex row, FFT(w x) / sum w.
    void complex_row(const stft_window& window,
                     const std::complex<float>* in,
                     std::complex<float>* out);

    //! Adds one row of power to sum.
    void add_power(const stft_window& window, const std::complex<float>* in, float* sum);

    //! Turns the sum of `rows` rows of power into their mean on the given scale.
    void finish(const float* sum, size_t rows, float* out, row_scale scale) const;

private:
    using loop = void (*)(const std::complex<float>* bins, float* out, size_t n);

    void transform(const stft_window& window, const std::complex<float>* in);
    void shifted(loop convert, float* out) const;

    const size_t d_size;
    const size_t d_first; //!< the FFT's bin that a row begins with
    volk::vector<std::complex<float>> d_in;
    volk::vector<std::complex<float>> d_bins;
    fftwf_plan_s* d_fftw;
    std::unique_ptr<avx512::plan> d_avx512; //!< null: not for this size or processor
};

/*!
 * \brief While it lives, denormal numbers count as zero on this thread.
 *
 * Arithmetic on denormals takes a hundred times longer on most x86 processors; they lie
 * far below floor_db.
 */
class denormals_off
{
public:
    denormals_off();
    ~denormals_off();
    denormals_off(const denormals_off&) = delete;
    denormals_off& operator=(const denormals_off&) = delete;

private:
    unsigned d_saved;
};

} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_STFT_KERNEL_H */
