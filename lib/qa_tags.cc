/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "tags.h"
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <vector>

using namespace gr::radiofm;
using pmt::pmt_t;

namespace {

const double nan_value = std::numeric_limits<double>::quiet_NaN();
const double inf_value = std::numeric_limits<double>::infinity();

pmt_t u(uint64_t value) { return pmt::from_uint64(value); }
pmt_t l(long value) { return pmt::from_long(value); }
pmt_t r(double value) { return pmt::from_double(value); }

//! What is no number at all.
const std::vector<pmt_t> no_numbers{ pmt::PMT_T,
                                     pmt::PMT_F,
                                     pmt::PMT_NIL,
                                     pmt_t(),
                                     pmt::from_complex(1, 0),
                                     pmt::intern("5"),
                                     pmt::intern("\xff\xfe"),
                                     pmt::make_vector(1, pmt::from_long(1)),
                                     pmt::init_f64vector(1, std::vector<double>{ 1.0 }),
                                     pmt::make_dict(),
                                     pmt::cons(l(1), l(2)),
                                     pmt::make_tuple(l(1)) };

void check_time(const pmt_t& value, uint64_t seconds, double fraction)
{
    std::string why;
    const auto time = read_time(value, why);
    BOOST_REQUIRE_MESSAGE(time, pmt::write_string(value) + ": " + why);
    BOOST_CHECK_EQUAL(time->seconds, seconds);
    BOOST_CHECK_SMALL(time->fraction - fraction, 1e-9);
    BOOST_CHECK(time->fraction >= 0 && time->fraction < 1);
}

template <typename T>
void check_refused(std::optional<T> (*read)(const pmt_t&, std::string&),
                   const pmt_t& value)
{
    std::string why;
    BOOST_CHECK_MESSAGE(!read(value, why), describe(value));
    BOOST_CHECK_EQUAL(why.substr(0, 8), "must be ");
    BOOST_CHECK(why.size() < 200);
}

} // namespace

BOOST_AUTO_TEST_CASE(numbers_of_every_kind)
{
    std::string why;
    for (const auto& value : { u(250000), l(250000), r(250000) }) {
        BOOST_CHECK_EQUAL(read_number(value, why).value(), 250000.0);
        BOOST_CHECK_EQUAL(read_rate(value, why).value(), 250000.0);
        BOOST_CHECK_EQUAL(read_frequency(value, why).value(), 250000.0);
        BOOST_CHECK_EQUAL(read_whole(value, why).value(), 250000);
    }
    BOOST_CHECK_EQUAL(read_frequency(r(-5e9), why).value(), -5e9);
    BOOST_CHECK_EQUAL(read_whole(l(-3), why).value(), -3);
    BOOST_CHECK_EQUAL(read_whole(u(uint64_t{ 1 } << 62), why).value(),
                      int64_t{ 1 } << 62);
    BOOST_CHECK_EQUAL(read_number(u(UINT64_MAX), why).value(), 18446744073709551616.0);
    for (const auto& value : no_numbers) {
        check_refused(&read_number, value);
        check_refused(&read_rate, value);
        check_refused(&read_frequency, value);
        check_refused(&read_whole, value);
    }
}

BOOST_AUTO_TEST_CASE(numbers_out_of_range)
{
    for (const auto& value : { r(nan_value), r(inf_value), r(-inf_value) }) {
        check_refused(&read_number, value);
        check_refused(&read_rate, value);
        check_refused(&read_frequency, value);
        check_refused(&read_whole, value);
    }
    for (const auto& value :
         { r(0), r(-1), l(0), l(-1), u(0), r(1e13), r(5e-324), u(UINT64_MAX) })
        check_refused(&read_rate, value);
    for (const auto& value : { r(1e13), r(-1e13), u(UINT64_MAX) })
        check_refused(&read_frequency, value);
    for (const auto& value : { r(5.5),
                               r(1e300),
                               r(9007199254740994.0),
                               u(UINT64_MAX),
                               l(INT64_MAX),
                               l(INT64_MIN) })
        check_refused(&read_whole, value);
}

BOOST_AUTO_TEST_CASE(times_of_every_form)
{
    for (const auto& seconds : { u(100), l(100), r(100) }) {
        check_time(pmt::make_tuple(seconds, r(0.5)), 100, 0.5);
        check_time(pmt::cons(seconds, r(0.5)), 100, 0.5);
        check_time(pmt::list2(seconds, r(0.5)), 100, 0.5);
        check_time(pmt::make_tuple(seconds, l(0)), 100, 0.0);
        check_time(seconds, 100, 0.0);
        auto vector = pmt::make_vector(2, seconds);
        pmt::vector_set(vector, 1, r(0.5));
        check_time(vector, 100, 0.5);
    }
    check_time(r(100.5), 100, 0.5);
    check_time(pmt::make_tuple(u(100), r(1.25)), 101, 0.25); // the fraction carries
    check_time(pmt::make_tuple(u(100), r(-0.25)), 99, 0.75);
    check_time(pmt::make_tuple(u(100), r(-1e-300)), 100, 0.0);
    check_time(pmt::make_tuple(u(0), r(0)), 0, 0.0);
    check_time(u(253402300799), 253402300799, 0.0);
}

