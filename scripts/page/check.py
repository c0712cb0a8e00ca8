"""Uses the pages of made-up studies in a headless Chromium as a reader would, and fails on the first thing that is not as it must be.

    check.py PAGES [PICTURES]

PAGES has a folder for each study (the test `pages_for_a_browser` writes them); PICTURES gets pictures of what was seen.
"""

import base64
import csv
import json
import math
import pathlib
import re
import sys

from browser import Browser, Fault, find
from reader import center, click, column, every_choice, expect, is_dark, no_faults, no_sideways, over_a_curve, ready, select, text_of

PHONE = 360


def hostile_names_are_text(page):
    expect("</script><img src=x onerror=alert(1)>" in text_of(page, ".overview"), "the arm's name is not shown as it is")
    expect("<b>a & b</b>" in text_of(page, "h1"), "the question is not shown as it is")
    expect(page.evaluate('document.querySelectorAll("img[src=x], h1 b").length') == 0, "a name became HTML")


def hover_says_values(page):
    over_a_curve(page)
    words = text_of(page, ".hover")
    expect(re.search(r"(run [0-9a-f]{12}, seed \d|median of \d runs)", words) and re.search(r"step [\d,]+, [\d,]+ images", words), f"a curve says: {words}")


def keys_go_along_curves(page):
    page.evaluate('document.querySelector(".plot").focus()')
    seen = set()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowRight"):
        page.key(key)
        seen.add(text_of(page, ".hover"))
    expect(len(seen) >= 3, f"the arrow keys do not go along the curves: {seen}")


def legend_hides(page):
    before = text_of(page, "#at-target")
    first = 'document.querySelectorAll(".legend button")[1]'
    page.evaluate(f"{first}.click()")
    expect(page.evaluate(f'{first}.getAttribute("aria-pressed")') == "false", "the entry of the legend does not say that it is off")
    after = text_of(page, "#at-target")
    expect("onerror=alert(1)" in before and "onerror=alert(1)" not in after, "a hidden arm is still compared")
    page.evaluate(f"{first}.click()")
    expect(text_of(page, "#at-target") == before, "an arm that is shown again is not as before")


def nothing_is_left(page):
    toggle = '[...document.querySelectorAll(".legend button")].forEach((entry) => entry.click())'
    page.evaluate(toggle)
    expect(page.evaluate('!document.getElementById("nothing").hidden'), "without any arm it is not said that nothing is shown")
    page.evaluate(toggle)
    over_a_curve(page)


def filters_choose(page):
    page.evaluate('document.querySelector("#runs .tick input").click()')
    everything = len(column(page, "#runs", 0))
    select(page, "Outcome", "diverged")
    expect(column(page, "#runs", 3) == ["diverged: the loss is <b>NaN</b> at step 401"], "the filter leaves other runs")
    expect("(1 of 15)" in text_of(page, "#runs .tick"), "the filter does not say how many runs it leaves")
    select(page, "Outcome", "")
    expect(len(column(page, "#runs", 0)) == everything == 15, "without the filter not all runs are there")
    select(page, "Against", "train_seconds")
    over_a_curve(page)
    expect(re.search(r"step [\d,]+, [\d.]+ s", text_of(page, ".hover")), "the other axis is not shown")
    select(page, "Against", "images_seen")


def target_moves(page, pages):
    before = text_of(page, "#at-target")
    slider = 'document.querySelector(".target input")'
    page.evaluate(f"{slider}.focus()")
    for _ in range(40):
        page.key("ArrowRight", 39)
    by_key = text_of(page, "#at-target")
    expect(before != by_key, "the target's slider changes no speedup")
    x, y = center(page, ".target-line")
    page.mouse("mouseMoved", x, y)
    page.mouse("mousePressed", x, y, "left", 1)
    page.mouse("mouseMoved", x, y - 25, "left")
    page.mouse("mouseReleased", x, y - 25, "left", 1)
    expect(text_of(page, "#at-target") != by_key, "the line of the target is not dragged")
    same_as_recorded(page, pages)


