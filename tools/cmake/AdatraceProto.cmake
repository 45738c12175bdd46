# SPDX-License-Identifier: MIT
#
#   ada_proto_library(TARGET FILE.proto)   static library of what protoc-c makes of FILE.proto; it is included as "NAME.pb-c.h"

function(ada_proto_library target proto)
  get_filename_component(name ${proto} NAME_WE)
  get_filename_component(folder ${PROJECT_SOURCE_DIR}/${proto} DIRECTORY)
  set(made ${PROJECT_BINARY_DIR}/proto)
  file(MAKE_DIRECTORY ${made})
  add_custom_command(OUTPUT ${made}/${name}.pb-c.c ${made}/${name}.pb-c.h
    COMMAND ${PROTOC_C} --c_out=${made} --proto_path=${folder} ${name}.proto
    DEPENDS ${PROJECT_SOURCE_DIR}/${proto} VERBATIM)
  # Not our warnings, and no clang-tidy.
  add_library(${target} STATIC ${made}/${name}.pb-c.c ${made}/${name}.pb-c.h)
  target_include_directories(${target} SYSTEM PUBLIC ${made})
  target_link_libraries(${target} PUBLIC PkgConfig::PROTOBUF_C)
endfunction()
