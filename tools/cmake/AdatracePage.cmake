# SPDX-License-Identifier: MIT
#
# Pages that are built into commands (user/base/embed.h). A page's script and style are within it; browsers are told their
# hashes, and run no other ones.
#
#   ada_page_hash(OUT PAGE ELEMENT)   sha256-... of what is between <ELEMENT> and </ELEMENT>, as a
#                                     Content-Security-Policy wants it
#   ada_page_assemble(PAGE TEMPLATE STYLE FILE... SCRIPT FILE...)
#                                     puts PAGE together, whenever one of these changes: TEMPLATE with the files in place of @STYLE@ and
#                                     @SCRIPT@, and their hashes in place of @STYLE_HASH@ and @SCRIPT_HASH@

function(ada_page_hash out page element)
  file(READ ${page} text)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${page})
  string(FIND "${text}" "<${element}>" begin)
  string(FIND "${text}" "</${element}>" end)
  if(begin EQUAL -1 OR end LESS begin)
    message(FATAL_ERROR "${page} has no <${element}>")
  endif()
  string(LENGTH "<${element}>" skipped)
  math(EXPR begin "${begin} + ${skipped}")
  math(EXPR length "${end} - ${begin}")
  string(SUBSTRING "${text}" ${begin} ${length} text)
  string(SHA256 hex "${text}")

  # Base 64, of which CMake knows nothing: three hexadecimal digits are two of its letters. Two digits are added; the
  # last letter is of them alone, and stands for what is missing to a multiple of three bytes.
  set(alphabet "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  string(APPEND hex "00")
  set(hash "")
  foreach(at RANGE 0 63 3)
    string(SUBSTRING ${hex} ${at} 3 digits)
    math(EXPR high "0x${digits} >> 6")
    math(EXPR low "0x${digits} & 63")
    string(SUBSTRING ${alphabet} ${high} 1 first)
    string(SUBSTRING ${alphabet} ${low} 1 second)
    string(APPEND hash ${first}${second})
  endforeach()
  string(REGEX REPLACE ".$" "=" hash ${hash})
  set(${out} "sha256-${hash}" PARENT_SCOPE)
endfunction()

# _ada_page_read(OUT FILE...): their texts, one after the other.
function(_ada_page_read out)
  set(text "")
  foreach(file IN LISTS ARGN)
    file(READ ${file} part)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    string(APPEND text "${part}")
  endforeach()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

function(ada_page_assemble page template)
  cmake_parse_arguments(arg "" "" "STYLE;SCRIPT" ${ARGN})
  _ada_page_read(text ${template})
  _ada_page_read(style ${arg_STYLE})
  _ada_page_read(script ${arg_SCRIPT})
  string(REPLACE "@STYLE@" "${style}" text "${text}")
  string(REPLACE "@SCRIPT@" "${script}" text "${text}")
  file(WRITE ${page}.parts "${text}")
  ada_page_hash(style_hash ${page}.parts style)
  ada_page_hash(script_hash ${page}.parts script)
  string(REPLACE "@STYLE_HASH@" "${style_hash}" text "${text}")
  string(REPLACE "@SCRIPT_HASH@" "${script_hash}" text "${text}")
  file(WRITE ${page}.parts "${text}")
  configure_file(${page}.parts ${page} COPYONLY) # leaves its time as it is if nothing changed
endfunction()
