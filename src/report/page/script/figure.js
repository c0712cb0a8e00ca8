// The curves: drawn by uPlot, questioned by pointer and by keyboard.

const figure = { plot: null, lines: [], focus: null };
const plotPlace = element("div", { class: "plot", tabindex: "0", role: "application", "aria-roledescription": "figure" });
const hover = element("div", { class: "hover", role: "status", hidden: true });
const hoverDot = element("div", { class: "hover-dot", hidden: true });

/** What is drawn: { arm, run, points }, a line each; a median has no run but the number of its runs. */
function linesToDraw() {
  const shown = entriesShown();
  const lines = [];
  if (chosen.lines !== "medians") {
    shown.forEach(({ arm, run }) => lines.push({ arm, run, points: pointsOf(run, chosen.metric, chosen.axis) }));
  }
  if (chosen.lines !== "runs") {
    pointsInView().forEach((point) => point.arms.forEach(({ arm }) => {
      const runs = shown.filter((entry) => entry.arm === arm && entry.point === point).map((entry) => entry.run);
      if (runs.length) lines.push({ arm, run: null, point, runs: runs.length, points: medians(runs, chosen.metric, chosen.axis) });
    }));
  }
  return lines.filter((line) => line.points.length);
}

/** Round numbers, closer the shorter the scale is. */
function logSplits(min, max) {
  const of = (digits) => {
    const splits = [];
    for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power += 1) {
      splits.push(...digits.map((digit) => Number(`${digit}e${power}`)).filter((value) => value >= min && value <= max));
    }
    return splits;
  };
  const found = [[1], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 7], [1, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9]].map(of);
  return found.find((splits) => splits.length >= 4) || found[3];
}

