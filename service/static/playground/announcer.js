// What is said to who cannot see the page? Few words, when something begins, ends or goes wrong.

/** @param {string} words */
export function announce(words) {
  const place = document.getElementById("announcer");
  if (!place) return;
  // The same words again are a change only when they were gone in between.
  place.textContent = "";
  requestAnimationFrame(() => {
    place.textContent = words;
  });
}
