#!/usr/bin/env bash
# Builds speedlab with every kind of GPU, which needs neither a toolkit nor a driver, and runs a tiny sweep on the first adapter
# that Vulkan finds. A machine without a GPU plays one in software (Mesa's lavapipe), which is installed from the distribution's
# packages where that is possible; where it is not, this says so and passes, since there is nothing to run on.
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

cargo build --release --locked --features wgpu,cuda
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
