// What does a problem mean for who chats? Plain words, and what to do.

/** @typedef {import("../chat-client.js").Problem} Problem */

/** @type {Record<string, string>} */
const TITLES = {
  "conversation-busy": "An answer is still being written here",
  "conversation-not-found": "This conversation does not exist any more",
  "context-too-long": "This is too long for the model",
  draining: "The service is being restarted",
  forbidden: "This is not allowed",
  "idempotency-conflict": "This was asked already, in other words",
  "internal-error": "The service has a defect",
  interrupted: "The service stopped before the answer was done",
  "message-not-found": "This message does not exist any more",
  "model-unavailable": "This model cannot be used any more",
  network: "The service cannot be reached",
  overloaded: "The service is busy",
  "payload-too-large": "This is too long",
  "rate-limited": "That was too much for now",
  "run-expired": "This answer can no longer be followed",
  "run-not-found": "This answer can no longer be followed",
  "store-unavailable": "Conversations cannot be reached right now",
  unauthorized: "Please sign in",
  "unknown-model": "This model is not known",
  "upstream-auth": "Groq refused the service's key",
  "upstream-error": "Groq failed",
  "upstream-rate-limited": "Groq wants us to wait",
  "upstream-rejected": "Groq refused this",
  "upstream-timeout": "Groq did not answer in time",
  "upstream-too-large": "This is too long for Groq's limits",
  "validation-error": "Something in the settings does not fit",
};

/** @type {Record<string, string>} */
const ADVICE = {
  "conversation-busy":
    "It was asked for in another tab or on another device. Wait for its end, or stop it.",
  "context-too-long": "Start a new chat, or shorten the message.",
  "internal-error": "Try again; if it happens again, tell the operator the request's id.",
  interrupted: "What was written is kept. You can try again.",
  "model-unavailable": "Choose another one in the settings.",
  network: "Check the connection. Your text is not lost.",
  "unknown-model": "Choose another one in the settings.",
  "upstream-auth": "The operator of this service has to see to its Groq key.",
  "upstream-too-large": "Shorten the message, or start a new chat.",
};

/** What will be refused again as it is. */
const UNFIT = new Set(
  "validation-error unknown-model model-unavailable context-too-long payload-too-large forbidden".split(
    " ",
  ),
);

/** @param {Problem} problem @returns {boolean} whether to ask the same again can help */
export function isPassing(problem) {
  return !UNFIT.has(problem.slug);
}

/** @param {Problem} problem */
export function titleOf(problem) {
  return TITLES[problem.slug] ?? problem.title ?? "That did not work";
}

/** @param {Problem} problem @returns {string} sentences: what happened, and what to do */
export function textOf(problem) {
  const details = problem.errors.length
    ? problem.errors
        .map(({ pointer, detail }) => `${pointer.replace(/^#\//, "")} ${detail}`)
        .join("; ")
    : problem.detail;
  return [details, ADVICE[problem.slug]]
    .filter(Boolean)
    .map((it) => sentence(/** @type {string} */ (it)))
    .join(" ");
}

/** @param {unknown} error @returns {error is Problem} */
export function isProblem(error) {
  return error instanceof Error && "slug" in error;
}

/** @param {string} text */
function sentence(text) {
  const trimmed = text.trim();
  const begun = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}
