// Where does a question go back to that was not taken? There where it was written, shown or not.

import { draftOf, keepDraft } from "./drafts.js";
import { keepEdit } from "./edits.js";

/** @typedef {import("./asking.js").Asking} Asking */
/** @typedef {import("./composer.js").Composer} Composer */
/** @typedef {import("./messages.js").Messages} Messages */
/** @typedef {"editor" | "composer" | "draft"} Place */

/**
 * @param {Asking} asking
 * @param {string | null} id of its conversation
 * @param {{messages: Messages, composer: Composer} | null} shown null: it is another one's
 * @returns {Place | null} null where there was no question
 */
export function giveBack({ question, instead }, id, shown) {
  if (question === null) return null;
  if (shown) {
    if (instead && shown.messages.edit(instead, question)) return "editor";
    shown.composer.giveBack(question);
    return "composer";
  }
  if (instead) keepEdit(instead, question);
  else keepDraft(id, [question, draftOf(id)].filter(Boolean).join("\n\n"));
  return "draft";
}

/** @param {Place} place @param {string | null} id */
export function whereIs(place, id) {
  if (place !== "draft") return "Your question is back in the box.";
  return `Your question is kept: open ${id ? "its conversation" : "a new chat"} to see it.`;
}
