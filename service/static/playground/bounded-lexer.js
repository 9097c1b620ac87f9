// How long does it take to read Markdown? As long as it is, whatever is in it.
//
// marked looks from every mark to the end of the paragraph, so that ten times the text takes a
// hundred times as long where marks have no partners. Here it sees so much of a paragraph at once,
// and so many levels of nesting; what is beyond that is text. People write neither.

import { Lexer } from "../vendor/marked.js";
import { settledLength } from "./settled.js";

/** @typedef {import("../vendor/marked.js").Token} Token */

/** So much of a paragraph is looked at together, in characters. */
export const LONGEST_LOOK = 2000;
const DEEPEST_BLOCK = 20;
const DEEPEST_MARK = 12;

/** Takes Markdown apart. */
export class BoundedLexer extends Lexer {
  #blocks = 0;
  #marks = 0;

  /**
   * @override
   * @param {string} source
   * @param {any} [tokens]
   * @param {boolean} [isClipped]
   */
  blockTokens(source, tokens = [], isClipped = false) {
    if (this.#blocks >= DEEPEST_BLOCK) return asText(source, tokens);
    this.#blocks += 1;
    super.blockTokens(source, tokens, isClipped);
    this.#blocks -= 1;
    return tokens;
  }

  /**
   * @override
   * @param {string} source
   * @param {Token[]} [tokens]
   */
  inlineTokens(source, tokens = []) {
    if (this.#marks >= DEEPEST_MARK) return asText(source, tokens);
    this.#marks += 1;
    let rest = source;
    while (rest.length > LONGEST_LOOK) {
      const look = rest.slice(0, LONGEST_LOOK);
      const isWords = /\s/.test(look);
      const length = isWords ? cut(look, super.inlineTokens(look)) : look.length;
      if (isWords) super.inlineTokens(look.slice(0, length), tokens);
      else asText(look, tokens);
      rest = rest.slice(length);
    }
    super.inlineTokens(rest, tokens);
    this.#marks -= 1;
    return tokens;
  }
}

/**
 * @param {string} look the beginning of a longer text
 * @param {Token[]} pieces of it
 * @returns {number} so much of it is read by itself: up to where no mark is open, if there is such
 */
function cut(look, pieces) {
  const settled = settledLength(pieces, look.length);
  if (settled >= look.length / 2) return settled;
  return look.lastIndexOf(" ") + 1 || look.length;
}

/** @param {string} text @param {Token[]} tokens */
function asText(text, tokens) {
  tokens.push({ type: "text", raw: text, text, escaped: false });
  return tokens;
}
