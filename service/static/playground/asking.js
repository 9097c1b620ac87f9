// How is the service asked, so that to ask again after a reload asks the same, and not once more?

import { Problem } from "../chat-client.js";
import { isOwn } from "./own-ids.js";

/** @typedef {import("../chat-client.js").ChatClient} ChatClient */
/** @typedef {import("../chat-client.js").ChatRequest} ChatRequest */

/**
 * What was or is to be asked, as plain data. One of `request`, `again`, `runId` says how.
 * @typedef {object} Asking
 * @property {string | null} question null where an answer is written anew, or was asked for elsewhere
 * @property {string | null} parent the message that it follows
 * @property {string | null} [instead] the message that is shown again when the service refuses
 * @property {ChatRequest} [request]
 * @property {{conversationId: string, messageId: string, body: object}} [again]
 * @property {string} [runId]
 */

/**
 * What is asked here, and where.
 * @typedef {Asking & Asked} Kept
 */
/**
 * @typedef {object} Asked
 * @property {string} key the idempotency key
 * @property {number} at when, in milliseconds
 * @property {string | null} conversationId null: in a new one
 * @property {boolean} isTemporary
 * @property {string[]} known ids of what followed the parent already
 */

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./parameters.js").Wish} Wish */

// A key is known for 300 s at least; an older start may have been forgotten, and would cost twice.
const LONGEST_MS = 250_000;

/** @param {ChatClient} client @param {Asking & {key?: string}} asking */
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
 * @returns {Kept} a question after what is shown
 */
export function question(conversation, wish, text) {
  const parent = conversation.end;
  const request = { ...wish, user_prompt: text, ...placeOf(conversation, parent) };
  return kept(conversation, { question: text, parent, request });
}

/**
 * @param {Conversation} conversation
 * @param {Wish} wish
 * @param {string} questionId
 * @param {string} text
 * @returns {Kept} a question beside another one
 */
export function editedQuestion(conversation, wish, questionId, text) {
  const parent = conversation.questionOf(questionId)?.message_id ?? null;
  const place = placeOf(conversation, parent ?? "root");
  const request = { ...wish, user_prompt: text, ...place };
  return kept(conversation, { question: text, parent, instead: questionId, request });
}

/**
 * @param {Conversation} conversation
 * @param {Wish} wish
 * @param {string} answerId
 * @returns {Kept} an answer beside another one
 */
export function anotherAnswer(conversation, wish, answerId) {
  const { id } = conversation;
  const asked = conversation.questionOf(answerId);
  const base = { question: null, parent: asked?.message_id ?? null, instead: answerId };
  if (id && !isOwn(answerId)) {
    const again = { conversationId: id, messageId: answerId, body: wish };
    return kept(conversation, { ...base, again });
  }
  const place = placeOf(conversation, asked?.parent_message_id ?? "root");
  return kept(conversation, {
    ...base,
    request: { ...wish, user_prompt: asked?.content ?? "", ...place },
  });
}

/**
 * @param {Conversation} conversation that has been read
 * @param {Kept} asking of before the page was loaded anew
 * @returns {boolean} whether the service has begun to answer it
 */
export function isBegun(conversation, { parent, known, question, again }) {
  const more = conversation.following(parent).filter((it) => !known.includes(it.message_id));
  return more.some(({ content }) => again !== undefined || content === question);
}

/** @param {Kept} asking @returns {boolean} whether to ask the same again would join the same run */
export function isFresh({ runId, at }) {
  return runId !== undefined || Date.now() - at < LONGEST_MS;
}

/**
 * @param {Conversation} conversation
 * @param {string | null} parent
 * @returns {Partial<ChatRequest>} where the question belongs; of ids that are ours nothing is said
 */
function placeOf({ id, isTemporary }, parent) {
  if (isTemporary) return { save_conversation: false };
  const isKnown = id !== null && parent !== null && !isOwn(parent);
  return { conversation_id: id, parent_message_id: isKnown ? parent : null };
}

/** @param {Conversation} conversation @param {Asking} asking @returns {Kept} */
function kept(conversation, asking) {
  return {
    ...asking,
    key: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`,
    at: Date.now(),
    conversationId: conversation.id,
    isTemporary: conversation.isTemporary,
    known: conversation.following(asking.parent).map((it) => it.message_id),
  };
}
