/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_STFT_AVX512_H
#define INCLUDED_RADIOFM_STFT_AVX512_H

/* A whole row (window, FFT, power, dB) in one go, for AVX-512 and 256 to 4096 bins.
 *
 * The N-point FFT, N = 16 M, is split in two (Cooley and Tukey's factorisation) and done
 * on vectors of 16 floats. With n = M a + m and k = c + 16 d, and W_L = exp(-2 pi i / L),
 *
 *     X[c + 16 d] = sum over m of  W_M^(m d)  W_N^(m c)  y[m, c]
 *     y[m, c]     = sum over a of  W_16^(a c)  x[M a + m]
 *
 * transform_columns() computes y and multiplies it by the twiddle factors W_N^(m c). The
 * 16 lanes of a vector are 16 neighbouring m: load, window, a 16-point FFT in registers,
 * twiddle factors, and a transpose, after which the lanes are the 16 values of c.
 *
 * The sum over m is an M-point FFT of whole vectors, in two passes of P and Q points with
 * M = P Q: first_pass() and last_pass(). After the last a vector holds the 16
 * neighbouring bins of one d: their power, their dB, one store.
 *
 * Everything between is in a scratch of N complex numbers, which fits into the L1 cache.
 * Only call what is here if supported() says so.
 */

#include "decibel.h"
#include <immintrin.h>
#include <cmath>
#include <complex>
#include <cstddef>
#include <vector>

