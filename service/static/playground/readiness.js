// When can one ask? When the service has told its models; until then it is asked for them patiently.

import { askForToken, keptToken } from "./credentials.js";
import { isProblem } from "./words.js";

/** @typedef {import("../chat-client.js").ChatClient} ChatClient */
/** @typedef {import("../chat-client.js").Problem} Problem */
/** @typedef {import("./model-choice.js").Model} Model */

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;

/**
 * @param {ChatClient} client
 * @param {HTMLDialogElement} dialog asks for a token, where one is needed
 * @param {(problem: Problem, again: () => void) => void} tell why it takes longer
 * @returns {Promise<Model[]>}
 */
export async function modelsOf(client, dialog, tell) {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    try {
      return (await client.models()).items;
    } catch (problem) {
      if (!isProblem(problem)) throw problem;
      const isSignedIn = problem.slug === "unauthorized" && (await signIn(dialog, problem));
      if (!isSignedIn)
        await pause(problem.slug === "unauthorized" ? Infinity : wait, (again) =>
          tell(problem, again),
        );
    }
  }
}

/**
 * @param {HTMLDialogElement} dialog
 * @param {Problem} problem that says who may ask
 * @returns {Promise<boolean>} whether there is another token now
 */
export async function signIn(dialog, problem) {
  return (await askForToken(dialog, { problem: keptToken() ? problem : null })) !== null;
}

/**
 * @param {number} milliseconds
 * @param {(again: () => void) => void} tell how to end it earlier
 * @returns {Promise<void>}
 */
function pause(milliseconds, tell) {
  return new Promise((resolve) => {
    if (milliseconds !== Infinity) setTimeout(resolve, milliseconds);
    tell(resolve);
  });
}
