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
 * \brief The loops over an FFT's bins that VOLK does not have, or not in full precision.
 *
 * VOLK's square roots and magnitudes are 8-bit approximations on ARM. Each loop here is
 * compiled for several instruction sets; best() is the one for the processor it runs on.
 */
struct row_math {
    //! out[k] = 10 log10(|bins[k]|^2)
    void (*db)(const std::complex<float>* bins, float* out, size_t n);
    //! out[k] = |bins[k]|
    void (*magnitude)(const std::complex<float>* bins, float* out, size_t n);
    //! sum[k] += |bins[k]|^2
    void (*add_power)(const std::complex<float>* bins, float* sum, size_t n);
    //! out[k] = 10 log10(factor sum[k])
    void (*mean_db)(const float* sum, float factor, float* out, size_t n);
    //! out[k] = sqrt(factor sum[k])
    void (*mean_magnitude)(const float* sum, float factor, float* out, size_t n);

    enum class instructions { baseline, avx2, avx512 };

    //! The loops compiled for these instructions; null if this processor lacks them.
    static const row_math* with(instructions);
    static const row_math& best();
};

} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_ROW_MATH_H */
