// How is an answer shown: while it is written, whole, and where it is not whole?

import { copyButton } from "./clipboard.js";
import { element, icon } from "./element.js";
import { GrowingMarkdown } from "./growing.js";
import { ReasoningView } from "./reasoning-view.js";
import { Versions } from "./versions.js";
import { textOf, titleOf } from "./words.js";

/** @typedef {import("./conversation.js").Shown} Shown */
/** @typedef {import("./messages.js").Deeds} Deeds */

/** An answer. */
export class AnswerView {
  #deeds;
  /** @type {Shown | null} */
  #shown = null;
  #heading = element("h2", { class: "visually-hidden" }, "Answer");
  #reasoning = new ReasoningView();
  #text = element("div", { class: "markdown" });
  #markdown = new GrowingMarkdown(this.#text);
  #waiting = element(
    "div",
    { class: "waiting" },
    element("i"),
    element("i"),
    element("i"),
    element("span", { class: "visually-hidden" }, "Waiting for the answer"),
  );
  #outcome = element("div", { class: "outcome", hidden: true });
  #said = "null";
  #again = element(
    "button",
    { type: "button", "aria-label": "Regenerate", title: "Regenerate", "data-action": "again" },
    icon("again"),
  );
  #note = element("span", { class: "note" });
  #versions;
  #actions;

  /** @param {Deeds} deeds */
  constructor(deeds) {
    this.#deeds = deeds;
    this.#versions = new Versions(deeds.activate);
    const copy = copyButton("Copy", () => this.#shown?.message.content ?? "");
    copy.dataset.action = "copy";
    this.#actions = element(
      "div",
      { class: "actions" },
      copy,
      this.#again,
      this.#versions.element,
      this.#note,
    );
    this.element = element(
      "article",
      { class: "message answer" },
      this.#heading,
      this.#reasoning.element,
      this.#text,
      this.#waiting,
      this.#outcome,
      this.#actions,
    );
    this.#again.addEventListener("click", () => this.#askAgain());
  }

  /** @param {Shown} shown @param {boolean} isBusy */
  update(shown, isBusy) {
    this.#shown = shown;
    const { message, run, versions, version } = shown;
    this.#versions.show(versions, version);
    this.#again.disabled = isBusy;
    this.#actions.hidden = run !== null;
    this.#note.textContent = noteOf(shown);
    this.#heading.textContent = message.model ? `Answer by ${message.model}` : "Answer";
    this.#showOutcome(shown);
    this.grow();
  }

  /** Show what has been written since. */
  grow() {
    if (!this.#shown) return;
    const { message, run } = this.#shown;
    const content = run ? run.content : message.content;
    const reasoning = (run ? run.reasoning : message.reasoning) ?? "";
    this.#reasoning.show(reasoning, run !== null && !content);
    this.#markdown.show(content, run === null);
    this.#waiting.hidden = run === null || Boolean(content) || Boolean(reasoning);
  }

  #askAgain() {
    if (this.#shown) this.#deeds.again(this.#shown.message.message_id);
  }

  /** @param {Shown} shown */
  #showOutcome(shown) {
    const outcome = shown.run ? null : outcomeOf(shown);
    const said = JSON.stringify(outcome);
    if (said === this.#said) return; // else its button would lose the focus
    this.#said = said;
    this.#outcome.hidden = outcome === null;
    if (!outcome) return this.#outcome.replaceChildren();
    const { text, isFailure, requestId } = outcome;
    const retry = element("button", { type: "button", class: "plain-button" }, "Try again");
    retry.addEventListener("click", () => this.#askAgain());
    this.#outcome.classList.toggle("failed", isFailure);
    const id = requestId && element("span", { class: "request-id" }, `Request ${requestId}`);
    this.#outcome.replaceChildren(icon("warning"), element("div", {}, text, id || ""), retry);
  }
}

/**
 * Why an answer is not whole, and what can be done.
 * @param {Shown} shown
 * @returns {{text: string, isFailure: boolean, requestId: string | null} | null}
 */
function outcomeOf({ message, failure }) {
  const { status, finish_reason, content } = message;
  if (failure) {
    const kept = content ? "What had been written is kept." : "";
    return {
      text: `${titleOf(failure)}. ${textOf(failure)} ${kept}`.trim(),
      isFailure: true,
      requestId: failure.requestId,
    };
  }
  const text = WORDS[finish_reason ?? ""] ?? (status ? WORDS[status] : "");
  return text ? { text, isFailure: false, requestId: null } : null;
}

/** @type {Record<string, string>} by finish reason or status */
const WORDS = {
  cancelled: "You stopped this answer.",
  length:
    "The answer reached the limit of tokens and breaks off here. Allow more in the settings, or ask to go on.",
  content_filter: "The model's filter ended this answer.",
  partial: "This answer was interrupted. What had been written is kept.",
  streaming: "This answer is being written elsewhere; it is shown as soon as it can be read.",
};

/** @param {Shown} shown */
function noteOf({ message }) {
  const seconds = (message.seconds ?? 0) < 0.05 ? "" : `${message.seconds?.toFixed(1)} s`;
  return [message.model, seconds].filter(Boolean).join(" · ");
}
