/**
 * How does a page talk with AI Library? Through this one file.
 *
 * It imports nothing and needs no build step; it runs in browsers and in Node 20 and later. A `Run`
 * is one answer that is being made. It is read over server-sent events or a WebSocket, survives any
 * loss of the network by resuming at its cursor (the `seq` of its last event), and its text is
 * exact: never lost, repeated or reordered, and proven by its length and SHA-256.
 *
 *     const client = new ChatClient({ transport: "websocket" });
 *     const run = client.start({ model: "openai/gpt-oss-20b", user_prompt: "Hello" });
 *     run.addEventListener("change", () => show(run.content));
 *     await run.done;
 *
 * Everything else is in docs/chat-client.md. In this file: what applications use (`Problem`, `Run`,
 * `ChatClient`), then how a run is read (`Reader`, `Line`), then the two transports (`Stream`,
 * `Socket`), then HTTP.
 */

// What is on the wire, as far as this file looks at it; what is not named here passes through.

/** @typedef {"websocket" | "sse"} Transport */
/** @typedef {"idle" | "connecting" | "open" | "waiting"} ConnectionState */
/** @typedef {"starting" | "running" | "finished" | "cancelled" | "failed" | "left"} RunStatus */
/** @typedef {{ pointer: string, detail: string }} Fault */

/**
 * @typedef {{ model: string, user_prompt: string, system_prompt?: string | null, hyperparameters?:
 *   Record<string, unknown> | null, save_conversation?: boolean | null, conversation_id?: string |
 *   null, parent_message_id?: string | null, on_disconnect?: "continue" | "cancel" | null }}
 *   ChatRequest
 */

/**
 * @typedef {{ model?: string | null, system_prompt?: string | null, hyperparameters?:
 *   Record<string, unknown> | null }} RegenerateRequest
 */

/**
 * @typedef {{ type: "started", seq: number, finished: false, run_id: string, conversation_id:
 *   string | null, user_message_id: string | null, message_id: string | null, model: string,
 *   created_at: string, dropped_messages: number, ignored_parameters: string[], simulated: boolean
 *   }} StartedEvent
 */

/**
 * @typedef {{ type: "delta", seq: number, finished: false, content: string, reasoning?: string,
 *   tool_calls?: unknown[], executed_tools?: unknown[] }} DeltaEvent
 */

/**
 * @typedef {{ type: "snapshot", seq: number, finished: false, content: string, reasoning?: string
 *   }} SnapshotEvent
 */

/**
 * @typedef {{ prompt_tokens: number, completion_tokens: number, total_tokens: number,
 *   reasoning_tokens?: number | null, cached_tokens?: number | null }} Usage
 */

/**
 * @typedef {{ type: "finished", seq: number, finished: true, content: "", finish_reason: "stop" |
 *   "length" | "tool_calls" | "content_filter" | "cancelled", usage: Usage | null, timing: {
 *   time_to_first_token: number | null, total_time: number | null }, message_id: string | null,
 *   content_length: number, content_sha256: string, cost?: number | null }} FinishedEvent
 */

/**
 * @typedef {{ type: "failed", seq: number, finished: true, content: "", error: Record<string,
 *   unknown>, message_id: string | null }} FailedEvent
 */

/** @typedef {StartedEvent | DeltaEvent | SnapshotEvent | FinishedEvent | FailedEvent} RunEvent */

/**
 * @typedef {object} ConnectionDetail
 * @property {ConnectionState} state
 * @property {Transport} transport that is used: `sse` also where sockets do not get through
 * @property {number} attempt how often in a row the connection was lost; 0 when all is well
 * @property {number | null} retryInSeconds while waiting
 */

/** @typedef {string | null | undefined} Token */

/**
 * As much of a WebSocket as is used here; browsers' own and Node's `ws` both are.
 * @typedef {object} SocketLike
 * @property {(data: string) => void} send
 * @property {(code?: number) => void} close
 * @property {(type: any, listener: (event: any) => void) => void} addEventListener
 * @property {() => void} [terminate] drops the connection at once, where it exists
 */

/** @typedef {new (url: string, protocols: string[]) => SocketLike} SocketClass */

/**
 * @typedef {object} Timing
 * @property {number} [backoffSeconds] the longest first wait; the next is up to twice as long
 * @property {number} [backoffMaxSeconds] no wait is longer
 * @property {number} [silenceSeconds] without a byte: then the connection counts as lost
 * @property {number} [connectSeconds] for a socket to be welcomed
 * @property {number} [patienceSeconds] without progress, over all attempts: then a run is given up
 * @property {number} [startSeconds] after a start got no answer it is not repeated any more; has to
 *   be less than the service's `RUN_RETENTION`
 */

/**
 * @typedef {object} ClientOptions
 * @property {string | URL} [baseUrl] of the service, sub-path included; the page's own by default
 * @property {Transport} [transport]
 * @property {Token | (() => Token | Promise<Token>)} [token] an API key or JWT, or who knows it
 * @property {typeof globalThis.fetch} [fetch]
 * @property {SocketClass} [WebSocket]
 * @property {Timing} [timing]
 */

/** @type {Required<Timing>} */
const TIMING = {
  backoffSeconds: 0.5,
  backoffMaxSeconds: 20,
  silenceSeconds: 40, // the service says something every 15 s
  connectSeconds: 15,
  patienceSeconds: 900, // no run lives longer than 600 s, and its log 300 s more
  startSeconds: 270, // an idempotency key is known for `RUN_RETENTION`, 300 s
};

const REQUEST_SECONDS = 30;
const PROBE_SECONDS = 5;
const LAST_BYTES_SECONDS = 1;
const MOST_BAD_STREAMS = 3;
const MOST_SOCKET_LOSSES = 2;
const STREAMS_SECONDS = { first: 15, longest: 960 };
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const VISIBLE_ASCII = /^[\x21-\x7e]+$/;
const SUBPROTOCOL = "ai-library.v1";

// What applications use.

/** What went wrong, as the service says it (RFC 9457), or `network` and the like by this file. */
export class Problem extends Error {
  /**
   * @param {string} slug
   * @param {string} detail
   * @param {{ status?: number, title?: string, type?: string, requestId?: string | null,
   *   errors?: Fault[], retryAfter?: number | null, cause?: unknown }} [more]
   */
  constructor(slug, detail, more = {}) {
    super(detail, { cause: more.cause });
    this.name = "Problem";
    this.slug = slug;
    this.type = more.type ?? `/problems/${slug}`;
    this.title = more.title ?? detail;
    this.status = more.status ?? 0;
    this.detail = detail;
    this.requestId = more.requestId ?? null;
    /** @type {Fault[]} */
    this.errors = more.errors ?? [];
    this.retryAfter = more.retryAfter ?? null;
  }

  /**
   * @param {unknown} value a problem as it travels
   * @param {{ status?: number, requestId?: string | null, retryAfter?: number | null }} [fallback]
   * @returns {Problem}
   */
  static from(value, fallback = {}) {
    const body = isObject(value) ? value : {};
    const type = typeof body.type === "string" ? body.type : "";
    const slug = type.split("/").at(-1) || "unexpected-response";
    const status = typeof body.status === "number" ? body.status : (fallback.status ?? 0);
    return new Problem(slug, String(body.detail ?? body.title ?? `HTTP status ${status}`), {
      status,
      type: type || undefined,
      title: typeof body.title === "string" ? body.title : undefined,
      requestId: typeof body.request_id === "string" ? body.request_id : fallback.requestId,
      errors: Array.isArray(body.errors) ? body.errors.map(faultOf) : [],
      retryAfter: typeof body.retry_after === "number" ? body.retry_after : fallback.retryAfter,
    });
  }
}

