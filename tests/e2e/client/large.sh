#!/bin/sh
# Two million lines of an export are read within 400 MiB: some 150 bytes a line and nothing that grows with the file
# beside them, so that ten million lines fit a shop's small server (feature map, S-03).
. "$(dirname "$0")/lib.sh"
home=$dir/shop
make_home "$home" store-1 127.0.0.1:7443
awk 'BEGIN {
    print "customer_id,week,amount,note"
    for (i = 0; i < 2000000; i++) printf "%d,%d,%d.25,a column that is not mapped\n", i * 7919 % 20011, i % 52 + 1, i % 97
}' >"$home/data/large.csv"
python3 - "$bin/fedtill-client" "$home" >"$dir/out" 2>"$dir/err" <<'EOF' || fail "source check"
import resource, subprocess, sys
answer = subprocess.run([sys.argv[1], "source", "check", "--home", sys.argv[2], "--json"], stdout=subprocess.PIPE)
print(answer.stdout.decode())
print("peak_kib", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(answer.returncode not in (0, 1))
EOF
says '"rows":2000003'
peak=$(sed -n 's/^peak_kib //p' "$dir/out")
[ "$peak" -lt 409600 ] || fail "$peak KiB for two million lines"
echo "large: ok, $peak KiB"
