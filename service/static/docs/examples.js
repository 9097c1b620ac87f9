// Which messages can one begin with? The examples of what the service receives.

/**
 * @typedef {object} Example
 * @property {string} title
 * @property {Record<string, unknown>} payload
 * @property {string[]} own members that must be the reader's own, such as `run_id`
 */

/**
 * @typedef {object} Described the part of an AsyncAPI document that is needed here
 * @property {Record<string, {action: string, messages: {$ref: string}[]}>} operations
 * @property {{messages: Record<string, {examples: {summary: string, payload: Record<string, unknown>}[]}>}} components
 */

/**
 * @param {Described} described
 * @returns {Example[]}
 */
export function examplesOf(described) {
  const names = Object.values(described.operations)
    .filter((operation) => operation.action === "receive")
    .flatMap((operation) => operation.messages.map((message) => message.$ref.split("/").at(-1)));
  return names.flatMap((name = "") =>
    described.components.messages[name].examples.map(({ summary, payload }) => ({
      title: `${name}: ${summary}`,
      payload,
      own: [...summary.matchAll(/your own `(.+?)`/g)].map((found) => found[1]),
    })),
  );
}

/**
 * The payload with the reader's own ids, as far as they are known.
 * @param {Example} example
 * @param {Record<string, unknown>} known
 */
export function filled({ payload, own }, known) {
  const copy = structuredClone(payload);
  const members = /** @type {Record<string, unknown>} */ (copy.request ?? copy);
  for (const name of own) {
    members[name] = known[name] ?? members[name];
  }
  return copy;
}
