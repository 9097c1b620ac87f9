// How do tabs stay in step? Those of one browser tell each other; for the rest one looks now and then.

const CHANNEL = "ai-library";
const LOOK_MS = 4000;

/**
 * Dispatches `look` when what the service has should be read again. Its `detail` is the id of the
 * conversation that changed, or null where that is not known.
 */
export class Tabs extends EventTarget {
  #channel = "BroadcastChannel" in globalThis ? new BroadcastChannel(CHANNEL) : null;

  constructor() {
    super();
    this.#channel?.addEventListener("message", ({ data }) =>
      this.#look(typeof data === "string" ? data : null),
    );
    document.addEventListener("visibilitychange", () => this.#lookIfSeen());
    addEventListener("focus", () => this.#lookIfSeen());
    addEventListener("online", () => this.#lookIfSeen());
    setInterval(() => this.#lookIfSeen(), LOOK_MS);
  }

  /** @param {string | null} id of the conversation that was changed here */
  tell(id) {
    this.#channel?.postMessage(id);
  }

  #lookIfSeen() {
    if (document.visibilityState === "visible") this.#look(null);
  }

  /** @param {string | null} detail */
  #look(detail) {
    this.dispatchEvent(new CustomEvent("look", { detail }));
  }
}
