// How does one sign out? The tab forgets whatever it has kept, and says before what it has not.

import { addressOf } from "./address.js";
import { confirmed } from "./confirm.js";
import { keptToken } from "./credentials.js";
import { element } from "./element.js";

const KEPT = "ai-library.";
const WHAT_IS_KEPT =
  "This tab forgets the key or token, what was written and not sent, and the question under way. " +
  "Conversations stay with the service. The settings, system prompt included, stay in this browser. " +
  "Other tabs stay signed in.";

/**
 * A button that is there only while a token is kept.
 * @param {import("./sign-in.js").SignIn} signIn
 */
export function signOutButton(signIn) {
  const button = element("button", { type: "button", class: "quiet-button sign-out" }, "Sign out");
  const update = () => {
    button.hidden = keptToken() === null;
  };
  button.addEventListener("click", async () => {
    const isMeant = await confirmed({ title: "Sign out?", text: WHAT_IS_KEPT, action: "Sign out" });
    if (isMeant) leave();
  });
  signIn.addEventListener("signed-in", update);
  update();
  return button;
}

function leave() {
  // Last of all: whatever is kept while the page is being left is forgotten, too.
  addEventListener("pagehide", forgetTab);
  history.replaceState(null, "", addressOf(null));
  location.reload();
}

function forgetTab() {
  try {
    for (const name of Object.keys(sessionStorage))
      if (name.startsWith(KEPT)) sessionStorage.removeItem(name);
  } catch {
    // Storage is forbidden: then nothing outlives the page.
  }
}
