// Who said what? The messages of a conversation: a tree, of which one branch is shown.

/**
 * A message as the service gives it; of questions only the first five are there.
 * @typedef {object} Message
 * @property {"user" | "assistant"} role
 * @property {string} content
 * @property {string} message_id
 * @property {string | null} parent_message_id
 * @property {string} created_at
 * @property {string} [model]
 * @property {"complete" | "partial" | "streaming"} [status]
 * @property {string | null} [reasoning]
 * @property {string | null} [finish_reason]
 * @property {{completion_tokens: number, total_tokens: number} | null} [usage]
 * @property {number | null} [seconds]
 */

/** All messages of a conversation. */
export class Tree {
  /** @type {Map<string, Message>} */
  #messages = new Map();
  /** Ids of what follows a message, or nothing. @type {Map<string | null, Set<string>>} */
  #following = new Map();

  /** @param {Message[]} messages in the order in which they were written */
  constructor(messages = []) {
    for (const message of messages) this.put(message);
  }

  get size() {
    return this.#messages.size;
  }

  /** @param {string | null} id @returns {Message | null} */
  get(id) {
    return (id && this.#messages.get(id)) || null;
  }

  /** @param {(message: Message) => boolean} isMeant @returns {Message | null} the one written last */
  latest(isMeant) {
    return [...this.#messages.values()].findLast(isMeant) ?? null;
  }

  /** @param {Message} message in the place of the one of that id, or after all others */
  put(message) {
    const { message_id, parent_message_id } = message;
    const before = this.#messages.get(message_id);
    if (before && before.parent_message_id !== parent_message_id) this.#unlink(before);
    this.#messages.set(message_id, message);
    const following = this.#following.get(parent_message_id);
    if (following) following.add(message_id);
    else this.#following.set(parent_message_id, new Set([message_id]));
  }

  /** @param {(string | null)[]} ids of messages that nothing follows */
  remove(...ids) {
    for (const id of ids) {
      const message = this.get(id);
      if (!message) continue;
      this.#unlink(message);
      this.#messages.delete(message.message_id);
    }
  }

  /** @param {string} old @param {string} id that it has from now on, in the same place */
  rename(old, id) {
    const messages = [...this.#messages.values()];
    this.#messages.clear();
    this.#following.clear();
    for (const message of messages) {
      const { message_id, parent_message_id } = message;
      this.put({
        ...message,
        message_id: message_id === old ? id : message_id,
        parent_message_id: parent_message_id === old ? id : parent_message_id,
      });
    }
  }

  /**
   * @param {string | null} id
   * @returns {Message[]} from the first question to that message
   */
  branch(id) {
    /** @type {Message[]} */
    const branch = [];
    for (let message = this.get(id); message; message = this.get(message.parent_message_id))
      branch.push(message);
    return branch.reverse();
  }

  /**
   * @param {string | null} parent
   * @returns {string[]} of all messages that follow it, oldest first
   */
  versions(parent) {
    return [...(this.#following.get(parent) ?? [])];
  }

  /**
   * @param {string} id
   * @returns {string} the message written last among those below, or the message itself
   */
  latestLeaf(id) {
    const below = new Set([id]);
    const leaves = new Set([id]);
    for (const { message_id, parent_message_id } of this.#messages.values()) {
      if (parent_message_id === null || !below.has(parent_message_id)) continue;
      below.add(message_id);
      leaves.delete(parent_message_id);
      leaves.add(message_id);
    }
    return [...this.#messages.keys()].findLast((it) => leaves.has(it)) ?? id;
  }

  /** @param {Message} message */
  #unlink({ message_id, parent_message_id }) {
    this.#following.get(parent_message_id)?.delete(message_id);
  }
}
