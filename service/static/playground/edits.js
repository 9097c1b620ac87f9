// What was changed in a question and not sent? Kept as a draft, by the id of the message.

import { draftOf, keepDraft } from "./drafts.js";

/** @param {string} id of a question @returns {string} nothing where no edit of it is under way */
export function editOf(id) {
  return draftOf(keyOf(id));
}

/** @param {string} id of a question @param {string} text nothing: it is sent or given up */
export function keepEdit(id, text) {
  keepDraft(keyOf(id), text);
}

/** @param {string} id of a question that is gone @returns {string} what nobody could find any more */
export function takeEdit(id) {
  const text = editOf(id);
  keepEdit(id, "");
  return text;
}

/** @param {string} id */
function keyOf(id) {
  return `edit.${id}`;
}
