// Elements and numbers. Every text of the study is put in as text: nothing here, and nothing after it, writes HTML.

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "css") Object.entries(value).forEach(([name, set]) => made.style.setProperty(name, set));
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

const button = (words, onclick, attributes) => element("button", { type: "button", onclick, ...attributes }, words);

const swatch = (arm) => element("span", { class: "swatch", css: { "--arm": study.arms[arm].color } });

/** A choice with a label; `options` are [value, words]. */
function choice(words, options, value, onchange) {
  const list = element("select", { onchange: () => onchange(list.value) });
  options.forEach(([key, text]) => list.append(element("option", { value: key, selected: String(key) === String(value) }, text)));
  return element("label", { class: "choice" }, element("span", {}, words), list);
}

/** A box to tick. */
function tick(words, checked, onchange) {
  const box = element("input", { type: "checkbox", checked, onchange: () => onchange(box.checked) });
  return element("label", { class: "tick" }, box, words);
}

/** `head` and `rows` are lists of cells: texts, numbers as texts or elements. The first `names` columns are no numbers. */
function table(head, rows, names) {
  const cell = (tag, content, index) => element(tag, { class: index < names ? null : "number" }, content);
  const line = (cells) => element("tr", { class: "first" }, cells.map((content, index) => cell("td", content, index)));
  return element("div", { class: "wide" }, element("table", {},
    element("thead", {}, element("tr", {}, head.map((content, index) => cell("th", content, index)))),
    element("tbody", {}, rows.map(line))));
}

/** `digits` significant digits, without an exponent between 0.001 and a million. */
function significant(value, digits) {
  if (value === null || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const form = value.toExponential(digits - 1);
  const exponent = Number(form.split("e")[1]);
  if (exponent < -3 || exponent > 5) return form.replace("e+", "e");
  return value.toFixed(Math.max(0, digits - 1 - exponent));
}

/** `1.42×`. */
function times(ratio) {
  if (ratio >= 100) return `${ratio.toFixed(0)}×`;
  if (ratio >= 10) return `${ratio.toFixed(1)}×`;
  return ratio >= 0.1 ? `${ratio.toFixed(2)}×` : `${significant(ratio, 2)}×`;
}

/** `12,800`. */
const grouped = (count) => String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ",");

/** What was spent on an axis. */
function spent(axis, value) {
  if (axis === "images_seen" || axis === "step") return grouped(value);
  const unit = { train_flops: "FLOPs", device_hours: "h" }[axis] || "s";
  return `${significant(value, 4)} ${unit}`;
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function median(values) {
  const sorted = [...values].sort((first, second) => first - second);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
