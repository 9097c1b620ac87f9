// Which messages are on the page? Those of the branch that is shown, each made once and kept.

import { AnswerView } from "./answer-view.js";
import { QuestionView } from "./question-view.js";

/** @typedef {import("./conversation.js").Shown} Shown */

/**
 * What can be done at a message.
 * @typedef {object} Deeds
 * @property {(id: string, text: string) => boolean} edit says whether it was taken
 * @property {(id: string) => void} again
 * @property {(id: string) => void} activate
 */

// A frame that took longer is followed by a rest, so that the page stays usable on slow machines.
const BUDGET_MS = 8;
const REST = 3;

/** The messages of a conversation. */
export class Messages {
  #root;
  #deeds;
  #onGrown;
  /** @type {Map<string, QuestionView | AnswerView>} */
  #views = new Map();
  /** @type {Shown[]} */
  #shown = [];
  #frame = 0;
  #notBefore = 0;

  /**
   * @param {HTMLElement} root
   * @param {Deeds} deeds
   * @param {() => void} onGrown called when more or other text is there
   */
  constructor(root, deeds, onGrown) {
    this.#root = root;
    this.#deeds = deeds;
    this.#onGrown = onGrown;
  }

  /** @param {Shown[]} shown @param {boolean} isBusy */
  update(shown, isBusy) {
    const focused = this.#focused();
    const keys = new Set(shown.map(({ key }) => key));
    for (const [key, view] of this.#views) if (!keys.has(key)) this.#remove(key, view);
    shown.forEach((it, index) => {
      const view = this.#view(it);
      view.update(it, isBusy);
      view.element.classList.toggle("latest", index >= shown.length - 2);
      if (this.#root.children[index] !== view.element)
        this.#root.insertBefore(view.element, this.#root.children[index] ?? null);
    });
    this.#shown = shown;
    this.#refocus(focused);
    this.#onGrown();
  }

  /** The running answer has grown: show it with the next frame. */
  grow() {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame((now) => this.#draw(now));
  }

  /** @param {string} id of a question @param {string} text that could not be sent in its place */
  edit(id, text) {
    const key = this.#shown.find(({ message }) => message.message_id === id)?.key;
    const view = this.#views.get(key ?? "");
    if (!(view instanceof QuestionView)) return false;
    view.edit(text);
    return true;
  }

  /** @param {number} now */
  #draw(now) {
    this.#frame = 0;
    if (now < this.#notBefore) return this.grow();
    const begun = performance.now();
    const last = this.#shown.findLast(({ run }) => run !== null);
    if (last) this.#views.get(last.key)?.grow();
    this.#onGrown();
    const took = performance.now() - begun;
    if (took > BUDGET_MS) this.#notBefore = performance.now() + REST * took;
  }

  /** @param {Shown} shown */
  #view({ key, message }) {
    const known = this.#views.get(key);
    if (known) return known;
    const view =
      message.role === "user" ? new QuestionView(this.#deeds) : new AnswerView(this.#deeds);
    this.#views.set(key, view);
    return view;
  }

  /** @param {string} key @param {QuestionView | AnswerView} view */
  #remove(key, view) {
    view.element.remove();
    this.#views.delete(key);
  }

  /** @returns {{index: number, action: string} | null} which control of which message has the focus */
  #focused() {
    const control = document.activeElement;
    const index = [...this.#root.children].findIndex((it) => it.contains(control));
    // Who was writing goes on writing: what is typed next is not meant for another box.
    if (index < 0 || !(control instanceof HTMLButtonElement)) return null;
    return { index, action: control.dataset.action ?? "" };
  }

  /** @param {{index: number, action: string} | null} focused what had the focus, and may be gone */
  #refocus(focused) {
    const control = document.activeElement;
    const isLost =
      control === null ||
      control === document.body ||
      (control instanceof HTMLButtonElement && control.disabled);
    if (!focused || !isLost) return;
    const message = this.#root.children[focused.index] ?? this.#root.lastElementChild;
    const other = { previous: "next", next: "previous" }[focused.action] ?? "copy";
    const candidates = [focused.action, other].map((action) =>
      message?.querySelector(`[data-action="${action}"]:enabled`),
    );
    const target = /** @type {HTMLElement | undefined} */ (
      candidates.find((it) => it?.checkVisibility())
    );
    (target ?? document.getElementById("message"))?.focus({ preventScroll: true });
  }
}
