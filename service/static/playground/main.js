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
 * (drafts.js, asking.js), a refused question goes back into the composer. An idempotency key goes
 * with every question, so that a reload before the first byte joins the same run. Tabs tell each
 * other of changes, and look for those of other devices now and then (tabs.js).
 *
 * The panels (sidebar, settings, sign-in, inspector) know nothing of the conversation.
 */

import { ChatClient } from "../chat-client.js";
import { addressOf, idInAddress, namesConversation } from "./address.js";
import { announce } from "./announcer.js";
import {
  anotherAnswer,
  begunConversation,
  editedQuestion,
  forgetAsking,
  isAnswered,
  isFresh,
  keepAsking,
  keepBegun,
  keptAsking,
  question,
} from "./asking.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { keptToken, signOutButton } from "./credentials.js";
import { draftOf, keepDraft } from "./drafts.js";
import { mountDrawers } from "./drawers.js";
import { showHeadline } from "./headline.js";
import { mountInspector } from "./inspector.js";
import { Messages } from "./messages.js";
import { Notices } from "./notices.js";
import { mountParameters } from "./parameters.js";
import { part } from "./part.js";
import { modelsOf, signIn } from "./readiness.js";
import { Scroll } from "./scroll.js";
import { mountSidebar } from "./sidebar.js";
import { Tabs } from "./tabs.js";
import { mountTheme } from "./theme-button.js";
import { mountSamples } from "./welcome.js";
import { isPassing, isProblem } from "./words.js";

/** @typedef {import("./asking.js").Asking} Asking */
/** @typedef {import("./conversation.js").Live} Live */
/** @typedef {import("../chat-client.js").Problem} Problem */

const LOOKS_PER_LIST = 5;
const NO_MODEL =
  "Groq serves none of the models to this service's key: its operator has to see to that.";

