// Which version of a message is shown? "2 / 3", with arrows to the others.

import { element, icon } from "./element.js";

/** The arrows of a message. */
export class Versions {
  #previous = arrow("previous", "Previous version");
  #next = arrow("next", "Next version");
  #place = element("output", {});
  /** @type {string[]} */
  #ids = [];
  #at = 0;

  /** @param {(id: string) => void} choose */
  constructor(choose) {
    this.element = element(
      "div",
      { class: "versions", role: "group", "aria-label": "Versions" },
      this.#previous,
      this.#place,
      this.#next,
    );
    this.#previous.addEventListener("click", () => this.#go(-1, choose));
    this.#next.addEventListener("click", () => this.#go(1, choose));
  }

  /** @param {string[]} ids @param {number} at */
  show(ids, at) {
    this.#ids = ids;
    this.#at = at;
    this.element.hidden = ids.length < 2;
    const place = `${at + 1} / ${ids.length}`;
    // What is written is read aloud, also where it was the same before.
    if (this.#place.textContent !== place) this.#place.textContent = place;
    this.#previous.disabled = at <= 0;
    this.#next.disabled = at >= ids.length - 1;
  }

  /** @param {number} step @param {(id: string) => void} choose */
  #go(step, choose) {
    const id = this.#ids[this.#at + step];
    if (id) choose(id);
  }
}

/** @param {string} name @param {string} label */
function arrow(name, label) {
  return element(
    "button",
    { type: "button", "aria-label": label, title: label, "data-action": name },
    icon(name),
  );
}
