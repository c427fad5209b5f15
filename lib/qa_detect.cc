/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

/* The inner loops of detection against the plainest way to say the same.
 * tests/test_detect_kernels.py compares them with NumPy; this also runs where there is no
 * Python, as on ARM. */

#include "detect_blobs.h"
#include "detect_cut.h"
#include "detect_map.h"
#include "detect_order.h"
#include <boost/test/unit_test.hpp>
#include <algorithm>
#include <cmath>
#include <random>

using namespace gr::radiofm::detect;

namespace {

std::vector<float> noise(size_t n, float mean, float spread, unsigned seed = 1)
{
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(mean, spread);
    std::vector<float> x(n);
    std::generate(x.begin(), x.end(), [&] { return normal(random); });
    return x;
}

//! The mean of a cell around (r, c), places outside being the nearest inside.
double cell_mean(const grid& x, long r, long c, extent cell)
{
    const auto clamp = [](long at, size_t n) {
        return std::clamp(at, 0L, static_cast<long>(n) - 1);
    };
    double sum = 0;
    for (size_t i = 0; i < cell.rows; i++)
        for (size_t j = 0; j < cell.bins; j++)
            sum += x.row(
                clamp(r + static_cast<long>(i - cell.rows / 2),
                      x.rows))[clamp(c + static_cast<long>(j - cell.bins / 2), x.bins)];
    return sum / static_cast<double>(cell.rows * cell.bins);
}

} // namespace

BOOST_AUTO_TEST_CASE(quantiles_are_those_of_the_sorted_values)
{
    order select;
    for (const size_t n : { 1, 2, 7, 8, 9, 100, 1024 })
        for (const float spread : { 0.0f, 1e-20f, 2.0f, 1e30f }) {
            auto x = noise(n, 0.0f, spread, static_cast<unsigned>(n));
            auto sorted = x;
            std::sort(sorted.begin(), sorted.end());
            for (const size_t rank : { size_t{ 0 }, n / 2, n - 1 }) {
                const double share = n > 1 ? double(rank) / double(n - 1) : 0.0;
                const float found = select.quantile(x.data(), n, share);
                // a share that is rounded down interpolates between neighbours
                const float below = sorted[rank ? rank - 1 : 0];
                BOOST_CHECK(std::abs(found - sorted[rank]) <=
                                1e-6f * (sorted[rank] - below) ||
                            found == sorted[rank]);
            }
        }
}

BOOST_AUTO_TEST_CASE(quantiles_of_some_columns_less_an_offset)
{
    const auto x = noise(50, -70.0f, 3.0f), offset = noise(50, -70.0f, 1.0f, 2);
    std::vector<float> left;
    for (const size_t c : { 3, 4, 5, 6, 20, 48, 49 })
        left.push_back(x[c] - offset[c]);
    std::sort(left.begin(), left.end());
    const float found = order().quantile(
        x.data(), offset.data(), { { 3, 7 }, { 20, 21 }, { 48, 50 } }, 0.5);
    BOOST_CHECK_EQUAL(found, left[3]);
}

BOOST_AUTO_TEST_CASE(ranks_of_columns)
{
    for (const size_t rows : { 1, 2, 3, 16, 101, 128 })
        for (const size_t columns : { 1, 31, 32, 70 }) {
            const size_t stride = columns + 3;
            const auto x = noise(rows * stride, 1.0f, 1.0f);
            const std::vector<size_t> ranks = { rows - 1, rows / 3 };
            std::vector<float> out(2 * columns), column(rows);
            column_ranks(x.data(), rows, stride, columns, ranks, out.data());
            for (size_t c = 0; c < columns; c++) {
                for (size_t r = 0; r < rows; r++)
                    column[r] = x[r * stride + c];
                std::sort(column.begin(), column.end());
                BOOST_REQUIRE_EQUAL(out[c], column[ranks[0]]);
                BOOST_REQUIRE_EQUAL(out[columns + c], column[ranks[1]]);
            }
        }
}

