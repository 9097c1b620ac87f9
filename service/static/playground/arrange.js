// How do children come into another order? Only those that are out of place are moved, and keep the focus.

/**
 * @param {Element} parent
 * @param {Element[]} children all that it has then, in order
 */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, index) => {
    const there = parent.children[index] ?? null;
    if (there !== child) move(child, parent, there);
  });
}

/**
 * @param {Element} child
 * @param {Element} parent
 * @param {Element | null} before
 */
function move(child, parent, before) {
  if ("moveBefore" in parent && child.isConnected && parent.isConnected) {
    /** @type {any} */ (parent).moveBefore(child, before);
    return;
  }
  const focused = child.contains(document.activeElement) ? document.activeElement : null;
  parent.insertBefore(child, before);
  if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
}
