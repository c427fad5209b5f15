/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_ROW_MATH_H
#define INCLUDED_RADIOFM_ROW_MATH_H

#include <complex>
#include <cstddef>

namespace gr {
namespace radiofm {

/*!
 * \brief The loops over a row that stand before and after its FFT.
 *
 * Each is compiled for the baseline, for AVX2 and for AVX-512; best() chooses once, by the
 * processor it runs on.
 */
struct row_math {
    //! y[i] = x[i] w[i], over 2 n floats.
    void (*window)(const float* x, const float* w, float* y, size_t n);
    //! out[k] = |x[k]|^2, in dB, plain, or square-rooted; or added to what out holds.
    void (*db)(const std::complex<float>* x, float* out, size_t n);
    void (*power)(const std::complex<float>* x, float* out, size_t n);
    void (*magnitude)(const std::complex<float>* x, float* out, size_t n);
    void (*add_power)(const std::complex<float>* x, float* out, size_t n);
    //! out[k] = factor sum[k], in dB, plain, or square-rooted.
    void (*finish_db)(const float* sum, float factor, float* out, size_t n);
    void (*finish_power)(const float* sum, float factor, float* out, size_t n);
    void (*finish_magnitude)(const float* sum, float factor, float* out, size_t n);

    const char* name;

    static const row_math& best();
    //! All that this processor can run, for tests.
    static size_t all(const row_math* variants[3]);
};

} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_ROW_MATH_H */