/**
 * One answer: what is known of it, and what can be done with it.
 *
 * Dispatches "event" (a CustomEvent, `detail` is the event with its `seq`), "change" after every
 * change, and "end" once. Iterating it yields its events, those that are there already included.
 */
export class Run extends EventTarget {
  /** @type {Reader} */
  #reader;

  /** @param {Reader} reader */
  constructor(reader) {
    super();
    this.#reader = reader;
  }

  /** Null until the service has told it. */
  get id() {
    return this.#reader.id;
  }

  /** Null where the run was not started here. */
  get idempotencyKey() {
    return this.#reader.key;
  }

  /** The cursor: the number of the last event, -1 before the first. */
  get lastSeq() {
    return this.#reader.lastSeq;
  }

  /** The answer so far. */
  get content() {
    return this.#reader.content;
  }

  get reasoning() {
    return this.#reader.reasoning;
  }

  get status() {
    return this.#reader.status;
  }

  /** The first event, null until it is there. */
  get started() {
    return this.#reader.started;
  }

  /** The last event of an answer that did not fail, null until it is there. */
  get finished() {
    return this.#reader.finished;
  }

  /** Why there is no (whole) answer, or why it is not read any more. */
  get failure() {
    return this.#reader.failure;
  }

  get conversationId() {
    return this.#reader.started?.conversation_id ?? null;
  }

  /** Of the answer. */
  get messageId() {
    return this.#reader.messageId;
  }

  /** Resolves with the `finished` event, a cancelled run's too; rejects with a `Problem`. */
  get done() {
    return this.#reader.done;
  }

  /**
   * Have the service stop; what was said so far is kept, and the run ends with its events.
   *
   * @returns {Promise<void>} resolves once the run has ended, and never rejects
   */
  async cancel() {
    this.#reader.cancel();
    await this.#reader.done.catch(() => {});
  }

  /** Stop reading; the run goes on by its `on_disconnect`. */
  leave() {
    this.#reader.leave(new Problem("left", "this run is not read here any more"));
  }

  /** @returns {AsyncGenerator<RunEvent, void, void>} throws the failure after the last event */
  async *[Symbol.asyncIterator]() {
    const { events } = this.#reader;
    for (let index = 0; ; index += 1) {
      while (index >= events.length) {
        if (this.#reader.settled) {
          if (this.#reader.failure && this.#reader.status !== "left") throw this.#reader.failure;
          return;
        }
        await this.#reader.news();
      }
      yield events[index];
    }
  }
}

/**
 * The service, as an application sees it. Dispatches "connection" (a CustomEvent, `detail` is a
 * `ConnectionDetail`) whenever that changes.
 */
export class ChatClient extends EventTarget {
  /** @type {Http} */
  #http;
  /** @type {Line} */
  #line;
  /** @type {() => void} */
  #unlisten;

  /** @param {ClientOptions} [options] */
  constructor(options = {}) {
    super();
    this.#http = new Http(options);
    const timing = { ...TIMING, ...options.timing };
    const transport = checkedTransport(options.transport ?? "websocket");
    const socketClass = options.WebSocket ?? globalThis.WebSocket;
    this.#line = new Line(this.#http, socketClass, timing, transport, (detail) => {
      this.dispatchEvent(new CustomEvent("connection", { detail }));
    });
    this.#unlisten = onReturn(() => this.#line.probe());
  }

  /** As it was chosen. Where sockets do not get through, streams are used for a while. */
  get transport() {
    return this.#line.transport;
  }

  /** Runs that are being read move over at their cursors. */
  set transport(transport) {
    this.#line.switchTo(checkedTransport(transport));
  }

  get connection() {
    return this.#line.detail.state;
  }

  /** Who asks from now on; connections of before are made anew. */
  set token(/** @type {ClientOptions["token"]} */ token) {
    this.#http.token = token;
    this.#line.renew();
  }

  /**
   * Start a run at once. The same key and request again join the same run, never a second one.
   *
   * @param {ChatRequest} request
   * @param {{ idempotencyKey?: string | null }} [options]
   * @returns {Run}
   */
  start(request, { idempotencyKey } = {}) {
    const ask = { path: "api/chat/stream", body: copyOf(request), conversation: null };
    return this.#line.read(new Reader(this.#line, ask, { key: checkedKey(idempotencyKey) }));
  }

  /**
   * Start a run for a new answer beside an old one.
   *
   * @param {string} conversationId
   * @param {string} messageId of the old answer
   * @param {RegenerateRequest} [body]
   * @param {{ idempotencyKey?: string | null }} [options]
   * @returns {Run}
   */
  regenerate(conversationId, messageId, body = {}, { idempotencyKey } = {}) {
    const conversation = conversationPath(conversationId);
    const path = `${conversation}/messages/${encodeURIComponent(messageId)}/regenerate`;
    const ask = { path, body: copyOf(body), conversation };
    return this.#line.read(new Reader(this.#line, ask, { key: checkedKey(idempotencyKey) }));
  }

  /**
   * Read a run that exists, after a cursor. The text before the cursor may be given, so that
   * `content` is the whole answer and can be proven.
   *
   * @param {string} runId
   * @param {{ after?: number, content?: string, reasoning?: string }} [options]
   * @returns {Run}
   */
  resume(runId, { after = -1, content, reasoning } = {}) {
    const id = checkedId(runId);
    return this.#line.read(new Reader(this.#line, null, { id, after, content, reasoning }));
  }

  /** Drop every connection as a lost network would; what is being read resumes by itself. */
  cut() {
    this.#line.cut();
  }

  /** Do not wait for the backoff. */
  reconnect() {
    this.#line.reconnect();
  }

  /** Leave every run, end every request; nothing stays behind. */
  close() {
    this.#unlisten();
    this.#line.close();
    this.#http.close();
  }

  // The rest of the contract: what the service answers, as JSON. Each rejects with a `Problem`.

  /** @returns {Promise<any>} `{ items: [...] }` */
  models() {
    return this.#http.json("GET", "api/models");
  }

  /** @returns {Promise<any>} */
  health() {
    return this.#http.json("GET", "health");
  }

  /**
   * @param {{ q?: string | null, limit?: number | null, cursor?: string | null }} [query]
   * @returns {Promise<any>} `{ items: [...], next_cursor }`
   */
  conversations(query = {}) {
    return this.#http.json("GET", `api/conversations${queryOf(query)}`);
  }

  /**
   * @param {string} id
   * @param {{ tree?: boolean }} [options] every message, not only the active branch
   * @returns {Promise<any>}
   */
  conversation(id, { tree = false } = {}) {
    return this.#http.json("GET", `${conversationPath(id)}${queryOf(tree ? { tree } : {})}`);
  }

  /**
   * @param {string} id
   * @param {string} title
   * @returns {Promise<any>} the conversation as in the list
   */
  rename(id, title) {
    return this.#http.json("PATCH", conversationPath(id), { title });
  }

  /**
   * Switch to the branch through a message.
   *
   * @param {string} id
   * @param {string} messageId
   * @returns {Promise<any>} the conversation as in the list
   */
  activate(id, messageId) {
    return this.#http.json("PATCH", conversationPath(id), { active_message_id: messageId });
  }

  /** @param {string} id @returns {Promise<void>} */
  async deleteConversation(id) {
    await this.#http.json("DELETE", conversationPath(id));
  }

  /**
   * @param {string} id
   * @param {"json" | "markdown"} [format]
   * @returns {Promise<{ filename: string, blob: Blob }>}
   */
  exportConversation(id, format = "json") {
    const path = `${conversationPath(id)}/export${queryOf({ format })}`;
    return this.#http.timed("GET", path, {}, async (response) => ({
      filename: filenameOf(response) ?? `conversation.${format === "markdown" ? "md" : "json"}`,
      blob: await response.blob(),
    }));
  }

  /** @param {string} runId @returns {Promise<any>} */
  runState(runId) {
    return this.#http.json("GET", `api/runs/${encodeURIComponent(runId)}`);
  }
}

