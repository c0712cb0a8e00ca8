"""Watches the page of a sweep that runs, in a headless Chromium, from its first run until its server is gone; fails on the first thing that is not as
it must be.

    live.py SPEEDLAB [PICTURES]

SPEEDLAB is the program; PICTURES gets pictures of what was seen.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

from browser import Browser, Fault, find
from reader import click, expect, no_faults, no_sideways, over_a_curve, ready, select, text_of

SWEEP = """
name: live
question: Does the curriculum reach the target sooner?
base:
  model: { kind: unet, channels: 8, channel_multipliers: [1, 2] }
  train: { steps: 6000, batch_size: 16, ema_decay: 0.9, log_every: 10 }
  evaluate: { every: 300, grid_images: 4, validation: { bins: 4, images: 8 }, fid: { samples: 80, ode: { kind: ddim, steps: 3 } } }
arms:
  baseline: {}
  clts: { timestep_sampler: { kind: curriculum } }
seeds: 3
compare: { baseline: baseline, metric: fid }
"""
# Longer than the sweep takes on a busy machine. On a quick one it must outlast what is done before its end.
LONG = 900
VERSION = "Number(document.documentElement.dataset.version)"
LINE = '(document.querySelector("#live strong")?.textContent ?? "")'


def serve(speedlab, folder):
    """Starts the sweep; returns its process and the page's address."""
    (folder / "sweep.yaml").write_text(SWEEP)
    command = [speedlab, "run", "sweep.yaml", "--quiet", "--jobs", "1", "--serve", "--page-every", "1"]
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        found = re.search(r"live page +(http://127\.0\.0\.1:\d+/[0-9a-f]{32}/)", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, found.group(1)
    raise Fault("`run --serve` says no address")


def asked(page, expression):
    """Its value; while one page takes the place of another there is nothing to ask, and it is asked again."""
    for _ in range(100):
        try:
            return page.evaluate(expression)
        except Fault:
            time.sleep(0.05)
    return page.evaluate(expression)


def opened(page):
    return asked(page, '[...document.querySelectorAll("main details")].filter((part) => part.open).length')


def busy(page):
    """Nothing is renewed while the reader is busy; at the first key a newer page may be on its way."""
    page.key("Shift", 16)
    time.sleep(2)
    ready(page)
    page.key("Shift", 16)


def lives(page, url, picture):
    asks = url + "state.json"
    page.open(url)
    page.wait_for("document.documentElement.dataset.version !== undefined", "the first page does not take the place of the one before")
    ready(page)
    page.wait_for(f'/^\\d of 6 runs done, 1 running/.test({LINE})', "the strip does not say how the sweep stands")
    busy(page)
    page.wait_for('(document.querySelector("#live details").open = true)', "the strip has no list of runs")
    first = asked(page, LINE)
    page.wait_for('/of 6,000 steps/.test(document.querySelector("#live table").textContent)', "the strip does not say what runs")
    picture("live-start")
    page.wait_for(f"{LINE} !== '' && {LINE} !== {first!r}", "the strip does not go on")
    expect(asked(page, 'document.querySelector("#live details").open'), "the strip closes what the reader opened")

    # Curves are there as soon as something is measured, and a newer page keeps what the reader chose.
    page.wait_for(f'/^[1-5] of 6 runs done/.test({LINE})', "no run ends", LONG)
    version = asked(page, VERSION)
    page.wait_for(f'{VERSION} > {version} && document.documentElement.dataset.ready === ""', "a newer page does not come by itself", LONG)
    page.wait_for('document.querySelector(".u-over") !== null', "curves so far are not shown")
    busy(page)
    over_a_curve(page)
    asked(page, 'document.querySelector("#runs > details").open = true')
    select(page, "Against", "step")
    select(page, "Lines", "runs")
    version, parts = asked(page, VERSION), opened(page)
    page.wait_for(f'{VERSION} > {version} && document.documentElement.dataset.ready === ""', "a newer page does not come by itself", LONG)
    busy(page)
    chosen = asked(page, '[...document.querySelectorAll(".choice select")].map((list) => list.value)')
    expect("step" in chosen and "runs" in chosen, f"a newer page forgets what was chosen: {chosen}")
    expect(opened(page) == parts and asked(page, 'document.querySelector("#runs > details").open'), "a newer page closes what was open")

    # With a panel open it waits, and offers itself.
    click(page, "#runs tr[data-run='0'] button.cell")
    title = text_of(page, "#panel-title")
    page.wait_for('document.querySelector("#live .renew") !== null', "a newer page does not offer itself", LONG)
    expect(text_of(page, "#panel-title") == title, "the panel was closed")
    version = asked(page, VERSION)
    picture("live-panel")
    page.wait_for('(document.querySelector("#live .renew").click(), true)', "the offer is gone")
    page.wait_for(f'{VERSION} > {version} && document.documentElement.dataset.ready === ""', "the newer page does not come when it is asked for", LONG)
    expect(text_of(page, "#panel-title") == title, "a newer page does not open the run again")
    page.key("Escape", 27)
    no_sideways(page, 1200)
    no_faults(page, asks)

    page.wait_for(f'/^The sweep has ended: 6 of 6 runs done/.test({LINE})', "the end is not told", LONG)
    page.wait_for('/All 6 runs are finished/.test(document.querySelector("header").textContent)', "the last page is not there")
    picture("live-end")
    faults = [fault for fault in page.faults(asks) if "ERR_CONNECTION_REFUSED" not in fault]
    expect(not faults, "\n".join(faults))


def stays_usable(page, picture):
    page.wait_for(f'/^The server is gone/.test({LINE})', "it is not said that the server is gone")
    page.wait_for('document.documentElement.dataset.ready === ""', "the page is not whole")
    over_a_curve(page)
    select(page, "Against", "train_flops")
    over_a_curve(page)
    expect(re.search(r"[\d.]+e\d+ FLOPs", text_of(page, ".hover")), f"a curve says: {text_of(page, '.hover')}")
    click(page, "#runs tr[data-run='0'] button.cell")
    expect(text_of(page, "#panel-title").startswith("Run "), "without its server the page opens no run")
    picture("live-gone")
    # A question that nobody answers is the only thing that a console may note.
    faults = [fault for fault in page.faults() if "ERR_CONNECTION_REFUSED" not in fault and "state.json" not in fault]
    expect(not faults, "\n".join(faults))


def main():
    pictures = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    page = Browser(find())

    def picture(name):
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
            page.screenshot(pictures / f"{name}.png")

    with tempfile.TemporaryDirectory() as folder:
        process, url = serve(str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(folder))
        try:
            lives(page, url, picture)
            expect(process.wait(60) == 0, "the sweep did not end well")
            stays_usable(page, picture)
        except Fault as fault:
            picture("live-fault")
            print(f"FAILED: {fault}", file=sys.stderr)
            return 1
        finally:
            page.close()
            # Its runs end with it, and so does what they write into the folder.
            process.terminate()
            process.wait(120)
    print("the live page does what a reader asks of it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