def same_as_recorded(page, pages):
    """What the page computes at the target, beside the report's own profile of speedups, between whose targets it lies."""
    target = float(page.evaluate('document.querySelector("#at-target").dataset.target'))
    table = json.loads((pages / "hostile/report/speedups.json").read_text())
    seen = dict(zip(column(page, "#at-target", 0), column(page, "#at-target", 1)))
    compared = 0
    for arm in table["points"][0]["arms"]:
        profile = [] if arm["is_baseline"] else arm["speedups"]["images_seen"]["profile"]["by_target"]
        for easy, hard in zip(profile, profile[1:]):
            if easy["target"] >= target >= hard["target"] and easy["kind"] == hard["kind"] == "measured":
                share = math.log(easy["target"] / target) / math.log(easy["target"] / hard["target"])
                expected = easy["speedup"] * (hard["speedup"] / easy["speedup"]) ** share
                found = float(seen[arm["arm"]].rstrip("×"))
                expect(abs(found / expected - 1) < 0.01, f"{arm['arm']} at {target}: {found}, where the report has {expected}")
                compared += 1
    expect(compared >= 3, f"only {compared} speedups could be compared with the report's")


def tables_sort(page):
    header = '#runs th:nth-child(9) button'
    page.evaluate('document.querySelector("#runs > details").open = true')
    values = []
    for order in ("ascending", "descending"):
        page.evaluate(f"document.querySelector({json.dumps(header)}).focus()")
        page.key("Enter", 13, "\r")
        expect(page.evaluate('document.querySelector("#runs th:nth-child(9)").getAttribute("aria-sort")') == order, "the column does not say how it is sorted")
        values.append([float(value) for value in column(page, "#runs", 8)])
    expect(values[0] == sorted(values[0]) and values[1] == values[0][::-1], f"the column is not sorted: {values}")


def numbers_open(page, pages):
    page.evaluate('document.querySelectorAll(".overview button.cell")[0].focus()')
    page.key("Enter", 13, "\r")
    words = text_of(page, "#panel")
    for part in ("against baseline", "Formula", "ln speedup of a seed", "Values"):
        expect(part in words, f"the panel of a number has no `{part}`")
    lines = page.evaluate('[...document.querySelector("#panel table").tBodies[0].rows].map((line) => [...line.cells].map((cell) => cell.textContent))')
    expect(len(lines) == 3, f"the panel has {len(lines)} seeds")
    for line in lines:
        ratio = float(line[3].replace(",", "")) / float(line[4].replace(",", ""))
        expect(abs(ratio / float(line[5].rstrip("×")) - 1) < 0.005, f"a seed's values do not give its speedup: {line}")
    folder = re.escape(str((pages / "hostile").resolve()))
    commands = re.findall(rf"speedlab cell ([0-9a-z]{{6,}}) {folder}(?: --rerun)?", words)
    written = (pages / "hostile/report/speedups.csv").read_text()
    expect(len(commands) == 2 and len(set(commands)) == 1 and f",{commands[0]}," in written, f"the panel names no cell of the table: {words}")
    page.key("Escape", 27)
    expect(page.evaluate('document.getElementById("panel").hidden'), "Escape does not close the panel")
    expect(page.evaluate('document.activeElement === document.querySelectorAll(".overview button.cell")[0]'), "the focus does not go back")
    click(page, "#at-target button.cell")
    expect("at one target" in text_of(page, "#panel"), "the number at the target does not open")
    page.key("Escape", 27)


def runs_open(page):
    page.evaluate('document.querySelector("#runs > details").open = true')
    click(page, "#runs tr[data-run='0'] button.cell")
    words = text_of(page, "#panel")
    for part in ("Samples over time", "Settings", "Command", "speedlab run sweeps/synthetic.yaml", "</script><img src=x onerror=alert(3)>", "train.steps"):
        expect(part in words, f"the panel of a run has no `{part}`")
    expect(page.evaluate('[...document.querySelectorAll("#panel img")].every((image) => image.naturalWidth > 0)'), "a sample is not shown")
    page.key("Escape", 27)
    x, y = over_a_curve(page)
    while "median" in text_of(page, ".hover"):
        y += 3
        page.mouse("mouseMoved", x, y)
    run = re.search(r"run ([0-9a-f]{12})", text_of(page, ".hover")).group(1)
    page.click(x, y)
    expect(f"Run {run}" in text_of(page, "#panel"), "a click on a curve does not open its run")
    page.key("Escape", 27)


