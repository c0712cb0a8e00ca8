// Puts it together. Without scripts the page shows the same answers in still tables and figures.

function addControls(place) {
  const options = (list) => list.map((value) => [value, value]);
  const different = (key) => [...new Set(study.runs.map((run) => run[key]))].filter((value) => value !== "");
  const controls = element("div", { class: "controls" });
  if (study.points.length > 1) {
    const points = study.points.map((point, index) => [index, point.label]);
    // Values of different protocols do not stand on one scale.
    if (study.points.every((point) => point.metric === study.points[0].metric)) points.push([-1, "every grid point"]);
    controls.append(choice("At", points, chosen.point, (value) => choose({ point: Number(value) })));
  }
  const metrics = element("div", { class: "choice" });
  controls.append(metrics);
  controls.append(choice("Against", study.axes.map((axis) => [axis.key, axis.words]), chosen.axis, (value) => choose({ axis: value })));
  controls.append(choice("Lines", [["both", "medians and runs"], ["medians", "medians"], ["runs", "runs"]], chosen.lines, (value) => choose({ lines: value })));
  if (different("architecture").length > 1) {
    controls.append(choice("Network", [["", "all"], ...options(different("architecture"))], chosen.architecture, (value) => choose({ architecture: value })));
  }
  if (different("outcome").length > 1) controls.append(choice("Outcome", [["", "all"], ...options(different("outcome"))], chosen.outcome, (value) => choose({ outcome: value })));
  const scales = element("div", { class: "ticks", role: "group", "aria-label": "Scales" });
  controls.append(scales);
  place.append(controls);
  const metricOption = (metric, index, all) => {
    const several = all.filter((other) => study.metrics[other].name === study.metrics[metric].name).length > 1;
    return [metric, several ? `${metricName(metric)}: ${study.metrics[metric].protocol}` : metricWords(metric)];
  };
  follow(() => {
    keepMetric();
    const inView = metricsInView();
    const onchange = (value) => choose({ metric: Number(value), log: { ...chosen.log, y: isSteep(Number(value)) } });
    metrics.replaceChildren(choice("Metric", inView.map(metricOption), chosen.metric, onchange));
  });
  follow(() => scales.replaceChildren(
    tick("log x", chosen.log.x, (x) => choose({ log: { ...chosen.log, x } })), tick("log y", chosen.log.y, (y) => choose({ log: { ...chosen.log, y } }))));
}

/** Whether a logarithmic scale shows more: all values positive, over more than a factor of 5. */
function isSteep(metric) {
  const values = study.runs.flatMap((run) => curveOf(run, metric)?.value.filter((value) => value !== null) ?? []);
  const [low, high] = [values.reduce((least, value) => Math.min(least, value), Infinity), values.reduce((most, value) => Math.max(most, value), -Infinity)];
  return low > 0 && high > 5 * low;
}

function addLegend(place) {
  const legend = element("div", { class: "legend", role: "group", "aria-label": "Arms" });
  place.append(legend);
  const toggle = (arm) => {
    const hiddenArms = new Set(chosen.hiddenArms);
    if (!hiddenArms.delete(arm)) hiddenArms.add(arm);
    choose({ hiddenArms });
  };
  const buttons = study.arms.map(({ name }, arm) => button("", () => toggle(arm), { "data-arm": name }));
  buttons.forEach((made, arm) => made.append(swatch(arm), study.arms[arm].name));
  legend.append(...buttons);
  follow(() => buttons.forEach((made, arm) => made.setAttribute("aria-pressed", String(!chosen.hiddenArms.has(arm)))));
}

/** Long parts are open where no script runs. A link into one opens it. */
function fold() {
  document.querySelectorAll("details[data-fold]").forEach((part) => { part.open = false; });
  const openTarget = (hash) => document.getElementById(hash.slice(1))?.querySelectorAll(":scope > details[data-fold]").forEach((part) => { part.open = true; });
  document.querySelectorAll("nav a").forEach((link) => link.addEventListener("click", () => openTarget(link.hash)));
  openTarget(location.hash);
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("main details:not([open]), header details:not([open])")];
    closed.forEach((part) => { part.open = true; });
  });
  window.addEventListener("afterprint", () => closed.forEach((part) => { part.open = false; }));
}

/** `kept`: what a reader had chosen on an earlier page of this study. */
function start(kept) {
  const place = document.getElementById("explore");
  const hasCurves = study.metrics.length > 0;
  addThemeButton();
  addPanel();
  openNumbers();
  openRuns();
  nameFolders();
  document.querySelectorAll("table.sortable").forEach(makeSortable);
  addSampleSliders();
  // Where there are too many curves, it says so.
  place.hidden = !hasCurves && study.left_out === null;
  if (hasCurves) {
    chosen.metric = comparedMetric() ?? 0;
    chosen.log.y = isSteep(chosen.metric);
    Object.assign(chosen, kept);
    if (usesTarget()) keepTarget();
    addControls(place);
    addLegend(place);
    addFigure(place);
    place.append(element("p", { class: "note" }, "Point at a curve for its values, click it for its run; drag over a part to enlarge it, double-click for the whole."));
    addTarget(place);
  }
  fold();
  choose({});
  // A newer page of a reader who has been here shows what was shown.
  if (!kept) openCell(location.hash);
  window.addEventListener("hashchange", () => openCell(location.hash));
  document.documentElement.dataset.ready = "";
}