BOOST_AUTO_TEST_CASE(power_over_the_floor)
{
    auto level = noise(1000, 0.0f, 60.0f);
    const auto shape = noise(2 * 250, -25.0f, 10.0f, 2);
    const std::vector<float> amounts = { 1, 1, 2, 1, 0, 2, -1, 1 };
    level[0] = 3000.0f;
    level[1] = -3000.0f;
    std::vector<float> out(1000);
    whiten({ level.data(), 4, 250 }, { amounts.data(), shape.data(), 2 }, out.data());
    BOOST_CHECK_GT(out[0], 1e38f);
    BOOST_CHECK(out[1] > 0.0f && out[1] < 1e-37f);
    for (size_t i = 2; i < 1000; i++) {
        const float* const amount = &amounts[i / 250 * 2];
        const double floor =
            double(amount[0]) * shape[i % 250] + double(amount[1]) * shape[250 + i % 250];
        BOOST_REQUIRE_CLOSE(out[i], std::pow(10.0, (level[i] - floor) / 10), 3e-3);
    }
}

BOOST_AUTO_TEST_CASE(a_step_of_all_bins)
{
    auto x = noise(60 * 100, -70.0f, 1.0f);
    for (size_t i = 30 * 100; i < x.size(); i++)
        x[i] -= 5.0f;
    std::vector<float> steps(51);
    common_steps({ x.data(), 60, 100 }, 5, 1.0f, 3.0f, 0.85, 0.9, steps.data());
    const auto most = std::max_element(steps.begin(), steps.end());
    BOOST_CHECK_EQUAL(most - steps.begin(), 25);
    BOOST_CHECK_CLOSE(*most, 5.0f, 6.0);
    BOOST_CHECK(
        std::all_of(steps.begin(), steps.begin() + 20, [](float s) { return s == 0; }));
}

BOOST_AUTO_TEST_CASE(least_means_are_of_cells_inside)
{
    const auto x = noise(30 * 50, -70.0f, 2.0f), change = noise(30, 0.0f, 2.0f, 2),
               weight = noise(50, 1.0f, 0.5f, 3);
    auto y = x;
    for (size_t i = 0; i < y.size(); i++)
        y[i] -= change[i / 50] * weight[i % 50];
    const grid rows = { x.data(), 30, 50 }, changed = { y.data(), 30, 50 };
    for (const extent cell : { extent{ 4, 7 }, extent{ 1, 1 }, extent{ 5, 21 } }) {
        std::vector<float> out(50);
        least_means(rows, cell, { change.data(), weight.data(), 1 }, out.data());
        for (long c = 0; c < 50; c++) {
            double least = 1e9;
            for (size_t r = cell.rows / 2; r + (cell.rows - cell.rows / 2) <= 30; r++)
                least = std::min(least, cell_mean(changed, long(r), c, cell));
            BOOST_REQUIRE_CLOSE(out[c], least, 1e-3);
        }
    }
}

BOOST_AUTO_TEST_CASE(the_map_is_closed)
{
    const size_t rows = 40, bins = 60;
    std::vector<float> x(rows * bins, 0.0f);
    const auto set = [&](size_t r, size_t c, float value) { x[r * bins + c] = value; };
    set(10, 20, 5.0f);
    set(10, 25, 2.0f); // four bins between
    set(20, 20, 2.0f);
    set(22, 20, 2.0f); // a row between
    set(30, 0, 2.0f);  // at the edge
    set(30, 40, 2.0f);
    set(30, 46, 2.0f); // five bins between
    std::vector<uint8_t> map(rows * bins);
    signal_map({ 1, 1 }, { 1.0f, 3.0f }, { 3, 5 })
        .map({ x.data(), rows, bins }, 0, rows, map.data());
    std::vector<uint8_t> wanted(rows * bins, 0);
    for (size_t c = 20; c <= 25; c++)
        wanted[10 * bins + c] = 1;
    wanted[10 * bins + 20] = 3;
    for (const size_t r : { 20, 21, 22 })
        wanted[r * bins + 20] = 1;
    for (const size_t c : { 0, 40, 46 })
        wanted[30 * bins + c] = 1;
    BOOST_CHECK_EQUAL_COLLECTIONS(map.begin(), map.end(), wanted.begin(), wanted.end());
}

BOOST_AUTO_TEST_CASE(the_map_is_of_means)
{
    auto x = noise(50 * 70, 1.0f, 0.3f);
    for (size_t i = 0; i < 3 * 70; i++)
        x[10 * 70 + i] += 1e6f; // leaves nothing behind
    const grid rows = { x.data(), 50, 70 };
    for (const extent cell : { extent{ 3, 3 }, extent{ 5, 1 }, extent{ 1, 33 } }) {
        std::vector<uint8_t> map(20 * 70);
        signal_map(cell, { 1.02f, 1.1f }, { 1, 1 }).map(rows, 20, 40, map.data());
        for (long r = 20; r < 40; r++)
            for (long c = 0; c < 70; c++) {
                const double mean = cell_mean(rows, r, c, cell);
                const int found = map[(r - 20) * 70 + c];
                if (std::abs(mean - 1.02) > 1e-5 && std::abs(mean - 1.1) > 1e-5)
                    BOOST_REQUIRE_EQUAL(found, mean > 1.1 ? 3 : mean > 1.02 ? 1 : 0);
            }
    }
}

