// When a run was as good as a target, and how many times sooner that is: the rule of the band's estimate, at one quality.

/** The points of a run's fitted curve: [{ images, value, clocks }], from its first evaluation after training began. */
function fittedPoints(run, metric) {
  const curve = curveOf(run, metric);
  if (!curve?.fitted) return [];
  const points = curve.at.map((at, index) => ({ at, value: curve.fitted[index], images: run.moments.images_seen[at] }));
  return points.filter(({ value, images }) => value !== null && images > 0);
}

/** On `axis`, at so many images: on straight lines between the evaluations, from 0. */
function costAt(run, points, axis, images) {
  if (axis === "images_seen") return images;
  const after = points.findIndex((point) => point.images >= images);
  const clock = (point) => run.moments[axis][point.at];
  if (after < 0) return clock(points[points.length - 1]);
  const [left, before] = after === 0 ? [0, 0] : [points[after - 1].images, clock(points[after - 1])];
  return before + ((clock(points[after]) - before) * (images - left)) / (points[after].images - left);
}

/**
 * What is known of when the fitted curve first came down to `target`: { low, high }, equal where it is seen. A run that diverged, or whose evaluations are
 * too few for a curve, leaves everything open; null where nothing was measured yet.
 */
function crossing(run, metric, axis, target) {
  const points = fittedPoints(run, metric);
  if (!points.length) return run.outcome === "diverged" || curveOf(run, metric) ? { low: 0, high: Infinity } : null;
  const cost = (images) => costAt(run, points, axis, images);
  const index = points.findIndex((point) => point.value <= target);
  if (index < 0) return { low: cost(points[points.length - 1].images), high: Infinity };
  if (index === 0) return { low: 0, high: cost(points[0].images) };
  const [before, after] = [points[index - 1], points[index]];
  const share = Math.log(before.value / target) / Math.log(before.value / after.value);
  const images = Math.exp(Math.log(before.images) + share * Math.log(after.images / before.images));
  return { low: cost(images), high: cost(images) };
}

/** Pairs of a run of the baseline and a run of `arm` with one seed, at the points in view. */
function pairsOf(arm) {
  const found = entries();
  return found.filter((entry) => entry.arm === arm).flatMap((own) => {
    const isPartner = (other) =>
      other.point === own.point && study.arms[other.arm].name === study.baseline && other.run.seed === own.run.seed;
    const partner = found.find(isPartner);
    return partner ? [{ point: own.point, seed: own.run.seed, baseline: partner.run, run: own.run }] : [];
  });
}

/**
 * How many times sooner `arm` came down to `target`: `words`, and `ratio`, which is null where it is a bound or nothing. The geometric mean
 * over `pairs` of runs with one seed; where the arms share too few seeds, there are none, and the means of two `groups` are compared. A
 * run that never was so good, or from its first evaluation on, leaves a bound.
 */
function speedupAt(arm, axis, target) {
  const timed = (point, run) => ({ run, time: crossing(run, point.metric, axis, target) });
  const group = (is) => entries().filter((entry) => is(entry.arm)).map(({ point, run }) => timed(point, run)).filter(({ time }) => time);
  const groups = [group((other) => study.arms[other].name === study.baseline), group((other) => other === arm)];
  const shared = pairsOf(arm).map((pair) => ({ ...pair, times: [pair.baseline, pair.run].map((run) => timed(pair.point, run).time) }))
    .filter(({ times: both }) => both.every((time) => time));
  const isPaired = shared.length > 1 || (shared.length === 1 && groups.some((runs) => runs.length === 1));
  const pairs = isPaired ? shared : [];
  const [first, second] = [0, 1].map((side) => (isPaired ? pairs.map((pair) => pair.times[side]) : groups[side].map(({ time }) => time)));
  const found = { words: "–", ratio: null, pairs, groups };
  if (!first.length || !second.length) return found;
  const log = (times, end) => mean(times.map((time) => Math.log(time[end])));
  const low = Math.exp(log(first, "low") - log(second, "high"));
  const high = Math.exp(log(first, "high") - log(second, "low"));
  if ([...first, ...second].every((time) => time.low === time.high)) return { ...found, words: times(low), ratio: low };
  if (low > 0 && Number.isFinite(low)) return { ...found, words: `≥ ${times(low)}` };
  if (high > 0 && Number.isFinite(high)) return { ...found, words: `≤ ${times(high)}` };
  return found;
}

/** From the easiest to the hardest value that the fitted curves of the points in view come down to; null without curves. */
function targetRange() {
  const metric = comparedMetric();
  const values = entries().flatMap(({ run }) => fittedPoints(run, metric).map((point) => point.value));
  return metric === null || !values.length ? null : [Math.max(...values), Math.min(...values)];
}

/** The geometric mean of what the run had spent at each of `targets`, all of which it is seen to reach; else null. */
function meanCost(run, metric, axis, targets) {
  const found = targets.map((target) => crossing(run, metric, axis, target));
  if (!found.length || found.some((time) => !time || time.low !== time.high)) return null;
  return Math.exp(mean(found.map((time) => Math.log(time.low))));
}
