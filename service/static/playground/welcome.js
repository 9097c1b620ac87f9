// What is there before the first question? A greeting, and prompts to begin with.

import { element } from "./element.js";

/** @type {[string, string, string][]} */
const SAMPLES = [
  [
    "Explain it simply",
    "what a black hole is",
    "Explain to a curious ten-year-old what a black hole is, in four short paragraphs.",
  ],
  [
    "Compare in a table",
    "HTTP/1.1, HTTP/2 and HTTP/3",
    "Compare HTTP/1.1, HTTP/2 and HTTP/3 in a table: transport, multiplexing, head-of-line blocking, and when to use which.",
  ],
  [
    "Write some code",
    "a rate limiter in Python",
    "Write a small token-bucket rate limiter in Python with asyncio, with type hints and an example of its use.",
  ],
  [
    "Make a plan",
    "for learning to sail",
    "Make a six-week plan for learning to sail, as a numbered list with one goal a week.",
  ],
];

/**
 * @param {HTMLElement} list
 * @param {(prompt: string) => void} ask
 */
export function mountSamples(list, ask) {
  list.replaceChildren(
    ...SAMPLES.map(([title, rest, prompt]) => {
      const button = element(
        "button",
        { type: "button", class: "sample" },
        element("strong", {}, title),
        " ",
        element("span", {}, rest),
      );
      button.addEventListener("click", () => ask(prompt));
      return element("li", {}, button);
    }),
  );
}
