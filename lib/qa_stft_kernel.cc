/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "row_math.h"
#include "stft_kernel.h"
#include <boost/test/unit_test.hpp>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <random>
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

namespace utf = boost::unit_test;
using gr::radiofm::denormals_off;
using gr::radiofm::row_math;
using gr::radiofm::row_scale;
using gr::radiofm::stft_kernel;
using gr::radiofm::stft_window;
using cfloat = std::complex<float>;
using cdouble = std::complex<double>;

// Counts what this program allocates. (Inlined, GCC takes new and free for a mismatch.)
static std::atomic<size_t> allocations{ 0 };

__attribute__((noinline)) void* operator new(size_t size)
{
    allocations++;
    if (void* p = std::malloc(size))
        return p;
    throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* p) noexcept { std::free(p); }
__attribute__((noinline)) void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace {

const row_scale scales[] = { row_scale::db, row_scale::power, row_scale::magnitude };

std::vector<cfloat> noise(size_t n, unsigned seed)
{
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<cfloat> x(n);
    for (auto& sample : x)
        sample = { normal(random), normal(random) };
    return x;
}

std::vector<float> hann(size_t n)
{
    std::vector<float> taps(n);
    for (size_t i = 0; i < n; i++)
        taps[i] = static_cast<float>(0.5 - 0.5 * std::cos(2 * M_PI * i / n));
    return taps;
}

//! The definition, in double: the sum over all samples for every bin.
std::vector<cdouble>
reference_row(const std::vector<float>& taps, const cfloat* x, bool shift)
{
    const size_t n = taps.size();
    double sum = 0;
    std::vector<cdouble> root(n);
    for (size_t i = 0; i < n; i++) {
        sum += taps[i];
        root[i] = std::polar(1.0, -2 * M_PI * static_cast<double>(i) / n);
    }
    std::vector<cdouble> row(n);
    for (size_t k = 0; k < n; k++) {
        const size_t bin = shift ? (k + (n + 1) / 2) % n : k;
        for (size_t i = 0; i < n; i++)
            row[k] +=
                static_cast<double>(taps[i]) / sum * cdouble(x[i]) * root[bin * i % n];
    }
    return row;
}

double to_db(double power) { return 10 * std::log10(std::max(power, 1e-20)); }

//! Rows of the kernel on every scale against the definition.
void check_rows(stft_kernel& kernel, bool shift)
{
    const size_t n = kernel.fft_size();
    const auto x = noise(n + 1, static_cast<unsigned>(n));
    const auto taps = hann(n);
    const stft_window window(taps);
    const auto expected = reference_row(taps, &x[1], shift);

    std::vector<cfloat> bins(n);
    std::vector<float> db(n), power(n), magnitude(n), sum(n);
    std::vector<float> mean(n), mean_magnitude(n), mean_db(n);
    // From an odd address: samples are not aligned in a stream.
    kernel.complex_row(window, &x[1], bins.data());
    kernel.row(window, &x[1], db.data(), row_scale::db);
    kernel.row(window, &x[1], power.data(), row_scale::power);
    kernel.row(window, &x[1], magnitude.data(), row_scale::magnitude);
    for (int i = 0; i < 3; i++)
        kernel.add_power(window, &x[1], sum.data());
    kernel.finish(sum.data(), 3, mean.data(), row_scale::power);
    kernel.finish(sum.data(), 3, mean_magnitude.data(), row_scale::magnitude);
    kernel.finish(sum.data(), 3, mean_db.data(), row_scale::db);

    double peak = 0;
    for (const auto& bin : expected)
        peak = std::max(peak, std::norm(bin));
    double bins_error = 0, power_error = 0, magnitude_error = 0, db_error = 0;
    for (size_t k = 0; k < n; k++) {
        const double a = std::abs(expected[k]), p = a * a;
        const double tolerance = a * std::sqrt(peak);
        const auto worst = [](double& so_far, double error) {
            so_far = std::max(so_far, std::abs(error));
        };
        worst(bins_error, std::abs(cdouble(bins[k]) - expected[k]));
        worst(power_error, (power[k] - p) / tolerance);
        worst(power_error, (mean[k] - p) / tolerance);
        worst(magnitude_error, magnitude[k] - a);
        worst(magnitude_error, mean_magnitude[k] - a);
        if (p > 1e-4 * peak) {
            worst(db_error, db[k] - to_db(p));
            worst(db_error, mean_db[k] - to_db(p));
        }
    }
    BOOST_TEST_CONTEXT("n " << n << " shift " << shift)
    {
        BOOST_TEST(bins_error < 1e-6 * std::sqrt(peak));
        BOOST_TEST(magnitude_error < 1e-6 * std::sqrt(peak));
        BOOST_TEST(power_error < 2e-6);
        BOOST_TEST(db_error < 1e-4);
    }
}

//! The loops over bins on powers from silence to the largest, infinite and NaN.
void check_math(const row_math& math)
{
    const float inf = std::numeric_limits<float>::infinity();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::vector<float> power = {
        0, 1e-45f, 1e-38f, 1e-21f, 1e-20f, 1, 3.4e38f, inf, nan
    };
    std::mt19937 random(1);
    std::uniform_real_distribution<float> exponent(-21, 38);
    for (int i = 0; i < 20000; i++)
        power.push_back(std::pow(10.0f, exponent(random)));
    for (float near_one = 0.5f; near_one < 2;
         near_one = std::nextafter(near_one * 1.001f, 4))
        power.push_back(near_one);

    // The polynomial, and the spacing of floats at that many dB.
    const auto tolerance = [&](size_t i) {
        return 1e-5 + 1.2e-7 * std::abs(to_db(power[i]));
    };
    const size_t n = power.size();
    std::vector<float> db(n), magnitude(n);
    math.mean_db(power.data(), 1.0f, db.data(), n);
    math.mean_magnitude(power.data(), 0.25f, magnitude.data(), n);
    for (size_t i = 0; i < n; i++) {
        if (std::isnan(power[i])) {
            BOOST_TEST(std::isnan(db[i]));
            BOOST_TEST(std::isnan(magnitude[i]));
        } else if (std::isinf(power[i])) {
            BOOST_TEST(db[i] == inf);
            BOOST_TEST(magnitude[i] == inf);
        } else {
            BOOST_REQUIRE_SMALL(db[i] - to_db(power[i]), tolerance(i));
            if (power[i] == 0 || power[i] > 1e-37f) // a quarter of others is denormal
                BOOST_REQUIRE_CLOSE(magnitude[i], 0.5f * std::sqrt(power[i]), 2e-5);
        }
    }
    // The same through loops that square the bins first.
    std::vector<cfloat> bins(n);
    std::vector<float> sum(n, 1.0f);
    for (size_t i = 0; i < n; i++)
        bins[i] = { 0, std::sqrt(power[i]) };
    math.db(bins.data(), db.data(), n);
    math.magnitude(bins.data(), magnitude.data(), n);
    math.add_power(bins.data(), sum.data(), n);
    for (size_t i = 9; i < n; i++) {
        BOOST_REQUIRE_SMALL(db[i] - to_db(power[i]), tolerance(i));
        BOOST_REQUIRE_CLOSE(magnitude[i], bins[i].imag(), 2e-5);
        BOOST_REQUIRE_CLOSE(sum[i], 1 + power[i], 1e-4);
    }
    BOOST_TEST(magnitude[0] == 0);
    BOOST_TEST(std::isnan(db[8]));
    BOOST_TEST(std::isnan(magnitude[8]));
}

// What the processor has, told by the compiler and not by the code under test.
#ifdef __x86_64__
bool has_avx2()
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
bool has_avx512()
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
#endif

using result = boost::test_tools::assertion_result;
result needs_avx2(utf::test_unit_id) { return has_avx2(); }
result needs_avx512(utf::test_unit_id) { return has_avx512(); }

} // namespace

