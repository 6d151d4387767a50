#!/bin/sh
# Read back from a binary what the build promised: PIE, full RELRO, no executable stack, stack canary, FORTIFY, and nothing
# in it that only tests may have (P-11).
# Usage: check_hardening.sh PROGRAM...   Prints each missing property and exits 1.
set -eu
found=0
lacks() {
    echo "$1: $2" >&2
    found=1
}
for program in "$@"; do
    header=$(readelf -hW "$program")
    segments=$(readelf -lW "$program")
    dynamic=$(readelf -dW "$program")
    symbols=$(readelf --dyn-syms -W "$program")
    echo "$header" | grep -q 'Type:.*DYN' || lacks "$program" 'not position independent'
    echo "$segments" | grep -q GNU_RELRO || lacks "$program" 'no RELRO segment'
    echo "$dynamic" | grep -Eq 'BIND_NOW|Flags:.*NOW' || lacks "$program" 'symbols are bound lazily, so RELRO is partial'
    if echo "$segments" | grep GNU_STACK | grep -q 'RWE'; then
        lacks "$program" 'executable stack'
    fi
    echo "$symbols" | grep -q '__stack_chk_fail' || lacks "$program" 'no stack canary'
    echo "$symbols" | grep -Eq '__[a-z]+_chk@' || lacks "$program" 'no FORTIFY checks'
    if readelf -sW "$program" | grep -q ' ft_planted'; then
        lacks "$program" 'planted bugs are compiled in'
    fi
    # What simulations and tests work with: randomness from a seed, a state that nothing keeps.
    case $program in
    */fedtill-simulate | */unhardened) ;;
    *)
        if readelf -sW "$program" | grep -Eq ' (ft_env_seeded_init|ft_vault_store_memory)$'; then
            lacks "$program" 'randomness from a seed or a state in memory is compiled in'
        fi
        ;;
    esac
    if echo "$dynamic" | grep -Eq 'R(UN)?PATH'; then
        lacks "$program" 'a run path is set'
    fi
done
exit $found
