// What happens underneath? The connection, the figures of a run, and its events as they come.

import { ConnectionPanel } from "./connection-panel.js";
import { element } from "./element.js";
import { EventList } from "./event-list.js";
import { detailsOf, headlinesOf } from "./figures.js";
import { RunLog } from "./run-log.js";

/** @typedef {import("../chat-client.js").ChatClient} ChatClient */
/** @typedef {import("../chat-client.js").Run} Run */
/** @typedef {import("../chat-client.js").ConnectionDetail} ConnectionDetail */
/** @typedef {import("./figures.js").Figure} Figure */

const COUNT = new Intl.NumberFormat("en");

/**
 * Fill the inspector.
 * @param {HTMLElement} root
 * @param {{client: ChatClient}} surroundings
 */
export function mountInspector(root, { client }) {
  const inspector = new Inspector(client);
  root.replaceChildren(...inspector.parts);
  return {
    /** @param {Run} run to be shown; one that was shown before is as it was */
    follow: (run) => inspector.follow(run),
    /** Show no run. */
    clear: () => inspector.clear(),
  };
}

class Inspector {
  #client;
  #connection;
  #events = new EventList();
  #headlines = element("dl", { class: "headlines" });
  #details = element("dl", { class: "facts" });
  #run = element("div", { class: "run-figures", hidden: true }, this.#headlines, this.#details);
  #nothing = element(
    "p",
    { class: "explanation" },
    "An answer is a log of numbered events, and a connection only reads it. Ask something, and watch it grow.",
  );
  #count = element("span", { class: "count" });
  /** @type {WeakMap<Run, RunLog>} */
  #logs = new WeakMap();
  /** @type {RunLog | null} */
  #log = null;
  #frame = 0;

  /** @param {ChatClient} client */
  constructor(client) {
    this.#client = client;
    this.#connection = new ConnectionPanel(client);
    client.addEventListener("connection", (event) => {
      const { detail } = /** @type {CustomEvent<ConnectionDetail>} */ (event);
      this.#connection.show(detail);
    });
    this.parts = [
      element("h2", {}, "Inspector"),
      this.#connection.element,
      section("run", "Run", this.#nothing, this.#run),
      section("events", "Events", this.#count, this.#events.element),
    ];
  }

  /** @param {Run} run */
  follow(run) {
    if (this.#log?.run === run) return;
    this.clear();
    const log = this.#logs.get(run) ?? new RunLog(run, this.#client);
    this.#logs.set(run, log);
    this.#log = log;
    log.addEventListener("change", this.#changed);
    run.addEventListener("change", this.#changed);
    this.#events.show(log.rows);
    this.#render();
  }

  clear() {
    this.#log?.removeEventListener("change", this.#changed);
    this.#log?.run.removeEventListener("change", this.#changed);
    this.#log = null;
    this.#events.show([]);
    this.#render();
  }

  // However many events come in a frame, it is drawn once.
  #changed = () => {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  };

  #render() {
    const log = this.#log;
    this.#run.hidden = !log;
    this.#nothing.hidden = log !== null;
    this.#count.textContent = log ? COUNT.format(log.count) : "";
    if (!log) return;
    showFigures(this.#headlines, headlinesOf(log));
    showFigures(this.#details, detailsOf(log));
    this.#events.render();
  }
}

/**
 * @param {string} name
 * @param {string} heading
 * @param {...HTMLElement} parts
 */
function section(name, heading, ...parts) {
  const id = `${name}-heading`;
  return element(
    "section",
    { class: `panel ${name}-panel`, "aria-labelledby": id },
    element("h3", { id }, heading),
    ...parts,
  );
}

/**
 * Each in a group of its own; only what has changed is written.
 * @param {HTMLElement} list
 * @param {Figure[]} figures
 */
function showFigures(list, figures) {
  if (list.children.length !== figures.length) {
    list.replaceChildren(
      ...figures.map(({ term }) =>
        element("div", {}, element("dt", {}, term), element("dd", {}, element("data"))),
      ),
    );
  }
  figures.forEach((figure, index) => {
    const data = list.children[index]?.querySelector("data");
    if (data) showFigure(data, figure);
  });
}

/**
 * @param {HTMLDataElement} data
 * @param {Figure} figure
 */
function showFigure(data, { value, text, estimated }) {
  const shown = estimated && value !== null ? `≈ ${text}` : text;
  if (data.textContent === shown) return;
  data.textContent = shown;
  data.value = value === null ? "" : String(value);
  data.title = estimated && value !== null ? "Estimated while the answer comes" : text;
}