// How a run is read.

// How a run is started: chats on either transport; regenerations, which name their conversation's
// path, by HTTP only.
/** @typedef {{ path: string, body: object, conversation: string | null }} Ask */

/**
 * What reads a run at the moment.
 * @typedef {object} Connection
 * @property {() => void} close read no more, and do not tell
 * @property {() => void} cancel pass it on, as soon as it can be
 */

/** What is known of one run, and where it is to be read on. */
class Reader {
  id;
  lastSeq;
  key;
  content;
  reasoning;
  /** @type {RunStatus} */
  status;
  /** @type {StartedEvent | null} */
  started = null;
  /** @type {FinishedEvent | null} */
  finished = null;
  /** @type {Problem | null} */
  failure = null;
  /** @type {string | null} */
  messageId = null;
  /** @type {RunEvent[]} */
  events = [];
  /** Whether there is nothing more to read. */
  ended = false;
  /** Whether that has been told, the text proven. */
  settled = false;
  /** Whether the service is still to be told so; over a socket always, over HTTP until it knows. */
  cancelling = false;
  /** @type {Connection | null} */
  connection = null;
  /** When the start may first have reached the service, in ms. @type {number | null} */
  sentAt = null;
  sends = 0;
  /** Since when the present connection reads it, in ms. */
  upSince = 0;
  /** Since when there has been no progress, in ms. @type {number | null} */
  lostAt = null;
  /** Losses in a row. */
  attempt = 0;
  /** The service does not want it connected earlier, in ms. */
  notBefore = 0;
  /** When it is connected by itself, in ms. */
  dueAt = Number.POSITIVE_INFINITY;
  badStreams = 0;

  #line;
  #isWhole;
  /** @type {Deferred<FinishedEvent>} */
  #done = deferred();
  /** @type {Deferred<void> | null} */
  #news = null;

  /**
   * @param {Line} line
   * @param {Ask | null} ask
   * @param {{ key?: string, id?: string, after?: number, content?: string, reasoning?: string }} known
   */
  constructor(line, ask, known) {
    this.#line = line;
    this.ask = ask;
    /** Whether it is started by HTTP, whatever the transport. */
    this.startsByHttp = typeof ask?.conversation === "string";
    this.key = known.key ?? null;
    this.id = known.id ?? null;
    this.lastSeq = known.after ?? -1;
    this.content = known.content ?? "";
    this.reasoning = known.reasoning ?? "";
    this.#isWhole = this.lastSeq === -1 || known.content !== undefined;
    this.status = /** @type {RunStatus} */ (ask ? "starting" : "running");
    this.run = new Run(this);
    this.#done.promise.catch(() => {}); // whoever asks for it learns of it
  }

  get done() {
    return this.#done.promise;
  }

  /** Resolves at the next event, or once settled. */
  news() {
    this.#news ??= deferred();
    return this.#news.promise;
  }

  /** The start is on its way. */
  sent() {
    this.sentAt ??= now();
    this.sends += 1;
  }

  /** The service has begun nothing for the last start; what became of one before is not known. */
  unsent() {
    if (this.sends > 1) return;
    this.sentAt = null;
    this.sends = 0;
  }

  /** @param {string | null | undefined} id that the service has given the run */
  named(id) {
    if (!id || this.id === id) return;
    this.id = id;
    this.#changed();
  }

  /**
   * Take an event; one that is here already is passed over.
   *
   * @param {RunEvent} event
   * @throws {Problem} where one is missing before it
   */
  take(event) {
    if (this.ended) return;
    if (event.type !== "snapshot") {
      if (event.seq <= this.lastSeq) return;
      if (event.seq !== this.lastSeq + 1) {
        throw badStream(`event ${this.lastSeq + 1} is missing before ${event.seq}`);
      }
    }
    this.lastSeq = event.seq;
    this.badStreams = 0;
    this.#line.progressed(this);
    this.#apply(event);
    this.events.push(event);
    this.run.dispatchEvent(new CustomEvent("event", { detail: event }));
    if (!this.settled) this.#changed(); // unless a listener left
    if (event.type === "finished") void this.#finish(event);
    else if (event.type === "failed") this.#settle();
  }

  /** Where the cursor is at the end of an ended run: its last event is read once more. */
  stepBack() {
    if (this.lastSeq < 0 || this.events.length) return false;
    this.lastSeq -= 1;
    return true;
  }

  cancel() {
    if (this.ended) return;
    this.cancelling = true;
    this.notBefore = 0;
    if (this.id === null && this.sentAt === null) this.#cancelUnsent();
    else if (this.connection) this.connection.cancel();
    else this.#line.reconnect();
  }

  /** @param {Problem} problem why it is not read any more */
  fail(problem) {
    if (this.ended) return;
    this.status = "failed";
    this.failure = problem;
    this.#end();
    this.#changed();
    this.#settle();
  }

  /** @param {Problem} problem */
  leave(problem) {
    if (this.ended) return;
    const connection = this.connection;
    this.status = "left";
    this.failure = problem;
    this.#end();
    connection?.close();
    this.#changed();
    this.#settle();
  }

  /** @param {RunEvent} event */
  #apply(event) {
    switch (event.type) {
      case "started":
        this.status = "running";
        this.started = event;
        this.id = event.run_id;
        this.messageId = event.message_id;
        break;
      case "delta":
        this.content += event.content ?? "";
        if (event.reasoning) this.reasoning += event.reasoning;
        break;
      case "snapshot":
        this.content = event.content;
        this.reasoning = event.reasoning ?? "";
        this.#isWhole = true;
        this.status = "running";
        break;
      case "finished":
        this.messageId = event.message_id ?? this.messageId;
        this.#end();
        break;
      case "failed":
        this.messageId = event.message_id ?? this.messageId;
        this.status = "failed";
        this.failure = Problem.from(event.error);
        this.#end();
        break;
    }
  }

  /** @param {FinishedEvent} event */
  async #finish(event) {
    const isExact = !this.#isWhole || (await isProven(this.content, event));
    if (isExact) {
      this.finished = event;
      this.status = event.finish_reason === "cancelled" ? "cancelled" : "finished";
    } else {
      this.status = "failed";
      this.failure = new Problem("text-mismatch", "the text is not what its SHA-256 says");
    }
    this.#changed();
    this.#settle();
  }

  #cancelUnsent() {
    /** @type {FinishedEvent} */
    const event = {
      type: "finished",
      seq: 0,
      finished: true,
      content: "",
      finish_reason: "cancelled",
      usage: null,
      timing: { time_to_first_token: null, total_time: null },
      message_id: null,
      content_length: 0,
      content_sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    };
    const connection = this.connection;
    this.take(event);
    connection?.close();
  }

  #end() {
    this.ended = true;
    this.connection = null;
    this.#line.ended(this);
  }

  #settle() {
    this.settled = true;
    if (this.finished) this.#done.resolve(this.finished);
    else this.#done.reject(this.failure);
    this.#wake();
    this.run.dispatchEvent(new Event("end"));
  }

  #changed() {
    this.#wake();
    this.run.dispatchEvent(new Event("change"));
  }

  #wake() {
    this.#news?.resolve();
    this.#news = null;
  }
}

