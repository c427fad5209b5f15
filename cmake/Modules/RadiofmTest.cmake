# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors

# GNU Radio's GR_ADD_TEST writes a shell script for each test, which breaks where a path has a
# space in it. This one takes the same variables and gives the same environment through CTest, but
# for VOLK_GENERIC=1: what users run is the code that VOLK chooses for their processor.
include(GrTest)

function(GR_ADD_TEST test_name)
    list(JOIN GR_TEST_PYTHON_DIRS ":" python_dirs)
    add_test(NAME ${test_name} COMMAND ${ARGN})
    set_tests_properties(${test_name} PROPERTIES ENVIRONMENT
        "GR_DONT_LOAD_PREFS=1;GR_CONF_CONTROLPORT_ON=False;srcdir=${CMAKE_CURRENT_SOURCE_DIR};PYTHONPATH=${PROJECT_BINARY_DIR}/test_modules:${python_dirs};${GR_TEST_ENVIRONS}")
endfunction()
