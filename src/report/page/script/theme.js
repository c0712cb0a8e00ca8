// Light and dark: as the reader's system has it, until they say otherwise.

const systemDark = window.matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme || (systemDark.matches ? "dark" : "light")) === "dark";

/** An arm's colour, light enough for a dark page. */
function armColor(arm) {
  const color = study.arms[arm].color;
  if (!isDark()) return color;
  const parts = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
  return `rgb(${parts.map((part) => Math.round(part + (255 - part) * 0.42)).join(" ")})`;
}

const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function addThemeButton() {
  const words = () => (isDark() ? "Light" : "Dark");
  const toggle = button(words(), () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    toggle.textContent = words();
    choose({});
  }, { class: "theme", "aria-label": "Switch between a light and a dark page" });
  systemDark.addEventListener("change", () => {
    toggle.textContent = words();
    choose({});
  });
  document.querySelector("header .name").after(toggle);
}
