# The flags that every target of ours has, and the one way to declare a module, a program and a test.

add_library(weighhouse_flags INTERFACE)
target_include_directories(weighhouse_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(weighhouse_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  -Woverloaded-virtual -Wno-missing-field-initializers)
# g++ 12 sees overlaps that aren't in std::string's operator+ once it inlines (GCC bug 105651).
# And at -O2 it takes the parts of a std::expected that holds an error for values that nobody set.
target_compile_options(weighhouse_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-maybe-uninitialized>)
if(WEIGHHOUSE_WERROR)
  target_compile_options(weighhouse_flags INTERFACE -Werror)
endif()
if(WEIGHHOUSE_THREAD_SAFETY)
  target_compile_options(weighhouse_flags INTERFACE -Wthread-safety)
endif()
if(WEIGHHOUSE_FAULT_POINTS)
  target_compile_definitions(weighhouse_flags INTERFACE WEIGHHOUSE_FAULT_POINTS)
endif()
if(WEIGHHOUSE_SANITIZE)
  add_compile_options(-fsanitize=${WEIGHHOUSE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${WEIGHHOUSE_SANITIZE})
endif()
target_compile_definitions(weighhouse_flags INTERFACE WEIGHHOUSE_VERSION="${PROJECT_VERSION}")

# weighhouse_module(NAME SOURCES a.cc … DEPENDS target …): the static library weighhouse_NAME.
function(weighhouse_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(weighhouse_${name} STATIC ${arg_SOURCES})
  target_link_libraries(weighhouse_${name} PUBLIC weighhouse_flags ${arg_DEPENDS})
endfunction()

# weighhouse_test(NAME LABELS unit SOURCES a_test.cc … DEPENDS target …): one GoogleTest program, one ctest entry.
# Runs as an unprivileged uid without capabilities (test/unprivileged), unless ROOT is given. What is tested is
# optimised, the tests themselves only with COMPUTES (those that walk through whole state spaces): with AddressSanitizer
# clang takes three times as long to optimise them.
function(weighhouse_test name)
  cmake_parse_arguments(arg "ROOT;COMPUTES" "TIMEOUT" "LABELS;SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  file(RELATIVE_PATH place ${PROJECT_SOURCE_DIR}/test ${CMAKE_CURRENT_SOURCE_DIR})
  if(NOT WEIGHHOUSE_ENGINE_TESTS AND NOT arg_LABELS STREQUAL crash
     AND place MATCHES "^(base|cache-daemon/(metrics|io|store|source|fill|engine))$")
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
    return()
  endif()
  target_link_libraries(${name} PRIVATE weighhouse_flags ${arg_DEPENDS} GTest::gmock GTest::gtest_main)
  if(NOT arg_COMPUTES)
    target_compile_options(${name} PRIVATE -O0)
  endif()
  set(runner ${PROJECT_SOURCE_DIR}/test/unprivileged)
  if(arg_ROOT)
    set(runner "")
  endif()
  add_test(NAME ${name} COMMAND ${runner} $<TARGET_FILE:${name}>)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  # ctest starts the dearest first, so that no core waits for the longest at the end: those that may take longer. It is given
  # two slots for each core (.ci/test): these programs compute, and take both; those of test/e2e wait more.
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT} COST ${arg_TIMEOUT} PROCESSORS 2
    ENVIRONMENT "WEIGHHOUSE_SOURCE_DIR=${PROJECT_SOURCE_DIR};TSAN_OPTIONS=halt_on_error=1;ASAN_OPTIONS=detect_leaks=1")
endfunction()
