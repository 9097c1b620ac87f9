// What went wrong, and what can be done? Notices above the composer, until they are closed.

import { announce } from "./announcer.js";
import { element, icon } from "./element.js";
import { textOf, titleOf } from "./words.js";

/** @typedef {import("../chat-client.js").Problem} Problem */
/** @typedef {{label: string, run: () => void}} Action */

/** The notices of a page. */
export class Notices {
  #root;
  /** @type {Set<ReturnType<typeof setInterval>>} */
  #timers = new Set();

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  /**
   * @param {Problem} problem
   * @param {Action | null} [action] what can be done at once, or when `retry_after` is over
   */
  problem(problem, action = null) {
    const text = element("p", {}, textOf(problem));
    const id =
      problem.requestId && element("p", { class: "request-id" }, `Request ${problem.requestId}`);
    const button = action && this.#button(action);
    const notice = this.#show(
      ["notice problem", "alert"],
      element("div", {}, element("strong", {}, titleOf(problem)), text, id),
      button,
    );
    if (problem.retryAfter) this.#countDown(notice, button, problem.retryAfter);
  }

  /** @param {string} text that is no problem */
  note(text) {
    this.#show(["notice", "status"], element("div", {}, text));
    announce(text);
  }

  clear() {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers.clear();
    this.#root.replaceChildren();
  }

  /**
   * @param {[string, string]} kind class and role
   * @param {HTMLElement} words
   * @param {HTMLButtonElement | null} [button]
   */
  #show([className, role], words, button = null) {
    this.clear();
    const close = element(
      "button",
      { type: "button", class: "icon-button", "aria-label": "Close notice" },
      icon("close"),
    );
    close.addEventListener("click", () => {
      this.clear();
      document.getElementById("message")?.focus();
    });
    const notice = element(
      "div",
      { class: className, role },
      icon(role === "alert" ? "warning" : "spark"),
      words,
      button,
      close,
    );
    this.#root.append(notice);
    return notice;
  }

  /** @param {Action} action */
  #button({ label, run }) {
    const button = element("button", { type: "button", class: "plain-button" }, label);
    button.addEventListener("click", () => {
      this.clear();
      run();
    });
    return button;
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
