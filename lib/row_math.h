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
 * \brief The loops over an FFT's bins that VOLK does not have in one piece.
 *
 * Each is compiled for the baseline, for AVX2 and for AVX-512; best() is the one for the
 * processor it runs on.
 */
struct row_math {
    const char* name;
    //! out[k] = 10 log10(|bins[k]|^2)
    void (*db)(const std::complex<float>* bins, float* out, size_t n);
    //! sum[k] += |bins[k]|^2
    void (*add_power)(const std::complex<float>* bins, float* sum, size_t n);
    //! out[k] = 10 log10(factor sum[k])
    void (*mean_db)(const float* sum, float factor, float* out, size_t n);

    static const row_math& best();
    //! All that this processor can run, least first; returns how many.
    static size_t all(const row_math* variants[3]);
};

} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_ROW_MATH_H */
