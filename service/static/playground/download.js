// How does a file get to where the browser keeps downloads?

import { element } from "./element.js";

/**
 * @param {{filename: string, blob: Blob}} file
 */
export function download({ filename, blob }) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: filename }).click();
  // The browser reads it after the click has been handled.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
