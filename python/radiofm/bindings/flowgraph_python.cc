/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 *
 * What a Python block cannot ask of the flowgraph that it runs in.
 */

#include <gnuradio/block.h>
#include <gnuradio/block_detail.h>
#include <gnuradio/block_registry.h>
#include <gnuradio/buffer.h>
#include <gnuradio/buffer_reader.h>
#include <gnuradio/thread/thread.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace py = pybind11;

namespace {

gr::block_sptr block_of(const std::shared_ptr<gr::basic_block>& block)
{
    auto found = std::dynamic_pointer_cast<gr::block>(block);
    return found && found->detail() ? found : nullptr;
}

/* (name, whether it is a source) of every block that the streams into this one come
 * through. For start() and later: before, blocks are not connected.
 */
std::vector<std::pair<std::string, bool>>
upstream(const std::shared_ptr<gr::basic_block>& block)
{
    std::vector<std::pair<std::string, bool>> found;
    std::vector<gr::block_sptr> next{ block_of(block) };
    std::set<gr::block*> seen;
    while (!next.empty()) {
        const auto here = next.back();
        next.pop_back();
        if (!here || !here->detail() || !seen.insert(here.get()).second)
            continue;
        const int inputs = here->detail()->ninputs();
        if (seen.size() > 1)
            found.emplace_back(here->name(), inputs == 0);
        for (int i = 0; i < inputs; i++)
            next.push_back(here->detail()->input(i)->buffer()->link());
    }
    return found;
}

//! Has the stream into this input of the block ended, and has the block consumed all of
//! it but `held` items?
bool input_ended(const std::shared_ptr<gr::basic_block>& block, int held, int port)
{
    const auto here = block_of(block);
    if (!here || here->detail()->ninputs() <= port)
        return false;
    const auto input = here->detail()->input(port);
    return input->done() && input->items_available() <= held;
}

//! Messages that wait at a port of the block of this alias.
size_t waiting(const std::string& alias, const pmt::pmt_t& port)
{
    const auto block = global_block_registry.block_lookup(pmt::intern(alias));
    return block && block->has_msg_port(port) ? block->nmsgs(port) : 0;
}

//! Takes them out; how many there were.
size_t take_back(const std::string& alias, const pmt::pmt_t& port)
{
    size_t taken = 0;
    if (waiting(alias, port) == 0)
        return taken;
    const auto block = global_block_registry.block_lookup(pmt::intern(alias));
    while (block->delete_head_nowait(port))
        taken++;
    return taken;
}

//! Is the thread that calls, a block's, to end at the next chance (tb.stop(), tb.lock())?
bool stopping() { return boost::this_thread::interruption_requested(); }

} // namespace

void bind_flowgraph(py::module& parent)
{
    // Not part of the module's interface.
    auto m = parent.def_submodule("_flowgraph");
    m.def("upstream", &upstream);
    m.def("input_ended",
          &input_ended,
          py::arg("block"),
          py::arg("held"),
          py::arg("port") = 0);
    m.def("waiting", &waiting);
    m.def("take_back", &take_back);
    m.def("stopping", &stopping);
}
