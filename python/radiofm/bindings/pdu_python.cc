/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 *
 * Parts of the PDUs that are made for every tile. From Python each key of a dict is two
 * calls into PMT, of a microsecond each, and a vector has to be a list.
 */

#include "tags.h"
#include <pmt/pmt.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <complex>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace py = pybind11;

namespace {

using floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
using samples =
    py::array_t<std::complex<float>, py::array::c_style | py::array::forcecast>;

pmt::pmt_t with(const pmt::pmt_t& dict, const char* key, const pmt::pmt_t& value)
{
    return pmt::acons(pmt::intern(key), value, dict);
}

pmt::pmt_t time_tuple(uint64_t seconds, double fraction)
{
    return gr::radiofm::time_to_pmt({ seconds, fraction });
}

pmt::pmt_t tile_dict(pmt::pmt_t dict,
                     uint64_t sample_start,
                     uint64_t tile,
                     uint64_t dropped,
                     std::optional<double> freq_lower_edge,
                     std::optional<double> freq_upper_edge,
                     std::optional<std::pair<uint64_t, double>> rx_time)
{
    dict = with(dict, "sample_start", pmt::from_uint64(sample_start));
    dict = with(dict, "tile", pmt::from_uint64(tile));
    dict = with(dict, "dropped", pmt::from_uint64(dropped));
    if (freq_lower_edge)
        dict = with(dict, "freq_lower_edge", pmt::from_double(*freq_lower_edge));
    if (freq_upper_edge)
        dict = with(dict, "freq_upper_edge", pmt::from_double(*freq_upper_edge));
    if (rx_time)
        dict = with(dict, "rx_time", time_tuple(rx_time->first, rx_time->second));
    return dict;
}

pmt::pmt_t f32vector(const floats& values)
{
    if (values.ndim() != 1)
        throw py::value_error("an f32vector needs an array of one dimension");
    return pmt::init_f32vector(values.size(), values.data());
}

pmt::pmt_t c32vector(const samples& values)
{
    if (values.ndim() != 1)
        throw py::value_error("a c32vector needs an array of one dimension");
    return pmt::init_c32vector(values.size(), values.data());
}

pmt::pmt_t decision(pmt::pmt_t dict,
                    const std::string& label,
                    double confidence,
                    bool unknown,
                    const floats& scores)
{
    dict = with(dict, "label", pmt::intern(label));
    dict = with(dict, "confidence", pmt::from_double(confidence));
    dict = with(dict, "unknown", pmt::from_bool(unknown));
    return pmt::cons(dict, f32vector(scores));
}

floats f32values(const pmt::pmt_t& vector)
{
    size_t size = 0;
    const float* values = pmt::f32vector_elements(vector, size);
    return floats(size, values); // a copy
}

samples c32values(const pmt::pmt_t& vector)
{
    size_t size = 0;
    const std::complex<float>* values = pmt::c32vector_elements(vector, size);
    return samples(size, values); // a copy
}

} // namespace

void bind_pdu(py::module& parent)
{
    // Not part of the module's interface: gnuradio.radiofm.messages is.
    auto m = parent.def_submodule("_pdu");
    m.def("time_tuple", &time_tuple);
    m.def("tile_dict", &tile_dict);
    m.def("f32vector", &f32vector);
    m.def("decision", &decision);
    m.def("f32values", &f32values);
    m.def("c32vector", &c32vector);
    m.def("c32values", &c32values);
}
