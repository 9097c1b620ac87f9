// How does a long block of code grow? Its text goes to the end, until a line closes the fence.

import { CodeBlock } from "./code-block.js";

/** A block of code whose end is not written yet. */
export class GrowingCode {
  rough = false;
  #block;
  #end;
  #indent;
  #isAtLineStart = true;

  /**
   * @param {HTMLElement} root
   * @param {RegExpExecArray} fence its indent, and its marks
   * @param {string} [info] what stands behind them
   */
  constructor(root, [, indent = "", marks = ""], info = "") {
    this.#block = new CodeBlock(/^\s*(\S*)/.exec(info)?.[1] ?? "");
    root.append(this.#block.element);
    this.#end = new RegExp(`\\n {0,3}${marks[0]}{${marks.length},}[ \\t]*(?:\\n|$)`);
    this.#indent = indent ? new RegExp(`\\n {1,${indent.length}}`, "g") : null;
  }

  /** @type {import("./growing.js").Part["grow"]} */
  grow(source, ended) {
    const text = (this.#isAtLineStart ? "\n" : " ") + source;
    const end = this.#end.exec(text);
    // "```" may become "```js", which closes nothing: so its line has to be complete.
    if (end && (ended || end[0].endsWith("\n"))) {
      this.#take(text, end.index);
      return { taken: end.index + end[0].length - 1, closed: true };
    }
    const whole = text.endsWith("\n") ? text.length - 1 : text.length;
    const taken = this.#take(text, ended ? whole : this.#decidedLength(text));
    return { taken, closed: ended };
  }

  /** @param {string} text @returns {number} without the end of a line, which a fence may follow */
  #decidedLength(text) {
    const line = text.lastIndexOf("\n");
    const isUndecided = /^ {0,3}[`~]*[ \t]*$/.test(text.slice(line + 1));
    return line >= 0 && (isUndecided || this.#indent) ? line : text.length;
  }

  /** @param {string} text @param {number} length @returns {number} so much of the source */
  #take(text, length) {
    if (length <= 1) return 0;
    const part = text.slice(0, length);
    this.#block.append((this.#indent ? part.replace(this.#indent, "\n") : part).slice(1));
    this.#isAtLineStart = false;
    return length - 1;
  }
}
