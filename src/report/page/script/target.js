// One target that the reader moves, and every arm's speedup there.

const targetLine = element("div", { class: "target-line", hidden: true }, element("span", {}));
const targetSlider = element("input", { type: "range", min: "0", max: "1000", step: "1", "aria-label": "Target" });
const targetWords = element("output", {});
const targetTable = element("div", { id: "at-target" });

const usesTarget = () => study.baseline !== null && targetRange() !== null;

/** The slider goes from the easiest to the hardest value, evenly in logarithms. */
function toSlider(target) {
  const [easy, hard] = targetRange();
  return (1000 * Math.log(easy / target)) / Math.log(easy / hard);
}

function fromSlider(place) {
  const [easy, hard] = targetRange();
  return easy * (hard / easy) ** (place / 1000);
}

/** The middle of the band, or of what there is; or what was chosen before, where it is still in reach. */
function keepTarget() {
  const [easy, hard] = targetRange();
  if (chosen.target !== null && chosen.target <= easy && chosen.target >= hard) return;
  const targets = pointsInView().map((point) => point.targets).find((found) => found.length);
  chosen.target = targets ? Math.sqrt(targets[0] * targets[targets.length - 1]) : Math.sqrt(easy * hard);
}

function addTargetLine(plot) {
  plot.over.append(targetLine);
  placeTargetLine(plot);
}

/** Where the target is on the figure, if the figure shows its metric. */
function placeTargetLine(plot) {
  const isShown = usesTarget() && chosen.target !== null && chosen.metric === comparedMetric();
  const top = isShown ? plot.valToPos(chosen.target, "y") : -1;
  targetLine.hidden = !isShown || !(top >= 0 && top <= plot.over.clientHeight);
  targetLine.style.top = `${top}px`;
  targetLine.firstChild.textContent = isShown ? `target ${significant(chosen.target, 4)}` : "";
}

function moveTarget(target) {
  const [easy, hard] = targetRange();
  chosen.target = Math.min(easy, Math.max(hard, target));
  if (figure.plot) placeTargetLine(figure.plot);
  showTarget();
}

function dragTarget() {
  let isDragged = false;
  // Else the figure takes it for the beginning of a zoom, and its end for a click on a curve.
  targetLine.addEventListener("mousedown", (event) => event.stopPropagation());
  targetLine.addEventListener("click", (event) => isDragged && event.stopPropagation());
  targetLine.addEventListener("pointerdown", (event) => {
    isDragged = false;
    targetLine.setPointerCapture(event.pointerId);
  });
  targetLine.addEventListener("pointermove", (event) => {
    if (!targetLine.hasPointerCapture(event.pointerId)) return;
    isDragged = true;
    hideHover();
    const { plot } = figure;
    moveTarget(plot.posToVal(event.clientY - plot.over.getBoundingClientRect().top, "y"));
  });
  targetSlider.addEventListener("input", () => moveTarget(fromSlider(Number(targetSlider.value))));
}

function showTarget() {
  if (!usesTarget()) return;
  keepTarget();
  targetSlider.value = String(Math.round(toSlider(chosen.target)));
  const value = `${study.metric} ${significant(chosen.target, 4)}`;
  targetWords.textContent = value;
  targetSlider.setAttribute("aria-valuetext", value);
  const axis = axisOf(chosen.axis);
  const metric = comparedMetric();
  const places = [...new Set(entriesShown().map((entry) => entry.arm))].sort((first, second) => first - second);
  const rows = places.map((arm) => {
    const { name } = study.arms[arm];
    const own = entries().filter((entry) => entry.arm === arm);
    const seen = own.map(({ run }) => crossing(run, metric, chosen.axis, chosen.target)).filter((time) => time && time.high < Infinity);
    const when = seen.length * 2 > own.length ? spent(chosen.axis, median(seen.map((time) => time.high))) : "–";
    const cells = [element("span", { class: "nowrap" }, swatch(arm), name)];
    if (name === study.baseline) return [...cells, "1", "", `${seen.length}/${own.length}`, when];
    const found = speedupAt(arm, chosen.axis, chosen.target);
    const ratios = found.ratio === null ? [] : found.pairs.map(({ times: [first, second] }) => first.low / second.low);
    const range = ratios.length > 1 ? `${times(Math.min(...ratios))} to ${times(Math.max(...ratios))}` : "";
    const open = button(found.words, () => openAtTarget(arm, axis, chosen.target), { class: "cell", "data-at-target": name });
    return [...cells, found.groups.every((runs) => runs.length) ? open : "–", range, `${seen.length}/${own.length}`, when];
  });
  const head = ["Arm", "Speedup there", "Range of seeds", "Runs that got there", `Median ${axis.words}`];
  targetTable.dataset.target = String(chosen.target);
  targetTable.replaceChildren(table(head, rows, 1));
}

function addTarget(place) {
  dragTarget();
  const words = "At one target, the speedup is read off each run's fitted curve, where it first comes down to the target, on straight lines "
    + "between evaluations in the logarithms of images and metric; a seed's speedup is baseline ÷ arm, and what stands here is the geometric mean over "
    + "seeds (of arms that share no seeds, the ratio of the two geometric means). It moves with the target and has no interval: the answer above is the band estimate, which averages over the shaded band "
    + "of qualities that was fixed in advance.";
  const parts = element("div", { class: "target" },
    element("div", { class: "slider" }, element("span", {}, "Target"), targetSlider, targetWords), targetTable, element("p", { class: "note" }, words));
  place.append(parts);
  follow(() => {
    parts.hidden = !usesTarget();
    showTarget();
    if (figure.plot) placeTargetLine(figure.plot);
  });
}
