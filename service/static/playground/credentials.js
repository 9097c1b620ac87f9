// Who is asking? A key or token that is asked for where it is needed, and kept for this tab only.

import { element } from "./element.js";
import { Remarks } from "./field.js";

/** @typedef {import("../chat-client.js").Problem} Problem */

const KEPT = "ai-library.token";
/** What can be in a header. */
const TOKEN = /^[\x21-\x7e]+$/;
/** Where the browser forbids storage it is kept until the page is left. */
let unstored = "";

/** @returns {string | null} what was entered in this tab: for `ChatClient`'s `token` */
export function keptToken() {
  try {
    return sessionStorage.getItem(KEPT) ?? (unstored || null);
  } catch {
    return unstored || null;
  }
}

export function forgetToken() {
  keepToken("");
}

/**
 * Ask for a key or token.
 * @param {HTMLDialogElement} dialog
 * @param {{problem?: Problem | null}} [reason] what the service refused
 * @returns {Promise<string | null>} what was entered, and is now kept; null when it was cancelled
 */
export function askForToken(dialog, { problem = null } = {}) {
  const refused = keptToken() !== null && problem !== null;
  const { form, input, remarks } = signInForm();
  if (refused) remarks.show(`The service refused this key or token: ${problem.detail}`);
  let given = "";
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    given = input.value.trim();
    if (TOKEN.test(given)) dialog.close();
    else
      remarks
        .show(
          `${given ? "This is" : "There is"} no key or token: they are made of visible ASCII characters.`,
        )
        .focus();
  });
  dialog.replaceChildren(form);
  if (!dialog.open) dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    const onclose = () => {
      input.value = "";
      const token = TOKEN.test(given) ? given : null;
      if (token) keepToken(token);
      resolve(token);
    };
    dialog.addEventListener("close", onclose, { once: true });
  });
}

/**
 * A button that is there only while a token is kept.
 * @param {{signedOut: () => void}} reactions
 */
export function signOutButton({ signedOut }) {
  const button = element("button", { type: "button", class: "quiet-button sign-out" }, "Sign out");
  const update = () => {
    button.hidden = keptToken() === null;
  };
  button.addEventListener("click", () => {
    forgetToken();
    signedOut();
  });
  addEventListener("token-changed", update);
  update();
  return button;
}

/** @param {string} token empty: none */
function keepToken(token) {
  unstored = token;
  try {
    if (token) sessionStorage.setItem(KEPT, token);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // Storage is forbidden: `unstored` has it.
  }
  dispatchEvent(new Event("token-changed"));
}

function signInForm() {
  const input = element("input", {
    id: "token",
    class: "field-input",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
  });
  const remarks = new Remarks(
    input,
    "token",
    "It is kept in this tab only, and forgotten when the tab is closed.",
  );
  const cancel = element("button", { type: "button", class: "plain-button" }, "Cancel");
  cancel.addEventListener("click", () => cancel.closest("dialog")?.close());
  const signIn = element("button", { class: "primary-button" }, "Sign in");
  const form = element(
    "form",
    { class: "sign-in", novalidate: true },
    element("h2", {}, "Sign in"),
    element("p", {}, "This service answers only those whom it knows."),
    element(
      "div",
      { class: "field" },
      element("label", { for: "token" }, "API key or token"),
      input,
      ...remarks.parts,
    ),
    element("div", { class: "dialog-actions" }, cancel, signIn),
  );
  return { form, input, remarks };
}
