// What stands above the messages? The title, and a welcome where there are none yet.

import { part } from "./part.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */

const TITLE_LENGTH = 60;

/** @param {Conversation} conversation that is shown */
export function showHeadline({ id, shown, isEmpty, isTemporary, isSimulated, title }) {
  const name = isTemporary ? "Temporary chat" : title || titleOf(shown[0]?.message.content ?? "");
  part("title", HTMLElement).textContent = name;
  document.title = `${name} – AI Library`;
  if (isSimulated) part("simulated", HTMLElement).hidden = false;
  part("welcome", HTMLElement).hidden = !isEmpty || id !== null;
  part("hint", HTMLElement).textContent = isTemporary
    ? "Nothing of this chat is kept, and each question stands alone."
    : "Answers stream from Groq’s models, and survive a reload, a lost network or a second tab. Try to break one.";
}

/** @param {string} question @returns {string} the title that the service will give */
function titleOf(question) {
  const line = question.split(/\s+/).filter(Boolean).join(" ");
  if (line.length <= TITLE_LENGTH) return line || "New chat";
  return `${line.slice(0, TITLE_LENGTH - 1).trimEnd()}…`;
}