def samples_slide(page):
    before = page.evaluate('document.querySelector("#samples .strip img").src')
    page.evaluate('document.querySelector("#samples input").focus()')
    page.key("ArrowLeft", 37)
    expect(page.evaluate('document.querySelector("#samples .strip img").src') != before, "the slider of the samples changes no image")
    expect(page.evaluate('document.querySelectorAll("#samples .strip img").length') == 5, "the arms are not side by side")


def prints(page):
    pdf = base64.b64decode(page.ask("Page.printToPDF")["data"])
    expect(pdf.startswith(b"%PDF") and len(pdf) > 50_000, "the page does not print")
    page.ask("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    expect(not is_dark(page), "paper is dark")
    expect(page.evaluate('document.getElementById("explore").offsetHeight') == 0, "what needs a pointer is on paper")
    expect(page.evaluate('!document.querySelector("#protocol > details").open'), "this part is not folded away, and tells nothing")
    expect(page.evaluate('document.querySelector("#protocol table").checkVisibility()'), "what is folded away is not on paper")
    page.ask("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": "light"}])


def no_other_script_runs(page):
    tries = """(async () => {
        const refused = [];
        document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
        const made = document.createElement("div");
        try { made.innerHTML = "<b>x</b>"; refused.push("none"); } catch { /* as it must be */ }
        const script = document.createElement("script");
        try { script.text = "window.wasRun = true"; document.body.append(script); } catch { /* as it must be */ }
        await fetch("https://example.invalid/").then(() => refused.push("none"), () => {});
        await new Promise((go) => setTimeout(go, 50));
        return [refused, window.wasRun === undefined];
    })()"""
    refused, quiet = page.evaluate(tries)
    expect(quiet and "none" not in refused, f"another script ran: {refused}")
    expect({"require-trusted-types-for", "connect-src"} <= set(refused), f"refused was only {refused}")


def a_copy_names_its_folder_and_a_link_opens_its_number(page, pages):
    folder = (pages / "copied/synthetic").resolve()
    with open(folder / "report/speedups.csv", newline="", encoding="utf-8") as file:
        lines = {line["arm"]: line for line in csv.DictReader(file) if line["measured_in"] == "images_seen"}
    cell, last, finals = lines["clts"]["band_cell"], lines["clts"]["last_cell"], [lines[arm]["final_cell"] for arm in ("baseline", "clts")]
    page.open((folder / "report/index.html").as_uri() + f"#cell-{cell}")
    ready(page)
    words = text_of(page, "#panel")
    expect(page.evaluate('!document.getElementById("panel").hidden') and f"Cell {cell}" in words, f"the link opens no panel: {words}")
    expect(f"speedlab cell {cell} {folder}" in words, f"the command does not name the folder of the copy: {words}")
    link = lambda id: page.evaluate(f'location.hash = "#cell-{id}"')

    def is_marked(what, words):
        marked = f'((all) => all.length === 1 && all[0].checkVisibility() && all[0].matches({json.dumps(what)}) && all[0].textContent.includes({json.dumps(words)}))'
        page.wait_for(f'{marked}([...document.querySelectorAll(".linked")])', f"the link does not mark {what} with {words}")

    is_marked("#panel .figure-number", "×")
    link(last)
    is_marked("#panel tr", last)
    for place, final in enumerate(finals):
        link(final)
        is_marked(f"td[data-final='0,{place}']", " to ")
        expect(page.evaluate('document.getElementById("panel").hidden'), "the panel of another number stands beside a final value")
    link("nowhere")
    page.wait_for('document.getElementById("panel").textContent.includes("nowhere")', "it is not said that no number has the id of the link")
    link(cell)
    page.wait_for(f'document.getElementById("panel").textContent.includes("Cell {cell}")', "after another link a link opens nothing")
    again = text_of(page, "body")
    run = f"speedlab run sweeps/synthetic.yaml --results {folder.parent} "
    expect(run in again and f"speedlab report {folder} " in again, f"the commands do not name the folder of the copy: {again}")
    page.evaluate('document.querySelector("#runs > details").open = true')
    click(page, "#runs tr[data-run='0'] button.cell")
    expect(run.strip() in text_of(page, "#panel"), "the command of a run does not name the folder of the copy")


