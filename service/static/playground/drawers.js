// Which panels are open? Beside the chat where there is room, over it where there is not.

import { element, icon } from "./element.js";
import { part } from "./part.js";

const KEPT = "ai-library.closed.";

/** What is to be done with all panels, which have to be filled before. */
export function mountDrawers() {
  const drawers = [
    new Drawer(part("conversations", HTMLElement), part("show-conversations", HTMLButtonElement), {
      name: "conversations",
      wide: "(min-width: 52rem)",
    }),
    new Drawer(part("inspector", HTMLElement), part("show-inspector", HTMLButtonElement), {
      name: "inspector",
      wide: "(min-width: 75rem)",
    }),
  ];
  return {
    /** Close those that cover the chat. */
    closeOver: () => {
      for (const drawer of drawers) drawer.closeOver();
    },
  };
}

/** A panel that can be closed. */
class Drawer {
  #panel;
  #button;
  #name;
  #wide;
  #veil = part("veil", HTMLElement);
  #isOpen = true;

  /**
   * @param {HTMLElement} panel
   * @param {HTMLButtonElement} button shows and hides it
   * @param {{name: string, wide: string}} how the name is for screen readers, too; `wide` is a media
   *   query: where it holds, the panel stands beside the chat
   */
  constructor(panel, button, { name, wide }) {
    this.#panel = panel;
    this.#button = button;
    this.#name = name;
    this.#wide = matchMedia(wide);
    this.#wide.addEventListener("change", () => this.#adapt());
    button.addEventListener("click", () => this.#turn(!this.#isOpen));
    this.#veil.addEventListener("click", () => this.closeOver());
    const close = element(
      "button",
      { type: "button", class: "icon-button close-drawer", "aria-label": `Close ${name}` },
      icon("close"),
    );
    close.addEventListener("click", () => this.closeOver());
    panel.prepend(close);
    panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.defaultPrevented) this.closeOver();
    });
    this.#adapt();
  }

  /** Close it where it covers the chat. */
  closeOver() {
    if (!this.#wide.matches && this.#isOpen) this.#turn(false);
  }

  #adapt() {
    this.#set(this.#wide.matches && !isClosed(this.#name));
  }

  /** @param {boolean} isOpen */
  #turn(isOpen) {
    this.#set(isOpen);
    if (this.#wide.matches) return keepClosed(this.#name, !isOpen);
    if (isOpen) this.#focusInside();
    else this.#button.focus();
  }

  /** @param {boolean} isOpen */
  #set(isOpen) {
    this.#isOpen = isOpen;
    document.body.classList.toggle(`without-${this.#name}`, !isOpen);
    this.#button.setAttribute("aria-expanded", String(isOpen));
    this.#button.setAttribute("aria-label", `${isOpen ? "Hide" : "Show"} ${this.#name}`);
    const isOver = isOpen && !this.#wide.matches;
    this.#panel.classList.toggle("over", isOver);
    const anyOver = document.querySelector(".drawer.over") !== null;
    this.#veil.hidden = !anyOver;
    // The keyboard stays where the eye is.
    for (const part of [
      document.getElementById("center"),
      ...document.querySelectorAll(".drawer"),
    ]) {
      if (part instanceof HTMLElement) part.inert = anyOver && !part.classList.contains("over");
    }
  }

  #focusInside() {
    const first = this.#panel.querySelector(
      "button:enabled, input:enabled, a[href], [tabindex='0']",
    );
    if (first instanceof HTMLElement) first.focus();
  }
}

/** @param {string} name */
function isClosed(name) {
  try {
    return localStorage.getItem(KEPT + name) === "yes";
  } catch {
    return false;
  }
}

/** @param {string} name @param {boolean} closed */
function keepClosed(name, closed) {
  try {
    localStorage.setItem(KEPT + name, closed ? "yes" : "no");
  } catch {
    // No storage: then it is open again next time.
  }
}