// ---- Code for one instruction set: skipped, not passed, without it -------------------

BOOST_AUTO_TEST_SUITE(avx2, *utf::precondition(needs_avx2))

BOOST_AUTO_TEST_CASE(math_of_every_magnitude)
{
    const row_math* const math = row_math::with(row_math::instructions::avx2);
    BOOST_REQUIRE(math);
    check_math(*math);
    if (!has_avx512())
        BOOST_TEST(&row_math::best() == math);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(avx512, *utf::precondition(needs_avx512))

BOOST_AUTO_TEST_CASE(math_of_every_magnitude)
{
    const row_math* const math = row_math::with(row_math::instructions::avx512);
    BOOST_REQUIRE(math);
    check_math(*math);
    BOOST_TEST(&row_math::best() == math);
}

BOOST_AUTO_TEST_CASE(rows_follow_the_definition)
{
    for (const size_t n : { 256, 512, 1024, 2048, 4096 })
        for (const bool shift : { false, true }) {
            stft_kernel kernel(n, shift);
            BOOST_REQUIRE(kernel.uses_avx512());
            check_rows(kernel, shift);
        }
}

BOOST_AUTO_TEST_CASE(rows_agree_with_fftw)
{
    for (const size_t n : { 256, 512, 1024, 2048, 4096 })
        for (unsigned seed = 0; seed < 20; seed++) {
            const auto x = noise(n, seed);
            auto taps = hann(n);
            for (auto& tap : taps)
                tap += 0.1f * static_cast<float>(seed);
            const stft_window window(taps);
            stft_kernel best(n, seed % 2), fftw(n, seed % 2, stft_kernel::engine::fftw);
            BOOST_REQUIRE(best.uses_avx512() && !fftw.uses_avx512());
            std::vector<float> a(n), b(n);
            for (const auto scale : scales) {
                best.row(window, x.data(), a.data(), scale);
                fftw.row(window, x.data(), b.data(), scale);
                const float peak = *std::max_element(b.begin(), b.end());
                for (size_t k = 0; k < n; k++) {
                    const bool db = scale == row_scale::db;
                    if (!db || b[k] > peak - 40)
                        BOOST_REQUIRE_SMALL(a[k] - b[k], db ? 2e-4f : 2e-6f * peak);
                }
            }
        }
}

BOOST_AUTO_TEST_SUITE_END()

// ---- What every processor runs
// ----------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(portable)

BOOST_AUTO_TEST_CASE(math_of_every_magnitude)
{
    const row_math* const math = row_math::with(row_math::instructions::baseline);
    BOOST_REQUIRE(math);
    check_math(*math);
    if (!has_avx2() && !has_avx512())
        BOOST_TEST(&row_math::best() == math);
}

BOOST_AUTO_TEST_CASE(rows_follow_the_definition)
{
    for (const size_t n :
         { 8, 9, 15, 16, 31, 64, 100, 127, 256, 360, 512, 1000, 1024, 2048, 4096 })
        for (const bool shift : { false, true }) {
            stft_kernel kernel(n, shift, stft_kernel::engine::fftw);
            BOOST_REQUIRE(!kernel.uses_avx512());
            check_rows(kernel, shift);
        }
}

BOOST_AUTO_TEST_CASE(the_best_engine_takes_every_size)
{
    for (const size_t n : { 8, 127, 256, 360, 1024 }) {
        stft_kernel kernel(n, true);
        check_rows(kernel, true);
    }
}

BOOST_AUTO_TEST_CASE(nan_inf_and_silence_in_a_row)
{
    for (const size_t n : { 100, 256, 1024 }) {
        const stft_window window(hann(n));
        stft_kernel kernel(n, true);
        std::vector<float> row(n);

        std::vector<cfloat> x(n);
        kernel.row(window, x.data(), row.data(), row_scale::db);
        for (const float db : row)
            BOOST_REQUIRE_SMALL(db - stft_kernel::floor_db, 1e-4f);
        kernel.row(window, x.data(), row.data(), row_scale::magnitude);
        for (const float magnitude : row)
            BOOST_REQUIRE(magnitude == 0);

        x[n / 2] = { std::numeric_limits<float>::quiet_NaN(), 0 };
        for (const auto scale : scales) {
            kernel.row(window, x.data(), row.data(), scale);
            for (const float bin : row)
                BOOST_REQUIRE(std::isnan(bin));
        }
        x[n / 2] = { std::numeric_limits<float>::infinity(), 0 };
        kernel.row(window, x.data(), row.data(), row_scale::db);
        for (const float bin : row)
            BOOST_REQUIRE(!std::isfinite(bin));

        // It leaves nothing behind.
        x = noise(n, 1);
        std::vector<float> again(n);
        kernel.row(window, x.data(), row.data(), row_scale::db);
        stft_kernel(n, true).row(window, x.data(), again.data(), row_scale::db);
        for (size_t k = 0; k < n; k++)
            BOOST_REQUIRE_SMALL(row[k] - again[k], 1e-2f);
    }
}

#ifdef __x86_64__
// Behind a pointer: the compiler moves arithmetic across changes of the processor's mode.
static float (*volatile product)(float, float) = [](float a, float b) { return a * b; };

BOOST_AUTO_TEST_CASE(denormals_count_as_zero_only_in_scope)
{
    const unsigned before = _mm_getcsr(); // VOLK changes it, too
    _mm_setcsr(0x1f80);
    float in_scope = 1;
    {
        const denormals_off guard;
        in_scope = product(product(1e-30f, 1e-10f), 1e30f);
    }
    const float behind = product(product(1e-30f, 1e-10f), 1e30f);
    _mm_setcsr(before);
    BOOST_TEST(in_scope == 0.0f);
    BOOST_TEST(behind != 0.0f);
}
#endif

BOOST_AUTO_TEST_CASE(no_allocation_in_a_row)
{
    for (const size_t n : { 100, 1024 }) {
        const auto x = noise(n, 1);
        const stft_window window(hann(n));
        stft_kernel kernel(n, true);
        std::vector<float> row(n);
        std::vector<cfloat> bins(n);
        const size_t before = allocations;
        for (const auto scale : scales)
            kernel.row(window, x.data(), row.data(), scale);
        kernel.add_power(window, x.data(), row.data());
        kernel.finish(row.data(), 2, row.data(), row_scale::magnitude);
        kernel.complex_row(window, x.data(), bins.data());
        BOOST_TEST(allocations == before);
    }
}

BOOST_AUTO_TEST_CASE(what_cannot_work_is_refused)
{
    BOOST_CHECK_THROW(stft_kernel(7, true), std::invalid_argument);
    BOOST_CHECK_THROW(stft_window({ 1, -1 }), std::invalid_argument);
    BOOST_CHECK_THROW(stft_window({ 1, std::nanf("") }), std::invalid_argument);
    BOOST_TEST(stft_window({ 1, 3 }).size() == 2u);
    BOOST_TEST(stft_window({ 1, 3 }).taps()[1] == 0.75f);
}

BOOST_AUTO_TEST_SUITE_END()
