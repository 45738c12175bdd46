# SPDX-License-Identifier: MIT
#
# Compiler options, and how a module, an object variant of it, and a shared library are made.
#
#   ada_module(NAME [LINK MODULE|TARGET...] [WITHOUT FILE...])
#                                                     static library ada_NAME from user/NAME/*.c
#   ada_module_options(NAME [DEFINE ...] [LINK ...])  what this module alone needs
#   ada_shared(TARGET OUTPUT SOURCES... )             shared library that exports ada_* only
#
# A folder that has no sources becomes a library without code, so that what links to it still configures.

add_library(ada_warnings INTERFACE)
target_compile_options(ada_warnings INTERFACE
  -Wall -Wextra -Wshadow
  $<$<COMPILE_LANGUAGE:C>:-Wconversion -Wstrict-prototypes -Wmissing-prototypes>
  $<$<BOOL:${ADA_WERROR}>:-Werror>)

# What all code of the project is compiled with, but for sanitizers and coverage.
add_library(ada_plain INTERFACE)
target_link_libraries(ada_plain INTERFACE ada_warnings)
# Empty, so that a file's own `#define _GNU_SOURCE` is the same definition.
target_compile_definitions(ada_plain INTERFACE $<$<COMPILE_LANGUAGE:C>:_GNU_SOURCE=>)

target_compile_options(ada_plain INTERFACE -fno-plt)
target_include_directories(ada_plain INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/user/client/include)

add_library(ada_options INTERFACE)
target_link_libraries(ada_options INTERFACE ada_plain)
if(ADA_SANITIZE)
  target_compile_options(ada_options INTERFACE
    -fsanitize=${ADA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(ada_options INTERFACE -fsanitize=${ADA_SANITIZE})
endif()
if(ADA_COVERAGE)
  # Threads count atomically; otherwise lines that only threads run would be lost now and then.
  target_compile_options(ada_options INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(ada_options INTERFACE --coverage)
endif()

set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)

set_property(GLOBAL PROPERTY ADA_MODULES "")

function(ada_module name)
  cmake_parse_arguments(arg "" "" "LINK;WITHOUT" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/user/${name}/*.c)
  list(TRANSFORM arg_WITHOUT PREPEND ${PROJECT_SOURCE_DIR}/user/${name}/)
  list(REMOVE_ITEM sources ${arg_WITHOUT})
  set_property(GLOBAL APPEND PROPERTY ADA_MODULES ${name})
  set_property(GLOBAL PROPERTY ADA_MODULE_${name}_SOURCES ${sources})
  if(sources)
    add_library(ada_${name} STATIC ${sources})
    target_link_libraries(ada_${name} PRIVATE ada_options Threads::Threads)
    set(scope PUBLIC)
  else()
    add_library(ada_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  ada_module_options(${name} LINK ${arg_LINK})
endfunction()

function(ada_module_options name)
  cmake_parse_arguments(arg "" "" "DEFINE;LINK" ${ARGN})
  get_target_property(type ada_${name} TYPE)
  get_property(modules GLOBAL PROPERTY ADA_MODULES)
  foreach(library IN LISTS arg_LINK)
    if(library IN_LIST modules)
      set(library ada_${library})
    else()
      set_property(GLOBAL APPEND PROPERTY ADA_EXTERNAL_LIBRARIES ${library})
    endif()
    if(type STREQUAL INTERFACE_LIBRARY)
      target_link_libraries(ada_${name} INTERFACE ${library})
    else()
      target_link_libraries(ada_${name} PUBLIC ${library})
    endif()
  endforeach()
  if(arg_DEFINE)
    set_property(GLOBAL APPEND PROPERTY ADA_MODULE_DEFINITIONS ${arg_DEFINE})
    if(NOT type STREQUAL INTERFACE_LIBRARY)
      target_compile_definitions(ada_${name} PRIVATE ${arg_DEFINE})
    endif()
  endif()
endfunction()

# All modules' sources, definitions and external libraries, for building them once more with test points.
function(ada_module_collect sources_out definitions_out libraries_out)
  get_property(modules GLOBAL PROPERTY ADA_MODULES)
  set(sources "")
  foreach(module IN LISTS modules)
    get_property(module_sources GLOBAL PROPERTY ADA_MODULE_${module}_SOURCES)
    list(APPEND sources ${module_sources})
  endforeach()
  get_property(definitions GLOBAL PROPERTY ADA_MODULE_DEFINITIONS)
  get_property(libraries GLOBAL PROPERTY ADA_EXTERNAL_LIBRARIES)
  set(${sources_out} "${sources}" PARENT_SCOPE)
  set(${definitions_out} "${definitions}" PARENT_SCOPE)
  set(${libraries_out} "${libraries}" PARENT_SCOPE)
endfunction()

function(ada_shared target output)
  add_library(${target} SHARED ${ARGN})
  target_link_options(${target} PRIVATE -Wl,-z,now -Wl,--as-needed)
  # clang links a sanitizer's runtime into executables only, so its symbols stay undefined here.
  if(NOT ADA_SANITIZE)
    target_link_options(${target} PRIVATE -Wl,--no-undefined)
  endif()
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${output})
endfunction()
