#!/usr/bin/env bash
# Builds speedlab with every kind of GPU, which needs neither a toolkit nor a driver, and runs a tiny sweep on the first adapter
# that Vulkan finds. A machine without a GPU plays one in software (Mesa's lavapipe), which is installed from the distribution's
# packages where that is possible; where it is not, this says so and passes, since there is nothing to run on.
#   scripts/check-gpu.sh            the program is target/release/speedlab-gpu, also for scripts/gpu/measure.sh
#   scripts/check-gpu.sh --quick    our own crate is compiled faster and is slower: to see whether it is right
set -euo pipefail
cd "$(dirname "$0")/.."

has_vulkan() {
    ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1' || return 1
    [ -n "${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}" ] && return 0
    ls /usr/share/vulkan/icd.d/*.json >/dev/null 2>&1 || ls /etc/vulkan/icd.d/*.json >/dev/null 2>&1
}
if ! has_vulkan && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends libvulkan1 mesa-vulkan-drivers; } >/dev/null 2>&1 || true
fi

# A clone has just written the stand-in of cubecl-llvm, so that Cargo would compile everything on it again, CubeCL and burn: it is as old as its last change.
changed="$(git log -1 --format=%ct -- scripts/cubecl-llvm 2>/dev/null || true)"
if [ -n "$changed" ] && git diff --quiet HEAD -- scripts/cubecl-llvm; then
    find scripts/cubecl-llvm -type f -exec touch -d "@$changed" {} +
fi
level=3
[ "${1:-}" != --quick ] || level=1
cargo --config "profile.release.package.speedlab.opt-level=$level" build --release --locked --features wgpu,cuda
target="$(realpath "${CARGO_TARGET_DIR:-target}")"
export SPEEDLAB_GPU_BIN="$target/release/speedlab-gpu"
cp "$target/release/speedlab" "$SPEEDLAB_GPU_BIN"
"$SPEEDLAB_GPU_BIN" devices
tests=gpu::
if ! has_vulkan; then
    echo "SKIPPED: there is no Vulkan loader with a driver, and none could be installed: nothing was trained on wgpu"
    tests=gpu::devices
fi
# Software has nothing to gain from trying many variants of a kernel.
export CUBECL_AUTOTUNE_LEVEL="${CUBECL_AUTOTUNE_LEVEL:-minimal}"
cargo test --release --locked --test integration -- --ignored --nocapture --test-threads 1 "$tests"

# CUDA, by NVIDIA's compiler on a driver without a card: kernels of our own for the older cards, then steps and captured sampling passes of small networks of all architectures for the
# newer, in f32 and bf16, and a feature network. The compiler is found in a toolkit, in PyTorch's packages, or fetched into the cache folder, where compiled kernels are kept, too.
cache="${XDG_CACHE_HOME:-$HOME/.cache}"
on_cuda() {
    "$1" scripts/gpu/own_kernels.py "$SPEEDLAB_GPU_BIN" --compute-capabilities 80 || return
    local status=0 kernels="$cache/speedlab-cuda-kernels"
    # Kernels of older builds are kept as well, but not for ever.
    [ "$(du -sm "$kernels" 2>/dev/null | cut -f1)" -lt 300 ] 2>/dev/null || rm -rf "$kernels"
    for _ in 1 2; do
        status=0
        timeout --signal INT 300 "$1" scripts/gpu/precompile.py "$kernels" "$SPEEDLAB_GPU_BIN" --networks small --work train,captured-sample --features efficientnet-lite0 \
            --expected results/reference/cuda-step.json || status=$?
        [ "$status" != 0 ] && [ "$status" != 124 ] || break
        # It may be the kept folder that is damaged.
        rm -rf "$kernels"
    done
    [ "$status" != 124 ] || echo "SKIPPED: the kernels of all networks are not compiled for CUDA yet; the next run goes on from here"
    [ "$status" = 124 ] || return "$status"
}
python="${SPEEDLAB_PYTHON:-python3}"
if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && command -v cc >/dev/null 2>&1; then
    status=0
    on_cuda "$python" || status=$?
    packages="$cache/speedlab-cuda-compiler"
    if [ "$status" = 77 ]; then
        if { [ -x "$packages/bin/python" ] || { "$python" -m venv "$packages" && "$packages/bin/python" -m pip install --quiet \
            nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-crt nvidia-cuda-cccl; }; } >/dev/null 2>&1; then
            status=0
            on_cuda "$packages/bin/python" || status=$?
        fi
        # What was not fetched whole is fetched again next time.
        [ "$status" != 77 ] || rm -rf "$packages"
    fi
    [ "$status" = 0 ] || [ "$status" = 77 ] || exit "$status"
    [ "$status" = 0 ] || echo "SKIPPED: NVIDIA's compiler is neither here nor to be fetched: no kernel was compiled for CUDA"
else
    echo "SKIPPED: Python 3.10 and a C compiler are needed to compile kernels for CUDA without a card"
fi
