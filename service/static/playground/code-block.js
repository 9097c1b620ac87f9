// How is a block of code shown? With its language, a button that copies it, and colours.

import { copyButton } from "./clipboard.js";
import { element } from "./element.js";
import { Sections } from "./highlight.js";

/** A block of code that may grow. */
export class CodeBlock {
  #code = "";
  #sections;

  /** @param {string} language as it was named, or nothing */
  constructor(language) {
    const code = element("code");
    this.#sections = new Sections(code, language);
    const name = language || "text";
    this.element = element(
      "div",
      { class: "code" },
      element(
        "div",
        { class: "code-head" },
        element("span", {}, name),
        copyButton("Copy code", () => this.#code),
      ),
      element("pre", { tabindex: "0", role: "region", "aria-label": `Code, ${name}` }, code),
    );
  }

  /** @param {string} text goes to the end */
  append(text) {
    if (!text) return;
    this.#code += text;
    this.#sections.append(text);
  }
}

/**
 * @param {string} language
 * @param {string} code
 * @returns {HTMLElement}
 */
export function codeBlock(language, code) {
  const block = new CodeBlock(language);
  block.append(code);
  return block.element;
}
