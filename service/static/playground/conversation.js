// What is in the conversation on the page? Its tree, the branch that is shown, the answer being written.

import { send } from "./asking.js";
import { isOwn, ownId } from "./own-ids.js";
import { Tree } from "./tree.js";

/** @typedef {import("./tree.js").Message} Message */
/** @typedef {import("../chat-client.js").ChatClient} ChatClient */
/** @typedef {import("../chat-client.js").ChatRequest} ChatRequest */
/** @typedef {import("../chat-client.js").Problem} Problem */
/** @typedef {import("../chat-client.js").Run} Run */
/** @typedef {import("./asking.js").Asking} Asking */

/**
 * A message on the page. Its key stays the same from before the service gave it an id.
 * @typedef {object} Shown
 * @property {string} key
 * @property {Message} message
 * @property {string[]} versions ids of the messages that stand in the same place
 * @property {number} version which of them this is, from 0
 * @property {Run | null} run while it is being written
 * @property {Problem | null} failure why it is not whole, where that is known
 */

/** @typedef {{title: string, active_message_id: string, active_run_id: string | null, messages: Message[]}} Read */

/**
 * An answer that is being written here.
 * @typedef {object} Live
 * @property {Asking} asking
 * @property {Run} run
 * @property {string | null} parent of the question, or of the answer where it is written anew
 * @property {string | null} before the end of the branch that was shown
 * @property {string | null} questionId null where an answer is written anew
 * @property {string} answerId
 * @property {boolean} [isStarted] whether the service has said by which ids it goes
 */

/**
 * Dispatches:
 * - `change` when other messages or other states of messages are to be shown,
 * - `grow` when the text of the running answer has grown,
 * - `started`, `ended` (detail: Live) of an answer; `refused` (detail: Live) of one that never began,
 * - `read` when it has been read from the service,
 * - `gone` when the conversation does not exist any more.
 */
export class Conversation extends EventTarget {
  #client;
  #tree = new Tree();
  /** @type {string | null} */
  #activeId = null;
  /** @type {Live | null} */
  #live = null;
  /** Keys by the ids that came later. */
  #keys = new Map();
  /** @type {Map<string, Problem>} */
  #failures = new Map();
  /** @type {string | null} */
  #readRunId = null;
  /** @type {string | null} */
  #unseenRunId = null;
  #isRead;
  /** Switches of the branch that the service does not know of yet. */
  #activating = 0;
  #changes = 0;

  /**
   * @param {ChatClient} client
   * @param {{id?: string | null, isTemporary?: boolean}} [which]
   */
  constructor(client, { id = null, isTemporary = false } = {}) {
    super();
    this.#client = client;
    /** null until it is kept */
    this.id = id;
    this.isTemporary = isTemporary;
    this.#isRead = id === null;
    this.title = "";
    this.isSimulated = false;
  }

  /** Whether an answer is being written. */
  get isBusy() {
    return this.#live !== null;
  }

  get run() {
    return this.#live?.run ?? null;
  }

  get isEmpty() {
    return this.#tree.size === 0 && !this.#live;
  }

  /** Whether it is known what there is of it; else nothing can be asked. */
  get isRead() {
    return this.#isRead;
  }

  /** What an answer to the next question follows. */
  get end() {
    return this.#activeId;
  }

  /** @returns {Shown[]} the branch that is shown, oldest first */
  get shown() {
    return this.#tree.branch(this.#activeId).map((message) => this.#shown(message));
  }

  /** The text that was asked before an answer. @param {string} answerId */
  questionOf(answerId) {
    return this.#tree.get(this.#tree.get(answerId)?.parent_message_id ?? null);
  }

  /** @param {string | null} parent @returns {Message[]} what follows it, oldest first */
  following(parent) {
    return this.#tree.versions(parent).flatMap((id) => this.#tree.get(id) ?? []);
  }

