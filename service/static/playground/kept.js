// What does the browser keep for the next visit? JSON values under names, where it lets us.

/**
 * @param {string} name
 * @returns {unknown} null where nothing is kept, or nothing that can be read
 */
export function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(name) ?? "null");
  } catch {
    return null;
  }
}

/**
 * @param {string} name
 * @param {unknown} value
 */
export function keep(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // Storage is full or forbidden: then it holds for this visit only.
  }
}
