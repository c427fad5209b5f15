/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 *
 * A block written in Python has two halves. GNU Radio's half, which a flowgraph holds,
 * calls the Python object, and does not hold it: once nobody else does, the next call
 * crashes.
 */

#include <gnuradio/block.h>
#include <gnuradio/hier_block2.h>
#include <pybind11/pybind11.h>
#include <memory>
#include <string>
#include <typeinfo>

namespace py = pybind11;

/* Two Python objects stand for one block below. pybind11 would look for the one that is
 * there for the block's real type, and return that.
 */
template <>
struct pybind11::polymorphic_type_hook<gr::block> {
    static const void* get(const gr::block* block, const std::type_info*&)
    {
        return block;
    }
};

namespace {

/* Another Python object for the block. The pointer in it, which a flowgraph copies, holds
 * `owner`, which holds the block by the pointer that it was made with.
 */
py::object held(const std::shared_ptr<gr::block>& block, py::object owner)
{
    PyObject* python = owner.release().ptr();
    const std::shared_ptr<gr::block> holding(block.get(), [python](gr::block*) {
        if (!Py_IsInitialized()) // the process ends
            return;
        py::gil_scoped_acquire locked;
        Py_DECREF(python);
    });
    // Cast from `holding` it would hold block->shared_from_this() all the same.
    py::object other = py::cast(block);
    const auto instance = reinterpret_cast<py::detail::instance*>(other.ptr());
    instance->get_value_and_holder().holder<std::shared_ptr<gr::block>>() = holding;
    return other;
}

/* Connects a message port of a hierarchical block with one of a block in it.
 * hier_block2's own method makes the block hold itself, so that it, and all in it, would
 * live for ever.
 */
void connect_own_port(gr::hier_block2& own,
                      const std::string& own_port,
                      const std::shared_ptr<gr::basic_block>& inner,
                      const std::string& inner_port,
                      bool input)
{
    const std::shared_ptr<gr::basic_block> self(&own, [](gr::basic_block*) {});
    if (input)
        own.msg_connect(self, own_port, inner, inner_port);
    else
        own.msg_connect(inner, inner_port, self, own_port);
}

} // namespace

void bind_lifetime(py::module& parent)
{
    // Not part of the module's interface: see common/lifetime.py.
    auto m = parent.def_submodule("_lifetime");
    m.def("held", &held);
    m.def("connect_own_port", &connect_own_port);
}
