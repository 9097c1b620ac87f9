// How is the service asked, so that a reload at any moment asks the same and not once more?

import { Problem } from "../chat-client.js";

/** @typedef {import("../chat-client.js").ChatClient} ChatClient */
/** @typedef {import("../chat-client.js").ChatRequest} ChatRequest */

/**
 * What was or is to be asked, as plain data. One of `request`, `again`, `runId` says how.
 * @typedef {object} Asking
 * @property {string | null} question null where an answer is written anew, or was asked for elsewhere
 * @property {string | null} [parent] what it follows; undefined: the end of the branch that is shown
 * @property {string | null} [instead] the message that is shown again when the service refuses
 * @property {ChatRequest} [request]
 * @property {{conversationId: string, messageId: string, body: object}} [again]
 * @property {string} [runId]
 * @property {string} [key] the idempotency key
 * @property {string} [conversationId] once the service has said it
 * @property {number} [at] when the service was asked, or said so, in milliseconds
 */

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./parameters.js").Wish} Wish */

const KEPT = "ai-library.asking";
// A key is known for 300 s at least; an older start may have been forgotten, and would cost twice.
const LONGEST_MS = 250_000;
const CLOCKS_DIFFER_MS = 5000;
const LEAVING_MS = 10_000;

/** @param {ChatClient} client @param {Asking} asking */
export function send(client, { request, again, runId, key }) {
  if (runId) return client.resume(runId);
  if (again)
    return client.regenerate(again.conversationId, again.messageId, again.body, {
      idempotencyKey: key,
    });
  if (request) return client.start(request, { idempotencyKey: key });
  throw new Problem("not-found", "there is nothing to ask");
}

/**
 * @param {Conversation} conversation
 * @param {Wish} wish
 * @param {string} text
 * @returns {Asking} a question after what is shown
 */
export function question({ id, end, isTemporary }, wish, text) {
  const place = isTemporary
    ? { save_conversation: false }
    : { conversation_id: id, parent_message_id: end };
  return unique({ question: text, parent: end, request: { ...wish, user_prompt: text, ...place } });
}

/**
 * @param {Conversation} conversation
 * @param {Wish} wish
 * @param {string} questionId
 * @param {string} text
 * @returns {Asking} a question beside another one
 */
export function editedQuestion({ id, isTemporary, shown }, wish, questionId, text) {
  const edited = shown.find(({ message }) => message.message_id === questionId);
  const parent = edited?.message.parent_message_id ?? null;
  const place = isTemporary
    ? { save_conversation: false }
    : { conversation_id: id, parent_message_id: parent ?? "root" };
  const request = { ...wish, user_prompt: text, ...place };
  return unique({ question: text, parent, instead: questionId, request });
}

/**
 * @param {Conversation} conversation
 * @param {Wish} wish
 * @param {string} answerId
 * @returns {Asking} an answer beside another one
 */
export function anotherAnswer(conversation, wish, answerId) {
  const { id, isTemporary } = conversation;
  const asked = conversation.questionOf(answerId);
  const base = { question: null, parent: asked?.message_id ?? null, instead: answerId };
  if (!isTemporary && id) {
    return unique({ ...base, again: { conversationId: id, messageId: answerId, body: wish } });
  }
  const request = { ...wish, user_prompt: asked?.content ?? "", save_conversation: false };
  return unique({ ...base, request });
}

/**
 * @param {Conversation} conversation
 * @param {Asking} asking of before the page was loaded anew
 * @returns {boolean} whether the answer is there already
 */
export function isAnswered({ shown }, { question, at, again }) {
  const role = again ? "assistant" : "user";
  const last = shown.findLast(({ message }) => message.role === role)?.message;
  if (!last || Date.parse(last.created_at) < (at ?? 0) - CLOCKS_DIFFER_MS) return false;
  return again !== undefined || last.content === question;
}

/** @param {Asking} asking @returns {Asking} with what makes it unique */
function unique(asking) {
  return {
    ...asking,
    key: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`,
    at: Date.now(),
  };
}

/** @param {Asking} asking kept in this tab until it is clear what has become of it */
export function keepAsking(asking) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(asking));
  } catch {
    // No storage, or none left: then a reload before the first byte loses the question.
  }
}

export function forgetAsking() {
  try {
    sessionStorage.removeItem(KEPT);
  } catch {
    // See above.
  }
}

/**
 * Keep what has begun for a moment longer: a page that is already being left for its old address
 * still hears of it, and the next one could not know.
 * @param {Asking} asking
 * @param {string} conversationId
 */
export function keepBegun(asking, conversationId) {
  keepAsking({ ...asking, conversationId, at: Date.now() });
}

/** @returns {string | null} the conversation that was begun while the page was being left */
export function begunConversation() {
  const { conversationId = null, at = 0 } = keptAsking() ?? {};
  return Date.now() - at < LEAVING_MS ? conversationId : null;
}

/** @returns {Asking | null} what was asked before the page was loaded anew */
export function keptAsking() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  } catch {
    return null;
  }
}

/** @param {Asking} asking @returns {boolean} whether to ask the same again would join the same run */
export function isFresh({ runId, at }) {
  return runId !== undefined || Date.now() - (at ?? 0) < LONGEST_MS;
}
