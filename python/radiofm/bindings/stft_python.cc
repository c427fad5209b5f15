/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

/* BINDTOOL_GEN_AUTOMATIC(0)                                        */
/* BINDTOOL_USE_PYGCCXML(0)                                         */
/* BINDTOOL_HEADER_FILE(stft.h)                                     */
/* BINDTOOL_HEADER_FILE_HASH(acc1c208b85c4e583888ea140d48a9de)      */

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace py = pybind11;

#include <gnuradio/radiofm/stft.h>
#include <stft_pydoc.h>

void bind_stft(py::module& m)
{
    using gr::fft::window;
    using gr::radiofm::stft;

    // A setter waits for work(): it must not keep Python's lock meanwhile.
    using release = py::call_guard<py::gil_scoped_release>;

    py::class_<stft, gr::block, gr::basic_block, std::shared_ptr<stft>>(
        m, "stft", D(stft))
        .def(py::init(py::overload_cast<int,
                                        int,
                                        window::win_type,
                                        int,
                                        const std::string&,
                                        bool,
                                        double,
                                        double>(&stft::make)),
             py::arg("fft_size"),
             py::arg("hop"),
             py::arg("window") = window::WIN_HANN,
             py::arg("averaging") = 1,
             py::arg("output") = "db",
             py::arg("shift") = true,
             py::arg("samp_rate") = 0.0,
             py::arg("window_param") = 6.76,
             D(stft, make, 0))
        .def(py::init(py::overload_cast<int,
                                        int,
                                        const std::vector<float>&,
                                        int,
                                        const std::string&,
                                        bool,
                                        double>(&stft::make)),
             py::arg("fft_size"),
             py::arg("hop"),
             py::arg("window"),
             py::arg("averaging") = 1,
             py::arg("output") = "db",
             py::arg("shift") = true,
             py::arg("samp_rate") = 0.0,
             D(stft, make, 1))
        .def("fft_size", &stft::fft_size, D(stft, fft_size))
        .def("hop", &stft::hop, D(stft, hop))
        .def("shift", &stft::shift, D(stft, shift))
        .def("taps", &stft::taps, release(), D(stft, taps))
        .def("set_window",
             py::overload_cast<window::win_type, double>(&stft::set_window),
             py::arg("window"),
             py::arg("param") = 6.76,
             release(),
             D(stft, set_window, 0))
        .def("set_window",
             py::overload_cast<const std::vector<float>&>(&stft::set_window),
             py::arg("taps"),
             release(),
             D(stft, set_window, 1))
        .def("averaging", &stft::averaging, release(), D(stft, averaging))
        .def("set_averaging",
             &stft::set_averaging,
             py::arg("averaging"),
             release(),
             D(stft, set_averaging))
        .def("output", &stft::output, release(), D(stft, output))
        .def("set_output",
             &stft::set_output,
             py::arg("output"),
             release(),
             D(stft, set_output))
        .def("samp_rate", &stft::samp_rate, release(), D(stft, samp_rate))
        .def("set_samp_rate",
             &stft::set_samp_rate,
             py::arg("samp_rate"),
             release(),
             D(stft, set_samp_rate))
        .def("bad_tags", &stft::bad_tags, release(), D(stft, bad_tags));
}
