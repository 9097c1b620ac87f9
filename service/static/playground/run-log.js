// What happened while a run was read? Its events with the time at which they came, and what befell the connection.

/** @typedef {import("../chat-client.js").ChatClient} ChatClient */
/** @typedef {import("../chat-client.js").Run} Run */
/** @typedef {import("../chat-client.js").RunEvent} RunEvent */
/** @typedef {import("../chat-client.js").ConnectionDetail} ConnectionDetail */
/** @typedef {{event: RunEvent, seconds: number}} EventRow */
/** @typedef {{note: string}} NoteRow */
/** @typedef {EventRow | NoteRow} Row */

/** @type {Record<string, string>} */
export const TRANSPORTS = { websocket: "WebSocket", sse: "SSE" };

/** Dispatches "change" after each event and note. */
export class RunLog extends EventTarget {
  /** @type {Row[]} */
  rows = [];
  /**
   * Seconds until the first text came here.
   * @type {number | null}
   */
  firstText = null;
  /** Seconds until the last event came here. */
  latest = 0;
  /** How many events came. */
  count = 0;
  #run;
  #client;
  #transport;
  #began = performance.now();
  /** @type {{row: NoteRow, after: number} | null} */
  #gap = null;

  /**
   * @param {Run} run
   * @param {ChatClient} client that reads it
   */
  constructor(run, client) {
    super();
    this.#run = run;
    this.#client = client;
    this.#transport = client.transport;
    client.addEventListener("connection", this.#onConnection);
    this.#follow();
  }

  get run() {
    return this.#run;
  }

  /** @param {Event} event */
  #onConnection = (event) => {
    const { state, transport } = /** @type {CustomEvent<ConnectionDetail>} */ (event).detail;
    const after = this.#run.lastSeq;
    if (transport !== this.#transport) {
      this.#transport = transport;
      this.#note(`moved to ${TRANSPORTS[transport]} ${afterSeq(after)}`);
    }
    if (state === "waiting")
      this.#gap ??= { row: this.#note(`connection cut ${afterSeq(after)}`), after };
  };

  async #follow() {
    try {
      for await (const event of this.#run) this.#take(event);
    } catch {
      // The page shows why the run failed; here it is in the run's status.
    }
    this.#client.removeEventListener("connection", this.#onConnection);
    this.dispatchEvent(new Event("change"));
  }

  /** @param {RunEvent} event */
  #take(event) {
    this.latest = (performance.now() - this.#began) / 1000;
    if (event.type === "delta") this.firstText ??= this.latest;
    if (this.#gap && event.seq > this.#gap.after) {
      this.#gap.row.note = `connection cut — resumed ${afterSeq(this.#gap.after)}`;
      this.#gap = null;
    }
    this.rows.push({ event, seconds: this.latest });
    this.count += 1;
    this.dispatchEvent(new Event("change"));
  }

  /** @param {string} note */
  #note(note) {
    const row = { note };
    this.rows.push(row);
    this.dispatchEvent(new Event("change"));
    return row;
  }
}

/** @param {number} seq */
function afterSeq(seq) {
  return seq < 0 ? "before the first event" : `after seq ${seq}`;
}
