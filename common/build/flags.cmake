# ft_flags: warnings and semantics for every target. ft_hardening: what a shipped binary carries.
# Each flag is probed, so another compiler simply goes without the ones it does not know.
include(CheckCCompilerFlag)

add_library(ft_flags INTERFACE)
add_library(ft_hardening INTERFACE)

function(ft_probe target scope)
  foreach(flag IN LISTS ARGN)
    string(MAKE_C_IDENTIFIER "FT_HAS${flag}" name)
    check_c_compiler_flag("${flag}" ${name})
    if(${name})
      target_compile_options(${target} INTERFACE ${flag})
    endif()
  endforeach()
endfunction()

target_compile_definitions(ft_flags INTERFACE _GNU_SOURCE FT_VERSION="${PROJECT_VERSION}")
target_include_directories(ft_flags INTERFACE ${CMAKE_SOURCE_DIR})
ft_probe(ft_flags INTERFACE
  -Wall -Wextra -Wformat=2 -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wvla -Werror=implicit -Werror=incompatible-pointer-types -Werror=int-conversion
  -fno-strict-overflow -fno-strict-aliasing -fno-delete-null-pointer-checks -fno-omit-frame-pointer
  -ffp-contract=off)
target_compile_options(ft_flags INTERFACE -Werror=format-security) # means nothing to the probe without -Wformat
if(FT_WERROR)
  target_compile_options(ft_flags INTERFACE -Werror)
endif()

if(FT_FUZZ)
  target_compile_options(ft_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(FT_PLANTED)
  target_compile_definitions(ft_flags INTERFACE FT_PLANTED=1)
endif()

if(FT_SANITIZE)
  target_compile_options(ft_flags INTERFACE -fsanitize=${FT_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(ft_flags INTERFACE -fsanitize=${FT_SANITIZE})
  target_compile_definitions(ft_flags INTERFACE FT_SANITIZED=1)
else()
  ft_probe(ft_hardening INTERFACE
    -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -ftrivial-auto-var-init=zero)
  if(CMAKE_BUILD_TYPE MATCHES "Rel")
    target_compile_options(ft_hardening INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
endif()
target_link_options(ft_hardening INTERFACE -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
