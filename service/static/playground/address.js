// Which conversation does the address name? `#c=ID`; none of them is a new one.

/** @returns {string | null} its id */
export function idInAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("c");
}

/** @returns {boolean} whether it is one of ours; a link within the page is not */
export function namesConversation() {
  return location.hash.length < 2 || location.hash.startsWith("#c=");
}

/** @param {string | null} id */
export function addressOf(id) {
  return id ? `#c=${encodeURIComponent(id)}` : location.pathname + location.search;
}
