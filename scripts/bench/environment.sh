# Sourced by the scripts beside this folder.

# `bench_python MODULES PACKAGES` prints a Python that can import the modules. It is SPEEDLAB_BENCH_PYTHON where that is set;
# else one of a virtual environment (SPEEDLAB_BENCH_VENV, by default under the cache folder) into which the packages are
# installed where the modules are missing.
bench_python() {
    local modules="$1" packages="$2" python="${SPEEDLAB_BENCH_PYTHON:-}"
    if [ -z "$python" ]; then
        local venv="${SPEEDLAB_BENCH_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/speedlab-bench-venv}"
        python="$venv/bin/python"
        if ! [ -x "$python" ]; then
            command -v python3 >/dev/null 2>&1 || { echo "error: python3 with venv is needed" >&2; return 1; }
            python3 -m venv "$venv" >&2
        fi
        if ! "$python" -c "import $modules" 2>/dev/null; then
            echo "$packages are installed into $venv." >&2
            case " $packages " in
            *" torch "*) echo "PyTorch's Linux wheel brings CUDA libraries, 3 to 5 GB in all." >&2 ;;
            esac
            # shellcheck disable=SC2086
            "$python" -m pip install --quiet $packages >&2
        fi
    fi
    "$python" -c "import $modules" || { echo "error: $python cannot import $modules" >&2; return 1; }
    echo "$python"
}
export PYTHONDONTWRITEBYTECODE=1
