/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

/* The module radiofm_ml.detect._kernels: what reference.py beside it does, which also
 * says it. setup.py builds it. */

#include "detect_blobs.h"
#include "detect_cut.h"
#include "detect_map.h"
#include "detect_order.h"
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <optional>
#include <stdexcept>
#include <tuple>

namespace py = pybind11;
using namespace gr::radiofm::detect;

namespace {

template <typename T>
using array = py::array_t<T, py::array::c_style | py::array::forcecast>;
using size = std::pair<size_t, size_t>;

void check(bool right, const char* what)
{
    if (!right)
        throw std::invalid_argument(what);
}

grid grid_of(const array<float>& x)
{
    check(x.ndim() == 2 && x.size() > 0, "needs an array (rows, bins) that is not empty");
    return { x.data(), static_cast<size_t>(x.shape(0)), static_cast<size_t>(x.shape(1)) };
}

extent extent_of(size s)
{
    check(s.first > 0 && s.second > 0, "sizes must be at least 1");
    return { s.first, s.second };
}

product
product_of(const grid& rows, const array<float>& amounts, const array<float>& weights)
{
    check(amounts.ndim() == 2 && weights.ndim() == 2 &&
              amounts.shape(1) == weights.shape(0) &&
              static_cast<size_t>(amounts.shape(0)) == rows.rows &&
              static_cast<size_t>(weights.shape(1)) == rows.bins,
          "amounts must be (rows, k) and weights (k, bins)");
    return { amounts.data(), weights.data(), static_cast<size_t>(amounts.shape(1)) };
}

void whiten_into(const array<float>& level,
                 const array<float>& amounts,
                 const array<float>& weights,
                 array<float>& out)
{
    const grid rows = grid_of(level), power = grid_of(out);
    const product floor = product_of(rows, amounts, weights);
    check(rows.rows == power.rows && rows.bins == power.bins,
          "level and out differ in shape");
    float* const to = out.mutable_data();
    py::gil_scoped_release release;
    whiten(rows, floor, to);
}

std::vector<span> spans_of(const array<bool>& columns)
{
    std::vector<span> spans;
    const bool* const wanted = columns.data();
    const auto n = static_cast<size_t>(columns.size());
    for (size_t c = 0; c < n; c++)
        if (wanted[c]) {
            if (c == 0 || !wanted[c - 1])
                spans.push_back({ c, c });
            spans.back().stop = c + 1;
        }
    return spans;
}

array<float> row_quantiles(const array<float>& level,
                           double share,
                           const std::optional<array<float>>& offset,
                           const std::optional<array<bool>>& columns)
{
    const grid rows = grid_of(level);
    const auto bins = static_cast<py::ssize_t>(rows.bins);
    check(share >= 0.0 && share <= 1.0, "share must lie in 0..1");
    check(!offset || offset->size() == bins, "offset must be one value a bin");
    check(!columns || columns->size() == bins, "columns must be one value a bin");
    const auto spans =
        columns ? spans_of(*columns) : std::vector<span>{ { 0, rows.bins } };
    check(!spans.empty(), "there must be a column");
    array<float> out(static_cast<py::ssize_t>(rows.rows));
    float* const to = out.mutable_data();
    const float* const less = offset ? offset->data() : nullptr;
    py::gil_scoped_release release;
    order select;
    for (size_t r = 0; r < rows.rows; r++)
        to[r] = select.quantile(rows.row(r), less, spans, share);
    return out;
}

array<float> ranks_of_columns(const array<float>& level, const std::vector<size_t>& ranks)
{
    const grid rows = grid_of(level);
    for (const size_t rank : ranks)
        check(rank < rows.rows, "ranks must be below the number of rows");
    array<float> out({ ranks.size(), rows.bins });
    float* const to = out.mutable_data();
    py::gil_scoped_release release;
    column_ranks(rows.data, rows.rows, rows.bins, rows.bins, ranks, to);
    return out;
}

array<float> steps(const array<float>& level,
                   size_t reach,
                   float least_db,
                   float slack_db,
                   double most,
                   double farther)
{
    const grid rows = grid_of(level);
    check(reach > 0 && rows.rows >= 2 * reach, "needs as many rows as are compared");
    array<float> out(static_cast<py::ssize_t>(rows.rows - 2 * reach + 1));
    float* const to = out.mutable_data();
    py::gil_scoped_release release;
    common_steps(rows, reach, least_db, slack_db, most, farther, to);
    return out;
}

array<float> least_means_of(const array<float>& level,
                            size cell,
                            const array<float>& amounts,
                            const array<float>& weights)
{
    const grid rows = grid_of(level);
    const product gain = product_of(rows, amounts, weights);
    const extent inside = extent_of(cell);
    check(rows.rows >= inside.rows, "needs as many rows as a cell");
    array<float> out(static_cast<py::ssize_t>(rows.bins));
    float* const to = out.mutable_data();
    py::gil_scoped_release release;
    least_means(rows, inside, gain, to);
    return out;
}

class python_map
{
public:
    python_map(size cell, float low, float high, size closing)
        : d_map(extent_of(cell), { low, high }, extent_of(closing))
    {
        check(closing.first % 2 == 1 && closing.second % 2 == 1, "closing must be odd");
    }