namespace gr {
namespace radiofm {
namespace avx512 {

#define RADIOFM_AVX512 __attribute__((target("avx512f,avx512dq")))
#define RADIOFM_AVX512_INLINE \
    static inline __attribute__((target("avx512f,avx512dq"), always_inline))

//! 16 complex numbers.
struct cvec {
    __m512 re, im;
};

RADIOFM_AVX512_INLINE cvec add(cvec a, cvec b) { return { a.re + b.re, a.im + b.im }; }
RADIOFM_AVX512_INLINE cvec sub(cvec a, cvec b) { return { a.re - b.re, a.im - b.im }; }
RADIOFM_AVX512_INLINE cvec mul(cvec a, cvec b)
{
    return { _mm512_fmsub_ps(a.re, b.re, a.im * b.im),
             _mm512_fmadd_ps(a.re, b.im, a.im * b.re) };
}

//! v W_16^E.
template <int E>
RADIOFM_AVX512_INLINE cvec times_root(cvec v)
{
    const __m512 half = _mm512_set1_ps(0.707106781f);
    if constexpr (E == 4)
        return { v.im, -v.re };
    else if constexpr (E == 2)
        return { (v.re + v.im) * half, (v.im - v.re) * half };
    else if constexpr (E == 6)
        return { (v.im - v.re) * half, (v.re + v.im) * -half };
    else {
        static_assert(E == 1 || E == 3 || E == 9, "the others are not needed");
        const float c = E == 1 ? 0.923879533f : E == 3 ? 0.382683432f : -0.923879533f;
        const float s = E == 1 ? -0.382683432f : E == 3 ? -0.923879533f : 0.382683432f;
        return mul(v, { _mm512_set1_ps(c), _mm512_set1_ps(s) });
    }
}

RADIOFM_AVX512_INLINE void fft4(cvec& a, cvec& b, cvec& c, cvec& d)
{
    const cvec s0 = add(a, c), d0 = sub(a, c);
    const cvec s1 = add(b, d), d1 = times_root<4>(sub(b, d));
    a = add(s0, s1);
    b = add(d0, d1);
    c = sub(s0, s1);
    d = sub(d0, d1);
}

//! The R-point FFT of v; bin k ends in v[position<R>(k)].
template <int R>
RADIOFM_AVX512_INLINE void fft(cvec* v)
{
    if constexpr (R == 8) {
        for (int j = 0; j < 4; j++) {
            const cvec a = v[j], b = v[j + 4];
            v[j] = add(a, b);
            v[j + 4] = sub(a, b);
        }
        v[5] = times_root<2>(v[5]);
        v[6] = times_root<4>(v[6]);
        v[7] = times_root<6>(v[7]);
    } else if constexpr (R == 16) {
        for (int j = 0; j < 4; j++)
            fft4(v[j], v[j + 4], v[j + 8], v[j + 12]);
        v[5] = times_root<1>(v[5]);
        v[6] = times_root<2>(v[6]);
        v[7] = times_root<3>(v[7]);
        v[9] = times_root<2>(v[9]);
        v[10] = times_root<4>(v[10]);
        v[11] = times_root<6>(v[11]);
        v[13] = times_root<3>(v[13]);
        v[14] = times_root<6>(v[14]);
        v[15] = times_root<9>(v[15]);
    }
    for (int k = 0; k < R; k += 4)
        fft4(v[k], v[k + 1], v[k + 2], v[k + 3]);
}

template <int R>
constexpr int position(int k)
{
    return 4 * (k % (R / 4)) + k / (R / 4);
}

//! Lane j of vector i becomes lane i of vector j.
RADIOFM_AVX512_INLINE void transpose(__m512* r)
{
    __m512 t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm512_shuffle_ps(t[i + j], t[i + 2 + j], 0x44);
            r[i + 2 * j + 1] = _mm512_shuffle_ps(t[i + j], t[i + 2 + j], 0xee);
        }
    // Now r[i + j], i = 0, 4, 8, 12, has lanes j, j + 4, j + 8 and j + 12 of the four
    // vectors from i on.
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 16; i += 8) {
            t[i + j] = _mm512_shuffle_f32x4(r[i + j], r[i + 4 + j], 0x88);
            t[i + 4 + j] = _mm512_shuffle_f32x4(r[i + j], r[i + 4 + j], 0xdd);
        }
    for (int j = 0; j < 8; j++) {
        r[j] = _mm512_shuffle_f32x4(t[j], t[8 + j], 0x88);
        r[8 + j] = _mm512_shuffle_f32x4(t[j], t[8 + j], 0xdd);
    }
}

//! decibel() on 16 lanes. max keeps a NaN that is its second argument.
RADIOFM_AVX512_INLINE __m512 decibel(__m512 p)
{
    p = _mm512_max_ps(_mm512_set1_ps(least_power), p);
    const __m512 e = _mm512_getexp_ps(p);
    const __m512 t = _mm512_getmant_ps(p, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src) - 1.0f;
    __m512 db = _mm512_set1_ps(db_poly[6]);
    for (int i = 5; i >= 0; i--)
        db = _mm512_fmadd_ps(db, t, _mm512_set1_ps(db_poly[i]));
    return _mm512_fmadd_ps(e, _mm512_set1_ps(db_per_octave), db);
}

//! What becomes of a bin; sum: its power is added to what is there.
enum class scale { db, power, magnitude, sum };

template <scale Scale>
RADIOFM_AVX512_INLINE void store_bins(float* out, cvec bins)
{
    __m512 y = _mm512_fmadd_ps(bins.re, bins.re, bins.im * bins.im);
    if constexpr (Scale == scale::db)
        y = decibel(y);
    else if constexpr (Scale == scale::magnitude)
        y = _mm512_sqrt_ps(y);
    else if constexpr (Scale == scale::sum)
        y = y + _mm512_loadu_ps(out);
    _mm512_storeu_ps(out, y);
}

// ---- The FFT in two steps -------------------------------------------------------------

//! 16 floats as they lie in memory.
struct alignas(64) vector16 {
    float x[16];
};

RADIOFM_AVX512_INLINE cvec load(const vector16* from)
{
    return { _mm512_load_ps(from[0].x), _mm512_load_ps(from[1].x) };
}

RADIOFM_AVX512_INLINE void store(vector16* to, cvec v)
{
    _mm512_store_ps(to[0].x, v.re);
    _mm512_store_ps(to[1].x, v.im);
}

//! The factors of an FFT, N = 16 m and m = p q, its twiddle factors and its scratch.
struct plan {
    plan(size_t n, bool shift);

