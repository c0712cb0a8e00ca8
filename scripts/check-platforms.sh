#!/usr/bin/env bash
# Whether the program compiles for other platforms: `cargo check` for Linux on Arm, Windows and macOS. Nothing is run there.
#
# The standard libraries come by rustup; zig, from PyPI, compiles what is written in C. What cannot be had is said and left out.
# `scripts/check-platforms.sh TARGET=ZIG-TARGET ..` checks others.
set -euo pipefail
cd "$(dirname "$0")/.."

environment="${XDG_CACHE_HOME:-$HOME/.cache}/speedlab/zig-env"
if [ ! -x "$environment/bin/python3" ]; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet ziglang
fi
wrappers="$environment/wrappers"
mkdir -p "$wrappers"

wrapper() { # NAME COMMAND..
    local name="$1"
    shift
    # Crates that call compilers pass Rust's name of the target, which zig does not know.
    cat > "$wrappers/$name" <<EOF
#!/usr/bin/env bash
arguments=()
for argument in "\$@"; do
    case "\$argument" in --target=*|-target=*) ;; *) arguments+=("\$argument") ;; esac
done
exec "$environment/bin/python3" -m ziglang $* "\${arguments[@]}"
EOF
    chmod +x "$wrappers/$name"
}

targets=("$@")
if [ "${#targets[@]}" = 0 ]; then
    targets=(aarch64-unknown-linux-gnu=aarch64-linux-gnu x86_64-pc-windows-gnu=x86_64-windows-gnu aarch64-apple-darwin=aarch64-macos)
fi
status=0
for target in "${targets[@]}"; do
    rust="${target%%=*}" zig="${target##*=}"
    if ! rustup target add "$rust" >/dev/null 2>&1; then
        echo "SKIPPED $rust: its standard library cannot be had here"
        continue
    fi
    wrapper "$rust-cc" cc -target "$zig"
    wrapper "$rust-c++" c++ -target "$zig"
    wrapper "$rust-ar" ar
    name="${rust//-/_}"
    export "CC_$name=$wrappers/$rust-cc" "CXX_$name=$wrappers/$rust-c++" "AR_$name=$wrappers/$rust-ar"
    if cargo check --release --locked --target "$rust"; then
        echo "OK $rust"
    else
        echo "FAILED $rust"
        status=1
    fi
done
exit "$status"