    array<uint8_t> map(const array<float>& power, size_t begin, size_t end)
    {
        const grid rows = grid_of(power);
        check(begin < end && end <= rows.rows, "needs rows [begin, end) of power");
        array<uint8_t> out({ end - begin, rows.bins });
        uint8_t* const to = out.mutable_data();
        py::gil_scoped_release release;
        d_map.map(rows, begin, end, to);
        return out;
    }

private:
    signal_map d_map;
};

array<uint8_t> mask_of(const blob& one)
{
    array<uint8_t> out({ one.t1 - one.t0, static_cast<int64_t>(one.f1 - one.f0) });
    std::fill_n(out.mutable_data(), out.size(), uint8_t{ 0 });
    one.draw(out.mutable_data());
    return out;
}

std::vector<blob> take(blobs& all, const array<uint8_t>& map)
{
    check(map.ndim() == 2 && static_cast<size_t>(map.shape(1)) == all.bins(),
          "needs an array (rows, bins)");
    const auto rows = static_cast<size_t>(map.shape(0));
    const uint8_t* const data = map.data();
    py::gil_scoped_release release;
    return all.take(data, rows);
}

array<int64_t> open_of(const blobs& all)
{
    const auto open = all.open();
    array<int64_t> out({ static_cast<py::ssize_t>(open.size()), py::ssize_t{ 4 } });
    int64_t* to = out.mutable_data();
    for (const blob& one : open) {
        *to++ = one.t0;
        *to++ = one.t1;
        *to++ = one.f0;
        *to++ = one.f1;
    }
    return out;
}

using box = std::tuple<size_t, size_t, size_t, size_t>;

std::vector<box> boxes_of(const array<uint8_t>& map, const cut_rules& rules)
{
    check(map.ndim() == 2, "needs an array (rows, bins)");
    const auto rows = static_cast<size_t>(map.shape(0)),
               bins = static_cast<size_t>(map.shape(1));
    const uint8_t* const data = map.data();
    py::gil_scoped_release release;
    std::vector<box> out;
    for (const rectangle& one : cutter(rules).cut(data, rows, bins))
        out.emplace_back(one.t0, one.t1, one.f0, one.f1);
    return out;
}

double mean_of(const array<float>& power, size_t t0, size_t t1, size_t f0, size_t f1)
{
    const grid rows = grid_of(power);
    check(t1 <= rows.rows && f1 <= rows.bins, "needs a place in power");
    return mean(rows, t0, t1, f0, f1);
}

} // namespace

PYBIND11_MODULE(_kernels, m)
{
    m.def("whiten",
          &whiten_into,
          py::arg("level"),
          py::arg("amounts"),
          py::arg("weights"),
          py::arg("out").noconvert());
    m.def("row_quantiles",
          &row_quantiles,
          py::arg("rows"),
          py::arg("share"),
          py::arg("offset") = py::none(),
          py::arg("columns") = py::none());
    m.def("column_ranks", &ranks_of_columns, py::arg("rows"), py::arg("ranks"));
    m.def("common_steps",
          &steps,
          py::arg("rows"),
          py::arg("reach"),
          py::arg("least_db"),
          py::arg("slack_db"),
          py::arg("most"),
          py::arg("farther"));
    m.def("least_means",
          &least_means_of,
          py::arg("rows"),
          py::arg("cell"),
          py::arg("amounts"),
          py::arg("weights"));
    m.def("mean",
          &mean_of,
          py::arg("power"),
          py::arg("t0"),
          py::arg("t1"),
          py::arg("f0"),
          py::arg("f1"));
    m.def(
        "cut",
        [](const array<uint8_t>& map,
           size_t least,
           size_t rows,
           size_t bins,
           double difference,
           double edge_share,
           double solid,
           int deepest) {
            return boxes_of(
                map, { least, rows, bins, difference, edge_share, solid, deepest });
        },
        py::arg("mask"),
        py::arg("least"),
        py::arg("rows"),
        py::arg("bins"),
        py::arg("difference"),
        py::arg("edge_share"),
        py::arg("solid"),
        py::arg("deepest"));
    py::class_<python_map>(m, "SignalMap")
        .def(py::init<size, float, float, size>(),
             py::arg("cell"),
             py::arg("low"),
             py::arg("high"),
             py::arg("closing"))
        .def("__call__",
             &python_map::map,
             py::arg("power"),
             py::arg("begin"),
             py::arg("end"));
    py::class_<blob>(m, "Blob")
        .def_readonly("t0", &blob::t0)
        .def_readonly("t1", &blob::t1)
        .def_readonly("f0", &blob::f0)
        .def_readonly("f1", &blob::f1)
        .def("mask", &mask_of);
    py::class_<blobs>(m, "Blobs")
        .def(py::init<size_t>(), py::arg("bins"))
        .def_property_readonly("rows", &blobs::rows)
        .def("take", &take, py::arg("map"))
        .def("end_before", &blobs::end_before, py::arg("row"))
        .def("open", &open_of);
}
