// What went wrong, and what can be done? Notices above the composer, until they are closed.

import { announce } from "./announcer.js";
import { element, icon } from "./element.js";
import { textOf, titleOf } from "./words.js";

/** @typedef {import("../chat-client.js").Problem} Problem */
/** @typedef {import("./sign-in.js").SignIn} SignIn */
/** @typedef {import("./sign-in.js").Action} Action */

/** The notices of a page. */
export class Notices {
  #root;
  #signIn;
  #left;
  /** @type {Set<ReturnType<typeof setInterval>>} */
  #timers = new Set();
  /** The problem that is shown, in words. */
  #text = "";
  /** @type {Action | null} */
  #action = null;

  /**
   * @param {HTMLElement} root
   * @param {object} surroundings
   * @param {SignIn} surroundings.signIn
   * @param {() => void} surroundings.left what is done when one goes away with the focus
   */
  constructor(root, { signIn, left }) {
    this.#root = root;
    this.#signIn = signIn;
    this.#left = left;
  }

  /**
   * @param {Problem} problem
   * @param {Action | null} [action] what can be done at once, or when `retry_after` is over
   */
  problem(problem, action = null) {
    this.#action = action;
    const text = textOf(problem);
    // What comes again by itself is neither said again, nor does it take the focus from its button.
    if (text === this.#text && !problem.retryAfter) return;
    const id =
      problem.requestId && element("p", { class: "request-id" }, `Request ${problem.requestId}`);
    const offered = action && { ...action, run: () => this.#action?.run() };
    const button = this.#signIn.remedy(problem, offered, () => this.clear());
    const notice = this.#show(
      { class: "notice problem", role: "alert" },
      element("div", {}, element("strong", {}, titleOf(problem)), element("p", {}, text), id),
      button,
    );
    this.#text = text;
    if (problem.retryAfter) this.#countDown(notice, button, problem.retryAfter);
  }

  /** @param {string} text that is no problem */
  note(text) {
    // What comes into the page together with its role is not said by every screen reader.
    this.#show({ class: "notice" }, element("div", {}, text));
    announce(text);
  }

  clear() {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers.clear();
    this.#text = "";
    const hadFocus = this.#root.contains(document.activeElement);
    this.#root.replaceChildren();
    if (hadFocus) this.#left();
  }

  /**
   * @param {{class: string, role?: string}} kind
   * @param {HTMLElement} words
   * @param {HTMLButtonElement | null} [button]
   */
  #show(kind, words, button = null) {
    this.clear();
    const close = element(
      "button",
      { type: "button", class: "icon-button", "aria-label": "Close notice" },
      icon("close"),
    );
    close.addEventListener("click", () => this.clear());
    const notice = element(
      "div",
      kind,
      icon(kind.role ? "warning" : "spark"),
      words,
      button,
      close,
    );
    this.#root.append(notice);
    return notice;
  }

  /**
   * @param {HTMLElement} notice
   * @param {HTMLButtonElement | null} button that waits for it
   * @param {number} seconds
   */
  #countDown(notice, button, seconds) {
    const end = Date.now() + seconds * 1000;
    // Seen, and not said every second: an alert would.
    const place = element("p", { class: "remaining", "aria-live": "off" });
    notice.querySelector("div")?.append(place);
    const tick = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      place.textContent =
        left > 0 ? `You can try again in ${timeOf(left)}.` : "You can try again now.";
      if (button) button.disabled = left > 0;
      if (left > 0) return;
      clearInterval(timer);
      this.#timers.delete(timer);
    };
    const timer = setInterval(tick, 1000);
    this.#timers.add(timer);
    tick();
  }
}

/** @param {number} seconds */
function timeOf(seconds) {
  if (seconds < 90) return `${seconds} s`;
  return seconds < 5400
    ? `${Math.ceil(seconds / 60)} minutes`
    : `${Math.ceil(seconds / 3600)} hours`;
}
