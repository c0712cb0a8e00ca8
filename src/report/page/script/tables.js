// The page's own tables: sorted by a click, filtered by what is chosen, their numbers and runs opened.

/** Sorts the lines of a table's body by a column; `data-sort` holds what a cell is sorted by where its words are no number. */
function sortBy(list, index, header) {
  const isDescending = header.getAttribute("aria-sort") === "ascending";
  const key = (line) => {
    const cell = line.cells[index];
    const text = cell.dataset.sort ?? cell.textContent.trim();
    const number = text === "" ? NaN : Number(text);
    return Number.isNaN(number) ? text : number;
  };
  const compare = (first, second) => {
    if (typeof first === "number" && typeof second === "number") return first - second;
    if (typeof first !== typeof second) return typeof first === "number" ? -1 : 1;
    return first.localeCompare(second, "en", { numeric: true });
  };
  const body = list.tBodies[0];
  const lines = [...body.rows].sort((first, second) => (isDescending ? -1 : 1) * compare(key(first), key(second)));
  body.append(...lines);
  [...header.parentNode.cells].forEach((cell) => cell.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
}

function makeSortable(list) {
  [...list.tHead.rows[0].cells].forEach((header, index) => {
    const words = [...header.childNodes];
    header.append(button("", () => sortBy(list, index, header), { class: "sort" }));
    header.lastChild.append(...words);
  });
}

/** Makes a button of what stands in `place`. */
function open(place, onclick) {
  const made = button("", onclick, { class: "cell" });
  made.append(...place.childNodes);
  place.append(made);
}

function openNumbers() {
  document.querySelectorAll("[data-number]").forEach((place) => {
    const [pointPlace, group, cost] = place.dataset.number.split(",").map(Number);
    const point = study.points[pointPlace];
    if (!point) return;
    const of = group < point.arms.length ? point.arms[group] : point.pairs[group - point.arms.length];
    const headline = of.headlines[cost];
    if (headline) open(place, () => openHeadline(headline, point, of.answer, of.final_cell));
  });
  document.querySelectorAll("[data-effect]").forEach((place) => {
    const headline = study.effects[Number(place.dataset.effect)];
    open(place, () => openHeadline(headline, null));
  });
}

/** Brings a number into view and marks it, as the one that a link asks for. */
function pointAt(place) {
  for (let part = place.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  place.classList.add("linked");
  place.scrollIntoView({ block: "center" });
}

/** A link of a paper, to `#cell-ID`: shows that number, and what is behind it. */
function openCell(hash) {
  const id = hash.match(/^#cell-(.+)$/)?.[1];
  if (!id) return;
  document.querySelectorAll(".linked").forEach((place) => place.classList.remove("linked"));
  // A final value has no panel of its own: it stands in the table.
  const isFinal = (place) => {
    const [point, arm] = place.dataset.final.split(",").map(Number);
    return study.points[point]?.arms[arm]?.final_cell === id;
  };
  const final = [...document.querySelectorAll("[data-final]")].find(isFinal);
  if (final) {
    closePanel();
    pointAt(final);
    return;
  }
  const groups = study.points.flatMap((point) => [...point.arms, ...point.pairs].map((group) => ({ ...group, point })));
  const all = [...groups, { headlines: study.effects, point: null }].flatMap((group) => group.headlines.map((headline) => ({ ...group, headline })));
  const found = all.find(({ headline }) => headline.cell === id) ?? all.find(({ headline }) => headline.others.some(({ cell }) => cell === id));
  if (found) {
    openHeadline(found.headline, found.point, found.answer, found.final_cell);
    const other = [...panel.querySelectorAll("td code")].find(({ textContent }) => textContent === id)?.closest("tr");
    pointAt(other ?? panel.querySelector(".figure-number"));
    return;
  }
  openPanel("This page does not show that number", [
    element("p", {}, "The link asks for the number with the id ", element("code", {}, id), ". Either the tables beside this page have it, or it is a number of another study."),
    ...(study.sweep.startsWith("(") ? [] : [element("pre", {}, element("code", {}, `speedlab cell ${shellWord(id)} ${readsHere()}`))]),
  ]);
}

function openRuns() {
  const lines = [...document.querySelectorAll("#runs tr[data-run]")];
  lines.forEach((line) => {
    const run = study.runs[Number(line.dataset.run)];
    if (run) open(line.querySelector("code"), () => openRun(run));
  });
  if (!study.metrics.length) return;
  let isFiltered = false;
  const count = element("span", {});
  const filter = () => {
    const shown = new Set(entriesShown().map((entry) => study.runs.indexOf(entry.run)));
    lines.forEach((line) => { line.hidden = isFiltered && !shown.has(Number(line.dataset.run)); });
    const visible = lines.filter((line) => !line.hidden).length;
    count.textContent = visible < lines.length ? ` (${visible} of ${lines.length})` : "";
  };
  const box = tick("Only the runs that the figure shows", false, (checked) => {
    isFiltered = checked;
    filter();
  });
  box.append(count);
  document.querySelector("#runs .wide")?.before(box);
  follow(filter);
}
