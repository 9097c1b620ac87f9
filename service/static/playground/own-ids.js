// Which ids are ours? Those of messages that the service has not named yet. It never hears of them.

let made = 0;

/** @param {"question" | "answer"} role @returns {string} */
export function ownId(role) {
  made += 1;
  return `${role}-${made}`;
}

/** @param {string} id @returns {boolean} whether it was made here, until the service gives one */
export function isOwn(id) {
  return /^(?:question|answer)-\d+$/.test(id);
}
