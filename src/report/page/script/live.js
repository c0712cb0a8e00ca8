// A page whose server tells how the sweep goes on. What the reader has chosen and opened is kept when a newer page takes its place.

const version = Number(document.documentElement.dataset.version);
const strip = document.getElementById("live");
const KEPT = `speedlab ${location.pathname}`;
const PAUSE = 2000;
const PAUSE_WITHOUT_SERVER = 10000;
/** The reader is left alone for so long after the last key or click. */
const QUIET = 8000;
let lastTouched = 0;
let misses = 0;
/** The list of runs in the strip. */
let listIsOpen = false;
let lastHeard = new Date();

/** What a part is called that can be opened: its section, its words, and which of those with the same words it is. */
function partNames() {
  const seen = new Map();
  return [...document.querySelectorAll("main details, header details")].map((part) => {
    const name = `${part.closest("section")?.id ?? ""} ${part.querySelector("summary")?.textContent ?? ""}`;
    seen.set(name, (seen.get(name) ?? 0) + 1);
    return [`${name} ${seen.get(name)}`, part];
  });
}

const shownRun = () => panel.hidden ? null : document.getElementById("panel-title").textContent.match(/^Run ([0-9a-f]{12})$/)?.[1] ?? null;

/** By names: on the next page places may be others. */
function keep() {
  const { name, protocol } = study.metrics[chosen.metric] ?? {};
  const kept = {
    metric: { name, protocol }, axis: chosen.axis, log: chosen.log, point: study.points[chosen.point]?.label ?? null, lines: chosen.lines,
    hiddenArms: [...chosen.hiddenArms].map((arm) => study.arms[arm].name), architecture: chosen.architecture, outcome: chosen.outcome, target: chosen.target,
    open: partNames().filter(([, part]) => part.open).map(([words]) => words), listIsOpen, run: shownRun(), scroll: window.scrollY,
    theme: document.documentElement.dataset.theme ?? null,
  };
  try { sessionStorage.setItem(KEPT, JSON.stringify(kept)); } catch { /* a browser that keeps nothing begins anew */ }
}

