#!/bin/sh
# What is wrong with an experiment, a --set, a file or a partition: where, what was found, what was expected; 78 for the
# experiment, 65 for data, 66 for what is not there, 64 for usage. The folder is not even made.
. "$(dirname "$0")/lib.sh"

bad() { # bad CODE WORDS --set...
    code=$1
    words=$2
    shift 2
    expect "$code" "$sim" run "$dir/experiment.yaml" --out "$dir/never" "$@"
    says "$words"
    [ ! -e "$dir/never" ] || fail "a folder for an experiment that cannot run"
}

# The experiment and --set.
bad 78 "unknown key 'roundz', did you mean 'rounds'?" --set training.roundz=5
bad 78 "did you mean" --set training.round=5
bad 78 "'rounds' is 'many', expected" --set training.rounds=many
bad 78 "'learning_rate' is '-1'" --set training.learning_rate=-1
bad 78 "missing key 'rounds'" --set training.rounds=null
bad 78 "--set training.rounds: expected KEY=VALUE" --set training.rounds
bad 78 "--set =5: expected KEY=VALUE" --set =5
bad 78 "--set seed.rounds=5: 'seed' is no mapping" --set seed.rounds=5
bad 78 "the value is no YAML" --set "training.rounds=[1"
bad 78 "expected one of" --set algorithm.name=fedmagic
bad 78 "missing key 'mu', fedprox and ditto pull" --set algorithm.name=fedprox
bad 78 "'mu' has no meaning here" --set algorithm.mu=0.5
bad 78 "fedsgd takes one step on all rows" --set algorithm.name=fedsgd
bad 78 "scaffold's corrections are for plain SGD" --set algorithm.name=scaffold --set training.momentum=0.9
bad 78 "clients has both, expected one of fraction and count" --set clients.count=3
bad 78 "clients has neither" --set clients.fraction=null
bad 78 "'batch_size'" --set training.batch_size=1.5
bad 78 "missing key 'clip', lanes of a sum need a bound" --set secure_sum.kind=exact
bad 78 "fedbuff cannot run under secure aggregation" --set secure_sum.kind=cost --set secure_sum.clip=1 \
    --set algorithm.name=fedbuff --set algorithm.buffer=4 --set algorithm.concurrency=8 --set clients.fraction=null
bad 78 "a secure sum over 2 clients hides nobody" --set secure_sum.kind=exact --set secure_sum.clip=1 --set clients.fraction=null \
    --set clients.count=2
bad 78 "a cnn has image" --set model.kind=cnn
bad 78 "model: linear for labels that are classes, expected logistic" --set model.kind=linear --set model.hidden=null
bad 78 "clients.count is 25 of 24 clients" --set clients.fraction=null --set clients.count=25
printf 'name: x\n  seed: 1\n' >"$dir/broken.yaml"
expect 78 "$sim" run "$dir/broken.yaml" --out "$dir/never"
says "broken.yaml:2"
expect 66 "$sim" run "$dir/nowhere.yaml" --out "$dir/never"
says "nowhere.yaml"
expect 64 "$sim" run --out "$dir/never"
expect 64 "$sim" run "$dir/experiment.yaml" --threads 0
expect 64 "$sim" run "$dir/experiment.yaml" --thread 2
says "did you mean '--threads'"

# Partitions that cannot be.
bad 78 "partition: 4000 shards of 2000 rows" --set "partition={kind: shards, clients: 1000, shards_per_client: 4}"
bad 78 "partition: 2001 clients of 2000 rows" --set "partition={kind: iid, clients: 2001}"
bad 78 "column needs rows that belong to somebody" --set "partition={kind: column}"
bad 78 "a client still has" --set "partition={kind: dirichlet, clients: 400, alpha: 0.01, rows_least: 5}"
bad 78 "missing key 'alpha'" --set "partition={kind: dirichlet, clients: 4}"

# Files: absent, with the wrong magic number, cut short, with a label out of range.
bad 66 "train-images-idx3-ubyte" --set "data={source: idx, folder: $dir}"
printf '\0\0\10\4\0\0\0\1' >"$dir/train-images-idx3-ubyte"
dd if=/dev/zero bs=1 count=40 2>/dev/null >>"$dir/train-images-idx3-ubyte"
for file in train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do : >"$dir/$file-ubyte"; done # there, to be hashed before any is read
bad 65 "magic number is 0x00000804, expected 0x00000803" --set "data={source: idx, folder: $dir}"
printf '0 1:1 2:0.5\n1 1:2\n5 2:1\n' >"$dir/train.libsvm"
bad 65 "train.libsvm:3" --set "data={source: libsvm, train: train.libsvm, features: 2}" --set "partition={kind: iid, clients: 2}"
bad 66 "gone.libsvm" --set "data={source: libsvm, train: gone.libsvm, features: 2}"
printf 'a,b,label\n1,2,0\n3,x,1\n5,6,maybe\n' >"$dir/train.csv"
bad 65 "train.csv:4" --set "data={source: csv, train: train.csv, label: label}" --set "partition={kind: iid, clients: 2}"
bad 65 "no column shop" --set "data={source: csv, train: train.csv, label: label, by: shop}" --set "partition={kind: column}"
printf 'client,from,to\n0,1,5\n99,1,5\n' >"$dir/there.csv"
bad 65 "there.csv:3" --set clients.availability=there.csv

# A model that runs away ends the run with its round; what is there stays for a look.
expect 65 "$sim" run "$dir/experiment.yaml" --out "$dir/away" --set training.learning_rate=1e6 --set model.kind=linear \
    --set model.hidden=null --set data.classes=2 --set algorithm.name=fedavg --set model.kind=mlp --set "model.hidden=[4]"
says "training diverged: use a smaller learning rate"
