// How is a question written and sent? The composer: it grows, keeps its draft, sends or stops.

import { draftOf, keepDraft } from "./drafts.js";
import { isComposing, isTouchOnly, sends } from "./enter.js";
import { part } from "./part.js";

/** Dispatches `send` (detail: the text) and `stop`. */
export class Composer extends EventTarget {
  #form;
  #text;
  #send;
  #stop;
  #isBusy = false;
  /** @type {string | null} */
  #id = null;

  /** @param {HTMLFormElement} form */
  constructor(form) {
    super();
    this.#form = form;
    this.#text = /** @type {HTMLTextAreaElement} */ (form.querySelector("textarea"));
    this.#send = /** @type {HTMLButtonElement} */ (form.querySelector("#send"));
    this.#stop = /** @type {HTMLButtonElement} */ (form.querySelector("#stop"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    form.addEventListener("pointerdown", (event) => this.#focusByPointer(event));
    this.#text.addEventListener("keydown", (event) => this.#onKey(event));
    this.#text.addEventListener("input", () => this.#onInput());
    part("skip", HTMLAnchorElement).addEventListener("click", (event) => {
      event.preventDefault(); // it would take the conversation out of the address
      this.#text.focus();
    });
    this.#stop.addEventListener("click", () => {
      this.dispatchEvent(new Event("stop"));
      this.focus();
    });
  }

  get text() {
    return this.#text.value;
  }

  /** @param {boolean} isBusy whether an answer is being written: then it stops and does not send */
  set isBusy(isBusy) {
    if (this.#isBusy === isBusy) return;
    const hadFocus = document.activeElement === this.#stop || document.activeElement === this.#send;
    this.#isBusy = isBusy;
    this.#send.hidden = isBusy;
    this.#stop.hidden = !isBusy;
    if (hadFocus) this.focus();
    this.#update();
  }

  /** @param {string | null} id of the conversation whose draft is shown from now on */
  open(id) {
    this.#id = id;
    this.#text.value = draftOf(id);
    this.#update();
  }

  /** @param {string | null} id that the conversation has got, whose draft is being written */
  rename(id) {
    keepDraft(this.#id, "");
    this.#id = id;
    keepDraft(id, this.text);
  }

  /** @param {string} text that was not taken: it comes back, before what was written since */
  giveBack(text) {
    const since = this.text.trim() && this.text !== text ? `\n\n${this.text}` : "";
    this.#text.value = text + since;
    this.#onInput();
  }

  /** Take the focus, but where that would raise a keyboard that nobody asked for. */
  focus() {
    if (!isTouchOnly()) this.#text.focus({ preventScroll: true });
  }

  /** Send what is written, unless there is nothing, or an answer is being written. */
  submit() {
    const text = this.text;
    if (this.#isBusy || !text.trim()) return;
    this.#text.value = "";
    this.#onInput();
    this.dispatchEvent(new CustomEvent("send", { detail: text }));
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key === "Escape" && !isComposing(event) && this.#isBusy)
      this.dispatchEvent(new Event("stop"));
    if (!sends(event)) return;
    event.preventDefault();
    this.submit();
  }

  #onInput() {
    keepDraft(this.#id, this.text);
    this.#update();
  }

  #update() {
    this.#send.disabled = !this.text.trim();
    if (CSS.supports("field-sizing", "content")) return;
    this.#text.style.height = "auto";
    this.#text.style.height = `${this.#text.scrollHeight}px`;
  }

  /** @param {PointerEvent} event */
  #focusByPointer(event) {
    if (
      event.target !== this.#form &&
      !(event.target instanceof HTMLElement && event.target.id === "tools")
    )
      return;
    event.preventDefault();
    this.#text.focus({ preventScroll: true });
  }
}