function kept() {
  try {
    const text = sessionStorage.getItem(KEPT);
    sessionStorage.removeItem(KEPT);
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** What of it this page has, too. */
function chosenBefore(before) {
  const found = { log: before.log, lines: before.lines, target: before.target };
  const metric = study.metrics.findIndex(({ name, protocol }) => name === before.metric.name && protocol === before.metric.protocol);
  if (metric >= 0) found.metric = metric;
  if (axisOf(before.axis)) found.axis = before.axis;
  const point = study.points.findIndex(({ label }) => label === before.point);
  if (before.point === null && study.points.length > 1) found.point = -1;
  else if (point >= 0) found.point = point;
  const values = (key) => ["", ...study.runs.map((run) => run[key])];
  ["architecture", "outcome"].forEach((key) => { if (values(key).includes(before[key])) found[key] = before[key]; });
  found.hiddenArms = new Set(before.hiddenArms.map((name) => study.arms.findIndex((arm) => arm.name === name)).filter((arm) => arm >= 0));
  return found;
}

function reopen(before) {
  const open = new Set(before.open);
  partNames().forEach(([name, part]) => { part.open = open.has(name); });
  listIsOpen = before.listIsOpen;
  const run = study.runs.find(({ id }) => id === before.run);
  if (run) openRun(run);
  window.scrollTo(0, before.scroll);
}

/** What the server says now; fails without one. */
async function hear() {
  const answer = await fetch("state.json", { cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  [misses, lastHeard] = [0, new Date()];
  return answer.json();
}

/** Only while somebody is there to give the newer page: else this one would be lost for nothing. */
async function renew() {
  try {
    await hear();
  } catch {
    return showGone();
  }
  keep();
  return location.reload();
}

/** Nothing that the reader does now is lost. The last page comes at once: its server ends. */
function mayRenew({ state }) {
  if (state === "ended" || state === "stopped") return panel.hidden || shownRun() !== null;
  return panel.hidden && Date.now() - lastTouched > QUIET && String(getSelection()) === "";
}

/** `12 s`, `3 m 20 s`, `2 h 05 m`. */
function roughTime(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} m ${String(Math.round(seconds % 60)).padStart(2, "0")} s` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} m`;
}

function lineWords({ state, counts, seconds_left: left, sweep }) {
  const parts = [`${counts.done} of ${counts.all} runs done`];
  ["running", "waiting", "unfinished", "interrupted", "failed"].forEach((key) => { if (counts[key]) parts.push(`${counts[key]} ${key}`); });
  const words = parts.join(", ");
  if (state === "running") return `${words}${left === null ? "" : `, ${roughTime(left)} left`}`;
  if (state === "ended") return `The sweep has ended: ${words}.`;
  if (state === "stopped") return `The sweep was stopped: ${words}. speedlab run ${sweep} goes on with it.`;
  return `No process works on the sweep now: ${words}.`;
}

function runRow({ trial, seed, device, phase, step, steps, loss, quality, seconds_left: left }) {
  const doing = phase === "training" && loss !== null ? `loss ${significant(loss, 3)}` : phase;
  return [`${trial}, seed ${seed}`, device ?? "", `${grouped(step)} of ${grouped(steps)} steps`, doing, quality ? `${quality.name} ${significant(quality.value, 4)}` : "", left === null ? "" : `${roughTime(left)} left`];
}

const bar = (counts) => element("div", { class: "bar", role: "img", "aria-label": `${counts.done} of ${counts.all} runs done` },
  [["done", counts.done], ["running", counts.running], ["failed", counts.failed]].map(([name, count]) => element("span", { class: name, css: { width: `${(100 * count) / Math.max(1, counts.all)}%` } })));

function show(state) {
  const { counts, running, running_more: more, failed, next, report, report_error: error } = state;
  const rows = [...running.map(runRow), ...(more ? [[`and ${more} more running`, "", "", "", "", ""]] : []), ...next.map(({ trial, seed, detail }) => [`${trial}, seed ${seed}`, "", detail, "", "", ""]),
    ...failed.map(({ trial, seed, detail }) => [`${trial}, seed ${seed}`, "", detail, "", "", ""])];
  const list = element("details", { open: listIsOpen, ontoggle: () => { listIsOpen = list.open; } }, element("summary", {}, "Runs now"),
    element("table", {}, element("tbody", {}, rows.map((cells) => element("tr", {}, cells.map((words) => element("td", {}, words)))))));
  const focused = ["summary", "button"].find((kind) => document.activeElement === strip.querySelector(kind));
  strip.className = state.state;
  strip.replaceChildren(
    element("p", { class: "line" }, element("strong", {}, lineWords(state)),
      report > version ? element("span", {}, "Newer results are there. ", button("Show them", renew, { class: "renew" })) : null),
    bar(counts), ...(error ? [element("p", {}, `The page could not be made again: ${error}`)] : []), ...(rows.length ? [list] : []));
  if (focused) strip.querySelector(focused)?.focus();
  strip.hidden = false;
}

function showGone() {
  strip.className = "gone";
  strip.replaceChildren(element("p", { class: "line", role: "status" },
    element("strong", {}, "The server is gone."), ` This page shows what was known at ${lastHeard.toLocaleTimeString("en-GB")}, and stays as usable as it was.`));
  strip.hidden = false;
}

async function ask() {
  try {
    const state = await hear();
    show(state);
    if (state.report > version && mayRenew(state)) await renew();
  } catch {
    misses += 1;
    if (misses >= 2) showGone();
  }
  setTimeout(ask, misses >= 2 ? PAUSE_WITHOUT_SERVER : PAUSE);
}

const before = kept();
if (before?.theme) document.documentElement.dataset.theme = before.theme;
start(before ? chosenBefore(before) : undefined);
if (before) reopen(before);
["pointerdown", "keydown", "wheel", "touchstart"].forEach((kind) => addEventListener(kind, () => { lastTouched = Date.now(); }, { passive: true }));
ask();
