// How much of a paragraph stays as it is, whatever follows?

/** @typedef {import("../vendor/marked.js").Token} Token */

// What a later character may yet turn into markup.
const OPENER = /[*~](?=\S)|(?<!\w)_(?=\S)|\[|`|\\\(|\$\$|<(?=[a-z/!?])/i;

/**
 * @param {Token[]} pieces of the paragraph
 * @param {number} limit
 * @returns {number} so many characters, up to a space between words
 */
export function settledLength(pieces, limit) {
  let [begin, settled] = [0, 0];
  for (const { type, raw } of pieces) {
    if (type === "text") {
      const risk = raw.search(OPENER);
      const end = Math.min(risk < 0 ? raw.length : risk, limit - begin);
      const space = end > 0 ? raw.lastIndexOf(" ", end - 1) : -1;
      if (space >= 0) settled = begin + space + 1;
      if (risk >= 0) return settled;
    }
    begin += raw.length;
    if (begin >= limit) return settled;
  }
  return settled;
}
