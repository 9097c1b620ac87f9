// How is one conversation shown in the list? A link, a menu, and a field while it is renamed.

import { element } from "./element.js";
import { menuButton } from "./menu.js";

/** @typedef {import("./conversation-pages.js").Listed} Listed */
/**
 * @typedef {object} Actions what the list does for an item
 * @property {(id: string) => void} open
 * @property {(id: string, title: string) => Promise<Listed>} rename
 * @property {(conversation: Listed) => void} remove
 * @property {(id: string, format: "markdown" | "json") => void} exportAs
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
    const before = titleOf(this.#conversation);
    const form = renameForm(before, async (title) => {
      if (title !== null && title !== before) {
        this.update(await this.#actions.rename(this.#conversation.conversation_id, title));
      }
      form.replaceWith(this.#link, this.#menu);
      this.focus();
    });
    this.#link.replaceWith(form);
    this.#menu.remove();
    form.querySelector("input")?.select();
  }
}

/** @param {Listed} conversation */
export function titleOf(conversation) {
  return conversation.title || "Untitled";
}

/**
 * @param {string} title as it is
 * @param {(title: string | null) => Promise<void>} done null: it stays; it rejects with what the service refuses
 * @returns {HTMLFormElement}
 */
function renameForm(title, done) {
  const fault = element("p", { class: "field-fault", id: "rename-fault", hidden: true });
  const input = element("input", {
    class: "field-input",
    "aria-label": `New title of ${title}`,
    value: title,
  });
  let saving = false;
  /** @param {string | null} given */
  const end = async (given) => {
    if (saving) return;
    saving = true;
    try {
      await done(given);
    } catch (problem) {
      saving = false;
      showFault(input, fault, /** @type {import("../chat-client.js").Problem} */ (problem));
    }
  };
  input.addEventListener("blur", () => end(input.value));
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    // Else the panel that holds the list closes, too.
    event.preventDefault();
    end(null);
  });
  /** @param {SubmitEvent} event */
  const onsubmit = (event) => {
    event.preventDefault();
    end(input.value);
  };
  return element("form", { class: "rename", onsubmit }, input, fault);
}

/**
 * @param {HTMLInputElement} input
 * @param {HTMLElement} fault
 * @param {import("../chat-client.js").Problem} problem
 */
function showFault(input, fault, problem) {
  fault.textContent =
    problem.errors?.find((error) => error.pointer === "#/title")?.detail ?? problem.detail;
  fault.hidden = false;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", fault.id);
  input.focus();
}
