// Which conversations have been read of the service's list? Pages by cursor, latest first.

/**
 * @typedef {object} Listed a conversation as the list shows it
 * @property {string} conversation_id
 * @property {string} title
 * @property {string} updated_at
 * @property {number} message_count
 * @property {string | null} model
 */
/** @typedef {{items: Listed[], next_cursor: string | null}} Page */
/** @typedef {{conversations(query: {q?: string, limit?: number, cursor?: string}): Promise<Page>}} Lists */

const PAGE_LENGTH = 30;
const LONGEST_PAGE = 100;

/** Each reading ends the one before it: that one then answers false, and changes nothing. */
export class ConversationPages {
  /** @type {Listed[]} */
  items = [];
  query = "";
  /** @type {string | null} */
  #cursor = null;
  #turn = 0;
  #client;

  /** @param {Lists} client */
  constructor(client) {
    this.#client = client;
  }

  get more() {
    return this.#cursor !== null;
  }

  /**
   * The conversations in which all these words are.
   * @param {string} query
   */
  async search(query) {
    this.query = query;
    const page = await this.#read({ limit: PAGE_LENGTH });
    if (page) this.#take(page.items, page.next_cursor);
    return page !== null;
  }

  /** What has been read, as it is now; beyond a hundred what is older stays as it was. */
  async refresh() {
    const limit = Math.min(LONGEST_PAGE, Math.max(PAGE_LENGTH, this.items.length));
    const page = await this.#read({ limit });
    if (!page) return false;
    const older = this.items.length > limit && page.next_cursor ? this.#olderThan(page.items) : [];
    this.#take([...page.items, ...older], older.length ? this.#cursor : page.next_cursor);
    return true;
  }

  /** The next page. */
  async next() {
    if (this.#cursor === null) return false;
    const page = await this.#read({ limit: PAGE_LENGTH, cursor: this.#cursor });
    if (page)
      this.#take([...this.items, ...withoutThose(page.items, this.items)], page.next_cursor);
    return page !== null;
  }

  /** @param {string} id */
  remove(id) {
    this.items = this.items.filter((item) => item.conversation_id !== id);
  }

  /**
   * @param {{limit: number, cursor?: string}} place
   * @returns {Promise<Page | null>} null when another reading has begun meanwhile
   */
  async #read(place) {
    const turn = ++this.#turn;
    try {
      const page = await this.#client.conversations(
        this.query ? { ...place, q: this.query } : place,
      );
      return turn === this.#turn ? page : null;
    } catch (problem) {
      if (turn !== this.#turn) return null;
      throw problem;
    }
  }

  /**
   * @param {Listed[]} items
   * @param {string | null} cursor
   */
  #take(items, cursor) {
    this.items = items;
    this.#cursor = cursor;
  }

  /** @param {Listed[]} fresh */
  #olderThan(fresh) {
    const last = fresh.at(-1)?.updated_at ?? "";
    return withoutThose(this.items, fresh).filter((item) => item.updated_at <= last);
  }
}

/**
 * @param {Listed[]} items
 * @param {Listed[]} those
 */
function withoutThose(items, those) {
  const ids = new Set(those.map((item) => item.conversation_id));
  return items.filter((item) => !ids.has(item.conversation_id));
}
