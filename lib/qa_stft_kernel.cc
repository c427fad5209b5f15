/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "row_math.h"
#include "stft_kernel.h"
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <random>

using gr::radiofm::denormals_off;
using gr::radiofm::row_math;
using gr::radiofm::row_scale;
using gr::radiofm::stft_kernel;
using gr::radiofm::stft_window;
using cfloat = std::complex<float>;
using cdouble = std::complex<double>;

namespace {

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
    for (const float tap : taps)
        sum += tap;
    std::vector<cdouble> row(n);
    for (size_t k = 0; k < n; k++) {
        const size_t bin = shift ? (k + (n + 1) / 2) % n : k;
        for (size_t i = 0; i < n; i++)
            row[k] += static_cast<double>(taps[i]) / sum * cdouble(x[i]) *
                      std::polar(1.0, -2 * M_PI * static_cast<double>(bin * i % n) / n);
    }
    return row;
}

double to_db(double power) { return 10 * std::log10(std::max(power, 1e-20)); }

} // namespace

BOOST_AUTO_TEST_CASE(rows_follow_the_definition)
{
    for (const size_t n : { 8, 9, 15, 16, 31, 64, 100, 127, 256, 360, 512, 1000, 1024, 2048 })
        for (const bool shift : { false, true }) {
            const auto x = noise(n + 1, static_cast<unsigned>(n));
            const auto taps = hann(n);
            const stft_window window(taps);
            stft_kernel kernel(n, shift);
            const auto expected = reference_row(taps, &x[1], shift);

            std::vector<cfloat> bins(n);
            std::vector<float> db(n), power(n), magnitude(n), sum(n), mean(n);
            // From an odd address: samples are not aligned in a stream.
            kernel.complex_row(window, &x[1], bins.data());
            kernel.row(window, &x[1], db.data(), row_scale::db);
            kernel.row(window, &x[1], power.data(), row_scale::power);
            kernel.row(window, &x[1], magnitude.data(), row_scale::magnitude);
            for (int i = 0; i < 3; i++)
                kernel.add_power(window, &x[1], sum.data());
            kernel.finish(sum.data(), 3, mean.data(), row_scale::power);

            double peak = 0;
            for (const auto& bin : expected)
                peak = std::max(peak, std::norm(bin));
            for (size_t k = 0; k < n; k++) {
                const double p = std::norm(expected[k]);
                BOOST_TEST(std::abs(cdouble(bins[k]) - expected[k]) < 1e-6 * std::sqrt(peak));
                BOOST_TEST(std::abs(power[k] - p) < 2e-6 * std::sqrt(p * peak));
                BOOST_TEST(std::abs(mean[k] - p) < 2e-6 * std::sqrt(p * peak));
                BOOST_TEST(std::abs(magnitude[k] - std::sqrt(p)) < 1e-6 * std::sqrt(peak));
                if (p > 1e-4 * peak)
                    BOOST_TEST(std::abs(db[k] - to_db(p)) < 1e-4);
            }
        }
}
