/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_TAGS_H
#define INCLUDED_RADIOFM_TAGS_H

#include <pmt/pmt.h>
#include <cstdint>
#include <optional>
#include <string>

namespace gr {
namespace radiofm {

/* What tags and messages of other programs say, in whichever form they say it. C++ and
 * Python blocks both read through these functions. None of them throws; where a value
 * cannot be taken, nothing is returned and `why` says it: "must be ..., got ...".
 *
 * Numbers may be of any kind: long, uint64, real. A bool is none.
 */

//! A few words in UTF-8 that say what it is, for complaints.
std::string describe(const pmt::pmt_t& value);

//! A finite number.
std::optional<double> read_number(const pmt::pmt_t& value, std::string& why);

//! A whole number, also as a real such as 5.0, from -2^62 to 2^62: sums of two do not
//! overflow.
std::optional<int64_t> read_whole(const pmt::pmt_t& value, std::string& why);

//! Samples a second: from 1e-6 to 1e12.
std::optional<double> read_rate(const pmt::pmt_t& value, std::string& why);

//! Hz: from -1e12 to 1e12.
std::optional<double> read_frequency(const pmt::pmt_t& value, std::string& why);

//! A symbol in UTF-8.
std::optional<std::string> read_text(const pmt::pmt_t& value, std::string& why);

//! Whole seconds since 1970 UTC, before the year 10000, and 0 <= fraction < 1.
struct clock_time {
    uint64_t seconds;
    double fraction;
};

/*! A time: {seconds, fraction} as UHD writes it, both numbers of any kind, the seconds
 * whole; as a tuple, a vector or a pair; or one number of seconds.
 */
std::optional<clock_time> read_time(const pmt::pmt_t& value, std::string& why);

//! {uint64 seconds, double fraction}
pmt::pmt_t time_to_pmt(const clock_time& time);

//! `time` so many seconds later (earlier below 0); none if that is before 1970 or beyond
//! 9999.
std::optional<clock_time> move_time(const clock_time& time, double seconds);

//! The same by samples. Whole seconds are divided off first: no digit is lost in a long
//! run.
std::optional<clock_time> move_time(const clock_time& time, int64_t samples, double rate);

//! The time of the first sample of an item (row, tile), from that of one of its samples.
struct item_time {
    clock_time time;
    bool next; //!< it is the next item's
};

/*! `time` is that of the sample `sample` of an item of `samples`. Where the item's own
 * first sample was before the clock's zero (the clock has been set to 0 within the item),
 * it is the next item that has a time. None, and `why`, where the rate (0: not known)
 * does not tell.
 */
std::optional<item_time> time_of_item(const clock_time& time,
                                      int64_t sample,
                                      int64_t samples,
                                      double rate,
                                      std::string& why);

//! What is said where an rx_rate tag differs from the rate that the user has set; else
//! nothing.
std::string rate_contradiction(double stated, double tagged);

} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_TAGS_H */
