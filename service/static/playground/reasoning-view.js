// How is reasoning shown? Folded away, with how long it takes.

import { element, icon } from "./element.js";

const TICK_MS = 1000;

/** What a model thinks before it answers. */
export class ReasoningView {
  #summary = element("span", {}, "Reasoning");
  #thoughts = document.createTextNode("");
  /** @type {number | null} */
  #begunAt = null;
  /** @type {ReturnType<typeof setInterval> | null} */
  #timer = null;

  constructor() {
    this.element = element(
      "details",
      { class: "reasoning", hidden: true },
      element("summary", {}, icon("next"), this.#summary),
      element("div", { class: "thoughts" }, this.#thoughts),
    );
  }

  /** @param {string} text all of it @param {boolean} isGoingOn */
  show(text, isGoingOn) {
    this.element.hidden = !text;
    if (text.startsWith(this.#thoughts.data))
      this.#thoughts.appendData(text.slice(this.#thoughts.length));
    else this.#thoughts.data = text;
    if (text && isGoingOn) this.#begin();
    else this.#end();
  }

  #begin() {
    if (this.#timer !== null) return;
    this.#begunAt = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#tell("Reasoning: thinking…");
  }

  #tick() {
    if (this.element.isConnected) this.#tell("Reasoning: thinking…");
    else this.#end(); // another conversation is shown
  }

  #end() {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#tell("Reasoning: thought for");
  }

  /** @param {string} words */
  #tell(words) {
    const seconds = Math.round((performance.now() - (this.#begunAt ?? 0)) / 1000);
    const isOver = this.#timer === null;
    this.#summary.textContent =
      seconds < 1 ? (isOver ? "Reasoning" : words) : `${words} ${seconds} s`;
  }
}
