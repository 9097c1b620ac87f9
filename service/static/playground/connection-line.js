// Is the connection lost? A quiet line under the composer says so, in the place of the one about keys.

import { element } from "./element.js";

/** @typedef {import("../chat-client.js").ChatClient} ChatClient */
/** @typedef {import("../chat-client.js").ConnectionDetail} ConnectionDetail */

const TICK_MS = 250;

/**
 * @param {HTMLElement} line that has another text while all is well: so nothing moves
 * @param {ChatClient} client
 */
export function mountConnectionLine(line, client) {
  const usual = element("span", { class: "usual" }, ...line.childNodes);
  const status = element("span", { role: "status" });
  const countdown = element("span", { "aria-hidden": "true" }); // not to be read aloud each second
  line.replaceChildren(usual, status, countdown);
  let ticking = 0;

  /** @param {ConnectionDetail} detail */
  const show = ({ state, attempt, retryInSeconds }) => {
    const isLost = state === "waiting" || (state === "connecting" && attempt > 0);
    const due = performance.now() + (retryInSeconds ?? 0) * 1000;
    const tick = () => {
      countdown.textContent = isLost ? untilThen(due - performance.now()) : "";
    };
    clearInterval(ticking);
    if (state === "waiting") ticking = setInterval(tick, TICK_MS);
    tick();
    usual.hidden = isLost;
    line.classList.toggle("lost", isLost);
    const said = isLost ? "Connection lost – trying again" : "";
    if (status.textContent !== said) status.textContent = said;
  };
  client.addEventListener("connection", (event) =>
    show(/** @type {CustomEvent<ConnectionDetail>} */ (event).detail),
  );
}

/** @param {number} milliseconds */
function untilThen(milliseconds) {
  const seconds = Math.ceil(milliseconds / 1000);
  return seconds > 0 ? ` in ${seconds} s …` : " …";
}
