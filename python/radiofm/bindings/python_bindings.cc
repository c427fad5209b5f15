/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include <pybind11/pybind11.h>

namespace py = pybind11;

// gr_modtool writes between these marks.
// BINDING_FUNCTION_PROTOTYPES(
void bind_flowgraph(py::module& m);
void bind_lifetime(py::module& m);
void bind_pdu(py::module& m);
void bind_stft(py::module& m);
void bind_tags(py::module& m);
// ) END BINDING_FUNCTION_PROTOTYPES

PYBIND11_MODULE(radiofm_python, m)
{
    // The base classes, and the types of arguments and defaults.
    py::module::import("gnuradio.gr");
    py::module::import("gnuradio.fft");
    py::module::import("pmt");

    // BINDING_FUNCTION_CALLS(
    bind_flowgraph(m);
    bind_lifetime(m);
    bind_pdu(m);
    bind_stft(m);
    bind_tags(m);
    // ) END BINDING_FUNCTION_CALLS
}
