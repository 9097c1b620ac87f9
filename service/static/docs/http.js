// How is the HTTP API shown? By Swagger UI, which sends requests to the service that it is from.

import { address, fetched, onColorScheme, runScript, useStyles } from "./loading.js";

/**
 * A credential that is given to it is kept in memory, for this page only.
 * @param {HTMLElement} viewer
 */
export async function showHttp(viewer) {
  useStyles("../vendor/swagger-ui.css");
  onColorScheme((dark) => document.documentElement.classList.toggle("dark-mode", dark));
  await runScript("../vendor/swagger-ui.js");
  swagger().SwaggerUIBundle({
    domNode: viewer,
    spec: toTry(await fetched("../../openapi.json", withoutUnderscores)),
    deepLinking: true,
    displayRequestDuration: true,
    persistAuthorization: false,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
}

/**
 * @typedef {object} Parameter
 * @property {string} description
 * @property {boolean} required
 * @property {unknown} [example]
 */

/**
 * The description as it is good to try: sent to wherever this page is from, and without what need
 * not be sent, since Swagger UI would fill in the examples.
 * @param {{servers: {url: string}[], components: {parameters: Record<string, Parameter>}}} described
 */
function toTry(described) {
  described.servers = [{ url: address("../../") }];
  for (const parameter of Object.values(described.components.parameters)) {
    if (parameter.required) continue;
    if (parameter.example) parameter.description += ` For example \`${parameter.example}\`.`;
    delete parameter.example;
  }
  return described;
}

/**
 * In links to an operation Swagger UI takes an underscore for a space, and complains.
 * @param {string} name
 * @param {unknown} value
 */
function withoutUnderscores(name, value) {
  return name === "operationId" ? String(value).replaceAll("_", "-") : value;
}

/** What the script leaves behind. */
function swagger() {
  const left = /** @type {unknown} */ (globalThis);
  return /** @type {{ SwaggerUIBundle: (options: object) => void }} */ (left);
}
