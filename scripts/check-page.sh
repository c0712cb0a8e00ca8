#!/usr/bin/env bash
# Uses the report's page as a reader does, in a headless Chromium: hover, legend, filters, target, tables, panels, keys, a phone, dark,
# paper, hostile names, no scripts; then the page of a sweep that runs, until its server is gone. Fails on any error of a page or request
# of it. Needs python3 and a Chromium, or says that nothing was tried. SPEEDLAB_CHROMIUM names the browser; a folder as the argument gets
# pictures of what was seen.
#   scripts/check-page.sh [PICTURES]
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v python3 >/dev/null; then
    echo "SKIPPED: there is no python3: the report's page was not tried in a browser"
    exit 0
fi
if ! python3 -B -c 'import sys; sys.path.insert(0, "scripts/page"); import browser; sys.exit(0 if browser.find() else 1)'; then
    echo "SKIPPED: there is no Chromium: the report's page was not tried in a browser"
    exit 0
fi
target="${CARGO_TARGET_DIR:-target}"
cargo test --release --locked --test integration report::explore::pages_for_a_browser
python3 -B scripts/page/check.py "$target/tmp/pages" "$@"
exec python3 -B scripts/page/live.py "$target/release/speedlab" "$@"
