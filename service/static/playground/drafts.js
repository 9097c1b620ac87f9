// What was typed and not sent? Kept for this tab, for each conversation by itself.

const KEPT = "ai-library.draft.";

/** @param {string | null} id of a conversation; null: a new one */
export function draftOf(id) {
  try {
    return sessionStorage.getItem(KEPT + (id ?? "new")) ?? "";
  } catch {
    return "";
  }
}

/** @param {string | null} id @param {string} text */
export function keepDraft(id, text) {
  try {
    if (text) sessionStorage.setItem(KEPT + (id ?? "new"), text);
    else sessionStorage.removeItem(KEPT + (id ?? "new"));
  } catch {
    // No storage: the draft lives as long as the page.
  }
}