BOOST_AUTO_TEST_CASE(blobs_are_what_hangs_together)
{
    const size_t rows = 80, bins = 50;
    for (const double share : { 0.1, 0.5, 0.62, 0.9 }) {
        std::mt19937 random(3);
        std::vector<uint8_t> map(rows * bins);
        for (auto& pixel : map)
            pixel = std::bernoulli_distribution(share)(random) ? 3 : 0;
        // flooded from each pixel, the plain way
        std::vector<int> label(rows * bins, 0);
        int count = 0;
        for (size_t first = 0; first < map.size(); first++) {
            if (!map[first] || label[first])
                continue;
            std::vector<size_t> left = { first };
            label[first] = ++count;
            while (!left.empty()) {
                const size_t at = left.back(), c = at % bins;
                left.pop_back();
                const auto visit = [&](bool inside, size_t other) {
                    if (inside && map[other] && !label[other]) {
                        label[other] = count;
                        left.push_back(other);
                    }
                };
                visit(c > 0, at - 1);
                visit(c + 1 < bins, at + 1);
                visit(at >= bins, at - bins);
                visit(at + bins < map.size(), at + bins);
            }
        }
        for (const size_t block : { size_t{ 1 }, size_t{ 9 }, rows }) {
            blobs all(bins);
            std::vector<blob> found;
            for (size_t r = 0; r < rows; r += block)
                for (auto& one : all.take(&map[r * bins], std::min(block, rows - r)))
                    found.push_back(one);
            for (auto& one : all.end_before(rows))
                found.push_back(one);
            BOOST_CHECK(all.open().empty());
            BOOST_REQUIRE_EQUAL(found.size(), count);
            for (const blob& one : found) {
                const auto wide = static_cast<size_t>(one.f1 - one.f0);
                std::vector<uint8_t> drawn(static_cast<size_t>(one.t1 - one.t0) * wide,
                                           0);
                one.draw(drawn.data());
                const int name = label[static_cast<size_t>(one.t0) * bins + one.first];
                size_t pixels = 0;
                for (size_t i = 0; i < drawn.size(); i++) {
                    const size_t at = (one.t0 + i / wide) * bins + one.f0 + i % wide;
                    BOOST_REQUIRE_EQUAL(drawn[i] != 0, label[at] == name);
                    pixels += drawn[i];
                }
                BOOST_REQUIRE_EQUAL(pixels, std::count(label.begin(), label.end(), name));
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(touching_signals_are_cut)
{
    const size_t rows = 60, bins = 100;
    std::vector<uint8_t> map(rows * bins, 0);
    const auto fill = [&](size_t t0, size_t t1, size_t f0, size_t f1) {
        for (size_t t = t0; t < t1; t++)
            std::fill(&map[t * bins + f0], &map[t * bins + f1], 1);
    };
    fill(5, 30, 10, 40);
    fill(30, 55, 20, 80);
    const cut_rules rules = { 12, 6, 12, 0.45, 0.15, 0.9, 8 };
    const auto found = cutter(rules).cut(map.data(), rows, bins);
    BOOST_REQUIRE_EQUAL(found.size(), 2);
    BOOST_CHECK(found[0].t0 == 5 && found[0].t1 == 30 && found[0].f0 == 10 &&
                found[0].f1 == 40);
    BOOST_CHECK(found[1].t0 == 30 && found[1].t1 == 55 && found[1].f0 == 20 &&
                found[1].f1 == 80);
}

BOOST_AUTO_TEST_CASE(means_of_places)
{
    const auto x = noise(20 * 50, 3.0f, 1.0f);
    const grid power = { x.data(), 20, 50 };
    double sum = 0;
    for (size_t r = 4; r < 17; r++)
        for (size_t c = 3; c < 44; c++)
            sum += power.row(r)[c];
    BOOST_CHECK_CLOSE(mean(power, 4, 17, 3, 44), sum / (13 * 41), 1e-4);
    BOOST_CHECK_EQUAL(mean(power, 4, 4, 3, 44), 0.0);
    BOOST_CHECK_EQUAL(mean(power, 4, 6, 5, 5), 0.0);
}