BOOST_AUTO_TEST_CASE(times_that_are_none)
{
    const std::vector<pmt_t> bad{ r(nan_value),
                                  r(-0.5),
                                  l(-1),
                                  u(253402300800),
                                  u(UINT64_MAX),
                                  pmt::make_tuple(u(100), r(nan_value)),
                                  pmt::make_tuple(u(100), r(inf_value)),
                                  pmt::make_tuple(r(nan_value), r(0)),
                                  pmt::make_tuple(u(UINT64_MAX), r(0)),
                                  pmt::make_tuple(u(5403559341571466134), r(0)),
                                  pmt::make_tuple(u(100), r(1e300)),
                                  pmt::make_tuple(u(0), r(-0.1)),
                                  pmt::make_tuple(l(-5), r(0.5)),
                                  pmt::make_tuple(r(100.25), r(0.5)),
                                  pmt::make_tuple(u(1)),
                                  pmt::make_tuple(u(1), r(0), r(0)),
                                  pmt::make_tuple(u(1), pmt::PMT_T),
                                  pmt::make_tuple(pmt::PMT_NIL, r(0)),
                                  pmt::list3(u(1), r(0), r(0)),
                                  pmt::cons(u(1), pmt::PMT_NIL),
                                  pmt::intern("2026-01-01T00:00:00Z"),
                                  pmt::intern("\xff"),
                                  pmt::PMT_T,
                                  pmt::PMT_NIL,
                                  pmt_t(),
                                  pmt::from_complex(1, 0),
                                  pmt::make_dict() };
    for (const auto& value : bad)
        check_refused(&read_time, value);
}

BOOST_AUTO_TEST_CASE(text)
{
    std::string why;
    for (const char* good :
         { "", "rx_time", "Störung", "日本", "\U0001F4E1", "\xef\xbf\xbf" })
        BOOST_CHECK_EQUAL(read_text(pmt::intern(good), why).value(), good);
    for (const char* bad : { "\xff",
                             "a\x80",
                             "\xc3",
                             "\xc0\xaf",
                             "\xe2\x82",
                             "\xed\xa0\x80",
                             "\xf4\x90\x80\x80",
                             "\xf0\x80\x80\x80" })
        check_refused(&read_text, pmt::intern(bad));
    check_refused(&read_text, l(5));
}

BOOST_AUTO_TEST_CASE(times_move)
{
    const clock_time start{ 1700000000, 0.25 };
    auto moved = move_time(start, -0.5);
    BOOST_CHECK_EQUAL(moved->seconds, 1699999999u);
    BOOST_CHECK_CLOSE(moved->fraction, 0.75, 1e-9);
    moved = move_time(start, 30'000'000'000'001, 3e6); // 115 days, and a sample
    BOOST_CHECK_EQUAL(moved->seconds, 1710000000u);
    BOOST_CHECK_SMALL(moved->fraction - (0.25 + 1 / 3e6), 1e-15);
    moved = move_time(start, -1, 4.0);
    BOOST_CHECK_EQUAL(moved->seconds, 1700000000u);
    BOOST_CHECK_EQUAL(moved->fraction, 0.0);
    moved = move_time(start, 0, 4.0);
    BOOST_CHECK_EQUAL(moved->fraction, 0.25);
}

BOOST_AUTO_TEST_CASE(times_move_nowhere)
{
    const clock_time zero{ 0, 0.0 };
    for (double seconds : { -1e-6, -1.0, nan_value, inf_value, -inf_value, 1e300 })
        BOOST_CHECK(!move_time(zero, seconds));
    BOOST_CHECK(!move_time(zero, -1, 1e6));
    for (double rate : { 0.0, -1.0, nan_value, 1e-300 })
        BOOST_CHECK(!move_time({ 100, 0.0 }, 1000, rate));
    BOOST_CHECK(!move_time({ 253402300799, 0.5 }, 0.5));
}

BOOST_AUTO_TEST_CASE(times_of_items)
{
    std::string why;
    const auto own = time_of_item({ 100, 0.5 }, 3000, 4096, 1000, why);
    BOOST_CHECK(own && !own->next);
    BOOST_CHECK_EQUAL(own->time.seconds, 97u);
    BOOST_CHECK_CLOSE(own->time.fraction, 0.5, 1e-9);
    const auto next =
        time_of_item({ 0, 0.0 }, 1000, 4096, 1000, why); // the clock is reset
    BOOST_CHECK(next && next->next);
    BOOST_CHECK_EQUAL(next->time.seconds, 3u);
    BOOST_CHECK_CLOSE(next->time.fraction, 0.096, 1e-9);
    const auto first = time_of_item({ 0, 0.0 }, 0, 4096, 0, why);
    BOOST_CHECK(first && !first->next && first->time.seconds == 0);
    BOOST_CHECK(why.empty() && !time_of_item({ 5, 0.0 }, 1, 4096, 0, why) &&
                !why.empty());
}

BOOST_AUTO_TEST_CASE(rates_contradict)
{
    BOOST_CHECK_EQUAL(rate_contradiction(250e3, 250e3), "");
    BOOST_CHECK_EQUAL(rate_contradiction(3.333333e6, 1e7 / 3), "");
    const auto text = rate_contradiction(250e3, 1e6);
    BOOST_CHECK(text.find("250000") != std::string::npos);
    BOOST_CHECK(text.find("1000000") != std::string::npos);
}
