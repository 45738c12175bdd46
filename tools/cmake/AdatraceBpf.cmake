# SPDX-License-Identifier: MIT
#
# The BPF programs: bpf/*.bpf.c, each compiled by clang, linked into one object, and turned into a header
# that carries it (kernel.skel.h). Needs neither root nor the BTF of any kernel.
#
#   ADA_BPF = AUTO (if clang, bpftool and libbpf are there), ON (they must be), OFF
#
# Sets ADA_HAVE_BPF, and makes ada_bpf_skeleton, which what includes the header links to.

set(ADA_BPF AUTO CACHE STRING "Kernel assistance by BPF: AUTO, ON or OFF")
set_property(CACHE ADA_BPF PROPERTY STRINGS AUTO ON OFF)

set(ADA_HAVE_BPF FALSE)
if(ADA_BPF)
  find_program(ADA_BPF_CLANG NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14)
  find_program(ADA_BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin)
  pkg_check_modules(LIBBPF IMPORTED_TARGET libbpf>=1.0)
  if(ADA_BPF_CLANG AND ADA_BPFTOOL AND LIBBPF_FOUND)
    set(ADA_HAVE_BPF TRUE)
  elseif(NOT ADA_BPF STREQUAL AUTO)
    message(FATAL_ERROR "ADA_BPF needs clang (${ADA_BPF_CLANG}), bpftool (${ADA_BPFTOOL}) and libbpf 1.0 or later; "
      "tools/setup installs them, -DADA_BPF=OFF does without")
  else()
    message(STATUS "No kernel assistance: clang (${ADA_BPF_CLANG}), bpftool (${ADA_BPFTOOL}) and libbpf are needed")
  endif()
endif()

if(ADA_HAVE_BPF)
  set(bpf_out ${PROJECT_BINARY_DIR}/bpf)
  file(MAKE_DIRECTORY ${bpf_out})
  file(GLOB bpf_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bpf/*.bpf.c)
  file(GLOB bpf_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bpf/*.h ${PROJECT_SOURCE_DIR}/shared/*.h)
  # The kernel's headers for user space need those of an architecture, though only of their types.
  set(bpf_includes -I ${PROJECT_SOURCE_DIR})
  if(CMAKE_LIBRARY_ARCHITECTURE)
    list(APPEND bpf_includes -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
  endif()
  set(bpf_objects "")
  foreach(source IN LISTS bpf_sources)
    get_filename_component(name ${source} NAME_WE)
    add_custom_command(OUTPUT ${bpf_out}/${name}.bpf.o
      # BPF_PROG() of libbpf makes a parameter that not every program uses.
      COMMAND ${ADA_BPF_CLANG} -g -O2 --target=bpf -mcpu=v3 -std=gnu11 -ffreestanding -Wall -Wextra -Wno-unused-parameter
              $<$<BOOL:${ADA_WERROR}>:-Werror> ${bpf_includes} -c ${source} -o ${bpf_out}/${name}.bpf.o
      DEPENDS ${source} ${bpf_headers}
      COMMENT "Compiling BPF programs ${name}" VERBATIM)
    list(APPEND bpf_objects ${bpf_out}/${name}.bpf.o)
  endforeach()
  add_custom_command(OUTPUT ${bpf_out}/kernel.skel.h
    COMMAND ${ADA_BPFTOOL} gen object ${bpf_out}/kernel.o ${bpf_objects}
    COMMAND sh -c "{ echo '/* NOLINTBEGIN */' && \"$1\" gen skeleton \"$2\" name ada_kernel && echo '/* NOLINTEND */'; } >\"$3\"" skeleton
            ${ADA_BPFTOOL} ${bpf_out}/kernel.o ${bpf_out}/kernel.skel.h
    DEPENDS ${bpf_objects}
    COMMENT "Linking BPF programs" VERBATIM)
  add_custom_target(ada_bpf_generated DEPENDS ${bpf_out}/kernel.skel.h)
  add_library(ada_bpf_skeleton INTERFACE)
  add_dependencies(ada_bpf_skeleton ada_bpf_generated)
  target_include_directories(ada_bpf_skeleton SYSTEM INTERFACE ${bpf_out})
  target_link_libraries(ada_bpf_skeleton INTERFACE PkgConfig::LIBBPF)
  target_compile_definitions(ada_bpf_skeleton INTERFACE ADA_HAVE_BPF=1)
endif()
