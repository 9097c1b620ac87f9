// How is text copied? By a button that says for a moment that it was.

import { announce } from "./announcer.js";
import { element, icon } from "./element.js";

const MOMENT_MS = 1600;

/**
 * @param {string} label what it does; it says so as its name, and in sight where it is "Copy code"
 * @param {() => string} text
 * @param {string} [className]
 * @returns {HTMLButtonElement}
 */
export function copyButton(label, text, className = "") {
  const button = element(
    "button",
    { type: "button", class: className, "aria-label": label, title: label },
    icon("copy"),
  );
  button.addEventListener("click", async () => {
    const done = await copy(text());
    const said = done ? "Copied" : "Copying is not allowed here";
    button.replaceChildren(icon(done ? "check" : "warning"));
    button.setAttribute("aria-label", said);
    announce(said);
    setTimeout(() => {
      button.replaceChildren(icon("copy"));
      button.setAttribute("aria-label", label);
    }, MOMENT_MS);
  });
  return button;
}

/** @param {string} text @returns {Promise<boolean>} whether it is in the clipboard */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyOld(text); // over plain HTTP from another machine there is no clipboard
  }
}

/** @param {string} text */
function copyOld(text) {
  const area = element("textarea", { class: "visually-hidden", readonly: true });
  area.value = text;
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return done;
}
