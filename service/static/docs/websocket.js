// How is the WebSocket shown? By Redoc, below a form that talks to the service.

import { examplesOf } from "./examples.js";
import { address, fetched } from "./loading.js";
import { Talk } from "./talk.js";

/** @param {HTMLElement} viewer */
export async function showWebSocket(viewer) {
  const described = await fetched("../../asyncapi.json");
  const template = /** @type {HTMLTemplateElement} */ (document.querySelector("#talk"));
  const description = document.createElement("div");
  viewer.append(template.content.cloneNode(true), description);
  const form = /** @type {HTMLElement} */ (viewer.querySelector(".talk"));
  new Talk(form, address(`../..${described.channels.chat.address}`), examplesOf(described));

  const { init } = await import("../vendor/redoc.js");
  init(address("../../asyncapi.json"), { disableTelemetry: true }, description);
}
