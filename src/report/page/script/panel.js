// What is behind a number, and a run: beside the page, closed by Escape.

const panel = element("aside", { id: "panel", role: "dialog", "aria-labelledby": "panel-title", hidden: true });
let openedFrom = null;

function openPanel(title, content) {
  if (panel.hidden) openedFrom = document.activeElement;
  const heading = element("h2", { id: "panel-title", tabindex: "-1" }, title);
  panel.replaceChildren(element("div", { class: "panel-head" }, heading, button("Close", closePanel, { class: "close" })), ...content);
  panel.hidden = false;
  panel.scrollTop = 0;
  heading.focus();
}

function closePanel() {
  if (panel.hidden) return;
  panel.hidden = true;
  openedFrom?.focus();
}

const runButton = (run) => (run ? button(run.id, () => openRun(run), { class: "cell mono" }) : "–");

const facts = (pairs) => element("dl", {}, pairs.filter(([, value]) => value !== "" && value !== null)
  .map(([key, value]) => [element("dt", {}, key), element("dd", {}, value)]));

const shellWord = (word) => (/^[\p{L}\p{N}\-_./=:,+@%]+$/u.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** The folder of the records beside which the page lies, if that is not where they were made: they may have been copied since. */
function folderHere() {
  if (location.protocol !== "file:" || study.sweep.startsWith("(")) return null;
  const page = decodeURIComponent(location.pathname).replace(/^\/([A-Za-z]:\/)/, "$1");
  const folder = page.match(/^(.+)\/report\/[^/]+$/)?.[1];
  return !folder || folder === study.reads || folder.endsWith(`/${study.reads}`) ? null : folder;
}

const readsHere = () => (folderHere() === null ? study.reads : shellWord(folderHere()));

/** A folder with another name than the study is none that `speedlab run` could go on with. */
function sweepHere() {
  const [, parent, name] = folderHere()?.match(/^(.*)\/([^/]+)$/) ?? [];
  return name === study.study ? `${study.sweep_alone} --results ${shellWord(parent || "/")}` : study.sweep;
}

const isTrainedHere = (run) => run.command.startsWith("speedlab run ");

/** The commands that stand on the page without scripts, too. */
function nameFolders() {
  document.querySelectorAll("[data-reads]").forEach((place) => { place.textContent = readsHere(); });
  document.querySelectorAll("[data-sweep]").forEach((place) => { place.textContent = sweepHere(); });
}

/** Where a number can be asked for by its id; a page of several studies has no one place. */
function cellParts(headline, finalCell) {
  if (!headline.cell || study.sweep.startsWith("(")) return [];
  const rows = [...headline.others, ...(finalCell ? [{ what: `final ${study.metric} of ${headline.arm}`, shown: "", interval: "", cell: finalCell }] : [])]
    .map((other) => [other.what, other.shown, other.interval === "–" ? "" : other.interval, element("code", {}, other.cell)]);
  const command = `speedlab cell ${headline.cell} ${readsHere()}`;
  // What was imported nothing here can train.
  const isTrained = study.runs.every(isTrainedHere);
  return [
    element("h3", {}, "Cell ", element("code", {}, headline.cell)),
    element("p", { class: "note" }, `This id names the number, whatever its value. The command prints its runs, values and formula${isTrained ? "; with --rerun it trains these runs again and says whether the number holds" : ""}.`),
    element("pre", {}, element("code", {}, isTrained ? `${command}\n${command} --rerun` : command)),
    ...(rows.length ? [element("details", {}, element("summary", {}, "Ids of this arm's other numbers"), table(["Number", "Value", "Interval", "Id"], rows, 4))] : []),
  ];
}

/** A number of the answer; `point` is null for one over the whole grid. */
function openHeadline(headline, point, answer, finalCell) {
  const axis = axisOf(headline.axis);
  const at = point?.label ? ` at ${point.label}` : "";
  const content = [
    element("p", { class: "figure-number" }, element("strong", {}, headline.speedup), ` ${headline.interval === "–" ? "" : `(${headline.interval}, ${headline.level})`}`),
    facts([["Verdict", headline.verdict], ["In", axis.words], ["Seeds", headline.seeds],
      ["p", headline.adjusted_p === null ? "" : `${significant(headline.adjusted_p, 2)} after the correction for all comparisons`]]),
    ...(answer ? [element("p", {}, answer)] : []),
    element("h3", {}, "Formula"), element("p", {}, headline.formula),
  ];
  if (point) content.push(...behindHeadline(headline, point));
  else content.push(element("h3", {}, "By seed"), table(["Seed", "Speedup"], headline.by_seed.map(([seed, log]) => [String(seed), times(Math.exp(log))]), 1));
  content.push(...cellParts(headline, finalCell));
  openPanel(`${headline.arm} against ${headline.against}${at}`, content);
}

const runsOf = (point, name) => {
  const found = point.arms.find(({ arm }) => study.arms[arm].name === name);
  return found ? found.runs.map((place) => study.runs[place]) : [];
};

/** The runs, what each had spent over the band, and the ratio of each seed. */
function behindHeadline(headline, point) {
  const { metric, targets } = point;
  const [first, second] = [runsOf(point, headline.against), runsOf(point, headline.arm)];
  const isSeen = (run, target) => {
    const time = crossing(run, metric, headline.axis, target);
    return time && time.low === time.high;
  };
  const compared = [...first, ...second].filter((run) => !headline.seeds_left_out.includes(run.seed) && fittedPoints(run, metric).length);
  const reached = targets.filter((target) => compared.every((run) => isSeen(run, target)));
  const costOf = (run) => (run && metric !== null ? meanCost(run, metric, headline.axis, reached) : null);
  const words = (cost) => (cost === null ? "–" : spent(headline.axis, cost));
  const ofSeed = (runs, seed) => runs.find((run) => run.seed === seed);
  const parts = [];
  if (headline.by_seed.length) {
    const rows = headline.by_seed.map(([seed, log]) => {
      const both = [ofSeed(first, seed), ofSeed(second, seed)];
      return [String(seed), runButton(both[0]), runButton(both[1]), words(costOf(both[0])), words(costOf(both[1])), times(Math.exp(log))];
    });
    parts.push(element("h3", {}, "Values"),
      table(["Seed", `Run of ${headline.against}`, `Run of ${headline.arm}`, headline.against, headline.arm, "Speedup"], rows, 3),
      element("p", { class: "note" }, `Columns of the arms: the geometric mean of ${axisOf(headline.axis).words} at the ${reached.length} qualities of the band that every run is seen to reach`
        + `${study.detail === "whole" ? "" : "; curves on this page are thinned, so these are near the recorded ones"}.`));
  } else {
    const rows = [...first, ...second].map((run) => [runButton(run), study.arms[run.arm].name, String(run.seed), run.outcome, words(costOf(run))]);
    parts.push(element("h3", {}, "Runs"), table(["Run", "Arm", "Seed", "Outcome", axisOf(headline.axis).words], rows, 4));
  }
  if (targets.length) parts.push(element("p", { class: "note" }, `${point.yardstick} The qualities: ${targets.map((target) => significant(target, 4)).join(", ")}.`));
  return parts;
}

/** The number at the reader's own target. */
function openAtTarget(arm, axis, target) {
  const found = speedupAt(arm, axis.key, target);
  const { name } = study.arms[arm];
  const when = (time) => {
    if (time.low === time.high) return spent(axis.key, time.low);
    return time.high === Infinity ? `after ${spent(axis.key, time.low)}` : `by ${spent(axis.key, time.high)}`;
  };
  const ratio = ([first, second]) => (first.low === first.high && second.low === second.high ? times(first.low / second.low) : "–");
  const atPoint = (pair) => (chosen.point < 0 ? [pair.point.label] : []);
  const ofPairs = () => table(["Seed", ...(chosen.point < 0 ? ["Point"] : []), `Run of ${study.baseline}`, `Run of ${name}`, study.baseline, name, "Speedup"],
    found.pairs.map((pair) => [String(pair.seed), ...atPoint(pair), runButton(pair.baseline), runButton(pair.run), ...pair.times.map(when), ratio(pair.times)]),
    chosen.point < 0 ? 4 : 3);
  const ofGroups = () => table(["Run", "Arm", "Seed", axis.words],
    found.groups.flat().map(({ run, time }) => [runButton(run), study.arms[run.arm].name, String(run.seed), when(time)]), 3);
  const isPaired = found.pairs.length > 0;
  openPanel(`${name} against ${study.baseline} at ${study.metric} ${significant(target, 4)}`, [
    element("p", { class: "figure-number" }, element("strong", {}, found.words), ` in ${axis.words}, at one target`),
    element("h3", {}, "Formula"),
    element("p", {}, (isPaired ? `exp of the mean over seeds of ln(${axis.words} of ${study.baseline} / ${axis.words} of ${name})`
      : `exp of the mean of ln(${axis.words}) over the runs of ${study.baseline} minus that over the runs of ${name}`)
      + ", each where the run's fitted curve first comes down to the target. A run that never does, or did before its first evaluation, leaves a bound. "
      + "It has no interval: the band estimate has."),
    element("h3", {}, "Values"), isPaired ? ofPairs() : ofGroups(),
  ]);
}

/** Images of the run that are on the page. */
const imagesOf = (run) => [...document.querySelectorAll("#samples [data-step]")].filter((cell) => cell.dataset.run === run.id && cell.querySelector("img"));

const settingsTable = (settings) => table(["Setting", "Value"], Object.entries(settings)
  .map(([key, value]) => [element("code", {}, key), typeof value === "string" ? value : JSON.stringify(value)]), 2);

function openRun(run) {
  const images = imagesOf(run).map((cell) => element("figure", {},
    element("img", { src: cell.querySelector("img").src, alt: `generated images after ${cell.dataset.step} steps` }), element("figcaption", {}, `step ${grouped(Number(cell.dataset.step))}`)));
  const links = run.samples.filter(([, file]) => file).flatMap(([step, file], index) => [index ? ", " : "", element("a", { href: file }, grouped(step))]);
  const metric = study.points.find((point) => point.arms.some(({ runs }) => runs.includes(study.runs.indexOf(run))))?.metric ?? null;
  const curve = metric === null ? null : curveOf(run, metric);
  const values = curve && curve.at.map((at, index) => [grouped(run.moments.step[at]), grouped(run.moments.images_seen[at]), significant(run.moments.train_seconds[at], 4),
    significant(curve.value[index], 4), significant(curve.fitted?.[index] ?? null, 4)]);
  openPanel(`Run ${run.id}`, [
    facts([["Arm", element("span", {}, swatch(run.arm), study.arms[run.arm].name)], ["Trial", run.trial], ["Seed", String(run.seed)], ["State", run.state],
      ["Device", run.devices.join("; ")], ["Steps", `${grouped(run.moments.step.at(-1) ?? 0)} of ${grouped(run.steps)} measured`], ["Starts", String(run.attempts)]]),
    ...(images.length ? [element("h3", {}, "Samples over time"), element("div", { class: "strip" }, images)] : []),
    ...(links.length ? [element("p", { class: "note" }, "In the run's folder, where it lies beside this page, among others: step ", ...links, ".")] : []),
    ...(values ? [element("h3", {}, study.metric), element("details", {}, element("summary", {}, `${values.length} evaluations`),
      table(["Step", "Images", "Training s", "Value", "Fitted"], values, 0))] : []),
    element("h3", {}, "Command"), element("pre", {}, element("code", {}, isTrainedHere(run) ? `speedlab run ${sweepHere()}` : run.command)),
    element("p", { class: "note" }, `What is missing is trained: move runs/${run.id} away, and the same run is trained again.`),
    ...(run.log ? [element("h3", {}, "End of its log"), element("pre", {}, run.log)] : []),
    element("h3", {}, "Settings"), settingsTable(run.settings),
    element("details", {}, element("summary", {}, "Settings that all runs share"), settingsTable(study.settings)),
  ]);
}

function addPanel() {
  document.body.append(panel);
  document.addEventListener("keydown", (event) => event.key === "Escape" && closePanel());
}
