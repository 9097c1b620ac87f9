// How is one conversation shown in the list? A link, a menu, and a field while it is renamed.

import { element } from "./element.js";
import { menuButton } from "./menu.js";
import { RenameForm } from "./rename-form.js";

/** @typedef {import("./conversation-pages.js").Listed} Listed */
/** @typedef {import("../chat-client.js").Problem} Problem */
/**
 * @typedef {object} Actions what the list does for an item
 * @property {(id: string) => void} open
 * @property {(id: string, title: string) => Promise<Listed>} rename
 * @property {(conversation: Listed) => void} remove
 * @property {(id: string, format: "markdown" | "json") => void} exportAs
 * @property {import("./sign-in.js").SignIn["remedy"]} remedy the button beside a problem
 */

export class ConversationItem {
  #conversation;
  #actions;
  #title = element("span", { class: "conversation-title" });
  #running = element(
    "span",
    { class: "running-mark" },
    element("span", { class: "visually-hidden" }, "(answer being written)"),
  );
  /** @type {HTMLAnchorElement} */
  #link;
  /** @type {HTMLElement} */
  #menu;

  /**
   * @param {Listed} conversation
   * @param {Actions} actions
   */
  constructor(conversation, actions) {
    this.#conversation = conversation;
    this.#actions = actions;
    const href = `#c=${encodeURIComponent(conversation.conversation_id)}`;
    this.#link = element("a", { href, onclick: this.#onClick }, this.#title);
    this.#menu = this.#makeMenu();
    this.element = element("li", { class: "conversation" }, this.#link, this.#menu);
    this.update(conversation);
  }

  /** @param {Listed} conversation */
  update(conversation) {
    this.#conversation = conversation;
    const title = titleOf(conversation);
    if (this.#title.textContent === title) return;
    this.#title.textContent = title;
    this.#link.title = title;
    const label = `Actions for ${title}`;
    for (const named of this.#menu.querySelectorAll("[aria-label]"))
      named.setAttribute("aria-label", label);
  }

  /** @param {{active: boolean, running: boolean}} state */
  mark({ active, running }) {
    if (active) this.#link.setAttribute("aria-current", "page");
    else this.#link.removeAttribute("aria-current");
    if (running) this.#link.append(this.#running);
    else this.#running.remove();
  }

  focus() {
    this.#link.focus();
  }

  #makeMenu() {
    const id = this.#conversation.conversation_id;
    return menuButton("", "more", [
      { label: "Rename", icon: "edit", choose: () => this.#rename() },
      {
        label: "Export as Markdown",
        icon: "download",
        choose: () => this.#actions.exportAs(id, "markdown"),
      },
      {
        label: "Export as JSON",
        icon: "download",
        choose: () => this.#actions.exportAs(id, "json"),
      },
      {
        label: "Delete",
        icon: "remove",
        grave: true,
        choose: () => this.#actions.remove(this.#conversation),
      },
    ]);
  }

  /** @param {MouseEvent} event */
  #onClick = (event) => {
    // With a key held the browser opens the link elsewhere.
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.#actions.open(this.#conversation.conversation_id);
  };

  #rename() {
    const id = this.#conversation.conversation_id;
    const form = new RenameForm(titleOf(this.#conversation), {
      id: `rename-${id}`,
      save: async (title) => this.update(await this.#actions.rename(id, title)),
      remedy: this.#actions.remedy,
      closed: (hadFocus) => {
        form.element.replaceWith(this.#link, this.#menu);
        if (hadFocus) this.focus();
      },
    });
    this.#link.replaceWith(form.element);
    this.#menu.remove();
    form.focus();
  }
}

/** @param {Listed} conversation */
export function titleOf(conversation) {
  return conversation.title || "Untitled";
}
