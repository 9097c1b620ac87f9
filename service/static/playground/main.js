/**
 * What is joined to what on the playground's page?
 *
 * State is in one place: a `Conversation` holds the tree of messages and the answer that is being
 * written, and says by events what has changed. `Messages` shows its branch: a message has one
 * element from its first moment to its last, so that focus, selection and open folds stay. Text
 * that grows is drawn at most once a frame, and only its end (growing.js). What a model writes
 * becomes elements in one place, markdown.js; all else on the page is set as text.
 *
 * Nothing that was typed is lost: drafts and the question under way are kept in sessionStorage
 * (drafts.js, kept-askings.js), a refused question goes back to where it was written. What was asked
 * goes on in its conversation, whatever is shown (under-way.js). An idempotency key goes with every
 * question, so that a reload before the first byte joins the same run. Tabs tell each other of
 * changes, and look for those of other devices now and then (tabs.js).
 *
 * The panels (sidebar, settings, sign-in, inspector) know nothing of the conversation.
 */

import { ChatClient } from "../chat-client.js";
import { addressOf, idInAddress, namesConversation } from "./address.js";
import { announce } from "./announcer.js";
import { anotherAnswer, editedQuestion, question } from "./asking.js";
import { Composer } from "./composer.js";
import { mountConnectionLine } from "./connection-line.js";
import { keptToken } from "./credentials.js";
import { mountDrawers } from "./drawers.js";
import { takeEdit } from "./edits.js";
import { giveBack, whereIs } from "./giving-back.js";
import { showHeadline } from "./headline.js";
import { mountInspector } from "./inspector.js";
import { begunConversation, forgetBegun, keepBegun } from "./kept-askings.js";
import { Messages } from "./messages.js";
import { Notices } from "./notices.js";
import { mountParameters } from "./parameters.js";
import { part } from "./part.js";
import { modelsOf } from "./readiness.js";
import { Scroll } from "./scroll.js";
import { mountSidebar } from "./sidebar.js";
import { SignIn } from "./sign-in.js";
import { signOutButton } from "./sign-out.js";
import { Tabs } from "./tabs.js";
import { mountTheme } from "./theme-button.js";
import { liveIn, UnderWay } from "./under-way.js";
import { mountSamples } from "./welcome.js";
import { isPassing, isProblem, titleOf } from "./words.js";

/** @typedef {import("./asking.js").Asking} Asking */
/** @typedef {import("./asking.js").Kept} Kept */
/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Live} Live */
/** @typedef {import("../chat-client.js").Problem} Problem */

const UNKNOWN = "There is no such conversation, or it belongs to someone else.";
const NO_MODEL =
  "Groq serves none of the models to this service's key: its operator has to see to that.";

