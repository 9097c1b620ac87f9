// How does a button open a menu? By the menu button pattern of the ARIA Authoring Practices Guide.

import { element, icon } from "./element.js";

/**
 * @typedef {object} Choice
 * @property {string} label
 * @property {string} icon
 * @property {boolean} [grave] it cannot be taken back
 * @property {() => void} choose
 */

const GAP = 4;

/**
 * A button, and the menu that it opens beside itself.
 * @param {string} label what the button is called
 * @param {string} iconName
 * @param {Choice[]} choices
 * @returns {HTMLElement}
 */
export function menuButton(label, iconName, choices) {
  const menu = element(
    "div",
    { class: "menu", role: "menu", "aria-label": label, popover: "auto" },
    ...choices.map((choice) => menuItem(choice, () => menu.hidePopover())),
  );
  const button = element(
    "button",
    {
      type: "button",
      class: "icon-button",
      "aria-label": label,
      "aria-haspopup": "menu",
      "aria-expanded": "false",
    },
    icon(iconName),
  );
  button.addEventListener("click", () => open(menu, button, "first"));
  button.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    open(menu, button, event.key === "ArrowUp" ? "last" : "first");
  });
  menu.addEventListener("keydown", (event) => onKey(event, menu));
  const close = () => menu.hidePopover();
  menu.addEventListener("toggle", (event) => {
    const opened = /** @type {ToggleEvent} */ (event).newState === "open";
    button.setAttribute("aria-expanded", String(opened));
    // It stands where the button was.
    if (opened) addEventListener("resize", close);
    else removeEventListener("resize", close);
  });
  return element("span", { class: "menu-button" }, button, menu);
}

/**
 * @param {Choice} choice
 * @param {() => void} close
 */
function menuItem(choice, close) {
  const onclick = () => {
    close();
    choice.choose();
  };
  const attributes = {
    type: "button",
    role: "menuitem",
    tabindex: -1,
    class: choice.grave && "grave",
    onclick,
  };
  return element("button", attributes, icon(choice.icon), choice.label);
}

/**
 * @param {HTMLElement} menu
 * @param {HTMLElement} button
 * @param {"first" | "last"} which item has the focus then
 */
function open(menu, button, which) {
  menu.showPopover();
  place(menu, button.getBoundingClientRect());
  items(menu)
    .at(which === "first" ? 0 : -1)
    ?.focus();
}

/**
 * Below the button where there is room, else above.
 * @param {HTMLElement} menu
 * @param {DOMRect} beside
 */
function place(menu, beside) {
  const { width, height } = menu.getBoundingClientRect();
  const below = beside.bottom + GAP;
  const top = below + height <= innerHeight ? below : Math.max(GAP, beside.top - GAP - height);
  const left = Math.min(beside.left, innerWidth - width - GAP);
  menu.style.top = `${top}px`;
  menu.style.left = `${Math.max(GAP, left)}px`;
}

/**
 * @param {KeyboardEvent} event
 * @param {HTMLElement} menu
 */
function onKey(event, menu) {
  if (event.key === "Tab" || event.key === "Escape") menu.hidePopover();
  // Else the panel that holds the button closes, too.
  if (event.key === "Escape") event.preventDefault();
  const next = nextItem(event.key, items(menu));
  if (!next) return;
  event.preventDefault();
  next.focus();
}

/**
 * Where a key leads: arrows go round, Home and End to the ends, a letter to what begins with it.
 * @param {string} key
 * @param {HTMLElement[]} all
 * @returns {HTMLElement | undefined}
 */
function nextItem(key, all) {
  const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
  if (key in moves) return all.at(moves[/** @type {keyof moves} */ (key)] % all.length);
  if (key.length !== 1) return undefined;
  const following = [...all.slice(at + 1), ...all.slice(0, at + 1)];
  return following.find((item) => item.textContent?.toLowerCase().startsWith(key.toLowerCase()));
}

/**
 * @param {HTMLElement} menu
 * @returns {HTMLElement[]}
 */
function items(menu) {
  return [...menu.querySelectorAll("button")];
}
