# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors

# cmake -DOBJDUMP=objdump -DPROGRAM=FILE -P check_instructions.cmake
# Fails if a function that is meant for AVX2 or AVX-512 does not use the whole width of its vectors:
# a compiler that does not know an attribute goes on without it, and the code is only slow.

execute_process(COMMAND "${OBJDUMP}" --disassemble --demangle --no-show-raw-insn "${PROGRAM}"
                OUTPUT_VARIABLE code RESULT_VARIABLE failed)
if(failed)
    message(FATAL_ERROR "${OBJDUMP} cannot read ${PROGRAM}")
endif()

set(faults "")
function(expect register function)
    # A function is a line "address <name>:" and all lines until an empty one.
    string(REGEX MATCH "<[^\n]*${function}[^\n]*>:\n([^\n]+\n)*" body "${code}")
    if(NOT body)
        set(faults "${faults}\n  there is no function ${function}" PARENT_SCOPE)
    elseif(NOT body MATCHES "%${register}")
        set(faults "${faults}\n  ${function} does not use ${register}" PARENT_SCOPE)
    endif()
endfunction()

foreach(loop db magnitude add_power mean_db mean_magnitude)
    expect(ymm "avx2_${loop}\\(")
    expect(zmm "avx512_${loop}\\(")
endforeach()
foreach(kind RANGE 3)
    expect(zmm "avx512::row<\\(gr::radiofm::avx512::scale\\)${kind}>")
endforeach()
if(faults)
    message(FATAL_ERROR "${PROGRAM}:${faults}")
endif()
