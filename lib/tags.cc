/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "tags.h"
#include <cmath>
#include <cstdio>

namespace gr {
namespace radiofm {

namespace {

constexpr int64_t max_whole = int64_t{ 1 } << 62;
constexpr double exact_reals =
    9007199254740992.0; // 2^53: above it a real skips whole numbers
constexpr double end_of_time = 253402300800.0; // 10000-01-01
constexpr double max_hertz = 1e12;             // as SigMF has it
constexpr double min_rate = 1e-6;              // a sample in twelve days
constexpr double same_rate = 1e-6; // what a clock divider rounds is no contradiction

bool is_utf8(const std::string& text)
{
    for (size_t i = 0; i < text.size();) {
        const auto byte = [&](size_t k) {
            return k < text.size() ? static_cast<unsigned char>(text[k]) : 0u;
        };
        const unsigned lead = byte(i);
        const size_t more = lead < 0x80                    ? 0
                            : lead >= 0xc2 && lead <= 0xdf ? 1
                            : lead >= 0xe0 && lead <= 0xef ? 2
                            : lead >= 0xf0 && lead <= 0xf4 ? 3
                                                           : 4;
        if (more == 4)
            return false;
        for (size_t k = 1; k <= more; k++)
            if ((byte(i + k) & 0xc0) != 0x80)
                return false;
        const unsigned next = byte(i + 1);
        if ((lead == 0xe0 && next < 0xa0) ||
            (lead == 0xed && next > 0x9f) || // surrogates
            (lead == 0xf0 && next < 0x90) || (lead == 0xf4 && next > 0x8f))
            return false;
        i += more + 1;
    }
    return true;
}

std::nullopt_t refused(std::string& why, const std::string& wanted, const pmt::pmt_t& got)
{
    why = "must be " + wanted + ", got " + describe(got);
    return std::nullopt;
}

//! A number between two bounds; `wanted` for the complaint.
std::optional<double> read_between(const pmt::pmt_t& value,
                                   double low,
                                   double high,
                                   const char* wanted,
                                   std::string& why)
{
    const auto number = read_number(value, why);
    if (number && (*number < low || *number > high))
        return refused(why, wanted, value);
    return number;
}

std::optional<clock_time> normalised(double seconds, double fraction)
{
    double carry = std::floor(fraction);
    fraction -= carry;
    if (fraction >= 1) { // a fraction just below 0 has been rounded up
        fraction = 0;
        carry += 1;
    }
    seconds += carry;
    if (!(seconds >= 0 && seconds < end_of_time))
        return std::nullopt;
    return clock_time{ static_cast<uint64_t>(seconds), fraction };
}

//! The two numbers of a tuple, a vector or a pair.
bool open_two(const pmt::pmt_t& value, pmt::pmt_t& first, pmt::pmt_t& second)
{
    if (pmt::is_tuple(value) && pmt::length(value) == 2) {
        first = pmt::tuple_ref(value, 0);
        second = pmt::tuple_ref(value, 1);
    } else if (pmt::is_vector(value) && pmt::length(value) == 2) {
        first = pmt::vector_ref(value, 0);
        second = pmt::vector_ref(value, 1);
    } else if (pmt::is_pair(value)) {
        first = pmt::car(value);
        second = pmt::cdr(value);
        if (pmt::is_pair(second) && pmt::is_null(pmt::cdr(second))) // a list of two
            second = pmt::car(second);
    } else {
        return false;
    }
    return true;
}

} // namespace

// pmt::write_string may be long, and not UTF-8.
std::string describe(const pmt::pmt_t& value)
{
    if (!value)
        return "nothing";
    if (pmt::is_bool(value))
        return pmt::to_bool(value) ? "true" : "false";
    if (pmt::is_number(value))
        return pmt::write_string(value);
    if (pmt::is_symbol(value)) {
        const std::string text = pmt::symbol_to_string(value);
        if (!is_utf8(text))
            return "a symbol that is not UTF-8";
        return text.size() > 60 ? "a long symbol" : "the symbol '" + text + "'";
    }
    if (pmt::is_null(value))
        return "nothing";
    if (pmt::is_tuple(value))
        return "a tuple of " + std::to_string(pmt::length(value));
    if (pmt::is_pair(value))
        return "a pair or dict";
    return pmt::is_vector(value) || pmt::is_uniform_vector(value) ? "a vector"
                                                                  : "something else";
}

std::optional<double> read_number(const pmt::pmt_t& value, std::string& why)
{
    if (value && pmt::is_uint64(value)) // to_double() throws on it
        return static_cast<double>(pmt::to_uint64(value));
    if (value && pmt::is_integer(value))
        return static_cast<double>(pmt::to_long(value));
    if (!value || !pmt::is_real(value))
        return refused(why, "a number", value);
    const double number = pmt::to_double(value);
    if (!std::isfinite(number))
        return refused(why, "finite", value);
    return number;
}

std::optional<int64_t> read_whole(const pmt::pmt_t& value, std::string& why)
{
    if (value && pmt::is_uint64(value)) {
        const uint64_t number = pmt::to_uint64(value);
        if (number <= static_cast<uint64_t>(max_whole))
            return static_cast<int64_t>(number);
        return refused(why, "at most 2^62", value);
    }
    if (value && pmt::is_integer(value)) {
        const int64_t number = pmt::to_long(value);
        if (number >= -max_whole && number <= max_whole)
            return number;
        return refused(why, "at most 2^62 in size", value);
    }
    const auto number = read_number(value, why);
    if (!number || *number != std::floor(*number) || std::fabs(*number) > exact_reals)
        return refused(why, "a whole number", value);
    return static_cast<int64_t>(*number);
}

std::optional<double> read_rate(const pmt::pmt_t& value, std::string& why)
{
    return read_between(value, min_rate, max_hertz, "from 1e-6 to 1e12 S/s", why);
}

std::optional<double> read_frequency(const pmt::pmt_t& value, std::string& why)
{
    return read_between(value, -max_hertz, max_hertz, "from -1e12 to 1e12 Hz", why);
}

std::optional<std::string> read_text(const pmt::pmt_t& value, std::string& why)
{
    if (!value || !pmt::is_symbol(value))
        return refused(why, "a symbol", value);
    std::string text = pmt::symbol_to_string(value);
    if (!is_utf8(text))
        return refused(why, "text in UTF-8", value);
    return text;
}

std::optional<clock_time> read_time(const pmt::pmt_t& value, std::string& why)
{
    std::optional<double> seconds, fraction = 0.0;
    pmt::pmt_t first, second;
    if (value && pmt::is_number(value)) {
        seconds = read_number(value, why);
        if (seconds) {
            fraction = *seconds - std::floor(*seconds);
            seconds = std::floor(*seconds);
        }
    } else if (value && open_two(value, first, second)) {
        seconds = read_number(first, why);
        fraction = read_number(second, why);
        if (seconds && *seconds != std::floor(*seconds))
            return refused(why, "of whole seconds and a fraction", first);
    } else {
        return refused(why, "a time {uint64 seconds, double fraction}", value);
    }
    if (!seconds || !fraction)
        return std::nullopt;
    const auto time = normalised(*seconds, *fraction);
    if (!time)
        return refused(why, "a time from 1970 to 9999", first ? first : value);
    return time;
}

pmt::pmt_t time_to_pmt(const clock_time& time)
{
    return pmt::make_tuple(pmt::from_uint64(time.seconds),
                           pmt::from_double(time.fraction));
}

std::optional<clock_time> move_time(const clock_time& time, double seconds)
{
    const double whole = std::floor(seconds);
    if (!(std::fabs(whole) <= end_of_time)) // nor a NaN
        return std::nullopt;
    return normalised(static_cast<double>(time.seconds) + whole,
                      time.fraction + (seconds - whole));
}

std::optional<clock_time> move_time(const clock_time& time, int64_t samples, double rate)
{
    const double count = static_cast<double>(samples);
    double rest = std::fmod(count, rate);
    if (rest < 0)
        rest += rate;
    const double whole = std::round((count - rest) / rate);
    if (!(rate > 0 && std::fabs(whole) <= end_of_time))
        return std::nullopt;
    return normalised(static_cast<double>(time.seconds) + whole,
                      time.fraction + rest / rate);
}

std::optional<item_time> time_of_item(const clock_time& time,
                                      int64_t sample,
                                      int64_t samples,
                                      double rate,
                                      std::string& why)
{
    if (sample == 0)
        return item_time{ time, false };
    if (const auto own = move_time(time, -sample, rate))
        return item_time{ *own, false };
    if (const auto next = move_time(time, samples - sample, rate))
        return item_time{ *next, true };
    why = "cannot be moved to the first sample beside it: the sample rate is not known, "
          "set it";
    return std::nullopt;
}

std::string rate_contradiction(double stated, double tagged)
{
    if (std::fabs(stated - tagged) <= same_rate * stated)
        return "";
    char text[240];
    std::snprintf(
        text,
        sizeof text,
        "the sample rate is set to %.10g S/s, a tag rx_rate in the stream says %.10g: "
        "what is set counts; set it to 0 to go by the tags",
        stated,
        tagged);
    return text;
}

} // namespace radiofm
} // namespace gr
