// What is asked, and not yet begun? Kept in this tab, so that a reload at any moment loses nothing.

/** @typedef {import("./asking.js").Kept} Kept */

const ASKED = "ai-library.asking";
const BEGUN = "ai-library.begun";
const LEAVING_MS = 10_000;

/** @returns {Kept[]} in the order in which they were asked */
export function keptAskings() {
  const askings = read(ASKED);
  return Array.isArray(askings) ? askings.filter(isWhole) : [];
}

/** @param {Kept} asking that has come, or of which more is known */
export function keepAsking(asking) {
  write(ASKED, [...others(asking), asking]);
}

/** @param {Kept} asking of which it is clear what has become */
export function forgetAsking(asking) {
  write(ASKED, others(asking));
}

/**
 * Keep for a moment which conversation has got its address: a page that is already being left for
 * the old one still hears of it, and the next page could not know.
 * @param {string} conversationId
 */
export function keepBegun(conversationId) {
  write(BEGUN, { conversationId, at: Date.now() });
}

/** Another conversation was chosen since. */
export function forgetBegun() {
  write(BEGUN, null);
}

/** @returns {string | null} the conversation that was begun while the page was being left */
export function begunConversation() {
  const { conversationId, at } = Object(read(BEGUN));
  const isLate = !(Date.now() - at < LEAVING_MS);
  return isLate || typeof conversationId !== "string" ? null : conversationId;
}

/** @param {Kept} asking */
function others({ key }) {
  return keptAskings().filter((it) => it.key !== key);
}

/** @param {any} asking as it was found @returns {boolean} */
function isWhole(asking) {
  const { key, at, known, request, again, runId } = Object(asking);
  const isSaid = typeof key === "string" && typeof at === "number" && Array.isArray(known);
  return isSaid && Boolean(request || again || runId);
}

/** @param {string} name @returns {unknown} */
function read(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name) ?? "null");
  } catch {
    return null;
  }
}

/** @param {string} name @param {unknown} value */
function write(name, value) {
  try {
    sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // No storage, or none left: then a reload before the first byte loses the question.
  }
}
