// Sample grids: one step at a time, arms side by side.

function addSampleSliders() {
  document.querySelectorAll("#samples table.grids").forEach((grids) => {
    const steps = [...grids.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
    if (steps.length < 2) return;
    const strip = element("div", { class: "strip arms" });
    const words = element("output", {});
    const show = (place) => {
      words.textContent = steps[place];
      strip.replaceChildren(...[...grids.tBodies[0].rows].map((line) => {
        const image = line.cells[place + 1].querySelector("img");
        const label = [...line.cells[0].childNodes].map((node) => node.cloneNode(true));
        return element("figure", {}, element("figcaption", {}, label), image ? element("img", { src: image.src, alt: image.alt }) : element("p", { class: "note" }, "none at this step"));
      }));
    };
    const slider = element("input", { type: "range", min: "0", max: String(steps.length - 1), step: "1", "aria-label": "Step of the samples" });
    slider.addEventListener("input", () => show(Number(slider.value)));
    slider.value = String(steps.length - 1);
    show(steps.length - 1);
    const frame = grids.closest(".wide");
    frame.before(element("div", { class: "samples-slider" }, element("div", { class: "slider" }, element("span", {}, "Step"), slider, words), strip));
    const all = element("details", { class: "fold" }, element("summary", {}, "All steps in one table"));
    frame.before(all);
    all.append(frame);
  });
}
