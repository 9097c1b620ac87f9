// How is the service reached? The transport, the state of the connection, and a way to break it.

import { element, icon } from "./element.js";
import { TRANSPORTS } from "./run-log.js";

/** @typedef {import("../chat-client.js").ChatClient} ChatClient */
/** @typedef {import("../chat-client.js").ConnectionDetail} ConnectionDetail */

const TICK_MS = 100;
/** @type {Record<ConnectionDetail["state"], string>} */
const STATES = {
  idle: "Idle: nothing is being read",
  connecting: "Connecting …",
  open: "Connected",
  waiting: "Connection lost",
};

export class ConnectionPanel {
  #client;
  #state = element("span", { role: "status" });
  #countdown = element("span", { class: "countdown", "aria-hidden": "true" });
  #line = element(
    "p",
    { class: "connection" },
    element("i", { class: "light" }),
    this.#state,
    this.#countdown,
  );
  #cut = element(
    "button",
    { type: "button", class: "plain-button" },
    icon("cut"),
    "Cut connection",
  );
  #reconnect = element(
    "button",
    { type: "button", class: "plain-button", hidden: true },
    "Reconnect now",
  );
  #ticking = 0;

  /** @param {ChatClient} client */
  constructor(client) {
    this.#client = client;
    this.#reconnect.addEventListener("click", () => client.reconnect());
    this.#cut.addEventListener("click", () => client.cut());
    this.element = element(
      "section",
      { class: "panel", "aria-labelledby": "connection-heading" },
      element("h3", { id: "connection-heading" }, "Connection"),
      element(
        "p",
        { class: "explanation" },
        "Change it or cut it in mid-answer: reading goes on after the last event.",
      ),
      this.#transports(),
      this.#line,
      element("div", { class: "panel-actions" }, this.#cut, this.#reconnect),
    );
    this.show({
      state: client.connection,
      transport: client.transport,
      attempt: 0,
      retryInSeconds: null,
    });
  }

  /** @param {ConnectionDetail} detail */
  show({ state, transport, attempt, retryInSeconds }) {
    clearInterval(this.#ticking);
    this.#line.dataset.state = state;
    this.#state.textContent =
      state === "open" ? `${STATES.open} by ${TRANSPORTS[transport]}` : STATES[state];
    const hadFocus = document.activeElement === this.#reconnect;
    this.#reconnect.hidden = state !== "waiting";
    if (hadFocus && this.#reconnect.hidden) this.#cut.focus();
    const due = performance.now() + (retryInSeconds ?? 0) * 1000;
    const tick = () => {
      this.#countdown.textContent = countdown(attempt, due - performance.now());
    };
    if (state === "waiting") {
      tick();
      this.#ticking = setInterval(tick, TICK_MS);
    } else {
      this.#countdown.textContent = attempt ? `· attempt ${attempt}` : "";
    }
  }

  #transports() {
    const choices = Object.entries(TRANSPORTS).map(([value, label]) => {
      const checked = value === this.#client.transport;
      const input = element("input", { type: "radio", name: "transport", value, checked });
      input.addEventListener("change", () => {
        this.#client.transport = /** @type {"websocket" | "sse"} */ (value);
      });
      return element("label", {}, input, element("span", {}, label));
    });
    return element(
      "div",
      { class: "segments", role: "radiogroup", "aria-label": "Transport" },
      ...choices,
    );
  }
}

/**
 * @param {number} attempt
 * @param {number} milliseconds
 */
function countdown(attempt, milliseconds) {
  return `· attempt ${attempt} in ${Math.max(0, milliseconds / 1000).toFixed(1)} s`;
}
