// How does one talk on the WebSocket by hand? One connects, chooses a message or writes one, sends.

import { filled } from "./examples.js";

const SUBPROTOCOL = "ai-library.v1";
const MOST_SHOWN = 500;

export class Talk {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Record<string, unknown>} the ids that the service told last */
  #known = {};
  #url;
  #examples;
  #connection;
  #message;
  #state;
  #said;

  /**
   * @param {HTMLElement} root from the page's template
   * @param {string} url over HTTP
   * @param {import("./examples.js").Example[]} examples
   */
  constructor(root, url, examples) {
    this.#url = url.replace(/^http/, "ws");
    this.#examples = examples;
    this.#connection = /** @type {HTMLFormElement} */ (root.querySelector(".connection"));
    this.#message = /** @type {HTMLFormElement} */ (root.querySelector(".message"));
    this.#state = /** @type {HTMLElement} */ (root.querySelector("[role=status]"));
    this.#said = /** @type {HTMLElement} */ (root.querySelector(".said"));
    this.#message.example.append(...examples.map(({ title }, at) => new Option(title, `${at}`)));
    this.#message.example.selectedIndex = examples.findIndex(
      ({ payload }) => payload.type === "chat",
    );
    this.#message.example.addEventListener("change", () => this.#choose());
    this.#connection.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#socket) this.#socket.close();
      else this.#connect();
    });
    this.#message.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send(this.#message.text.value);
    });
    this.#choose();
  }

  #choose() {
    const example = this.#examples[this.#message.example.selectedIndex];
    if (example) this.#message.text.value = JSON.stringify(filled(example, this.#known), null, 2);
  }

  #connect() {
    const socket = new WebSocket(this.#url, SUBPROTOCOL);
    this.#socket = socket;
    this.#show("connecting");
    socket.addEventListener("open", () => {
      const token = this.#connection.token.value;
      this.#show("connected");
      if (!token) return;
      socket.send(JSON.stringify({ type: "auth", token }));
      this.#note("sent", JSON.stringify({ type: "auth", token: "…" }));
    });
    socket.addEventListener("message", ({ data }) => {
      this.#note("received", data);
      this.#learn(JSON.parse(data));
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.#socket = null;
      this.#show("not connected");
      this.#note("closed", `${code} ${reason}`);
    });
  }

  /** @param {Record<string, unknown>} message */
  #learn(message) {
    for (const name of ["run_id", "conversation_id"]) {
      if (message[name]) this.#known[name] = message[name];
    }
    if (message.type === "finished") this.#known.parent_message_id = message.message_id;
  }

  /** @param {string} text */
  #send(text) {
    this.#socket?.send(text);
    this.#note("sent", text);
  }

  /** @param {"not connected" | "connecting" | "connected"} state */
  #show(state) {
    const [button] = this.#connection.getElementsByTagName("button");
    const [send] = this.#message.getElementsByTagName("button");
    this.#state.textContent = state;
    button.textContent = this.#socket ? "Disconnect" : "Connect";
    send.disabled = state !== "connected";
  }

  /**
   * @param {"sent" | "received" | "closed"} how
   * @param {string} text
   */
  #note(how, text) {
    const line = document.createElement("p");
    const label = document.createElement("b");
    const told = document.createElement("code");
    line.className = how;
    label.textContent = how;
    told.textContent = text;
    line.append(label, " ", told);
    this.#said.append(line);
    if (this.#said.childElementCount > MOST_SHOWN) this.#said.firstElementChild?.remove();
    this.#said.scrollTop = this.#said.scrollHeight;
  }
}