def still_page(page):
    expect(page.evaluate('document.getElementById("explore").hidden'), "without scripts there is an empty figure")
    expect(page.evaluate('[...document.querySelectorAll("details[data-fold]")].every((part) => part.open)'), "without scripts a part is folded away")
    expect(page.evaluate('document.querySelectorAll("figure svg").length') >= 10, "without scripts there are no figures")


def check(page, pages, picture):
    url = lambda name: (pages / name / "report/index.html").resolve().as_uri()
    page.open(url("hostile"))
    ready(page)
    hostile_names_are_text(page)
    picture("light", whole=True)
    hover_says_values(page)
    picture("hover")
    keys_go_along_curves(page)
    legend_hides(page)
    nothing_is_left(page)
    filters_choose(page)
    target_moves(page, pages)
    numbers_open(page, pages)
    runs_open(page)
    tables_sort(page)
    samples_slide(page)
    prints(page)
    no_faults(page)
    no_other_script_runs(page)

    page.open(url("hostile"), width=PHONE, height=780)
    ready(page)
    no_sideways(page, PHONE)
    wraps = page.evaluate('[...document.querySelectorAll(".overview td.verdict")].every((cell) => getComputedStyle(cell).whiteSpace === "normal")')
    expect(wraps, "a verdict does not wrap on a phone")
    picture("phone", whole=True)
    page.evaluate('document.querySelectorAll(".overview button.cell")[0].click()')
    no_sideways(page, PHONE)
    picture("phone-panel")
    page.evaluate('document.querySelectorAll("details").forEach((part) => { part.open = true; })')
    no_sideways(page, PHONE)
    no_faults(page)

    page.open(url("hostile"), scheme="dark")
    ready(page)
    expect(is_dark(page), "a dark system has a light page")
    picture("dark", whole=True)
    click(page, ".theme")
    expect(not is_dark(page), "the button does not make the page light")
    no_faults(page)

    page.open(url("hostile"), script=False)
    still_page(page)
    picture("still")
    no_faults(page)

    page.open(url("grid"))
    ready(page)
    first = text_of(page, "#at-target")
    select(page, "At", "1")
    expect(text_of(page, "#at-target") != first, "another grid point has the same speedups")
    select(page, "At", "-1")
    over_a_curve(page)
    picture("grid")
    page.evaluate('document.querySelector("[data-effect] button").click()')
    expect("over grid points" in text_of(page, "#panel"), "a number of the whole grid does not open")
    no_faults(page)

    a_copy_names_its_folder_and_a_link_opens_its_number(page, pages)
    no_faults(page)

    for name in ("curves-alone", "unfinished", "nothing", "many"):
        page.open(url(name))
        ready(page)
        expect(page.evaluate('document.querySelectorAll("#explore canvas").length') == (name in ("curves-alone", "unfinished")), f"{name}: a figure is there without curves, or the other way round")
        no_sideways(page, 1200)
        every_choice(page)
        no_faults(page)
    expect("4,000 runs are too many for curves here" in text_of(page, "#explore"), "it is not said that curves are left out")
    expect(page.evaluate('document.querySelectorAll("#runs tbody tr").length') == 300, "the table of runs is not bounded")


def main():
    pages = pathlib.Path(sys.argv[1])
    pictures = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    page = Browser(find())

    def picture(name, whole=False):
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
            page.screenshot(pictures / f"{name}.png", whole)

    try:
        check(page, pages, picture)
    except Fault as fault:
        picture("fault")
        print(f"FAILED: {fault}", file=sys.stderr)
        return 1
    finally:
        page.close()
    print("the page does what a reader asks of it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
