// Is it meant? A question that is asked before what cannot be taken back.

import { element } from "./element.js";

/**
 * @param {{title: string, text: string, action: string}} question `action` is what is done on yes
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, action }) {
  const dialog = element(
    "dialog",
    { class: "confirm", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text" },
    element(
      "form",
      { method: "dialog" },
      element("h2", { id: "confirm-title" }, title),
      element("p", { id: "confirm-text" }, text),
      element(
        "div",
        { class: "dialog-actions" },
        element("button", { class: "plain-button", value: "", autofocus: true }, "Cancel"),
        element("button", { class: "primary-button grave", value: "yes" }, action),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
