// Which conversations are there? The list beside the chat: search, open, rename, export, delete.

import { arrange } from "./arrange.js";
import { confirmed } from "./confirm.js";
import { ConversationItem, titleOf } from "./conversation-item.js";
import { ConversationPages } from "./conversation-pages.js";
import { headingOf } from "./days.js";
import { download } from "./download.js";
import { element, icon } from "./element.js";
import { isComposing } from "./enter.js";
import { Failure } from "./failure.js";
import { isProblem } from "./words.js";

/** @typedef {import("./conversation-pages.js").Listed} Listed */
/** @typedef {import("../chat-client.js").ChatClient} ChatClient */
/**
 * @typedef {object} Surroundings
 * @property {ChatClient} client
 * @property {(id: string) => void} open a conversation
 * @property {() => void} startNew a conversation; also when the open one was deleted
 * @property {(id: string) => void} changed a conversation was renamed or deleted here
 * @property {import("./sign-in.js").SignIn} signIn
 */

const TYPING_MS = 200;

/**
 * Fill the navigation; nothing is read before `refresh()`.
 * @param {HTMLElement} root
 * @param {Surroundings} surroundings
 */
export function mountSidebar(root, surroundings) {
  const sidebar = new Sidebar(surroundings);
  root.replaceChildren(...sidebar.parts);
  return {
    /** Read the list anew, without a change of focus or place. */
    refresh: () => sidebar.refresh(),
    /** Read the list anew from its beginning: it may be that of somebody else. */
    restart: () => sidebar.restart(),
    /** @param {string | null} id of the conversation that is open */
    setActive: (id) => sidebar.setActive(id),
    /** @param {Iterable<string>} ids of conversations in which an answer is being written */
    setRunning: (ids) => sidebar.setRunning(ids),
  };
}

class Sidebar {
  #surroundings;
  #pages;
  /** Why the list could not be read. */
  #unread;
  /** Why what was asked for could not be done. */
  #undone;
  /** @type {Map<string, ConversationItem>} */
  #items = new Map();
  /** @type {Map<string, {section: HTMLElement, list: HTMLElement}>} */
  #days = new Map();
  /** @type {string | null} */
  #active = null;
  /** @type {Set<string>} */
  #running = new Set();
  #typing = 0;

