// How do tabs stay in step? Those of one browser tell each other; for the rest one looks now and then.

const CHANNEL = "ai-library";
const GLANCE_MS = 4000;
const GLANCES_PER_LOOK = 15;

/** @typedef {import("../chat-client.js").ChatClient} ChatClient */

/**
 * Dispatches `look` when what the service has should be read again. Its `detail` is the id of the
 * conversation that changed, or null where that is not known.
 *
 * Whatever is said anywhere makes its conversation the newest of the list: to read that one of them
 * is enough to know that all is as it was. What else other devices change (titles, branches,
 * deletions) is seen when one comes back to the page, or within a minute.
 */
export class Tabs extends EventTarget {
  #channel = "BroadcastChannel" in globalThis ? new BroadcastChannel(CHANNEL) : null;

  #client;
  #glances = 0;
  #newest = "";

  /** @param {ChatClient} client */
  constructor(client) {
    super();
    this.#client = client;
    this.#channel?.addEventListener("message", ({ data }) =>
      this.#look(typeof data === "string" ? data : null),
    );
    document.addEventListener("visibilitychange", () => this.#lookIfSeen());
    addEventListener("focus", () => this.#lookIfSeen());
    addEventListener("online", () => this.#lookIfSeen());
  }

  /** Look for what other devices do, now and then. */
  begin() {
    setInterval(() => this.#glance(), GLANCE_MS);
  }

  /** @param {string | null} id of the conversation that was changed here */
  tell(id) {
    this.#channel?.postMessage(id);
  }

  async #glance() {
    if (document.visibilityState !== "visible") return;
    this.#glances += 1;
    if (this.#glances % GLANCES_PER_LOOK === 0 || (await this.#hasNews())) this.#look(null);
  }

  async #hasNews() {
    try {
      const newest = JSON.stringify(await this.#client.conversations({ limit: 1 }));
      const before = this.#newest;
      this.#newest = newest;
      return newest !== before;
    } catch {
      return false; // the next glance may tell
    }
  }

  #lookIfSeen() {
    if (document.visibilityState === "visible") this.#look(null);
  }

  /** @param {string | null} detail */
  #look(detail) {
    this.dispatchEvent(new CustomEvent("look", { detail }));
  }
}