class Page {
  #client = new ChatClient({ token: keptToken });
  #tabs = new Tabs();
  #notices = new Notices(part("notices", HTMLElement));
  #composer = new Composer(part("composer", HTMLFormElement));
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
  });
  #drawers = mountDrawers();
  /** @type {ReturnType<typeof mountParameters> | null} */
  #parameters = null;
  #conversation = new Conversation(this.#client);
  /** Those in which an answer is being written, by their ids. @type {Map<string, Conversation>} */
  #running = new Map();
  #looks = 0;
  #followed = new WeakSet();

  async start() {
    mountTheme(part("theme", HTMLButtonElement));
    part("theme", HTMLButtonElement).after(signOutButton({ signedOut: () => location.reload() }));
    mountSamples(part("samples", HTMLElement), (prompt) => this.#ask(prompt));
    this.#listen();
    this.#show(this.#conversation);
    this.#composer.open(idInAddress());
    const dialog = part("credentials", HTMLDialogElement);
    const models = await modelsOf(this.#client, dialog, (problem, again) => {
      this.#notices.problem(problem, {
        label: problem.slug === "unauthorized" ? "Sign in" : "Try now",
        run: again,
      });
    });
    this.#notices.clear();
    this.#parameters = mountParameters(part("settings", HTMLDialogElement), { models });
    if (models.every(({ available }) => available === false)) this.#notices.note(NO_MODEL);
    this.#showModel();
    void this.#sidebar.refresh();
    const begun = idInAddress() ? null : begunConversation();
    if (begun) history.replaceState(null, "", addressOf(begun));
    await this.#open(idInAddress());
    await this.#takeUp();
    if (document.activeElement === document.body && matchMedia("(hover: hover)").matches)
      this.#composer.focus();
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
    this.#temporary.addEventListener("change", () => this.#go(null));
    part("show-settings", HTMLButtonElement).addEventListener("click", () =>
      this.#parameters?.open(),
    );
    document.addEventListener("settings-changed", () => this.#showModel());
    addEventListener("hashchange", () => {
      if (namesConversation()) this.#open(idInAddress());
    });
    document.addEventListener("keydown", (event) => {
      if (
        event.key === "Escape" &&
        !event.isComposing &&
        this.#conversation.isBusy &&
        event.target === part("message", HTMLTextAreaElement)
      )
        this.#conversation.stop();
    });
  }

  // Which conversation is open.

  /** @param {string | null} id that the user has chosen; null: a new one */
  #go(id) {
    this.#drawers.closeOver();
    if (keptAsking()?.conversationId) forgetAsking();
    if (id !== idInAddress()) history.pushState(null, "", addressOf(id));
    void this.#open(id);
    this.#composer.focus();
  }

  /** @param {string | null} id */
  async #open(id) {
    if (id && id === this.#conversation.id) return;
    if (!this.#conversation.id) {
      this.#conversation.leave();
      if (this.#conversation.isTemporary) forgetAsking();
    }
    if (id) this.#temporary.checked = false;
    const conversation =
      this.#running.get(id ?? "") ??
      new Conversation(this.#client, { id, isTemporary: this.#temporary.checked });
    this.#notices.clear();
    this.#composer.open(id);
    this.#show(conversation);
    await this.#refresh(conversation);
    this.#scroll.follow();
  }

  /** @param {Conversation} conversation that is shown from now on */
  #show(conversation) {
    this.#conversation = conversation;
    this.#follow(conversation);
    if (conversation.run) this.#inspector.follow(conversation.run);
    else this.#inspector.clear();
    this.#sidebar.setActive(conversation.id);
    this.#update();
    this.#scroll.follow();
  }

  /** @param {Conversation} conversation whose events are heard, once */
  #follow(conversation) {
    if (this.#followed.has(conversation)) return;
    this.#followed.add(conversation);
    const isShown = () => conversation === this.#conversation;
    conversation.addEventListener("change", () => isShown() && this.#update());
    conversation.addEventListener("grow", () => isShown() && this.#messages.grow());
    conversation.addEventListener("gone", () => isShown() && this.#onGone());
    conversation.addEventListener("started", (event) =>
      this.#onStarted(conversation, liveIn(event)),
    );
    conversation.addEventListener("ended", (event) => this.#onEnded(conversation, liveIn(event)));
    conversation.addEventListener("refused", (event) =>
      this.#onRefused(conversation, liveIn(event)),
    );
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
    this.#looks += 1;
    if (changed || this.#looks % LOOKS_PER_LIST === 0) void this.#sidebar.refresh();
    const { id, isBusy } = this.#conversation;
    if (id && !isBusy && (changed === null || changed === id))
      void this.#refresh(this.#conversation);
  }

  #onGone() {
    const draft = this.#composer.text;
    history.replaceState(null, "", addressOf(null));
    void this.#open(null);
    if (draft && draft !== this.#composer.text) this.#composer.giveBack(draft);
    this.#notices.note("This conversation was deleted.");
    void this.#sidebar.refresh();
  }

  // What is asked.

  /** @param {string} text */
  #ask(text) {
    const wish = this.#parameters?.request();
    if (wish && !this.#conversation.isBusy) {
      return this.#send(question(this.#conversation, wish, text));
    }
    this.#composer.giveBack(text);
    if (!wish) this.#notices.note("The service is not ready yet. Your question is kept here.");
  }

  /** @param {string} id of a question @param {string} text that shall stand in its place */
  #edit(id, text) {
    const wish = this.#parameters?.request();
    if (wish && !this.#conversation.isBusy)
      this.#send(editedQuestion(this.#conversation, wish, id, text));
    else this.#composer.giveBack(text);
  }

  /** @param {string} id of the answer beside which there shall be another */
  #again(id) {
    const wish = this.#parameters?.request();
    if (!wish || this.#conversation.isBusy) return;
    this.#send(anotherAnswer(this.#conversation, wish, id));
  }

  /** @param {Asking} asking */
  #send(asking) {
    this.#notices.clear();
    this.#parameters?.clear();
    keepAsking(asking);
    announce("Answering");
    this.#inspector.follow(this.#conversation.ask(asking));
    this.#scroll.follow();
  }

  /** Go on with what was asked before the page was loaded anew. */
  async #takeUp() {
    const asking = keptAsking();
    if (!asking) return;
    if (asking.conversationId) return forgetAsking();
    if (this.#conversation.isBusy || isAnswered(this.#conversation, asking)) return forgetAsking();
    if (!isFresh(asking)) {
      forgetAsking();
      if (asking.question) this.#composer.giveBack(asking.question);
      return this.#notices.note(
        "The page was closed before the answer began. Your question is back in the box.",
      );
    }
    if (asking.request?.save_conversation === false) {
      this.#temporary.checked = true;
      this.#show(new Conversation(this.#client, { isTemporary: true }));
    }
    this.#inspector.follow(this.#conversation.ask(asking));
  }

  /** @param {string} id of a message whose branch is to be shown */
  async #activate(id) {
    try {
      await this.#conversation.activate(id);
      this.#tabs.tell(this.#conversation.id);
    } catch (problem) {
      if (!isProblem(problem)) throw problem;
      this.#notices.problem(problem);
      await this.#refresh(this.#conversation);
    }
  }

  // What becomes of it.

  /** @param {Conversation} conversation @param {Live} live */
  #onStarted(conversation, { asking, run }) {
    const { id, isTemporary } = conversation;
    if (isTemporary) keepAsking({ ...asking, runId: run.id ?? "" });
    else if (id && asking.key) keepBegun(asking, id);
    if (!id) return;
    this.#running.set(id, conversation);
    this.#sidebar.setRunning(this.#running.keys());
    this.#tabs.tell(id);
    void this.#sidebar.refresh();
    if (conversation !== this.#conversation || idInAddress() === id) return;
    history.replaceState(null, "", addressOf(id));
    this.#composer.rename(id);
    this.#sidebar.setActive(id);
  }

  /** @param {Conversation} conversation @param {Live} live */
  #onEnded(conversation, { asking, run }) {
    const { id } = conversation;
    if (id) this.#running.delete(id);
    if (id && asking.key) keepBegun(asking, id);
    this.#sidebar.setRunning(this.#running.keys());
    this.#tabs.tell(conversation.id);
    void this.#sidebar.refresh();
    if (conversation !== this.#conversation) return;
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
    forgetAsking();
    const { question, instead, again } = asking;
    const problem = run.failure;
    if (conversation !== this.#conversation) {
      if (question)
        keepDraft(
          conversation.id,
          [question, draftOf(conversation.id)].filter(Boolean).join("\n\n"),
        );
      return;
    }
    const isEdited = question !== null && instead && this.#messages.edit(instead, question);
    if (question !== null && !isEdited) this.#composer.giveBack(question);
    if (problem)
      this.#tell(
        problem,
        again && instead
          ? () => this.#again(instead)
          : isEdited
            ? null
            : () => this.#composer.submit(),
      );
    if (problem?.slug === "conversation-busy") void this.#refresh(conversation);
  }

  /** @param {Problem} problem @param {(() => void) | null} again */
  async #tell(problem, again) {
    if (problem.slug === "unauthorized") {
      if (await signIn(part("credentials", HTMLDialogElement), problem))
        return void this.#sidebar.refresh();
    }
    if (this.#parameters?.show(problem)) return;
    const canRepeat = again !== null && isPassing(problem);
    this.#notices.problem(problem, canRepeat ? { label: "Try again", run: again } : null);
  }

  // What is seen of it.

  #update() {
    const { shown, isBusy } = this.#conversation;
    showHeadline(this.#conversation);
    this.#messages.update(shown, isBusy);
    this.#composer.isBusy = isBusy;
  }

  #showModel() {
    part("model", HTMLElement).textContent = this.#parameters?.model()?.name ?? "";
  }
}

/** @param {Event} event @returns {Live} */
function liveIn(event) {
  return /** @type {CustomEvent<Live>} */ (event).detail;
}

await new Page().start();
