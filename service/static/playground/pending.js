// What is shown of Markdown whose end is not written yet? What it will be, as far as one can tell.

// A line that may become a list, heading, rule, fence or underline as soon as more of it is there.
const UNDECIDED_LINE = /(?:^|\n)[ \t>]*(?:[-+*_=~`#|\s]{1,80}|\d{1,9}[.)]?|[-+*] \[[ xX]?\]?)$/;
const HALF_LINK = /!?\[([^[\]\n]*)(?:\](?:\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*)?)?$/;
const HALF_TAG = /<\/?[a-zA-Z][^<>\n]*$/;
const HALF_ENTITY = /&#?[a-zA-Z0-9]{0,12}$/;
const MARKS = /\\.|(`+)|(\*{1,3}|_{1,3}|~~)/gs;

/**
 * @param {string} text
 * @returns {string} without a last line of which one cannot tell what it will be
 */
export function certain(text) {
  return text.replace(UNDECIDED_LINE, "");
}

/**
 * @param {string} text the last blocks of a text that grows
 * @returns {string} Markdown that shows the same, without what would look otherwise in a moment
 */
export function decided(text) {
  const start = lastBlock(text);
  const block = text.slice(start);
  if (isInsideFence(text)) return text.replace(/\n[ \t]*(?:`{1,}|~{1,})$/, "");
  const whole = withoutHalfTable(certain(block));
  return text.slice(0, start) + completed(whole);
}

/** @param {string} text */
function lastBlock(text) {
  const end = text.lastIndexOf("\n\n");
  return end < 0 ? 0 : end + 2;
}

/** @param {string} text */
function isInsideFence(text) {
  return (text.match(/^[ \t>]*(?:(?:[-+*]|\d+[.)]) [ \t]*)?(?:```|~~~)/gm)?.length ?? 0) % 2 === 1;
}

/**
 * A table shows from the moment when its first row is complete: by that its columns are made.
 * @param {string} block
 */
function withoutHalfTable(block) {
  const begin = /(?:^|\n)\|/.exec(block);
  if (!begin) return block;
  const lines = block.slice(begin.index).replace(/^\n/, "").split("\n");
  const half = lines.length < 4 || (lines.length === 4 && !lines[3]?.trim());
  return half ? block.slice(0, begin.index) : block;
}

/**
 * @param {string} block
 * @returns {string} the same with every mark closed that was opened
 */
export function completed(block) {
  const { open, isCode } = unclosed(block);
  if (isCode) return withEnds(block, open);
  const text = block
    .replace(HALF_TAG, "")
    .replace(HALF_ENTITY, "")
    .replace(/\\$/, "")
    .replace(HALF_LINK, "$1");
  let end = text.length;
  while (end > 0 && "*_~`".includes(text.charAt(end - 1))) end -= 1;
  const bare = text.slice(0, end);
  return withEnds(bare, unclosed(bare).open);
}

/**
 * @param {string} block
 * @param {string[]} open marks, outermost first
 */
function withEnds(block, open) {
  if (open.length === 0) return block;
  const trimmed = block.trimEnd();
  const ends = [...open];
  let text = trimmed;
  while (ends.length && text.endsWith(/** @type {string} */ (ends.at(-1)))) {
    text = text.slice(0, -(/** @type {string} */ (ends.pop()).length)).trimEnd();
  }
  return text + ends.reverse().join("");
}

/**
 * @param {string} block
 * @returns {{open: string[], isCode: boolean}} marks that were opened and not closed
 */
function unclosed(block) {
  /** @type {string[]} */
  const open = [];
  let ticks = "";
  for (const match of block.matchAll(MARKS)) {
    const [whole, tick, mark] = match;
    if (tick) {
      if (!ticks) ticks = tick;
      else if (tick === ticks) ticks = "";
    } else if (mark && !ticks) {
      turn(open, mark, block[match.index - 1] ?? " ", block[match.index + whole.length] ?? " ");
    }
  }
  return { open: ticks ? [...open, ticks] : open, isCode: Boolean(ticks) };
}

/**
 * @param {string[]} open
 * @param {string} mark
 * @param {string} before
 * @param {string} after
 */
function turn(open, mark, before, after) {
  const place = open.lastIndexOf(mark);
  if (place >= 0 && /\S/.test(before)) open.splice(place);
  else if (/\S/.test(after) && !(mark.startsWith("_") && /\w/.test(before))) open.push(mark);
}
