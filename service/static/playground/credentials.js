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

/**
 * Ask for a key or token.
 * @param {HTMLDialogElement} dialog
 * @param {object} about
 * @param {Problem} about.problem what the service refused
 * @param {(token: string) => Promise<Problem | null>} about.refusalOf asks the service whether it takes one
 * @returns {Promise<string | null>} what was entered, and is now kept; null when it was put off
 */
export function askForToken(dialog, { problem, refusalOf }) {
  const { form, input, remarks, submit } = signInForm();
  if (keptToken() !== null) remarks.show(faultOf(problem));
  /** @type {string | null} */
  let taken = null;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    const given = input.value.trim();
    if (!TOKEN.test(given)) {
      const what = given ? "This is" : "There is";
      remarks.show(`${what} no key or token: they are made of visible ASCII characters.`).focus();
      return;
    }
    submit.disabled = true;
    submit.textContent = "Signing in …";
    const refusal = await refusalOf(given);
    submit.textContent = "Sign in";
    submit.disabled = false;
    if (!form.isConnected || !dialog.open) return; // it was put off meanwhile
    if (refusal?.slug === "unauthorized") input.value = "";
    if (refusal) return remarks.show(faultOf(refusal)).focus();
    taken = given;
    keepToken(given);
    dialog.close();
  });
  dialog.replaceChildren(form);
  if (!dialog.open) dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    const onclose = () => {
      dialog.replaceChildren();
      resolve(taken);
    };
    dialog.addEventListener("close", onclose, { once: true });
  });
}

/** @param {Problem} problem */
function faultOf(problem) {
  return problem.slug === "unauthorized"
    ? "The service refused this key or token: it is not known there, or has run out."
    : `This key or token could not be tried: ${problem.detail}`;
}

/** @param {string} token */
function keepToken(token) {
  unstored = token;
  try {
    sessionStorage.setItem(KEPT, token);
  } catch {
    // Storage is forbidden: `unstored` has it.
  }
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
  const submit = element("button", { class: "primary-button" }, "Sign in");
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
    element("div", { class: "dialog-actions" }, cancel, submit),
  );
  return { form, input, remarks, submit };
}
