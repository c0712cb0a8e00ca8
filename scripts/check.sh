#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, the README's test command, documentation.
# Works from a fresh clone; the one thing it installs is what rustup has for this toolchain (rustfmt, clippy).
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

step "toolchain"
rustc --version
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

step "format"
cargo fmt --check

# The README's test command first: it compiles everything once, in the one profile there is.
step "tests: cargo test --release"
cargo test --release --locked

# Slurm's queue waits more than it computes: it is tried beside everything that follows, with a program that nobody replaces meanwhile.
command -v slurmctld >/dev/null 2>&1 || scripts/slurm-lab.sh install . >/dev/null 2>&1 || true
beside="$(mktemp -d)"
cp "${CARGO_TARGET_DIR:-target}/release/speedlab" "$beside/speedlab"
SPEEDLAB_BIN="$beside/speedlab" scripts/check-slurm.sh >"$beside/slurm.log" 2>&1 &
slurm=$!
# Its own end takes its daemons down.
trap 'kill "$slurm" 2>/dev/null && wait "$slurm" || true; rm -rf "$beside"' EXIT

step "the report's page, used in a browser"
scripts/check-page.sh

step "lints"
cargo clippy --release --locked --all-targets -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps --document-private-items

step "a real set of images, and real weights"
cargo build --release --locked
scripts/check-data.sh
SPEEDLAB_CHECK_SET=efficientnet-lite0 scripts/check-data.sh

step "the trainer in PyTorch, beside ours"
python="${SPEEDLAB_PYTHON:-python3}"
if "$python" -c "import torch, numpy" 2>/dev/null; then
    "$python" scripts/torch/check.py "${CARGO_TARGET_DIR:-target}/release/speedlab" --only clts
else
    echo "SKIPPED: $python has no torch: whether the trainer in PyTorch does what ours does was not tried"
fi

# Compiled for the first time this takes half an hour more. What is not done when the time is up is done by the next run, which
# finds what is compiled.
step "GPUs: built for them, a sweep on an adapter or on software that plays one"
left=$((${SPEEDLAB_CHECK_MINUTES:-80} * 60 - SECONDS))
status=0
if [ "$left" -gt 0 ]; then
    timeout "$left" scripts/check-gpu.sh --quick || status=$?
else
    status=124
fi
if [ "$status" = 124 ]; then
    echo "SKIPPED: the time was up before everything for GPUs was compiled and tried; the next run goes on from here"
elif [ "$status" != 0 ]; then
    exit "$status"
fi

step "a cluster: Slurm on this machine"
status=0
wait "$slurm" || status=$?
cat "$beside/slurm.log"
[ "$status" = 0 ] || exit "$status"

step "all checks passed in $((SECONDS / 60)) minutes"
