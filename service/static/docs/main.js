// Which description does the page show? The one that its address names.

import { showHttp } from "./http.js";
import { showWebSocket } from "./websocket.js";

const viewer = /** @type {HTMLElement} */ (document.querySelector("#viewer"));
const fault = /** @type {HTMLElement} */ (document.querySelector("#fault"));
const of = new URLSearchParams(location.search).get("of") === "websocket" ? "websocket" : "http";

document.querySelector(`[data-of="${of}"]`)?.setAttribute("aria-current", "page");
try {
  await (of === "websocket" ? showWebSocket(viewer) : showHttp(viewer));
} catch (error) {
  fault.textContent = `The description cannot be shown: ${/** @type {Error} */ (error).message}`;
  fault.hidden = false;
}
