# SPDX-License-Identifier: MIT
#
# syscall_names.inc: the names of this machine's system calls by number, from <sys/syscall.h>. Sets ADA_SYSCALL_NAMES, where it is.

set(ADA_SYSCALL_NAMES ${PROJECT_BINARY_DIR}/generated/syscall_names.inc)
file(WRITE ${PROJECT_BINARY_DIR}/generated/syscalls.c "#include <sys/syscall.h>\n")
execute_process(COMMAND ${CMAKE_C_COMPILER} -E -dM ${PROJECT_BINARY_DIR}/generated/syscalls.c
  OUTPUT_VARIABLE definitions RESULT_VARIABLE result)
string(REGEX MATCHALL "#define __NR_[a-z0-9_]+ [0-9]+" calls "${definitions}")
if(result OR NOT calls)
  message(FATAL_ERROR "cannot list the system calls of <sys/syscall.h> with ${CMAKE_C_COMPILER}")
endif()
list(SORT calls)
set(text "")
foreach(call IN LISTS calls)
  string(REGEX REPLACE "#define __NR_([a-z0-9_]+) ([0-9]+)" "[\\2] = \"\\1\",\n" line "${call}")
  string(APPEND text "${line}")
endforeach()
file(CONFIGURE OUTPUT ${ADA_SYSCALL_NAMES} CONTENT "${text}" @ONLY)
