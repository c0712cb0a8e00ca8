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

/** A link of a paper, to `#cell-ID`: opens what is behind that number. */
function openCell(hash) {
  const id = hash.match(/^#cell-([0-9a-z]+)$/)?.[1];
  if (!id) return;
  const has = (headline, finalCell) => headline.cell === id || finalCell === id || headline.others.some(({ cell }) => cell === id);
  for (const point of study.points) {
    for (const { headlines, answer, final_cell: finalCell } of [...point.arms, ...point.pairs]) {
      const headline = headlines.find((one) => one.cell === id) ?? headlines.find((one) => has(one, finalCell));
      if (headline) return void openHeadline(headline, point, answer, finalCell);
    }
  }
  const effect = study.effects.find((headline) => has(headline));
  if (effect) openHeadline(effect, null);
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
