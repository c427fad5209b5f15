/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_STFT_AVX512_H
#define INCLUDED_RADIOFM_STFT_AVX512_H

/* A whole row (window, FFT, power, dB) in one go, for AVX-512 and 256 to 4096 bins.
 *
 * The FFT of N = 16 M points is done on 16-lane vectors in two steps. With n = M a + m
 * and k = c + 16 d,
 *
 *     X[c + 16 d] = sum over m of  W_M^(m d)  W_N^(m c)  sum over a of  W_16^(a c) x[M a
 * + m]
 *
 *   columns()  lanes are 16 neighbouring m. Load, window, the inner sum as a 16-point FFT
 * in registers, the twiddles W_N^(m c); then a transpose, so that lanes become c. rows()
 * the outer sum, an M-point FFT over whole vectors, in steps of P and Q points with M = P
 * Q. Its last step has the 16 neighbouring bins of d in one vector: their power, their
 * dB, one store.
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

//! v W_16^E, with W_16 = exp(-2 pi i / 16).
template <int E>
RADIOFM_AVX512_INLINE cvec turn(cvec v)
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
    const cvec s0 = add(a, c), d0 = sub(a, c), s1 = add(b, d), d1 = turn<4>(sub(b, d));
    a = add(s0, s1);
    b = add(d0, d1);
    c = sub(s0, s1);
    d = sub(d0, d1);
}

//! The R-point FFT of v; bin k ends in v[place<R>(k)].
template <int R>
RADIOFM_AVX512_INLINE void fft(cvec* v)
{
    if constexpr (R == 8) {
        for (int j = 0; j < 4; j++) {
            const cvec a = v[j], b = v[j + 4];
            v[j] = add(a, b);
            v[j + 4] = sub(a, b);
        }
        v[5] = turn<2>(v[5]);
        v[6] = turn<4>(v[6]);
        v[7] = turn<6>(v[7]);
    } else if constexpr (R == 16) {
        for (int j = 0; j < 4; j++)
            fft4(v[j], v[j + 4], v[j + 8], v[j + 12]);
        v[5] = turn<1>(v[5]);
        v[6] = turn<2>(v[6]);
        v[7] = turn<3>(v[7]);
        v[9] = turn<2>(v[9]);
        v[10] = turn<4>(v[10]);
        v[11] = turn<6>(v[11]);
        v[13] = turn<3>(v[13]);
        v[14] = turn<6>(v[14]);
        v[15] = turn<9>(v[15]);
    }
    for (int k = 0; k < R; k += 4)
        fft4(v[k], v[k + 1], v[k + 2], v[k + 3]);
}

template <int R>
constexpr int place(int k)
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
    // Now r[i + j], i = 0, 4, 8, 12, has lanes j, j + 4, j + 8, j + 12 of vectors i ... i
    // + 3.
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

//! What becomes of a bin.
enum class into { db, power, magnitude, sum };

template <into Kind>
RADIOFM_AVX512_INLINE void put(float* out, cvec bins)
{
    __m512 y = _mm512_fmadd_ps(bins.re, bins.re, bins.im * bins.im);
    if constexpr (Kind == into::db)
        y = decibel(y);
    else if constexpr (Kind == into::magnitude)
        y = _mm512_sqrt_ps(y);
    else if constexpr (Kind == into::sum)
        y = y + _mm512_loadu_ps(out);
    _mm512_storeu_ps(out, y);
}

// ---- The two steps -------------------------------------------------------------------

//! 16 floats as they lie in memory.
struct alignas(64) line {
    float x[16];
};

RADIOFM_AVX512_INLINE cvec load(const line* from)
{
    return { _mm512_load_ps(from[0].x), _mm512_load_ps(from[1].x) };
}

RADIOFM_AVX512_INLINE void store(line* to, cvec v)
{
    _mm512_store_ps(to[0].x, v.re);
    _mm512_store_ps(to[1].x, v.im);
}

//! The factors of an FFT, N = 16 m and m = p q, its twiddles and its scratch.
struct plan {
    plan(size_t n, bool shift);

    size_t m, q, p;
    size_t flip;                    //!< what turns d into its place in the row
    std::vector<line> column_turns; //!< W_N^(m c): for each 16 of m, for c = 1 ... 15
    std::vector<float> row_turns;   //!< W_m^(b c): for each b < q, for c < p
    std::vector<line> scratch;      //!< m vectors
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
      column_turns(m / 16 * 15 * 2),
      row_turns(2 * m),
      scratch(2 * m)
{
    const auto root = [](size_t power, size_t of) {
        return std::polar(1.0, -2 * M_PI * static_cast<double>(power % of) / of);
    };
    for (size_t i = 0; i < m; i++)
        for (size_t c = 1; c < 16; c++) {
            const auto w = root(i * c, n);
            line* const at = &column_turns[2 * (i / 16 * 15 + c - 1)];
            at[0].x[i % 16] = static_cast<float>(w.real());
            at[1].x[i % 16] = static_cast<float>(w.imag());
        }
    for (size_t b = 0; b < q; b++)
        for (size_t c = 0; c < p; c++) {
            const auto w = root(b * c, m);
            row_turns[2 * (b * p + c)] = static_cast<float>(w.real());
            row_turns[2 * (b * p + c) + 1] = static_cast<float>(w.imag());
        }
}

RADIOFM_AVX512_INLINE void
columns(const plan& f, const float* taps, const float* in, line* scratch)
{
    const int evens[] = { 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30 };
    const __m512i even = _mm512_loadu_si512(evens);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    const line* turns = f.column_turns.data();
    for (size_t m = 0; m < f.m; m += 16, turns += 30) {
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
            const cvec bin = v[place<16>(c)];
            const cvec turned = c == 0 ? bin : mul(bin, load(turns + 2 * (c - 1)));
            re[c] = turned.re;
            im[c] = turned.im;
        }
        transpose(re);
        transpose(im);
        for (int i = 0; i < 16; i++)
            store(scratch + 2 * (m + i), { re[i], im[i] });
    }
}

//! The first step of the FFT over the scratch: P points, q apart, in place.
template <int P>
RADIOFM_AVX512_INLINE void first_rows(const plan& f, line* scratch)
{
    const float* turns = f.row_turns.data();
    for (size_t b = 0; b < f.q; b++, turns += 2 * P) {
        cvec v[P];
        for (int a = 0; a < P; a++)
            v[a] = load(scratch + 2 * (a * f.q + b));
        fft<P>(v);
        for (int c = 0; c < P; c++) {
            const cvec turn = { _mm512_set1_ps(turns[2 * c]),
                                _mm512_set1_ps(turns[2 * c + 1]) };
            store(scratch + 2 * (c * f.q + b), mul(v[place<P>(c)], turn));
        }
    }
}

/*! The last step: Q neighbours. The bins 16 (c + p d) ... + 15 are done and go out. The
 * samples and the place of the next row, if it follows, are fetched meanwhile: in large
 * buffers that is a fifth to a third of the time. */
template <int Q, into Kind>
RADIOFM_AVX512_INLINE void
last_rows(const plan& f, const line* scratch, float* out, const line* next_in)
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
            put<Kind>(to, v[place<Q>(d)]);
        }
    }
}

template <into Kind>
RADIOFM_AVX512 void
row(plan& f, const float* taps, const std::complex<float>* in, float* out)
{
    line* const scratch = f.scratch.data();
    const auto* next_in = reinterpret_cast<const line*>(in + 16 * f.m);
    columns(f, taps, reinterpret_cast<const float*>(in), scratch);
    if (f.p == 4)
        first_rows<4>(f, scratch);
    else if (f.p == 8)
        first_rows<8>(f, scratch);
    else if (f.p == 16)
        first_rows<16>(f, scratch);
    if (f.q == 8)
        last_rows<8, Kind>(f, scratch, out, next_in);
    else
        last_rows<16, Kind>(f, scratch, out, next_in);
}

} // namespace avx512
} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_STFT_AVX512_H */