/** Keeps every run that is read connected: whichever has no connection gets one, now or later. */
class Line {
  /** @type {Set<Reader>} */
  #readers = new Set();
  /** @type {Set<Stream>} */
  streams = new Set();
  /** @type {Set<Socket>} */
  sockets = new Set();
  /** What the last welcome said. */
  runsPerSocket = Number.POSITIVE_INFINITY;
  /** A draining service is not asked for a new socket earlier, in ms. */
  socketsNotBefore = 0;
  /** Sockets in a row that were lost before they were welcomed. */
  #socketLosses = 0;
  /** Streams got through where sockets did not: streams are used until then, in ms. */
  #streamsUntil = 0;
  #streamsSeconds = STREAMS_SECONDS.first;
  /** @type {ConnectionDetail} */
  detail;

  /** Whether a refused token was made anew, and that one not yet let in. */
  hasNewToken = false;

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** When the timer ends, in ms; never without one. */
  #dueAt = Number.POSITIVE_INFINITY;
  #retryInSeconds = 0;
  #ids = 0;
  #isClosed = false;
  #tell;

  /**
   * @param {Http} http
   * @param {SocketClass} socketClass
   * @param {Required<Timing>} timing
   * @param {Transport} transport
   * @param {(detail: ConnectionDetail) => void} tell
   */
  constructor(http, socketClass, timing, transport, tell) {
    this.http = http;
    this.socketClass = socketClass;
    this.timing = timing;
    this.transport = transport;
    this.#tell = tell;
    this.detail = { state: "idle", transport, attempt: 0, retryInSeconds: null };
  }

