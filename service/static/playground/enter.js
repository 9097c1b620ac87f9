// Does this key send what is written?

/** @param {KeyboardEvent} event @returns {boolean} */
export function sends(event) {
  if (event.key !== "Enter" || isComposing(event)) return false;
  const isPlain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
  return isPlain ? !isTouchOnly() : event.ctrlKey || event.metaKey;
}

/**
 * Whether the key belongs to a composition, as of Japanese words. The one that ends it comes after
 * its end in Safari, and bears this code alone.
 * @param {KeyboardEvent} event
 */
export function isComposing({ isComposing, keyCode }) {
  return isComposing || keyCode === 229;
}

/** On a keyboard of glass, Enter makes a new line: there is no Shift + Enter. */
export function isTouchOnly() {
  return matchMedia("(pointer: coarse) and (hover: none)").matches;
}
