"""What a reader does on a page, and looks at."""

import json

from browser import Fault


def expect(holds, words):
    if not holds:
        raise Fault(words)


def text_of(page, selector):
    return page.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def center(page, selector):
    place = page.evaluate(f"""(() => {{ const found = document.querySelector({json.dumps(selector)}); found.scrollIntoView({{ block: "center" }});
        const box = found.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()""")
    return place[0], place[1]


def click(page, selector):
    page.click(*center(page, selector))


def select(page, words, value):
    """Chooses an option of a list by its label: the list itself opens outside of the page."""
    page.evaluate(f"""(() => {{ const label = [...document.querySelectorAll(".choice")].find((label) => label.querySelector("span").textContent === {json.dumps(words)});
        const list = label.querySelector("select"); list.value = {json.dumps(value)}; list.dispatchEvent(new Event("change")); }})()""")


def box_of_plot(page):
    center(page, ".u-over")
    return page.evaluate('(() => { const box = document.querySelector(".u-over").getBoundingClientRect(); return [box.x, box.y, box.width, box.height]; })()')


def over_a_curve(page):
    """Moves the pointer down the figure until it is over a curve; returns where."""
    x, y, width, height = box_of_plot(page)
    for down in range(4, int(height), 6):
        at = (x + 0.6 * width, y + down)
        page.mouse("mouseMoved", *at)
        if not page.evaluate('document.querySelector(".hover").hidden'):
            return at
    raise Fault("no curve says its value")


def ready(page):
    page.wait_for('document.documentElement.dataset.ready === ""', "the page's script has not run to its end")


def no_faults(page, asks=None):
    faults = page.faults(asks)
    expect(not faults, "\n".join(faults))


def no_sideways(page, width):
    wide = page.evaluate("document.documentElement.scrollWidth")
    expect(wide <= width, f"the page is {wide} pixels wide on a screen of {width}")


def column(page, table, index):
    return page.evaluate(f"[...document.querySelectorAll({json.dumps(table + ' tbody tr')})].filter((line) => !line.hidden).map((line) => line.cells[{index}].textContent.trim())")


def is_dark(page):
    return page.evaluate('getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).slice(0, 3).every((part) => Number(part) < 60)')


def every_choice(page):
    """Each option of each list, one after the other: the figure has to stand them all."""
    page.evaluate("""[...document.querySelectorAll(".choice")].map((label) => label.querySelector("span").textContent).forEach((words) => {
        const list = () => [...document.querySelectorAll(".choice")].find((label) => label.querySelector("span").textContent === words).querySelector("select");
        [...list().options].map((option) => option.value).reverse().forEach((value) => { list().value = value; list().dispatchEvent(new Event("change")); });
        document.querySelectorAll(".ticks input").forEach((box) => box.click());
    })""")
