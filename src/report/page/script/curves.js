// The study's runs and curves, and what is chosen of them.

const study = JSON.parse(document.getElementById("study").textContent);

const chosen = {
  metric: 0,
  axis: "images_seen",
  log: { x: false, y: true },
  /** A grid point's place, or -1 for every one. */
  point: 0,
  lines: "both",
  hiddenArms: new Set(),
  architecture: "",
  outcome: "",
  /** A value of the compared metric. */
  target: null,
};

const listeners = [];
/** Calls `redraw` whenever another thing is chosen. */
const follow = (redraw) => listeners.push(redraw);
const choose = (change) => {
  Object.assign(chosen, change);
  listeners.forEach((redraw) => redraw());
};

const axisOf = (key) => study.axes.find((axis) => axis.key === key);

const metricName = (metric) => study.metrics[metric].name.replaceAll("_", " ").replace(/^(fid|kid)\b/, (name) => name.toUpperCase());

const metricWords = (metric) => (metric === comparedMetric() ? study.metric : metricName(metric));

/** The grid points that are looked at. */
const pointsInView = () => (chosen.point < 0 ? study.points : study.points.slice(chosen.point, chosen.point + 1));

/** The place of the metric that arms are compared by, at the points in view. */
const comparedMetric = () => pointsInView().map((point) => point.metric).find((metric) => metric !== null) ?? null;

const passes = (run) =>
  (!chosen.architecture || run.architecture === chosen.architecture) && (!chosen.outcome || run.outcome === chosen.outcome);

/** [{ point, arm, run }] of what is in view, hidden arms too. */
function entries() {
  const found = [];
  pointsInView().forEach((point) => point.arms.forEach(({ arm, runs }) => runs.forEach((place) => {
    if (passes(study.runs[place])) found.push({ point, arm, run: study.runs[place] });
  })));
  return found;
}

const entriesShown = () => entries().filter((entry) => !chosen.hiddenArms.has(entry.arm));

/** The places of the metrics that runs in view have measured. */
const metricsInView = () => study.metrics.map((_, metric) => metric).filter((metric) => entries().some(({ run }) => curveOf(run, metric)));

/** Keeps to a metric that is in view: at another grid point the same may have another protocol. */
function keepMetric() {
  const inView = metricsInView();
  if (!inView.length || inView.includes(chosen.metric)) return;
  const same = inView.find((metric) => study.metrics[metric].name === study.metrics[chosen.metric].name);
  const compared = comparedMetric();
  chosen.metric = same === undefined || study.metrics[same].name === study.metrics[compared ?? same].name ? compared ?? inView[0] : same;
}

const curveOf = (run, metric) => run.curves.find((curve) => curve.metric === metric);

/** [[x, y, step]] of a run's values that the scales can show. */
function pointsOf(run, metric, axis) {
  const curve = curveOf(run, metric);
  if (!curve) return [];
  return curve.at
    .map((at, index) => [run.moments[axis][at], curve.value[index], run.moments.step[at]])
    .filter(([x, y]) => y !== null && canShow(x, y));
}

const canShow = (x, y) => (!chosen.log.x || x > 0) && (!chosen.log.y || y > 0);

/** The median over runs at each step that at least half of them have measured: [[x, y, step, runs]]. */
function medians(runs, metric, axis) {
  const bySteps = new Map();
  runs.forEach((run) => pointsOf(run, metric, axis).forEach(([x, y, step]) => {
    if (!bySteps.has(step)) bySteps.set(step, []);
    bySteps.get(step).push([x, y]);
  }));
  return [...bySteps]
    .filter(([, found]) => found.length * 2 >= runs.length)
    .sort((first, second) => first[0] - second[0])
    .map(([step, found]) => [median(found.map(([x]) => x)), median(found.map(([, y]) => y)), step, found.length]);
}