  #search = element("input", {
    type: "search",
    class: "field-input",
    placeholder: "Search conversations",
    "aria-label": "Search conversations",
    autocomplete: "off",
    spellcheck: "false",
  });
  #list = element("div", { class: "days" });
  #more = element("button", { type: "button", class: "plain-button more", hidden: true }, "More");
  #empty = element("p", { class: "empty", hidden: true });
  #said = element("p", { class: "visually-hidden", role: "status" });
  #scroll = element("div", { class: "conversations" }, this.#list, this.#empty, this.#more);
  #nearEnd = new IntersectionObserver((entries) => this.#onNearEnd(entries), {
    root: this.#scroll,
    rootMargin: "200px",
  });

  /** @param {Surroundings} surroundings */
  constructor(surroundings) {
    this.#surroundings = surroundings;
    this.#pages = new ConversationPages(surroundings.client);
    const { signIn } = surroundings;
    this.#unread = new Failure(signIn, () => this.#focusList());
    this.#undone = new Failure(signIn, () => this.#focusList());
    this.#more.before(this.#unread.element);
    this.#search.addEventListener("input", () => this.#onTyping());
    this.#search.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || isComposing(event) || !this.#search.value) return;
      event.preventDefault(); // else the panel closes, too
      this.#search.value = "";
      this.#onTyping();
    });
    this.#more.addEventListener("click", () => this.#readMore());
    const startNew = element(
      "button",
      { type: "button", class: "plain-button new-chat" },
      icon("plus"),
      "New chat",
    );
    startNew.addEventListener("click", () => surroundings.startNew());
    const search = element("div", { class: "search" }, icon("search"), this.#search);
    this.parts = [startNew, search, this.#undone.element, this.#scroll, this.#said];
  }

  async refresh() {
    await this.#read(() => this.#pages.refresh());
  }

  async restart() {
    await this.#read(() => this.#pages.search(this.#pages.query));
  }

  /** @param {string | null} id */
  setActive(id) {
    this.#active = id;
    this.#mark();
  }

  /** @param {Iterable<string>} ids */
  setRunning(ids) {
    this.#running = new Set(ids);
    this.#mark();
  }

  #onTyping() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(async () => {
      const query = this.#search.value.trim();
      if (query === this.#pages.query) return;
      await this.#read(() => this.#pages.search(query));
      this.#scroll.scrollTop = 0;
      this.#said.textContent = query
        ? `${counted(this.#pages.items.length, this.#pages.more)} found`
        : "";
    }, TYPING_MS);
  }

  async #readMore() {
    const { length } = this.#pages.items;
    let hadFocus = false;
    await this.#read(async () => {
      const isRead = await this.#pages.next();
      hadFocus = document.activeElement === this.#more;
      return isRead;
    });
    const first = this.#pages.items[length];
    if (hadFocus && first) this.#items.get(first.conversation_id)?.focus();
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #onNearEnd(entries) {
    // After a failure only a click tries again.
    if (entries.at(-1)?.isIntersecting && !this.#unread.isShown) this.#readMore();
  }

  /** @param {() => Promise<boolean>} reading */
  async #read(reading) {
    try {
      if (!(await reading())) return;
      this.#unread.hide();
      this.#render();
    } catch (problem) {
      if (!isProblem(problem)) throw problem;
      this.#unread.show("The conversations could not be read", problem, {
        label: "Try again",
        run: () => this.#read(reading),
      });
    }
  }

  /**
   * @template T
   * @param {string} what is said where it fails
   * @param {() => Promise<T>} deed
   * @param {(result: T) => void} then
   */
  async #do(what, deed, then) {
    try {
      const result = await deed();
      this.#undone.hide();
      then(result);
    } catch (problem) {
      if (!isProblem(problem)) throw problem;
      this.#undone.show(what, problem, {
        label: "Try again",
        run: () => this.#do(what, deed, then),
      });
    }
  }

  #render() {
    const { items, more, query } = this.#pages;
    const focused = this.#list.contains(document.activeElement);
    arrange(this.#list, this.#sections(items));
    this.#forget(items);
    this.#mark();
    if (focused && document.activeElement === document.body) this.#search.focus();
    this.#empty.hidden = items.length > 0;
    this.#empty.textContent = query
      ? `No conversation holds “${query}”.`
      : "No conversations yet. Ask something, and it is kept here.";
    this.#more.hidden = !more;
    // It tells only of changes: looked at anew, a button that is still in sight is told again.
    this.#nearEnd.disconnect();
    if (more) this.#nearEnd.observe(this.#more);
  }

  /**
   * @param {Listed[]} items
   * @returns {HTMLElement[]} one for each day that has conversations
   */
  #sections(items) {
    const now = new Date();
    /** @type {Map<string, Element[]>} */
    const days = new Map();
    for (const conversation of items) {
      const heading = headingOf(conversation.updated_at, now);
      const day = days.get(heading) ?? [];
      day.push(this.#itemOf(conversation).element);
      days.set(heading, day);
    }
    return [...days].map(([heading, elements]) => {
      const { section, list } = this.#dayOf(heading);
      arrange(list, elements);
      return section;
    });
  }

  /** @param {Listed} conversation */
  #itemOf(conversation) {
    const known = this.#items.get(conversation.conversation_id);
    known?.update(conversation);
    const item = known ?? new ConversationItem(conversation, this.#actions);
    this.#items.set(conversation.conversation_id, item);
    return item;
  }

  /** @param {string} heading */
  #dayOf(heading) {
    const known = this.#days.get(heading);
    if (known) return known;
    const list = element("ul");
    const day = {
      list,
      section: element("section", { class: "day" }, element("h3", {}, heading), list),
    };
    this.#days.set(heading, day);
    return day;
  }

  /** @param {Listed[]} items all that are still there */
  #forget(items) {
    const ids = new Set(items.map((item) => item.conversation_id));
    for (const id of this.#items.keys()) if (!ids.has(id)) this.#items.delete(id);
  }

  #mark() {
    for (const [id, item] of this.#items) {
      item.mark({ active: id === this.#active, running: this.#running.has(id) });
    }
  }

  /** @type {import("./conversation-item.js").Actions} */
  #actions = {
    open: (id) => this.#surroundings.open(id),
    rename: async (id, title) => {
      const renamed = await this.#surroundings.client.rename(id, title);
      this.#said.textContent = `Renamed to ${titleOf(renamed)}`;
      void this.refresh(); // a reading under way may be of before
      this.#surroundings.changed(id);
      return renamed;
    },
    remedy: (...about) => this.#surroundings.signIn.remedy(...about),
    remove: (conversation) => this.#remove(conversation),
    exportAs: (id, format) =>
      this.#do(
        "The conversation could not be exported",
        () => this.#surroundings.client.exportConversation(id, format),
        download,
      ),
  };

  /** @param {Listed} conversation */
  async #remove(conversation) {
    const id = conversation.conversation_id;
    const meant = await confirmed({
      title: `Delete “${titleOf(conversation)}”?`,
      text: "The conversation is removed for good: this cannot be undone. An answer that is still being written is cancelled.",
      action: "Delete",
    });
    if (!meant) return;
    await this.#do(
      "The conversation could not be deleted",
      () => this.#surroundings.client.deleteConversation(id),
      () => this.#onRemoved(conversation),
    );
  }

  /** @param {Listed} conversation */
  #onRemoved(conversation) {
    const id = conversation.conversation_id;
    this.#focusBeside(id);
    this.#pages.remove(id);
    this.#render();
    void this.refresh(); // a reading under way may be of before
    this.#said.textContent = `Deleted ${titleOf(conversation)}`;
    if (id === this.#active) this.#surroundings.startNew();
    this.#surroundings.changed(id);
  }

  #focusList() {
    const link = this.#list.querySelector("a");
    (link ?? this.#search).focus();
  }

  /** @param {string} id of what goes away: the focus goes to the next, else to the search */
  #focusBeside(id) {
    const { items } = this.#pages;
    const at = items.findIndex((item) => item.conversation_id === id);
    const next = items[at + 1] ?? items[at - 1];
    const item = next && this.#items.get(next.conversation_id);
    if (item) item.focus();
    else this.#search.focus();
  }
}

/**
 * @param {number} count
 * @param {boolean} more
 */
function counted(count, more) {
  const number = more ? `More than ${count}` : String(count);
  return `${number} ${count === 1 && !more ? "conversation" : "conversations"}`;
}