  /** @param {Reader} reader @returns {Run} */
  read(reader) {
    this.#readers.add(reader);
    // Not before the application has had a chance to listen.
    queueMicrotask(() => {
      if (this.#isClosed) return reader.leave(new Problem("left", "this client is closed"));
      reader.dueAt = 0;
      this.#connect();
    });
    return reader.run;
  }

  /** Connect what is not connected, without waiting; but not where the service said when. */
  reconnect() {
    for (const reader of this.#readers) reader.dueAt = reader.notBefore;
    this.#connect();
  }

  /** After the network or the page came back: nothing waits, and what is silent is looked at. */
  probe() {
    this.#streamsUntil = 0;
    this.reconnect();
    for (const connection of [...this.sockets, ...this.streams]) connection.probe();
  }

  /** @param {Transport} transport */
  switchTo(transport) {
    const isUsed = this.usesStreams === (transport === "sse");
    if (transport === this.transport && isUsed) return;
    this.transport = transport;
    this.#socketLosses = this.#streamsUntil = 0;
    this.renew();
  }

  /** Make every connection anew. */
  renew() {
    this.hasNewToken = false;
    for (const reader of this.#readers) this.#disconnect(reader);
    for (const socket of [...this.sockets]) socket.close();
    this.reconnect();
  }

  cut() {
    const lost = [...this.#readers].filter((reader) => reader.connection);
    for (const socket of [...this.sockets]) socket.drop();
    for (const reader of lost) this.#disconnect(reader);
    this.lost(networkLost(), ...lost);
  }

  close() {
    this.#isClosed = true;
    for (const reader of [...this.#readers]) {
      reader.leave(new Problem("left", "this client is closed"));
    }
    for (const stream of [...this.streams]) stream.close();
    for (const socket of [...this.sockets]) socket.close();
    this.#wait();
  }

  // What connections and readers tell.

  /** @param {Reader} reader that has nothing more to read */
  ended(reader) {
    this.#readers.delete(reader);
    this.#wait();
  }

  /** @param {Reader} reader that bytes came for; only what stays up for longer than a wait is well */
  heard(reader) {
    if (now() - reader.upSince > this.#longestWait(reader)) this.progressed(reader);
  }

  /** @param {Reader} reader for which all is well */
  progressed(reader) {
    reader.lostAt = null;
    if (reader.attempt === 0) return;
    reader.attempt = 0;
    this.update();
  }

  /**
   * Readers lost their connection, or were refused one; they come back together.
   *
   * @param {Problem} problem
   * @param {Reader[]} readers
   */
  lost(problem, ...readers) {
    const chance = Math.random();
    for (const reader of readers) {
      reader.connection = null;
      if (!reader.ended && !this.#comesBack(reader, problem, chance)) reader.fail(problem);
    }
    this.#wait();
  }

  /** Whether runs are read by streams, by choice or because sockets do not get through. */
  get usesStreams() {
    const isForced = this.#socketLosses >= MOST_SOCKET_LOSSES || now() < this.#streamsUntil;
    return this.transport === "sse" || isForced;
  }

  /** @param {boolean} isOpen whether a socket was welcomed, or else lost before that */
  triedSocket(isOpen) {
    this.#socketLosses = isOpen ? 0 : this.#socketLosses + 1;
    if (isOpen) this.#streamsSeconds = STREAMS_SECONDS.first;
  }

  /** A stream that gets through where sockets do not takes their place for a while: longer each
   * time, since it may be that the service was away and has just come back.
   * @param {boolean} isOpen
   */
  triedStream(isOpen) {
    if (this.#socketLosses < MOST_SOCKET_LOSSES) return;
    this.#socketLosses = 0;
    if (!isOpen) return;
    this.#streamsUntil = now() + this.#streamsSeconds * 1000;
    this.#streamsSeconds = Math.min(2 * this.#streamsSeconds, STREAMS_SECONDS.longest);
  }

  /** @param {Reader} reader that shall be connected again now, another way */
  release(reader) {
    reader.connection = null;
    this.#connect();
  }

  /** Tell how the connection is, where that has changed. */
  update() {
    const detail = this.#look();
    const before = this.detail;
    this.detail = detail;
    if (
      before.state !== detail.state ||
      before.transport !== detail.transport ||
      before.attempt !== detail.attempt ||
      (detail.state === "waiting" && before.retryInSeconds !== detail.retryInSeconds)
    ) {
      this.#tell(detail);
    }
  }

  // How it is done.

  #connect(time = now()) {
    if (this.#isClosed) return;
    for (const reader of [...this.#readers]) {
      if (reader.ended || reader.connection || reader.dueAt > time) continue;
      const isLate = time - (reader.sentAt ?? time) > this.timing.startSeconds * 1000;
      if (reader.id !== null || !isLate) this.#connectOne(reader, time);
      else reader.fail(networkLost("the start was not answered, and it is too late to repeat it"));
    }
    this.#wait();
  }

  /** @param {Reader} reader @param {number} time */
  #connectOne(reader, time) {
    if (this.usesStreams || (reader.id === null && reader.startsByHttp)) {
      reader.connection = new Stream(this, reader);
      return;
    }
    const socket = [...this.sockets].find((one) => one.hasRoom());
    const wait = this.socketsNotBefore - time;
    if (!socket && wait > 0 && !reader.cancelling) {
      const more = { retryAfter: wait / 1000 };
      return this.lost(new Problem("network", "the service is going away", more), reader);
    }
    this.#ids += 1;
    (socket ?? new Socket(this)).read(`r${this.#ids}`, reader);
  }

  /** @param {Reader} reader */
  #disconnect(reader) {
    reader.connection?.close();
    reader.connection = null;
  }

  /** Whether it does, and when: as the service says, and by a backoff with full jitter after that.
   * @param {Reader} reader @param {Problem} problem @param {number} chance
   */
  #comesBack(reader, problem, chance) {
    if (!mayPass(problem, reader.id === null)) return false;
    if (problem.slug === "bad-stream") reader.badStreams += 1;
    if (problem.slug === "draining") reader.unsent();
    const time = now();
    reader.lostAt ??= time;
    reader.attempt += 1;
    reader.notBefore = time + (problem.retryAfter ?? 0) * 1000;
    reader.dueAt = reader.notBefore + chance * this.#longestWait(reader);
    const isPatient = reader.notBefore - reader.lostAt <= this.timing.patienceSeconds * 1000;
    return isPatient && reader.badStreams < MOST_BAD_STREAMS;
  }

  /** @param {Reader} reader @returns {number} in ms */
  #longestWait({ attempt }) {
    const { backoffSeconds, backoffMaxSeconds } = this.timing;
    return Math.min(backoffMaxSeconds, backoffSeconds * 2 ** (attempt - 1)) * 1000;
  }

  /** For the first that is due. */
  #wait() {
    const waiting = [...this.#readers].filter((reader) => !reader.connection);
    const due = this.#isClosed ? [] : waiting.map((reader) => reader.dueAt);
    const dueAt = Math.min(...due); // infinite where there is none
    if (dueAt !== this.#dueAt) {
      clearTimeout(this.#timer);
      this.#dueAt = dueAt;
      const delay = Math.min(Math.max(dueAt - now(), 0), LONGEST_TIMER_MS);
      this.#retryInSeconds = delay / 1000;
      if (Number.isFinite(dueAt)) this.#timer = setTimeout(() => this.#awake(dueAt), delay);
    }
    this.update();
  }

  /** @param {number} time a timer may be a little early */
  #awake(time) {
    this.#dueAt = Number.POSITIVE_INFINITY;
    this.#connect(Math.max(time, now()));
  }

  /** @returns {ConnectionDetail} */
  #look() {
    const connections = [...this.sockets, ...this.streams];
    /** @type {ConnectionState} */
    let state = "idle";
    const isWaiting = Number.isFinite(this.#dueAt);
    if (isWaiting) state = "waiting";
    else if (connections.some((one) => one.isOpen)) state = "open";
    else if (connections.length) state = "connecting";
    const retryInSeconds = isWaiting ? this.#retryInSeconds : null;
    const attempt = Math.max(0, ...[...this.#readers].map((reader) => reader.attempt));
    let transport = this.usesStreams ? "sse" : this.transport;
    if ([...this.sockets].some((one) => one.isOpen)) transport = "websocket";
    else if ([...this.streams].some((one) => one.isOpen)) transport = "sse";
    return { state, transport, attempt, retryInSeconds };
  }
}

// Server-sent events: one response per run.

/** Reads one run by one HTTP response. */
class Stream {
  isOpen = false;

  #line;
  #reader;
  /** Whether this is how runs are read, and not only how this one is started. */
  #isToRead;
  #abort = new AbortController();
  #isClosed = false;
  #isCancelling = false;
  #heardAt = now();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #watch;

  /** @param {Line} line @param {Reader} reader */
  constructor(line, reader) {
    this.#line = line;
    this.#reader = reader;
    this.#isToRead = line.usesStreams;
    line.streams.add(this);
    void this.#run();
  }

  close() {
    this.#isClosed = true;
    this.#line.streams.delete(this);
    this.#abort.abort();
  }

  /** A browser may have no connection left for that but this one, so it is given up first. */
  cancel() {
    if (!this.#isCancelling) this.#again();
  }

  /** A stream cannot be asked: one that is silent for longer than it should be is made anew. */
  probe() {
    if (now() - this.#heardAt > this.#line.timing.silenceSeconds * 500) this.#abort.abort();
  }

  async #run() {
    const line = this.#line;
    try {
      this.#expect(line.timing.silenceSeconds);
      const response = await this.#open();
      if (this.#isClosed) return;
      this.#reader.named(response.headers.get("X-Run-Id"));
      if (this.#isClosed) return; // by a listener
      line.triedStream(true);
      const { id, cancelling } = this.#reader;
      // A regeneration has begun: now it can be cancelled, or read where everything is.
      if (id !== null && (cancelling || !this.#isToRead)) return this.#again();
      this.#reader.upSince = now();
      this.isOpen = true;
      line.update();
      await this.#follow(response);
      if (!this.#isClosed) throw networkLost();
    } catch (error) {
      this.#lost(error);
    } finally {
      clearTimeout(this.#watch);
      this.#abort.abort();
      line.streams.delete(this);
      line.update();
    }
  }

  /** Another connection does what is next. */
  #again() {
    this.close();
    this.#line.release(this.#reader);
  }

  /** @param {unknown} error */
  #lost(error) {
    if (this.#isClosed) return;
    this.close();
    const problem = asProblem(error);
    const isAnswered = problem.requestId !== null && problem.slug !== "unexpected-response";
    if (!this.isOpen) this.#line.triedStream(isAnswered);
    this.#line.lost(problem, this.#reader);
  }

  /** @returns {Promise<Response>} */
  async #open() {
    if (this.#reader.cancelling) await this.#cancel();
    const { ask, id, key, lastSeq } = this.#reader;
    const { http } = this.#line;
    const abort = this.#abort;
    if (id === null && ask) {
      this.#reader.sent();
      const headers = { "Idempotency-Key": key ?? "" };
      const options = { body: ask.body, headers, abort };
      return checkedStream(await http.request("POST", ask.path, options));
    }
    const path = `api/runs/${encodeURIComponent(id ?? "")}/events`;
    /** @type {Record<string, string>} */
    const headers = lastSeq >= 0 ? { "Last-Event-ID": `${id}:${lastSeq}` } : {};
    const response = await http.request("GET", path, { headers, abort });
    if (response.status !== 204) return checkedStream(response);
    if (!this.#isClosed && this.#reader.stepBack()) return this.#open();
    throw badStream("the run has ended, and its last event is missing");
  }

  /** @param {Response} response */
  async #follow(response) {
    if (!response.body) throw badStream("the response has no body");
    const parser = new EventStreamParser();
    const decoder = new TextDecoder("utf-8", { fatal: true });
    const body = response.body.getReader();
    for (;;) {
      const { done, value } = await body.read();
      if (done || this.#isClosed) return;
      this.#expect(this.#line.timing.silenceSeconds);
      for (const frame of parser.push(decoded(decoder, value))) {
        this.#reader.take(eventOf(frame));
        if (this.#isClosed) return;
      }
      this.#line.heard(this.#reader);
      if (this.#reader.ended) {
        this.#isClosed = true;
        this.#expect(LAST_BYTES_SECONDS); // the service ends it: its connection can be used again
      }
    }
  }

  /** @param {number} seconds after which nothing is expected any more */
  #expect(seconds) {
    this.#heardAt = now();
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#abort.abort(), seconds * 1000);
  }

  /** Cancel by its id, which the start told, or has to be asked for. */
  async #cancel() {
    const reader = this.#reader;
    this.#isCancelling = true;
    if (reader.id === null) reader.named(await this.#learnId());
    if (reader.id === null) {
      this.#isCancelling = false;
      return; // the start that follows tells it
    }
    try {
      await this.#line.http.json("POST", `api/runs/${encodeURIComponent(reader.id)}/cancel`);
    } catch (error) {
      const { detail, status, retryAfter } = asProblem(error);
      const isOver = status !== 0 && status !== 429 && status < 500; // reading tells what it is
      if (!isOver) throw new Problem("network", detail, { retryAfter, cause: error });
    }
    reader.cancelling = false;
    this.#isCancelling = false;
  }

  /** A second start of the same run tells it; a regeneration is the one run of its conversation.
   * @returns {Promise<string | null>} null where it has not begun, or not any more
   */
  async #learnId() {
    const { ask, key } = this.#reader;
    const { http } = this.#line;
    if (ask?.conversation) return (await http.json("GET", ask.conversation)).active_run_id;
    this.#reader.sent();
    const headers = { "Idempotency-Key": key ?? "" };
    return (await http.json("POST", "api/runs", ask?.body, headers)).run_id;
  }
}

/** Cuts a stream of text into frames by the rules of server-sent events, however it arrives. */
class EventStreamParser {
  /** @type {string[]} */
  #line = [];
  #isAfterReturn = false;
  /** @type {string[]} */
  #data = [];
  #id = "";

  /** @param {string} text @returns {{ data: string, id: string }[]} the frames that it completes */
  push(text) {
    const frames = [];
    let start = this.#isAfterReturn && text.startsWith("\n") ? 1 : 0;
    if (text) this.#isAfterReturn = text.endsWith("\r");
    const lineEnd = /\r\n|\n|\r/g;
    lineEnd.lastIndex = start;
    for (let end = lineEnd.exec(text); end; end = lineEnd.exec(text)) {
      this.#line.push(text.slice(start, end.index));
      start = lineEnd.lastIndex;
      const frame = this.#take(this.#line.join(""));
      this.#line = [];
      if (frame) frames.push(frame);
    }
    if (start < text.length) this.#line.push(text.slice(start));
    return frames;
  }

  /** @param {string} line */
  #take(line) {
    if (line === "") {
      const frame = this.#data.length ? { data: this.#data.join("\n"), id: this.#id } : null;
      this.#data = [];
      this.#id = ""; // each of ours has its own
      return frame;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") this.#data.push(value);
    else if (field === "id") this.#id = value;
    return null;
  }
}

// WebSocket: many runs on one socket.

/** Reads runs on one WebSocket, each under an id of its own. */
class Socket {
  isOpen = false;

  #line;
  /** @type {Map<string, Reader>} */
  #readers = new Map();
  /** Ids of which the service has not said anything yet. @type {Set<string>} */
  #unanswered = new Set();
  /** @type {SocketLike | null} */
  #socket = null;
  /** @type {Token} */
  #token = null;
  /** @type {Problem | null} */
  #refusal = null;
  #isRetired = false;
  #isClosed = false;
  #messageBytes = Number.POSITIVE_INFINITY;
  #perSecond = 1;
  #burst = 1;
  #allowance = 0;
  #allowanceAt = 0;
  /** @type {string[]} */
  #queue = [];
  #heardAt = now();
  #pingedAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #watch;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #sending;

  /** @param {Line} line */
  constructor(line) {
    this.#line = line;
    line.sockets.add(this);
    const seconds = line.timing.connectSeconds;
    this.#watch = setTimeout(() => this.#lost(networkLost()), seconds * 1000);
    void this.#open();
  }

  hasRoom() {
    return !this.#isRetired && this.#readers.size < this.#line.runsPerSocket;
  }

  /** @param {string} id @param {Reader} reader */
  read(id, reader) {
    this.#readers.set(id, reader);
    reader.connection = { close: () => this.#leave(id), cancel: () => this.#cancel(id) };
    if (this.isOpen) this.#ask(id, reader);
  }

  /** Find out soon whether there is still somebody at the other end. */
  probe() {
    if (!this.isOpen) {
      const isSlow = now() - this.#heardAt > PROBE_SECONDS * 1000;
      return isSlow ? this.#lost(networkLost()) : undefined;
    }
    this.#ping();
    this.#beatIn(PROBE_SECONDS);
  }

  /** Close in order. */
  close() {
    this.#shut();
    this.#socket?.close(1000);
  }

  /** Break off. */
  drop() {
    this.#shut();
    if (this.#socket?.terminate) this.#socket.terminate();
    else this.#socket?.close();
  }

  async #open() {
    try {
      this.#token = await this.#line.http.credential();
      if (this.#isClosed) return;
      const { socketClass, http } = this.#line;
      if (!socketClass) throw new Problem("no-websocket", "there is no WebSocket here: pass one");
      const socket = new socketClass(http.socketUrl("api/chat/ws"), [SUBPROTOCOL]);
      this.#socket = socket;
      socket.addEventListener("open", () => this.#introduce(socket));
      socket.addEventListener("message", ({ data }) => this.#hear(data));
      socket.addEventListener("close", ({ code }) => void this.#closed(code));
      socket.addEventListener("error", () => {}); // a close follows
    } catch (error) {
      this.#lost(asProblem(error));
    }
  }

  /** A service that wants to know who asks refuses a ping at once, instead of waiting.
   * @param {SocketLike} socket
   */
  #introduce(socket) {
    if (this.#isClosed) return;
    const token = this.#token;
    socket.send(JSON.stringify(token ? { type: "auth", token } : { type: "ping" }));
  }

  // What the service says.

  /** @param {unknown} data */
  #hear(data) {
    if (this.#isClosed) return;
    this.#heardAt = now();
    /** @type {any} */
    let message;
    try {
      message = JSON.parse(String(data));
    } catch (error) {
      return this.#lost(badStream("a message is not JSON", error));
    }
    this.#unanswered.delete(message?.id);
    switch (message?.type) {
      case "welcome":
        return this.#welcomed(message.limits ?? {});
      case "draining":
        return this.#retire(Number(message.retry_after) || 0);
      case "error":
        return this.#refused(message.id ?? null, Problem.from(withoutRequest(message.error)));
      case "pong":
        for (const reader of this.#readers.values()) this.#line.heard(reader);
        return;
      case "resumed":
        return this.#resumed(message);
      default:
        if (typeof message?.seq === "number") this.#take(message);
    }
  }

  /** @param {any} limits */
  #welcomed(limits) {
    this.#messageBytes = limits.message_bytes ?? this.#messageBytes;
    // The service counts pongs too, which are not seen here; and a ping or so was said before.
    this.#perSecond = (limits.messages_per_second ?? 10) * 0.9;
    this.#burst = Math.max(1, (limits.messages_burst ?? 10) - 1);
    this.#allowance = this.#burst - 1;
    this.#allowanceAt = now();
    this.#line.runsPerSocket = limits.runs ?? Number.POSITIVE_INFINITY;
    this.#line.hasNewToken = false;
    this.#line.triedSocket(true);
    this.isOpen = true;
    this.#beatIn(this.#line.timing.silenceSeconds / 4);
    let room = this.#line.runsPerSocket;
    for (const [id, reader] of [...this.#readers]) {
      if (!this.#readers.has(id)) continue; // a listener took it back
      room -= 1;
      if (room >= 0) {
        this.#ask(id, reader);
      } else {
        this.#readers.delete(id);
        this.#line.release(reader);
      }
    }
    this.#line.update();
  }

  /** What is read here is read to its end here; what is new goes elsewhere, after a while.
   * @param {number} seconds
   */
  #retire(seconds) {
    this.#isRetired = true;
    this.#line.socketsNotBefore = now() + seconds * 1000;
    this.#rest();
  }

  /** @param {string | null} id @param {Problem} problem */
  #refused(id, problem) {
    if (id === null && this.isOpen) return this.#askByHttp();
    if (id === null) this.#refusal = problem;
    const reader = this.#readers.get(id ?? "");
    if (id === null || !reader) return;
    this.#readers.delete(id);
    this.#line.lost(problem, reader);
    this.#rest();
  }

  /** The service could not read a start, and does not say which: by HTTP each gets its own answer;
   * those that it could read join their runs.
   */
  #askByHttp() {
    for (const id of [...this.#unanswered]) {
      const reader = this.#readers.get(id);
      if (!reader || reader.id !== null) continue;
      reader.startsByHttp = true;
      this.#leave(id);
      this.#line.release(reader);
    }
  }

  /** @param {any} message */
  #resumed(message) {
    const reader = this.#readers.get(message.id);
    if (!reader || message.status === "running" || message.last_seq > reader.lastSeq) return;
    this.#readers.delete(message.id);
    if (reader.stepBack()) this.#line.release(reader);
    else this.#line.lost(badStream("the run has ended, and its last event is missing"), reader);
  }

  /** @param {any} message */
  #take({ id, ...event }) {
    const reader = this.#readers.get(id);
    if (!reader) return;
    try {
      reader.take(/** @type {RunEvent} */ (event));
    } catch (error) {
      this.#leave(id);
      this.#line.lost(asProblem(error), reader);
    }
    if (!reader.ended) return;
    this.#readers.delete(id);
    this.#rest();
  }

  /** Go when there is nothing left to do here. */
  #rest() {
    if (this.#readers.size || this.#isClosed) return;
    const isSpare = [...this.#line.sockets].some((other) => other !== this && other.hasRoom());
    if (this.#isRetired || isSpare) this.close();
    this.#line.update();
  }

  /** @param {number} code */
  async #closed(code) {
    if (this.#isClosed) return;
    const line = this.#line;
    const isFirst = code === 4401 && !line.hasNewToken;
    const token = isFirst ? await line.http.credential().catch(() => this.#token) : this.#token;
    line.hasNewToken = token !== this.#token;
    this.#lost(line.hasNewToken ? networkLost() : this.#reasonFor(code));
  }

  /** @param {number} code */
  #reasonFor(code) {
    switch (code) {
      case 4401:
      case 4408:
        return this.#refusal ?? refusal(401, "unauthorized", "the service asks for a token");
      case 4403:
        return refusal(403, "forbidden", "the service does not talk with pages of this origin");
      default:
        return networkLost();
    }
  }

  /** @param {Problem} problem */
  #lost(problem) {
    if (this.#isClosed) return;
    const readers = [...this.#readers.values()];
    const isLoss = problem.slug === "network" && !this.#line.hasNewToken;
    if (!this.isOpen && isLoss) this.#line.triedSocket(false);
    this.drop();
    this.#line.lost(problem, ...readers);
  }

  #shut() {
    this.#isClosed = true;
    this.isOpen = false;
    this.#readers.clear();
    this.#queue = [];
    clearTimeout(this.#watch);
    clearTimeout(this.#sending);
    this.#line.sockets.delete(this);
  }

  // What is said to it.

  /** @param {string} id @param {Reader} reader */
  #ask(id, reader) {
    const { id: runId, lastSeq, ask, key } = reader;
    if (runId !== null) {
      this.#say({ type: "resume", id, run_id: runId, after: lastSeq });
    } else {
      const message = { type: "chat", id, request: ask?.body, idempotency_key: key };
      const bytes = new TextEncoder().encode(JSON.stringify(message)).length;
      if (bytes > this.#messageBytes) {
        this.#readers.delete(id);
        const detail = `a request may have up to ${this.#messageBytes} bytes, not ${bytes}`;
        return this.#line.lost(refusal(413, "payload-too-large", detail), reader);
      }
      reader.sent();
      this.#say(message);
    }
    this.#unanswered.add(id);
    reader.upSince = now();
    if (reader.cancelling) this.#cancel(id);
  }

  /** @param {string} id */
  #cancel(id) {
    if (this.isOpen) this.#say({ type: "cancel", id });
  }

  /** @param {string} id */
  #leave(id) {
    if (!this.#readers.delete(id)) return;
    if (this.isOpen) this.#say({ type: "leave", id });
    this.#rest();
  }

  /** @param {object} message */
  #say(message) {
    this.#queue.push(JSON.stringify(message));
    this.#send();
  }

  /** Send as much as the service allows at once, the rest in time. */
  #send() {
    const time = now();
    const earned = ((time - this.#allowanceAt) / 1000) * this.#perSecond;
    this.#allowance = Math.min(this.#burst, this.#allowance + earned);
    this.#allowanceAt = time;
    while (this.#queue.length && this.#allowance >= 1) {
      this.#allowance -= 1;
      this.#socket?.send(this.#queue.shift() ?? "");
    }
    clearTimeout(this.#sending);
    if (this.#queue.length) {
      const seconds = (1 - this.#allowance) / this.#perSecond;
      this.#sending = setTimeout(() => this.#send(), seconds * 1000);
    }
  }

  #ping() {
    this.#pingedAt = now();
    this.#say({ type: "ping" });
  }

  /** @param {number} seconds */
  #beatIn(seconds) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#beat(seconds), seconds * 1000);
  }

  /** Pages do not see the service's pings, and their timers may be late: a pong is what counts.
   * @param {number} waited
   */
  #beat(waited) {
    const half = this.#line.timing.silenceSeconds * 500;
    const time = now();
    const isUnanswered = this.#pingedAt > this.#heardAt;
    if (isUnanswered && time - this.#pingedAt >= Math.min(half, waited * 900)) {
      return this.#lost(networkLost());
    }
    if (!isUnanswered && time - this.#heardAt >= half) this.#ping();
    this.#beatIn(half / 2000);
  }
}

// HTTP.

/** Requests of the service, with who asks; what is not 2xx is a `Problem`. */
class Http {
  #base;
  #fetch;
  /** @type {Set<AbortController>} */
  #open = new Set();

  /** @param {ClientOptions} options */
  constructor({ baseUrl, token = null, fetch = globalThis.fetch }) {
    const page = globalThis.location?.href;
    this.#base = new URL(baseUrl === undefined ? "./" : `${baseUrl}`.replace(/\/*$/, "/"), page);
    /** @type {ClientOptions["token"]} */
    this.token = token;
    this.#fetch = /** @type {typeof fetch} */ ((...request) => fetch(...request));
  }

  /** @param {string} path */
  socketUrl(path) {
    const url = new URL(path, this.#base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url.href;
  }

  /** @param {AbortSignal} [signal] ends the wait for it @returns {Promise<Token>} */
  async credential(signal) {
    try {
      const given = typeof this.token === "function" ? this.token() : this.token;
      const token = (await before(given, signal)) ?? null;
      if (token === null || VISIBLE_ASCII.test(token)) return token;
    } catch (error) {
      if (error instanceof Problem) throw error;
      throw refusal(401, "unauthorized", "there is no token", error);
    }
    throw refusal(401, "unauthorized", "a token has visible ASCII characters only");
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @param {Record<string, string>} [headers]
   * @returns {Promise<any>}
   */
  json(method, path, body, headers) {
    return this.timed(method, path, { body, headers }, async (response) =>
      response.status === 204 ? null : await response.json(),
    );
  }

  /**
   * A request that has to be answered, and read, in time.
   *
   * @template T
   * @param {string} method
   * @param {string} path
   * @param {{ body?: object, headers?: Record<string, string> }} options
   * @param {(response: Response) => Promise<T>} read
   * @returns {Promise<T>}
   */
  async timed(method, path, options, read) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), REQUEST_SECONDS * 1000);
    this.#open.add(abort);
    try {
      return await read(await this.request(method, path, { ...options, abort }));
    } catch (error) {
      throw asProblem(error);
    } finally {
      clearTimeout(timer);
      this.#open.delete(abort);
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{ body?: object, headers?: Record<string, string>, abort: AbortController }} options
   * @returns {Promise<Response>}
   */
  async request(method, path, options) {
    const { signal } = options.abort;
    const token = await this.credential(signal);
    let response = await this.#send(method, path, token, options);
    if (response.status === 401) {
      const other = await this.credential(signal); // a token that has run out may be made anew
      if (other !== token) {
        await response.body?.cancel();
        response = await this.#send(method, path, other, options);
      }
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  close() {
    for (const abort of this.#open) abort.abort();
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Token} token
   * @param {{ body?: object, headers?: Record<string, string>, abort: AbortController }} options
   */
  #send(method, path, token, { body, headers = {}, abort }) {
    return this.#fetch(new URL(path, this.#base), {
      method,
      headers: {
        ...headers,
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
        ...(body ? { "Content-Type": "application/json" } : {}),
      },
      body: body ? JSON.stringify(body) : null,
      cache: "no-store",
      signal: abort.signal,
    });
  }
}

/** @param {Response} response */
async function problemOf(response) {
  const given = response.headers.get("Retry-After");
  const retryAfter = given === null ? Number.NaN : Number(given);
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  const text = await response.text();
  return Problem.from(isProblem ? parsed(text) : null, {
    status: response.status,
    requestId: response.headers.get("X-Request-Id"),
    retryAfter: Number.isFinite(retryAfter) ? retryAfter : null,
  });
}

/** @param {Response} response */
async function checkedStream(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (type.startsWith("text/event-stream")) return response;
  throw new Problem("unexpected-response", `a stream of events was expected, not ${type}`, {
    status: response.status,
  });
}

/** @param {Response} response */
function filenameOf(response) {
  const disposition = response.headers.get("Content-Disposition") ?? "";
  const extended = /filename\*=UTF-8''([^;]+)/i.exec(disposition)?.[1];
  if (extended) return decodeURIComponent(extended);
  return /filename="([^"]+)"/i.exec(disposition)?.[1] ?? null;
}

/** @param {string} id */
function conversationPath(id) {
  return `api/conversations/${encodeURIComponent(id)}`;
}

/** @param {Record<string, unknown>} query */
function queryOf(query) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text && `?${text}`;
}

// Faults.

/** Whether the same may go well another time: then a run is worth another attempt.
 * @param {Problem} problem
 * @param {boolean} isStart
 */
function mayPass(problem, isStart) {
  switch (problem.slug) {
    case "network":
    case "bad-stream":
    case "draining":
      return true;
    case "unexpected-response": // by something between here and the service
      return problem.status < 300 || problem.status === 429 || problem.status >= 502;
    default:
      return !isStart && (problem.status === 429 || problem.status === 503);
  }
}

/** @param {unknown} error */
function asProblem(error) {
  return error instanceof Problem ? error : networkLost("the service cannot be reached", error);
}

/** @param {string} [detail] @param {unknown} [cause] */
function networkLost(detail = "the connection was lost", cause) {
  return new Problem("network", detail, { cause });
}

/** @param {string} detail @param {unknown} [cause] */
function badStream(detail, cause) {
  return new Problem("bad-stream", detail, { cause });
}

/** As the service would have said it.
 * @param {number} status @param {string} slug @param {string} detail @param {unknown} [cause]
 */
function refusal(status, slug, detail, cause) {
  return new Problem(slug, detail, { status, cause });
}

/** Over a socket pointers lead into the message; the request is what the application knows.
 * @param {any} problem
 */
function withoutRequest(problem) {
  if (!Array.isArray(problem?.errors)) return problem;
  const errors = problem.errors.map((/** @type {any} */ fault) => ({
    ...fault,
    pointer: String(fault.pointer).replace(/^#\/request\b/, "#"),
  }));
  return { ...problem, errors };
}

/** @param {unknown} value */
function faultOf(value) {
  const fault = isObject(value) ? value : {};
  return { pointer: String(fault.pointer ?? ""), detail: String(fault.detail ?? "") };
}

// Small parts.

/** @param {TextDecoder} decoder @param {Uint8Array} bytes */
function decoded(decoder, bytes) {
  try {
    return decoder.decode(bytes, { stream: true });
  } catch (error) {
    throw badStream("the stream is not UTF-8", error);
  }
}

/** @param {{ data: string, id: string }} frame @returns {RunEvent} */
function eventOf({ data, id }) {
  const seq = /:(\d+)$/.exec(id)?.[1];
  const event = parsed(data);
  if (!isObject(event) || seq === undefined) throw badStream("a frame is not an event with an id");
  return /** @type {RunEvent} */ (/** @type {unknown} */ ({ seq: Number(seq), ...event }));
}

/** @param {string} content @param {FinishedEvent} event */
async function isProven(content, event) {
  const bytes = new TextEncoder().encode(content);
  if (bytes.length !== (event.content_length ?? bytes.length)) return false;
  const { subtle } = globalThis.crypto; // pages without TLS have none
  if (!subtle || !event.content_sha256) return true;
  const digest = new Uint8Array(await subtle.digest("SHA-256", bytes));
  return hex(digest) === event.content_sha256;
}

/** @param {string | null | undefined} given */
function checkedKey(given) {
  if (given && VISIBLE_ASCII.test(given) && given.length <= 200) return given;
  if (given !== null && given !== undefined) {
    throw new TypeError("an idempotency key has 1 to 200 visible ASCII characters");
  }
  return hex(globalThis.crypto.getRandomValues(new Uint8Array(16)));
}

/** @param {string} id */
function checkedId(id) {
  if (VISIBLE_ASCII.test(id)) return id;
  throw new TypeError("a run id has visible ASCII characters only, and at least one");
}

/** As JSON says it, now. @template T @param {T} value @returns {T} @throws {TypeError} where it cannot */
function copyOf(value) {
  return JSON.parse(JSON.stringify(value));
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} text */
function parsed(text) {
  try {
    return /** @type {unknown} */ (JSON.parse(text));
  } catch {
    return null;
  }
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param {Transport} transport */
function checkedTransport(transport) {
  if (transport === "websocket" || transport === "sse") return transport;
  throw new TypeError(`transport must be "websocket" or "sse", got ${JSON.stringify(transport)}`);
}

/** Call back when the network or the page comes back, where there are such things.
 * @param {() => void} callback
 * @returns {() => void} stops it
 */
function onReturn(callback) {
  const { document } = globalThis;
  const onVisible = () => document.visibilityState === "visible" && callback();
  globalThis.addEventListener?.("online", callback);
  globalThis.addEventListener?.("pageshow", callback);
  document?.addEventListener("visibilitychange", onVisible);
  return () => {
    globalThis.removeEventListener?.("online", callback);
    globalThis.removeEventListener?.("pageshow", callback);
    document?.removeEventListener("visibilitychange", onVisible);
  };
}

/** What comes, unless the signal does before.
 * @template T @param {T | Promise<T>} value @param {AbortSignal} [signal] @returns {Promise<T>}
 */
function before(value, signal) {
  const { promise, resolve, reject } = deferred();
  Promise.resolve(value).then(resolve, reject);
  const give = () => reject(networkLost("there was no token in time"));
  if (signal?.aborted) give();
  else signal?.addEventListener("abort", give, { once: true });
  return promise;
}

let slept = 0;
let ahead = Date.now() - performance.now();

/** In ms. It is never set back, as `Date` can be, nor stands still while a device sleeps, as
 * `performance` can.
 */
function now() {
  const time = performance.now();
  const gap = Date.now() - time;
  if (gap - ahead > 1000) slept += gap - ahead;
  ahead = gap;
  return time + slept;
}

/**
 * @template T
 * @typedef {{ promise: Promise<T>, resolve: (value: T) => void, reject: (reason: unknown) => void }} Deferred
 */

/** @template T @returns {Deferred<T>} */
function deferred() {
  /** @type {any} */
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