  /** Read it from the service: at first, and whenever another reader may have changed it. */
  async refresh() {
    if (!this.id) return;
    let changes;
    /** @type {Read} */
    let read;
    try {
      do {
        changes = this.#changes;
        read = await this.#client.conversation(this.id, { tree: true });
      } while (changes !== this.#changes); // read before something that happened here meanwhile
    } catch (problem) {
      if (/** @type {Problem} */ (problem).slug !== "conversation-not-found") throw problem;
      this.dispatchEvent(new Event("gone"));
      return;
    }
    this.#isRead = true;
    this.#takeOver(read);
    if (read.active_run_id && !this.#live) this.#follow(read.active_run_id);
    this.dispatchEvent(new Event("read"));
  }

  /**
   * Ask, or have an answer written anew; it is shown at once.
   * @param {Asking} asking
   */
  ask(asking) {
    const run = send(this.#client, asking);
    const questionId = asking.question === null ? null : ownId("question");
    const parent = this.#tree.get(asking.parent)?.message_id ?? null;
    const before = this.#activeId;
    this.#live = { asking, run, parent, before, questionId, answerId: ownId("answer") };
    this.#putUnsent(this.#live, asking.question);
    this.#listen(this.#live);
    this.#changed();
    return run;
  }

  /** Stop the answer that is being written. */
  stop() {
    void this.#live?.run.cancel();
  }

  /**
   * Show the branch through a message.
   * @param {string} messageId
   */
  async activate(messageId) {
    this.#activeId = this.#tree.latestLeaf(messageId);
    this.#changed();
    if (!this.id || this.isTemporary || isOwn(messageId)) return;
    this.#activating += 1;
    try {
      await this.#client.activate(this.id, messageId);
    } finally {
      this.#activating -= 1;
      this.#changes += 1; // what is being read may be of before
    }
  }

  /** @param {Read} read */
  #takeOver(read) {
    const before = this.#essence();
    const live = this.#live;
    const unsent = live ? [live.questionId, live.answerId].map((id) => this.#tree.get(id)) : [];
    this.#tree = new Tree(read.messages);
    for (const message of unsent) if (message) this.#tree.put(message);
    this.title = read.title;
    if (!live && !this.#activating) this.#activeId = read.active_message_id;
    if (before !== this.#essence()) this.dispatchEvent(new Event("change"));
  }

  /**
   * Read along an answer that was asked for elsewhere, or before this page was loaded.
   * @param {string} runId
   */
  #follow(runId) {
    if (this.#readRunId === runId) return; // it could not be read: what is stored of it is shown
    this.#readRunId = runId;
    const run = this.#client.resume(runId);
    const answer = this.#tree.latest(({ status }) => status === "streaming");
    if (!answer) return this.#followUnseen(run);
    this.#live = {
      asking: { question: null, parent: answer.parent_message_id, runId },
      run,
      parent: answer.parent_message_id,
      before: this.#activeId,
      questionId: null,
      answerId: answer.message_id,
    };
    this.#listen(this.#live);
    this.#changed();
  }

  /** @param {Run} run of which the store knows nothing yet: what comes of it is read again */
  #followUnseen(run) {
    const onChange = () => {
      if (!run.started) return;
      run.removeEventListener("change", onChange);
      run.leave();
      const isNew = this.#unseenRunId !== run.id; // else it is read again and again
      this.#unseenRunId = run.id;
      if (!isNew) return;
      this.#readRunId = null;
      void this.refresh().catch(() => {});
    };
    run.addEventListener("change", onChange);
  }

  /** @param {Live} live */
  #listen(live) {
    const { run } = live;
    run.addEventListener("change", () => {
      if (!live.isStarted) this.#start(live);
      this.#copy(live);
      this.dispatchEvent(new Event("grow"));
    });
    run.done.then(
      () => this.#end(live),
      () => this.#end(live),
    );
  }

  /** @param {Live} live whose run says by which ids it goes */
  #start(live) {
    const started = live.run.started;
    if (!started) return;
    this.isSimulated = started.simulated;
    live.isStarted = true;
    if (!this.isTemporary && started.conversation_id) this.id = started.conversation_id;
    if (live.questionId) live.questionId = this.#rename(live.questionId, started.user_message_id);
    live.answerId = this.#rename(live.answerId, started.message_id);
    const answer = this.#tree.get(live.answerId);
    if (answer) this.#tree.put({ ...answer, model: started.model });
    this.dispatchEvent(new CustomEvent("started", { detail: live }));
    this.#changed();
  }

  /** @param {Live} live */
  #copy({ run, answerId }) {
    const answer = this.#tree.get(answerId);
    if (answer)
      this.#tree.put({ ...answer, content: run.content, reasoning: run.reasoning || null });
  }

