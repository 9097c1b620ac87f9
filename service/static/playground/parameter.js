// What does a model take? Hyperparameters as the catalogue describes them, and values that fit.

/**
 * @typedef {object} Parameter
 * @property {boolean} supported
 * @property {"number" | "integer" | "string" | "array" | "boolean"} type
 * @property {number | null} minimum
 * @property {number | null} maximum
 * @property {unknown} default what Groq uses where nothing is sent; null where that is not known
 * @property {(string | number | boolean)[] | null} enum
 * @property {number} [max_items]
 */

/** @type {Record<string, string>} */
const MEANINGS = {
  temperature: "Low: sober and repeatable. High: varied and surprising.",
  top_p: "Only the likeliest words that together have this probability are chosen from.",
  max_tokens: "The answer is cut off after so many tokens, reasoning included.",
  stop: "The answer ends before any of these texts.",
  seed: "The same seed with the same question gives, as far as possible, the same answer.",
  reasoning_effort: "How long the model thinks before it answers.",
  reasoning_format: "Parsed: beside the answer. Raw: within it. Hidden: not at all.",
};
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
/** In many countries, and there the keyboard of a telephone has no point. */
const DECIMAL_COMMA = /^([+-]?\d*),(\d+)$/;
const GROUPED = new Intl.NumberFormat("en", { maximumFractionDigits: 10 });

/**
 * @param {string} name as in a request
 * @returns {string} as a person reads it
 */
export function labelOf(name) {
  const words = name.replaceAll("_", " ").replace(/\bjson\b/, "JSON");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * @param {string} name
 * @returns {string} empty for one that is not known here
 */
export function meaningOf(name) {
  return MEANINGS[name] ?? "";
}

/**
 * @param {Parameter} parameter
 * @returns {string} empty where there is no limit
 */
export function rangeOf({ type, minimum, maximum }) {
  // Larger ones are not exact in JavaScript.
  const least =
    minimum !== null && type === "integer" ? Math.max(minimum, Number.MIN_SAFE_INTEGER) : minimum;
  const most =
    maximum !== null && type === "integer" ? Math.min(maximum, Number.MAX_SAFE_INTEGER) : maximum;
  const kind = type === "integer" ? "A whole number" : "A number";
  if (least !== null && most !== null)
    return `${kind} from ${GROUPED.format(least)} to ${GROUPED.format(most)}`;
  if (least !== null) return `${kind} of at least ${GROUPED.format(least)}`;
  return most === null ? kind : `${kind} of at most ${GROUPED.format(most)}`;
}

/**
 * What was typed, as JSON says it; what is not a number stays text, and the service says so.
 * @param {string} typed
 * @param {Parameter} parameter
 * @returns {number | string | undefined}
 */
export function numberFrom(typed, { type }) {
  const trimmed = typed.trim();
  const text = type === "number" ? trimmed.replace(DECIMAL_COMMA, "$1.$2") : trimmed;
  if (text === "") return undefined;
  if (!NUMBER.test(text)) return text;
  const number = Number(text);
  const exact = type !== "integer" || !Number.isInteger(number) || Number.isSafeInteger(number);
  return exact && Number.isFinite(number) ? number : text;
}

/**
 * Would the service take it?
 * @param {unknown} value
 * @param {Parameter} parameter
 * @returns {boolean}
 */
export function fits(value, parameter) {
  if (parameter.enum) return parameter.enum.includes(/** @type {string} */ (value));
  if (parameter.type === "array")
    return isListOfTexts(value) && value.length <= (parameter.max_items ?? Infinity);
  if (parameter.type === "number" || parameter.type === "integer")
    return isWithin(value, parameter);
  return typeof value === parameter.type;
}

/**
 * @param {unknown} value
 * @returns {value is string[]}
 */
function isListOfTexts(value) {
  return Array.isArray(value) && value.every((item) => typeof item === "string" && item !== "");
}

/**
 * @param {unknown} value
 * @param {Parameter} parameter
 */
function isWithin(value, { type, minimum, maximum }) {
  if (typeof value !== "number" || (type === "integer" && !Number.isInteger(value))) return false;
  return value >= (minimum ?? -Infinity) && value <= (maximum ?? Infinity);
}