class Page {
  #client = new ChatClient({ token: keptToken });
  #tabs = new Tabs(this.#client);
  #signIn = new SignIn(this.#client, part("credentials", HTMLDialogElement));
  #composer = new Composer(part("composer", HTMLFormElement));
  #notices = new Notices(part("notices", HTMLElement), {
    signIn: this.#signIn,
    left: () => this.#composer.focus(),
  });
  #temporary = part("temporary", HTMLInputElement);
  #scroll = new Scroll(
    part("scroller", HTMLElement),
    part("jump", HTMLButtonElement),
    part("bar", HTMLElement),
  );
  #messages = new Messages(
    part("messages", HTMLElement),
    {
      edit: (id, text) => this.#edit(id, text),
      again: (id) => this.#again(id),
      activate: (id) => this.#activate(id),
    },
    () => this.#scroll.keep(),
  );
  #inspector = mountInspector(part("inspector", HTMLElement), { client: this.#client });
  #sidebar = mountSidebar(part("conversations", HTMLElement), {
    client: this.#client,
    open: (id) => this.#go(id),
    startNew: () => this.#go(null),
    changed: (id) => this.#onListChanged(id),
    signIn: this.#signIn,
  });
  #drawers = mountDrawers();
  /** @type {ReturnType<typeof mountParameters> | null} */
  #parameters = null;
  #underWay = new UnderWay(this.#client);
  #conversation;

  constructor() {
    this.#underWay.addEventListener("made", (event) =>
      this.#follow(/** @type {CustomEvent<Conversation>} */ (event).detail),
    );
    this.#conversation = this.#underWay.make();
  }

  async start() {
    mountTheme(part("theme", HTMLButtonElement));
    part("theme", HTMLButtonElement).after(signOutButton(this.#signIn));
    mountConnectionLine(part("keys", HTMLElement), this.#client);
    mountSamples(part("samples", HTMLElement), (prompt) => this.#ask(prompt));
    this.#listen();
    this.#show(this.#conversation);
    this.#composer.open(idInAddress());
    const models = await modelsOf(this.#client, this.#signIn, (problem, again) => {
      this.#notices.problem(problem, { label: "Try now", run: again });
    });
    this.#signIn.addEventListener("signed-in", () => this.#onSignedIn());
    this.#notices.clear();
    this.#parameters = mountParameters(part("settings", HTMLDialogElement), { models });
    this.#showModel();
    void this.#sidebar.refresh();
    const begun = idInAddress() ? null : begunConversation();
    if (begun) history.replaceState(null, "", addressOf(begun));
    const first = this.#conversation;
    if (idInAddress()) await this.#open(idInAddress());
    const note = models.every(({ available }) => available === false)
      ? NO_MODEL
      : this.#parameters.lapsed;
    if (note) this.#notices.note(note);
    this.#underWay.takeUp(idInAddress());
    if (this.#conversation === first) this.#show(this.#underWay.conversation(null));
    this.#tabs.begin();
    if (document.activeElement === document.body) this.#composer.focus();
    document.body.dataset.ready = "";
  }

  #listen() {
    this.#composer.addEventListener("send", (event) =>
      this.#ask(/** @type {CustomEvent<string>} */ (event).detail),
    );
    this.#composer.addEventListener("stop", () => this.#conversation.stop());
    this.#tabs.addEventListener("look", (event) =>
      this.#look(/** @type {CustomEvent<string | null>} */ (event).detail),
    );
    this.#temporary.addEventListener("change", () => this.#go(null, this.#temporary.checked));
    this.#underWay.addEventListener("change", () => this.#sidebar.setRunning(this.#underWay.ids));
    this.#underWay.addEventListener("lapsed", (event) =>
      this.#onLapsed(/** @type {CustomEvent<Kept>} */ (event).detail),
    );
    part("show-settings", HTMLButtonElement).addEventListener("click", () =>
      this.#parameters?.open(),
    );
    document.addEventListener("settings-changed", () => this.#showModel());
    addEventListener("hashchange", () => {
      if (namesConversation()) this.#open(idInAddress());
    });
  }

  // Which conversation is open.

  /** @param {string | null} id that the user has chosen; null: a new one @param {boolean} isTemporary */
  #go(id, isTemporary = false) {
    this.#drawers.closeOver();
    forgetBegun();
    if (id !== idInAddress()) history.pushState(null, "", addressOf(id));
    void this.#open(id, id ? undefined : this.#underWay.make({ isTemporary }));
    this.#composer.focus();
  }

  /** @param {string | null} id @param {Conversation} conversation of that id */
  async #open(id, conversation = this.#underWay.conversation(id)) {
    if (id && id === this.#conversation.id) return;
    this.#underWay.leave(this.#conversation);
    this.#notices.clear();
    this.#composer.open(id);
    this.#show(conversation);
    await this.#refresh(conversation);
    if (conversation === this.#conversation) this.#scroll.follow();
  }

  /** @param {Conversation} conversation that is shown from now on */
  #show(conversation) {
    this.#conversation = conversation;
    this.#temporary.checked = conversation.isTemporary;
    if (conversation.run) this.#inspector.follow(conversation.run);
    else this.#inspector.clear();
    this.#sidebar.setActive(conversation.id);
    this.#update();
    this.#scroll.follow();
  }

  /** @param {Conversation} conversation whose events are heard */
  #follow(conversation) {
    const isShown = () => conversation === this.#conversation;
    conversation.addEventListener("change", () => isShown() && this.#update());
    conversation.addEventListener("grow", () => isShown() && this.#messages.grow());
    conversation.addEventListener("gone", () => isShown() && this.#onGone(conversation));
    conversation.addEventListener("started", () => this.#onStarted(conversation));
    conversation.addEventListener("ended", (it) => this.#onEnded(conversation, liveIn(it)));
    conversation.addEventListener("refused", (it) => this.#onRefused(conversation, liveIn(it)));
  }

  /** @param {Conversation} conversation */
  async #refresh(conversation) {
    try {
      await conversation.refresh();
      if (conversation === this.#conversation && conversation.run)
        this.#inspector.follow(conversation.run);
    } catch (problem) {
      if (!isProblem(problem)) throw problem;
      if (conversation.isEmpty)
        this.#notices.problem(problem, {
          label: "Try again",
          run: () => this.#refresh(conversation),
        });
    }
  }

  /** @param {string | null} changed id of the conversation that is known to have changed */
  #look(changed) {
    if (!this.#parameters) return; // nothing has been read yet
    void this.#sidebar.refresh();
    const { id, isBusy } = this.#conversation;
    if (id && !isBusy && (changed === null || changed === id))
      void this.#refresh(this.#conversation);
  }

  /** @param {string} id of a conversation that was renamed or deleted in the list */
  #onListChanged(id) {
    this.#tabs.tell(id);
    if (id === this.#conversation.id) void this.#refresh(this.#conversation);
  }

  /** Another token is known: all that is shown is read anew. */
  #onSignedIn() {
    void this.#sidebar.restart();
    void this.#refresh(this.#conversation);
  }

  /** @param {Conversation} conversation that is not there, or not any more */
  #onGone({ isEmpty, shown }) {
    const edits = shown.map(({ message }) => takeEdit(message.message_id));
    const draft = [...edits, this.#composer.text].filter(Boolean).join("\n\n");
    history.replaceState(null, "", addressOf(null));
    void this.#open(null);
    if (draft && draft !== this.#composer.text) this.#composer.giveBack(draft);
    this.#notices.note(isEmpty ? UNKNOWN : "This conversation was deleted.");
    void this.#sidebar.refresh();
  }

  // What is asked.

  /** @param {string} text */
  #ask(text) {
    const wish = this.#parameters?.request();
    const { isBusy, isRead } = this.#conversation;
    if (wish && isRead && !isBusy) return this.#send(question(this.#conversation, wish, text));
    this.#composer.giveBack(text);
    if (!wish) this.#notices.note("The service is not ready yet. Your question is kept here.");
    else if (!isRead) void this.#askOnceRead(text);
  }

  /** @param {string} text that stays in the box until it is known what it follows */
  async #askOnceRead(text) {
    const conversation = this.#conversation;
    await this.#refresh(conversation);
    const isStill = conversation === this.#conversation && this.#composer.text === text;
    if (isStill && conversation.isRead) this.#composer.submit();
  }

  /**
   * @param {string} id of a question
   * @param {string} text that shall stand in its place
   * @returns {boolean} whether it was sent; else it stays where it is
   */
  #edit(id, text) {
    const wish = this.#parameters?.request();
    if (!wish || this.#conversation.isBusy) return false;
    this.#send(editedQuestion(this.#conversation, wish, id, text));
    this.#composer.focus();
    return true;
  }

  /** @param {string} id of the answer beside which there shall be another */
  #again(id) {
    const wish = this.#parameters?.request();
    if (!wish || this.#conversation.isBusy) return;
    this.#send(anotherAnswer(this.#conversation, wish, id));
  }

  /** @param {Kept} asking */
  #send(asking) {
    this.#notices.clear();
    this.#parameters?.clear();
    announce("Answering");
    this.#inspector.follow(this.#underWay.ask(this.#conversation, asking));
    this.#scroll.follow();
  }

  /** @param {string} id of a message whose branch is to be shown */
  async #activate(id) {
    try {
      await this.#conversation.activate(id);
      this.#tabs.tell(this.#conversation.id);
    } catch (problem) {
      if (!isProblem(problem)) throw problem;
      this.#notices.problem(problem, { label: "Try again", run: () => this.#activate(id) });
      await this.#refresh(this.#conversation);
    }
  }

  // What becomes of it.

  /** @param {Conversation} conversation */
  #onStarted(conversation) {
    const { id } = conversation;
    if (!id) return;
    this.#tabs.tell(id);
    void this.#sidebar.refresh();
    if (conversation !== this.#conversation || idInAddress() === id) return;
    keepBegun(id);
    history.replaceState(null, "", addressOf(id));
    this.#composer.rename(id);
    this.#sidebar.setActive(id);
  }

  /** @param {Conversation} conversation @param {Live} live */
  #onEnded(conversation, { run }) {
    this.#tabs.tell(conversation.id);
    void this.#sidebar.refresh();
    if (conversation !== this.#conversation) return;
    if (run.failure?.slug === "unauthorized") this.#tell(run.failure, null);
    announce(
      run.failure
        ? "The answer failed"
        : run.status === "cancelled"
          ? "Answer stopped"
          : "Answer finished",
    );
    void this.#refresh(conversation);
  }

  /** @param {Conversation} conversation @param {Live} live */
  #onRefused(conversation, { asking, run }) {
    const problem = run.failure;
    const isShown = conversation === this.#conversation;
    if (conversation.isTemporary && !isShown) return; // nobody wants it any more
    const { instead, again, runId } = asking;
    if (problem?.slug === "conversation-not-found") return this.#onAskedGone(conversation, asking);
    const place = runId ? null : this.#giveBack(conversation.id, asking); // else it had begun
    if (!problem) return;
    if (!isShown)
      return place && this.#notices.note(`${titleOf(problem)}. ${whereIs(place, conversation.id)}`);
    const isBusy = problem.slug === "conversation-busy";
    if (isBusy) void this.#refresh(conversation);
    if (again && instead && !isBusy) this.#tell(problem, () => this.#again(instead));
    else
      this.#tell(problem, place === "composer" && !isBusy ? () => this.#composer.submit() : null);
  }

  /** @param {Conversation} conversation that was deleted elsewhere @param {Asking} asking in it */
  #onAskedGone(conversation, asking) {
    const place = this.#giveBack(null, { ...asking, instead: undefined });
    if (conversation === this.#conversation)
      void this.#refresh(conversation); // so it is seen
    else if (place) this.#notices.note(`A conversation was deleted. ${whereIs(place, null)}`);
  }

  /** @param {Kept} asking of before a reload, which came too late */
  #onLapsed(asking) {
    const { conversationId } = asking;
    const place = this.#giveBack(conversationId, asking);
    const where = place && whereIs(place, conversationId);
    if (where) this.#notices.note(`The page was closed before the answer began. ${where}`);
  }

  /** @param {string | null} id of the conversation @param {Asking} asking that was not taken */
  #giveBack(id, asking) {
    const shown = { messages: this.#messages, composer: this.#composer };
    return giveBack(asking, id, id === this.#conversation.id ? shown : null);
  }

  /** @param {Problem} problem @param {(() => void) | null} again */
  #tell(problem, again) {
    if (this.#parameters?.show(problem)) return;
    const canRepeat = again !== null && isPassing(problem);
    this.#notices.problem(problem, canRepeat ? { label: "Try again", run: again } : null);
  }

  // What is seen of it.

  #update() {
    const { shown, isBusy } = this.#conversation;
    showHeadline(this.#conversation);
    this.#composer.isBusy = isBusy; // a message that loses the focus may hand it on to the composer
    this.#messages.update(shown, isBusy);
  }

  #showModel() {
    part("model", HTMLElement).textContent = this.#parameters?.model()?.name ?? "";
  }
}

await new Page().start();
