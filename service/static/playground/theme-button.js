// How is the theme chosen? By turns: as the system has it, light, dark.

import { announce } from "./announcer.js";

const CHOICES = ["system", "light", "dark"];

/** @param {HTMLButtonElement} button */
export function mountTheme(button) {
  const root = document.documentElement;
  const tell = () => {
    button.title = `Theme: ${root.dataset.theme ?? "system"}`;
  };
  button.addEventListener("click", () => {
    const now = CHOICES.indexOf(root.dataset.theme ?? "system");
    const next = CHOICES[(now + 1) % CHOICES.length] ?? "system";
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    keep(next);
    tell();
    announce(`Theme: ${next}`);
  });
  tell();
}

/** @param {string} theme */
function keep(theme) {
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // No storage: the choice lives as long as the page.
  }
}
