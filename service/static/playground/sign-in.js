// What if the service does not know who asks? One signs in, once for all who wait, and asks again.

import { ChatClient } from "../chat-client.js";
import { askForToken, keptToken } from "./credentials.js";
import { element } from "./element.js";
import { isProblem } from "./words.js";

/** @typedef {import("../chat-client.js").Problem} Problem */
/** @typedef {{label: string, run: () => void}} Action */

/** Dispatches `signed-in` when another token is known: what the page shows is to be read anew. */
export class SignIn extends EventTarget {
  #client;
  #dialog;
  /** @type {Promise<boolean> | null} */
  #asking = null;

  /**
   * @param {ChatClient} client whose connections are made anew with the token
   * @param {HTMLDialogElement} dialog
   */
  constructor(client, dialog) {
    super();
    this.#client = client;
    this.#dialog = dialog;
  }

  /**
   * Ask for a token that the service takes; whoever asks meanwhile waits for the same one.
   * @param {Problem} problem
   * @returns {Promise<boolean>} false where it was put off
   */
  ask(problem) {
    this.#asking ??= this.#ask(problem).finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  /**
   * The button beside a problem: it does what can be done, after signing in where that is needed.
   * @param {Problem} problem
   * @param {Action | null} action
   * @param {() => void} done takes away what is said of the problem
   * @returns {HTMLButtonElement | null} null where nothing can be done
   */
  remedy(problem, action, done) {
    const isUnknown = problem.slug === "unauthorized";
    const label = isUnknown ? "Sign in" : action?.label;
    if (!label) return null;
    const button = element("button", { type: "button", class: "plain-button" }, label);
    button.addEventListener("click", async () => {
      if (isUnknown && !(await this.ask(problem))) return;
      done();
      action?.run();
    });
    return button;
  }

  /** @param {Problem} problem */
  async #ask(problem) {
    const token = await askForToken(this.#dialog, { problem, refusalOf });
    if (token === null) return false;
    this.#client.token = keptToken;
    this.dispatchEvent(new Event("signed-in"));
    return true;
  }
}

/**
 * @param {string} token which nothing else has used yet
 * @returns {Promise<Problem | null>} why it does not do
 */
async function refusalOf(token) {
  const client = new ChatClient({ token });
  try {
    await client.models();
    return null;
  } catch (problem) {
    if (isProblem(problem)) return problem;
    throw problem;
  } finally {
    client.close();
  }
}