const short = (value) => {
  if (Math.abs(value) >= 1e10) return Number(value.toPrecision(3)).toExponential().replace("e+", "e");
  if (Math.abs(value) >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (Math.abs(value) >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return Math.abs(value) < 1e-3 && value !== 0 ? value.toExponential(0) : String(Number(value.toPrecision(4)));
};

function scale(isLog) {
  const range = (_, low, high) => {
    if (low === null || high === null) return isLog ? [1, 10] : [0, 1];
    if (isLog) return [low / 1.04, high * 1.04];
    const room = (high - low) * 0.03 || Math.abs(high) * 0.03 || 1;
    return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
  };
  return { time: false, distr: isLog ? 3 : 1, range };
}

function axis(label, isLog, size) {
  const made = {
    label, size, labelSize: 22, labelGap: 2, gap: 6, font: "12px Inter, sans-serif", labelFont: "12.5px Inter, sans-serif",
    stroke: ink("--faint"), grid: { stroke: ink("--grid"), width: 1 }, ticks: { show: false },
    values: (_, splits) => splits.map(short),
  };
  if (isLog) Object.assign(made, { splits: (_, index, min, max) => logSplits(min, max), filter: (_, splits) => splits });
  return made;
}

function drawFigure() {
  const lines = linesToDraw();
  figure.plot?.destroy();
  figure.plot = null;
  figure.lines = lines;
  figure.focus = null;
  hideHover();
  plotPlace.hidden = !lines.length;
  document.getElementById("nothing").hidden = lines.length > 0;
  if (!lines.length) return;
  const name = `${metricWords(chosen.metric)} against ${axisOf(chosen.axis).label}`;
  plotPlace.setAttribute("aria-label", `${name}. Arrow keys go along a curve and from one to the next; Enter opens the run.`);
  const strokes = (line) => {
    const color = armColor(line.arm);
    return line.run ? { stroke: color, width: chosen.lines === "runs" ? 1.3 : 1, alpha: chosen.lines === "runs" ? 0.75 : 0.3 } : { stroke: color, width: 2.2 };
  };
  const facets = [{ scale: "x", auto: true }, { scale: "y", auto: true }];
  figure.plot = new uPlot({
    mode: 2,
    width: plotPlace.clientWidth, height: plotHeight(),
    legend: { show: false },
    cursor: { points: { show: false }, drag: { x: true, y: true, uni: 12 }, x: false, y: false },
    scales: { x: scale(chosen.log.x), y: scale(chosen.log.y) },
    axes: [axis(axisOf(chosen.axis).label, chosen.log.x, 34), axis(metricWords(chosen.metric), chosen.log.y, 52)],
    series: [{}, ...lines.map((line) => ({ facets, paths: uPlot.paths.linear(), points: { show: false }, ...strokes(line) }))],
    hooks: { drawClear: [drawBand], draw: [placeTargetLine] },
  }, [null, ...lines.map((line) => [line.points.map(([x]) => x), line.points.map(([, y]) => y)])], plotPlace);
  figure.plot.over.append(hoverDot);
  figure.plot.over.addEventListener("mousemove", hoverNearest);
  figure.plot.over.addEventListener("mouseleave", hideHover);
  figure.plot.over.addEventListener("click", () => figure.focus?.line.run && openRun(figure.focus.line.run));
  addTargetLine(figure.plot);
}

const plotHeight = () => Math.max(260, Math.min(430, Math.round(plotPlace.clientWidth * 0.52)));

/** The band of the headline, behind the curves of the compared metric at one grid point. */
function drawBand(plot) {
  const targets = chosen.point < 0 || chosen.metric !== comparedMetric() ? [] : study.points[chosen.point].targets;
  if (!targets.length) return;
  const { left, width, top, height } = plot.bbox;
  const at = (value) => Math.min(top + height, Math.max(top, plot.valToPos(value, "y", true)));
  const [from, to] = [at(targets[0]), at(targets[targets.length - 1])];
  plot.ctx.save();
  plot.ctx.fillStyle = ink("--band");
  plot.ctx.fillRect(left, from, width, to - from);
  plot.ctx.restore();
}

/** The point nearest to the pointer, of all lines, up to 40 pixels away. */
function hoverNearest(event) {
  const { plot, lines } = figure;
  const box = plot.over.getBoundingClientRect();
  const [left, top] = [event.clientX - box.left, event.clientY - box.top];
  let nearest = null;
  let least = 40 * 40;
  lines.forEach((line) => line.points.forEach(([x, y], index) => {
    const distance = (plot.valToPos(x, "x") - left) ** 2 + (plot.valToPos(y, "y") - top) ** 2;
    if (distance < least) [nearest, least] = [{ line, index }, distance];
  }));
  if (nearest) showHover(nearest);
  else hideHover();
}

function showHover({ line, index }) {
  figure.focus = { line, index };
  const [x, y, step, runs] = line.points[index];
  const { plot } = figure;
  const [left, top] = [plot.valToPos(x, "x"), plot.valToPos(y, "y")];
  const axisWords = chosen.axis === "step" ? [] : [`${spent(chosen.axis, x)}${chosen.axis === "images_seen" ? " images" : ""}`];
  const of = line.run ? [`run ${line.run.id}, seed ${line.run.seed}`] : [`median of ${runs} runs`];
  const at = chosen.point < 0 ? [(line.point || entries().find((entry) => entry.run === line.run).point).label] : [];
  hover.replaceChildren(
    element("strong", {}, swatch(line.arm), study.arms[line.arm].name), ` ${significant(y, 4)}`,
    ...[...of, ...at, [`step ${grouped(step)}`, ...axisWords].join(", ")].map((words) => element("div", {}, words)));
  hover.hidden = hoverDot.hidden = false;
  hoverDot.style.transform = `translate(${left - 4}px, ${top - 4}px)`;
  hoverDot.style.background = armColor(line.arm);
  const box = plot.over;
  const toLeft = left > box.clientWidth / 2;
  hover.style.left = `${box.offsetLeft + left + (toLeft ? -14 - hover.offsetWidth : 14)}px`;
  hover.style.left = `${Math.max(0, parseFloat(hover.style.left))}px`;
  hover.style.top = `${box.offsetTop + Math.max(0, Math.min(top - 20, box.clientHeight - hover.offsetHeight))}px`;
}

function hideHover() {
  hover.hidden = hoverDot.hidden = true;
  figure.focus = null;
}

function hoverByKey(event) {
  const { lines, focus } = figure;
  const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (event.key === "Enter" && focus?.line.run) openRun(focus.line.run);
  if (!move || !lines.length) return;
  event.preventDefault();
  if (!focus) return showHover({ line: lines[lines.length - 1], index: 0 });
  const line = lines[(lines.indexOf(focus.line) + move[0] + lines.length) % lines.length];
  showHover({ line, index: Math.max(0, Math.min(focus.index + move[1], line.points.length - 1)) });
}

function addFigure(place) {
  plotPlace.addEventListener("keydown", hoverByKey);
  plotPlace.addEventListener("blur", hideHover);
  place.append(element("div", { class: "plot-frame" }, plotPlace, hover),
    element("p", { id: "nothing", class: "note", hidden: true }, "Nothing of what is chosen is measured, or can stand on these scales."));
  follow(drawFigure);
  new ResizeObserver(() => {
    if (figure.plot && plotPlace.clientWidth && figure.plot.width !== plotPlace.clientWidth) {
      hideHover();
      figure.plot.setSize({ width: plotPlace.clientWidth, height: plotHeight() });
    }
  }).observe(plotPlace);
}
