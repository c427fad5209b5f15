/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "decibel.h"
#include "row_math.h"

namespace gr {
namespace radiofm {
namespace {

#define RADIOFM_INLINE static inline __attribute__((always_inline))

RADIOFM_INLINE float norm(const std::complex<float>& x)
{
    return x.real() * x.real() + x.imag() * x.imag();
}

RADIOFM_INLINE void db_loop(const std::complex<float>* bins, float* out, size_t n)
{
    for (size_t k = 0; k < n; k++)
        out[k] = decibel(norm(bins[k]));
}

RADIOFM_INLINE void add_power_loop(const std::complex<float>* bins, float* sum, size_t n)
{
    for (size_t k = 0; k < n; k++)
        sum[k] += norm(bins[k]);
}

RADIOFM_INLINE void mean_db_loop(const float* sum, float factor, float* out, size_t n)
{
    for (size_t k = 0; k < n; k++)
        out[k] = decibel(factor * sum[k]);
}

// The loops are inlined into one set of functions for each target and vectorised there.
#define RADIOFM_ROW_MATH(NAME, TARGET)                                                  \
    TARGET void NAME##_db(const std::complex<float>* bins, float* out, size_t n)        \
    {                                                                                   \
        db_loop(bins, out, n);                                                          \
    }                                                                                   \
    TARGET void NAME##_add_power(const std::complex<float>* bins, float* sum, size_t n) \
    {                                                                                   \
        add_power_loop(bins, sum, n);                                                   \
    }                                                                                   \
    TARGET void NAME##_mean_db(const float* sum, float factor, float* out, size_t n)    \
    {                                                                                   \
        mean_db_loop(sum, factor, out, n);                                              \
    }                                                                                   \
    const row_math NAME = { #NAME, NAME##_db, NAME##_add_power, NAME##_mean_db };

RADIOFM_ROW_MATH(baseline, )
#ifdef __x86_64__
RADIOFM_ROW_MATH(avx2, __attribute__((target("avx2,fma"))))
RADIOFM_ROW_MATH(avx512,
                 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,"
                                       "prefer-vector-width=512"))))
#endif

} // namespace

size_t row_math::all(const row_math* variants[3])
{
    size_t n = 0;
    variants[n++] = &baseline;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        variants[n++] = &avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        variants[n++] = &avx512;
#endif
    return n;
}

const row_math& row_math::best()
{
    static const row_math* const chosen = [] {
        const row_math* variants[3];
        return variants[all(variants) - 1];
    }();
    return *chosen;
}

} // namespace radiofm
} // namespace gr
