// What went wrong in a panel, and what can be done? Said once, however often it happens again.

import { element, icon } from "./element.js";

/** @typedef {import("../chat-client.js").Problem} Problem */
/** @typedef {import("./sign-in.js").SignIn} SignIn */
/** @typedef {import("./sign-in.js").Action} Action */

export class Failure {
  #signIn;
  #left;
  #text = "";
  /** @type {Action | null} */
  #action = null;
  element = element("div", { class: "failure", role: "alert", hidden: true });

  /**
   * @param {SignIn} signIn
   * @param {() => void} left what is done when it goes away with the focus
   */
  constructor(signIn, left) {
    this.#signIn = signIn;
    this.#left = left;
  }

  get isShown() {
    return !this.element.hidden;
  }

  /**
   * @param {string} what could not be done
   * @param {Problem} problem
   * @param {Action} action that is offered
   */
  show(what, problem, action) {
    this.#action = action;
    const text = `${what}: ${problem.message}`;
    if (this.isShown && text === this.#text) return;
    this.#text = text;
    const run = () => this.#action?.run();
    const button = this.#signIn.remedy(problem, { ...action, run }, () => this.hide());
    const close = element(
      "button",
      { type: "button", class: "icon-button", "aria-label": "Close", onclick: () => this.hide() },
      icon("close"),
    );
    this.element.replaceChildren(element("p", {}, text), close, ...(button ? [button] : []));
    this.element.hidden = false;
  }

  hide() {
    const hadFocus = this.element.contains(document.activeElement);
    this.element.hidden = true;
    if (hadFocus) this.#left();
  }
}
