#!/usr/bin/env bash
# The tables of results as other languages read them: the lines of results/README.md in pandas, DuckDB and, where it is installed, R.
# Installs pandas and DuckDB into an environment of its own under the cache folder.
set -euo pipefail
cd "$(dirname "$0")/.."

environment="${XDG_CACHE_HOME:-$HOME/.cache}/speedlab/tables-env"
if [ ! -x "$environment/bin/python3" ]; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet pandas==3.1.1 pyarrow==26.0.1 duckdb==2.0.1
fi
PATH="$environment/bin:$PATH" cargo test --release --test integration -- --ignored --exact \
    record::the_guides_lines_of_other_languages_find_the_same
