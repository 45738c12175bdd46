# SPDX-License-Identifier: MIT
#
# What `cmake --install` puts where. Exported CMake targets: adatrace::adatrace, adatrace::functions, adatrace::reader.

include(CMakePackageConfigHelpers)

set(targets "")
foreach(target adatrace adatrace_functions adatrace_reader)
  if(TARGET ${target})
    list(APPEND targets ${target})
  endif()
endforeach()

if(targets)
  install(TARGETS ${targets} EXPORT adatraceTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY user/client/include/adatrace user/reader/include/adatrace DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

  set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/adatrace)
  install(EXPORT adatraceTargets NAMESPACE adatrace:: DESTINATION ${package_dir})
  configure_package_config_file(tools/cmake/adatraceConfig.cmake.in ${PROJECT_BINARY_DIR}/adatraceConfig.cmake
    INSTALL_DESTINATION ${package_dir})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/adatraceConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/adatraceConfig.cmake ${PROJECT_BINARY_DIR}/adatraceConfigVersion.cmake
    DESTINATION ${package_dir})

  file(RELATIVE_PATH ADA_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
  foreach(package adatrace adatrace-reader)
    configure_file(tools/cmake/${package}.pc.in ${PROJECT_BINARY_DIR}/${package}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${package}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  endforeach()
  install(FILES docs/examples/longest_gap.c DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
endif()

if(TARGET adatrace_preload)
  install(TARGETS adatrace_preload LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(TARGET adatrace_command)
  install(TARGETS adatrace_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET adatraced)
  install(TARGETS adatraced RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
endif()

foreach(section RANGE 1 8)
  file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.${section})
  if(NOT TARGET adatraced)
    list(FILTER pages EXCLUDE REGEX "/adatraced[^/]*$")
  endif()
  if(pages)
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  endif()
endforeach()

# Relative to the prefix: below /usr/local, too, they are found there.
set(ADA_SYSTEMD_UNIT_DIR lib/systemd/system CACHE STRING "Where units of systemd are installed")
if(TARGET adatraced)
  configure_file(packaging/systemd/adatraced.service.in ${PROJECT_BINARY_DIR}/adatraced.service @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/adatraced.service packaging/systemd/adatraced-control.socket
    packaging/systemd/adatraced-announce.socket DESTINATION ${ADA_SYSTEMD_UNIT_DIR})
  install(FILES packaging/systemd/adatrace.sysusers DESTINATION lib/sysusers.d RENAME adatrace.conf)
  # Configuration is read in /etc alone, whatever the prefix; so it is a package's matter to put it there.
  install(FILES packaging/adatraced.conf packaging/systemd/network.conf packaging/systemd/uprobes.conf
    DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
  install(FILES packaging/completion/adatrace.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME adatraced)
endif()
install(FILES packaging/completion/adatrace.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME adatrace)
install(FILES packaging/completion/_adatrace DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