    size_t m, q, p;
    size_t flip; //!< bin block d stands at d ^ flip in the row: half a row on with shift
    //! W_N^(m c): for each 16 of m, for c = 1 ... 15
    std::vector<vector16> column_twiddles;
    //! W_m^(b c): for each b < q, for c < p
    std::vector<float> row_twiddles;
    std::vector<vector16> scratch; //!< m vectors
};

inline bool supported(size_t n)
{
    return (n == 256 || n == 512 || n == 1024 || n == 2048 || n == 4096) &&
           __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
}

inline plan::plan(size_t n, bool shift)
    : m(n / 16),
      q(m == 32 || m == 64 ? 8 : 16),
      p(m / q),
      flip(shift ? m / 2 : 0),
      column_twiddles(m / 16 * 15 * 2),
      row_twiddles(2 * m),
      scratch(2 * m)
{
    const auto root = [](size_t power, size_t of) {
        return std::polar(1.0, -2 * M_PI * static_cast<double>(power % of) / of);
    };
    for (size_t i = 0; i < m; i++)
        for (size_t c = 1; c < 16; c++) {
            const auto w = root(i * c, n);
            vector16* const at = &column_twiddles[2 * (i / 16 * 15 + c - 1)];
            at[0].x[i % 16] = static_cast<float>(w.real());
            at[1].x[i % 16] = static_cast<float>(w.imag());
        }
    for (size_t b = 0; b < q; b++)
        for (size_t c = 0; c < p; c++) {
            const auto w = root(b * c, m);
            row_twiddles[2 * (b * p + c)] = static_cast<float>(w.real());
            row_twiddles[2 * (b * p + c) + 1] = static_cast<float>(w.imag());
        }
}

RADIOFM_AVX512_INLINE void
transform_columns(const plan& f, const float* taps, const float* in, vector16* scratch)
{
    const int evens[] = { 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30 };
    const __m512i even = _mm512_loadu_si512(evens);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    const vector16* twiddles = f.column_twiddles.data();
    for (size_t m = 0; m < f.m; m += 16, twiddles += 30) {
        cvec v[16];
        for (size_t a = 0; a < 16; a++) {
            const float* x = in + 2 * (a * f.m + m);
            const __m512 w = _mm512_loadu_ps(taps + a * f.m + m);
            const __m512 lo = _mm512_loadu_ps(x), hi = _mm512_loadu_ps(x + 16);
            v[a].re = w * _mm512_permutex2var_ps(lo, even, hi);
            v[a].im = w * _mm512_permutex2var_ps(lo, odd, hi);
        }
        fft<16>(v);
        __m512 re[16], im[16];
        for (int c = 0; c < 16; c++) {
            const cvec bin = v[position<16>(c)];
            const cvec twiddled = c == 0 ? bin : mul(bin, load(twiddles + 2 * (c - 1)));
            re[c] = twiddled.re;
            im[c] = twiddled.im;
        }
        transpose(re);
        transpose(im);
        for (int i = 0; i < 16; i++)
            store(scratch + 2 * (m + i), { re[i], im[i] });
    }
}

//! The first pass of the M-point FFTs: P points, q apart, in place.
template <int P>
RADIOFM_AVX512_INLINE void first_pass(const plan& f, vector16* scratch)
{
    const float* twiddles = f.row_twiddles.data();
    for (size_t b = 0; b < f.q; b++, twiddles += 2 * P) {
        cvec v[P];
        for (int a = 0; a < P; a++)
            v[a] = load(scratch + 2 * (a * f.q + b));
        fft<P>(v);
        for (int c = 0; c < P; c++) {
            const cvec twiddle = { _mm512_set1_ps(twiddles[2 * c]),
                                   _mm512_set1_ps(twiddles[2 * c + 1]) };
            store(scratch + 2 * (c * f.q + b), mul(v[position<P>(c)], twiddle));
        }
    }
}

/*! The last pass: Q neighbours. Bins 16 (c + p d) and the 15 after it are done and go
 * out. Meanwhile the samples of the next row, and the place it goes to, are fetched into
 * the cache: in large buffers that saves a fifth to a third of the time. */
template <int Q, scale Scale>
RADIOFM_AVX512_INLINE void
last_pass(const plan& f, const vector16* scratch, float* out, const vector16* next_in)
{
    for (size_t c = 0; c < f.p; c++) {
        cvec v[Q];
        for (int b = 0; b < Q; b++)
            v[b] = load(scratch + 2 * (c * Q + b));
        fft<Q>(v);
        for (int d = 0; d < Q; d++, next_in += 2) {
            float* const to = out + 16 * ((c + f.p * d) ^ f.flip);
            __builtin_prefetch(next_in);
            __builtin_prefetch(next_in + 1);
            __builtin_prefetch(to + 16 * f.m, 1);
            store_bins<Scale>(to, v[position<Q>(d)]);
        }
    }
}

template <scale Scale>
RADIOFM_AVX512 void
row(plan& f, const float* taps, const std::complex<float>* in, float* out)
{
    vector16* const scratch = f.scratch.data();
    const auto* next_in = reinterpret_cast<const vector16*>(in + 16 * f.m);
    transform_columns(f, taps, reinterpret_cast<const float*>(in), scratch);
    if (f.p == 4)
        first_pass<4>(f, scratch);
    else if (f.p == 8)
        first_pass<8>(f, scratch);
    else if (f.p == 16)
        first_pass<16>(f, scratch);
    if (f.q == 8)
        last_pass<8, Scale>(f, scratch, out, next_in);
    else
        last_pass<16, Scale>(f, scratch, out, next_in);
}

} // namespace avx512
} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_STFT_AVX512_H */
