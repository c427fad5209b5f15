/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 *
 * What tags and messages say, for the Python blocks: (value, "") or (None, why not).
 */

#include "tags.h"
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <utility>

namespace py = pybind11;
using namespace gr::radiofm;

namespace {

using time_pair = std::pair<uint64_t, double>;

std::optional<time_pair> pair_of(const std::optional<clock_time>& time)
{
    if (!time)
        return std::nullopt;
    return time_pair{ time->seconds, time->fraction };
}

template <typename T>
auto with_reason(std::optional<T> (*read)(const pmt::pmt_t&, std::string&))
{
    return [read](const pmt::pmt_t& value) {
        std::string why;
        auto found = read(value, why);
        return std::make_pair(std::move(found), std::move(why));
    };
}

} // namespace

void bind_tags(py::module& parent)
{
    // Not part of the module's interface: gnuradio.radiofm.messages is.
    auto m = parent.def_submodule("_tags");
    m.def("read_number", with_reason(&read_number));
    m.def("read_whole", with_reason(&read_whole));
    m.def("read_rate", with_reason(&read_rate));
    m.def("read_frequency", with_reason(&read_frequency));
    m.def("read_text", with_reason(&read_text));
    m.def("read_time", [](const pmt::pmt_t& value) {
        std::string why;
        auto found = pair_of(read_time(value, why));
        return std::make_pair(std::move(found), std::move(why));
    });
    m.def("move_time", [](const time_pair& time, double seconds) {
        return pair_of(move_time(clock_time{ time.first, time.second }, seconds));
    });
    m.def("move_time", [](const time_pair& time, int64_t samples, double rate) {
        return pair_of(move_time(clock_time{ time.first, time.second }, samples, rate));
    });
    m.def("time_of_item",
          [](const time_pair& time, int64_t sample, int64_t samples, double rate) {
              std::string why;
              const auto found = time_of_item(
                  clock_time{ time.first, time.second }, sample, samples, rate, why);
              return std::make_tuple(
                  found ? pair_of(found->time) : std::nullopt, found && found->next, why);
          });
    m.def("rate_contradiction", &rate_contradiction);
    m.def("describe", &describe);
}
