#!/usr/bin/env bash
# The tables of results as other languages read them: the lines of results/README.md in pandas, DuckDB and, where it is installed, R; and
# the tables for papers, with labels that would like to be code, as Typst and, where it is installed, pdflatex with booktabs compile them.
# Installs pandas, DuckDB and Typst's compiler into an environment of its own under the cache folder.
set -euo pipefail
cd "$(dirname "$0")/.."

environment="${XDG_CACHE_HOME:-$HOME/.cache}/speedlab/tables-env"
[ -x "$environment/bin/python3" ] || python3 -m venv "$environment"
if ! "$environment/bin/python3" -c 'import pandas, pyarrow, duckdb, typst' 2>/dev/null; then
    "$environment/bin/pip" install --quiet pandas==3.1.1 pyarrow==26.0.1 duckdb==2.0.1 typst==0.14.2
fi
PATH="$environment/bin:$PATH" cargo test --release --test integration -- --ignored --exact \
    record::the_guides_lines_of_other_languages_find_the_same \
    report::labels::tables_for_papers_are_compiled
