// What is known of a run in numbers? Estimates while it is read, the service's own figures at its end.

/** @typedef {import("./run-log.js").RunLog} RunLog */
/**
 * @typedef {object} Figure
 * @property {string} term
 * @property {number | string | null} value null: not known
 * @property {string} text
 * @property {boolean} [estimated]
 */

const CHARACTERS_PER_TOKEN = 4;
const COUNT = new Intl.NumberFormat("en");
const RATE = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const SECONDS = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const DOLLARS = new Intl.NumberFormat("en", {
  style: "currency",
  currency: "USD",
  minimumFractionDigits: 2,
  maximumFractionDigits: 12,
  maximumSignificantDigits: 3,
});

/**
 * The three that stand out.
 * @param {RunLog} log
 * @returns {Figure[]}
 */
export function headlinesOf(log) {
  return [timeToFirstToken(log), tokensPerSecond(log), cost(log)];
}

/**
 * @param {RunLog} log
 * @returns {Figure[]}
 */
export function detailsOf({ run }) {
  const { finished } = run;
  const usage = finished?.usage;
  return [
    plain("Status", run.status),
    counted("Last seq", run.lastSeq < 0 ? null : run.lastSeq),
    plain("Finish reason", finished?.finish_reason),
    measured("Total time", finished?.timing.total_time),
    counted("Prompt tokens", usage?.prompt_tokens),
    counted("Cached tokens", usage?.cached_tokens),
    counted("Answer tokens", usage?.completion_tokens),
    counted("Reasoning tokens", usage?.reasoning_tokens),
    counted("Total tokens", usage?.total_tokens),
    counted("Bytes of text", finished?.content_length),
    plain("Run id", run.id),
    plain("SHA-256", finished?.content_sha256),
  ];
}

/**
 * @param {RunLog} log
 * @returns {Figure}
 */
function timeToFirstToken({ run, firstText }) {
  const term = "Time to first token";
  if (run.finished) return measured(term, run.finished.timing.time_to_first_token);
  return { ...measured(term, firstText), estimated: true };
}

/**
 * @param {RunLog} log
 * @returns {Figure}
 */
function tokensPerSecond(log) {
  const term = "Tokens per second";
  const { finished } = log.run;
  const rate = finished ? exactRate(finished) : estimatedRate(log);
  return { term, value: rate, text: rate === null ? "–" : RATE.format(rate), estimated: !finished };
}

/** @param {import("../chat-client.js").FinishedEvent} finished */
function exactRate({ usage, timing }) {
  const seconds = (timing.total_time ?? 0) - (timing.time_to_first_token ?? 0);
  return usage && seconds > 0 ? usage.completion_tokens / seconds : null;
}

/** @param {RunLog} log */
function estimatedRate({ run, firstText, latest }) {
  if (firstText === null || latest <= firstText) return null;
  return (run.content.length + run.reasoning.length) / CHARACTERS_PER_TOKEN / (latest - firstText);
}

/**
 * @param {RunLog} log
 * @returns {Figure}
 */
function cost({ run }) {
  const term = "Cost";
  if (!run.finished) return { term, value: null, text: "–" };
  const dollars = run.finished.cost ?? null;
  return { term, value: dollars, text: dollars === null ? "unknown" : DOLLARS.format(dollars) };
}

/**
 * @param {string} term
 * @param {number | null | undefined} seconds
 * @returns {Figure}
 */
function measured(term, seconds) {
  const value = seconds ?? null;
  return { term, value, text: value === null ? "–" : `${SECONDS.format(value)} s` };
}

/**
 * @param {string} term
 * @param {number | null | undefined} count
 * @returns {Figure}
 */
function counted(term, count) {
  const value = count ?? null;
  return { term, value, text: value === null ? "–" : COUNT.format(value) };
}

/**
 * @param {string} term
 * @param {string | null | undefined} text
 * @returns {Figure}
 */
function plain(term, text) {
  return { term, value: text ?? null, text: text ?? "–" };
}
