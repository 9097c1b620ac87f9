// When can one ask? When the service has told its models; until then it is asked for them patiently.

import { isProblem } from "./words.js";

/** @typedef {import("../chat-client.js").ChatClient} ChatClient */
/** @typedef {import("../chat-client.js").Problem} Problem */
/** @typedef {import("./model-choice.js").Model} Model */
/** @typedef {import("./sign-in.js").SignIn} SignIn */

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;

/**
 * @param {ChatClient} client
 * @param {SignIn} signIn asks for a token, where one is needed
 * @param {(problem: Problem, again: () => void) => void} tell why it takes longer
 * @returns {Promise<Model[]>}
 */
export async function modelsOf(client, signIn, tell) {
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    try {
      return (await client.models()).items;
    } catch (problem) {
      if (!isProblem(problem)) throw problem;
      const isUnknown = problem.slug === "unauthorized";
      if (isUnknown && (await signIn.ask(problem))) continue;
      await pause(isUnknown ? Infinity : wait, (again) => tell(problem, again));
    }
  }
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