  /** @param {Live} live */
  #end(live) {
    const { run, answerId } = live;
    if (this.#live === live) this.#live = null;
    this.#changes += 1;
    if (run.failure?.slug === "unauthorized") this.#readRunId = null; // until one has signed in
    if (run.status === "left") return;
    if (!run.started) return this.#refuse(live); // nothing was kept of it, also where it was stopped
    const answer = this.#tree.get(answerId);
    if (answer) this.#tree.put({ ...answer, ...outcomeOf(run) });
    if (run.failure) this.#failures.set(answerId, run.failure);
    this.#changed();
    this.dispatchEvent(new CustomEvent("ended", { detail: live }));
  }

  /** @param {Live} live that the service did not take: all is as before */
  #refuse(live) {
    const isUnread = live.asking.question === null && !isOwn(live.answerId);
    if (!isUnread) this.#takeBack(live);
    this.#changed();
    if (isUnread) void this.refresh().catch(() => {});
    else this.dispatchEvent(new CustomEvent("refused", { detail: live }));
  }

  /** @param {Live} live */
  #takeBack({ questionId, answerId, before }) {
    this.#tree.remove(questionId, answerId);
    if (this.#activeId === answerId) this.#activeId = before;
  }

  /** @param {Live} live @param {string | null} question */
  #putUnsent({ parent, questionId, answerId }, question) {
    const created_at = new Date().toISOString();
    if (questionId) {
      this.#tree.put({
        role: "user",
        content: question ?? "",
        message_id: questionId,
        parent_message_id: parent,
        created_at,
      });
    }
    this.#tree.put({
      role: "assistant",
      content: "",
      message_id: answerId,
      parent_message_id: questionId ?? parent,
      created_at,
      status: "streaming",
    });
    this.#activeId = answerId;
  }

  /** @param {string} own @param {string | null} id @returns {string} the id from now on */
  #rename(own, id) {
    if (!id || id === own) return own;
    this.#keys.set(id, this.#keys.get(own) ?? own);
    this.#tree.rename(own, id);
    if (this.#activeId === own) this.#activeId = id;
    return id;
  }

  /** @param {Message} message @returns {Shown} */
  #shown(message) {
    const id = message.message_id;
    const versions = this.#tree.versions(message.parent_message_id);
    return {
      key: this.#keys.get(id) ?? id,
      message,
      versions,
      version: versions.indexOf(id),
      run: this.#live?.answerId === id ? this.#live.run : null,
      failure: (message.status !== "complete" && this.#failures.get(id)) || null,
    };
  }

  /** What can be seen of it. */
  #essence() {
    return JSON.stringify([this.title, this.shown.map(essence)]);
  }

  #changed() {
    this.#changes += 1;
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {Run} run @returns {Partial<Message>} */
function outcomeOf(run) {
  const { content, reasoning, finished } = run;
  const isWhole = finished !== null && finished.finish_reason !== "cancelled";
  return {
    content,
    reasoning: reasoning || null,
    status: isWhole ? "complete" : "partial",
    finish_reason: finished?.finish_reason ?? null,
    usage: finished?.usage ?? null,
    seconds: finished?.timing.total_time ?? null,
  };
}

/** @param {Shown} shown @returns {unknown} what can be seen of it, but for text that grows here */
function essence({ message, versions, run }) {
  const { message_id, status, content, finish_reason } = message;
  return [message_id, status, run ? "" : content, finish_reason, versions];
}
