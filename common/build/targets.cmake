# ft_add_module(NAME [DIR d] LIBS ...): a static library ft_<NAME> from every .c file of this folder.
function(ft_add_module name)
  cmake_parse_arguments(ARG "" "" "LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  if(NOT sources)
    return()
  endif()
  add_library(ft_${name} STATIC ${sources})
  target_link_libraries(ft_${name} PUBLIC ${ARG_LIBS} ft_flags PRIVATE ft_hardening)
endfunction()

# ft_add_program(NAME SOURCES ... LIBS ...): an executable with the flags of a shipped binary.
function(ft_add_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} ft_flags ft_hardening)
endfunction()

# ft_add_test(NAME LABELS ... LIBS ... [SOURCES more.c] [TIMEOUT s]): builds test_<NAME>.c of this folder.
# WORKING_DIRECTORY is the source root, so tests name their data as tests/data/...
function(ft_add_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "LABELS;LIBS;SOURCES" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 900) # against a hang: no test is judged by its time
  endif()
  add_executable(test_${name} test_${name}.c ${ARG_SOURCES})
  target_link_libraries(test_${name} PRIVATE ${ARG_LIBS} dep_cmocka ft_flags)
  set_target_properties(test_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND test_${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()

# ft_add_fuzz(NAME LIBS ... [SOURCES more.c]): fuzz_<NAME>.c of this folder holds LLVMFuzzerTestOneInput; corpus_<NAME>/
# its inputs. Every build runs the corpus and seeded changes of it as a test (label corpus); with FT_FUZZ the program is
# a libFuzzer target: fuzz_<NAME> corpus_<NAME>.
function(ft_add_fuzz name)
  cmake_parse_arguments(ARG "" "" "LIBS;SOURCES" ${ARGN})
  add_executable(fuzz_${name} fuzz_${name}.c ${ARG_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE ${ARG_LIBS} ft_flags)
  set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(FT_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    add_test(NAME corpus_${name} COMMAND fuzz_${name} -runs=0 ${CMAKE_CURRENT_SOURCE_DIR}/corpus_${name})
  else()
    target_sources(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/fuzz_main.c)
    add_test(NAME corpus_${name} COMMAND fuzz_${name} ${CMAKE_CURRENT_SOURCE_DIR}/corpus_${name})
  endif()
  set_tests_properties(corpus_${name} PROPERTIES LABELS corpus TIMEOUT 900)
endfunction()
