// Which answers are under way in this tab, whatever is shown, and after a reload?

import { isBegun, isFresh } from "./asking.js";
import { Conversation } from "./conversation.js";
import { forgetAsking, keepAsking, keptAskings } from "./kept-askings.js";

/** @typedef {import("../chat-client.js").ChatClient} ChatClient */
/** @typedef {import("./asking.js").Kept} Kept */
/** @typedef {import("./conversation.js").Live} Live */

/**
 * Dispatches:
 * - `made` (detail: Conversation), so that its events can be heard from the beginning,
 * - `change` when answers are under way in other conversations than before,
 * - `lapsed` (detail: Kept) of what was asked before a reload, and cannot be asked again safely.
 */
export class UnderWay extends EventTarget {
  #client;
  /** @type {Set<Conversation>} */
  #conversations = new Set();
  /** What the page of before has left. */
  #left = keptAskings();

  /** @param {ChatClient} client */
  constructor(client) {
    super();
    this.#client = client;
  }

  /** @returns {string[]} of the conversations, where they have one */
  get ids() {
    return [...this.#conversations].flatMap(({ id }) => id ?? []);
  }

  /**
   * @param {string | null} id
   * @returns {Conversation} the one in which an answer is under way, else another
   */
  conversation(id) {
    return [...this.#conversations].findLast((it) => it.id === id) ?? this.make({ id });
  }

  /** @param {{id?: string | null, isTemporary?: boolean}} [which] */
  make(which) {
    const conversation = new Conversation(this.#client, which);
    conversation.addEventListener("started", (event) => this.#onStarted(conversation, event));
    conversation.addEventListener("ended", (event) => this.#onOver(conversation, event));
    conversation.addEventListener("refused", (event) => this.#onOver(conversation, event));
    conversation.addEventListener("read", () => this.#onRead(conversation));
    conversation.addEventListener("gone", () => this.#onGone(conversation));
    this.dispatchEvent(new CustomEvent("made", { detail: conversation }));
    return conversation;
  }

  /** @param {Conversation} conversation @param {Kept} asking */
  ask(conversation, asking) {
    keepAsking(asking);
    this.#add(conversation);
    return conversation.ask(asking);
  }

  /** @param {Conversation} conversation that is shown no more; its answer goes on, if it is kept */
  leave(conversation) {
    if (!conversation.isTemporary) return;
    conversation.stop();
    this.#remove(conversation);
    for (const asking of keptAskings()) if (asking.isTemporary) forgetAsking(asking);
  }

  /**
   * Go on with what was asked before the page was loaded anew.
   * @param {string | null} open id of the conversation that is shown; it is taken up when it is read
   */
  takeUp(open) {
    const isLeft = open !== null; // a chat that is not kept lives as long as it is shown
    for (const asking of this.#take((it) => it.isTemporary && isLeft)) forgetAsking(asking);
    for (const asking of this.#take((it) => it.conversationId === null))
      this.#askAgain(this.make({ isTemporary: asking.isTemporary }), asking);
    for (const { conversationId } of this.#left)
      if (conversationId !== open) {
        const conversation = this.conversation(conversationId);
        this.#add(conversation); // who opens it shall see what becomes of it
        void conversation.refresh().catch(() => {}); // until it can be read
      }
  }

  /** @param {Conversation} conversation whose messages are known now */
  #onRead(conversation) {
    for (const asking of this.#take((it) => it.conversationId === conversation.id)) {
      if (isBegun(conversation, asking)) forgetAsking(asking);
      else if (conversation.isBusy) this.#giveUp(asking);
      else this.#askAgain(conversation, asking);
    }
    if (!conversation.isBusy) this.#remove(conversation);
  }

  /** @param {Conversation} conversation */
  #onGone(conversation) {
    for (const asking of this.#take((it) => it.conversationId === conversation.id))
      this.#giveUp({ ...asking, conversationId: null, instead: null });
  }

  /** @param {Conversation} conversation @param {Kept} asking */
  #askAgain(conversation, asking) {
    if (isFresh(asking)) this.ask(conversation, asking);
    else this.#giveUp(asking);
  }

  /** @param {Kept} asking */
  #giveUp(asking) {
    forgetAsking(asking);
    this.dispatchEvent(new CustomEvent("lapsed", { detail: asking }));
  }

  /** @param {Conversation} conversation @param {Event} event */
  #onStarted(conversation, event) {
    const { asking, run } = liveIn(event);
    if (!conversation.isTemporary) {
      this.#add(conversation);
      if (isKept(asking)) forgetAsking(asking); // the service keeps it from now on
    } else if (isKept(asking) && this.#conversations.has(conversation)) {
      keepAsking({ ...asking, runId: run.id ?? undefined });
    }
  }

  /** @param {Conversation} conversation @param {Event} event */
  #onOver(conversation, event) {
    const { asking } = liveIn(event);
    if (isKept(asking)) forgetAsking(asking);
    this.#remove(conversation);
  }

  /** @param {Conversation} conversation */
  #add(conversation) {
    this.#conversations.add(conversation);
    this.dispatchEvent(new Event("change"));
  }

  /** @param {Conversation} conversation */
  #remove(conversation) {
    if (this.#conversations.delete(conversation)) this.dispatchEvent(new Event("change"));
  }

  /** @param {(asking: Kept) => boolean} isMeant @returns {Kept[]} those, which are left no more */
  #take(isMeant) {
    const taken = this.#left.filter(isMeant);
    this.#left = this.#left.filter((asking) => !taken.includes(asking));
    return taken;
  }
}

/** @param {Event} event @returns {Live} */
export function liveIn(event) {
  return /** @type {CustomEvent<Live>} */ (event).detail;
}

/** @param {import("./asking.js").Asking} asking @returns {asking is Kept} not one of another tab's */
function isKept(asking) {
  return "key" in asking;
}
