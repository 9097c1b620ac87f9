// Under which heading does a conversation stand? By the day on which it was last added to.

const DAY_MS = 86_400_000;
const MONTH = new Intl.DateTimeFormat("en", { month: "long", year: "numeric" });

/**
 * @param {string} time RFC 3339
 * @param {Date} now
 * @returns {string}
 */
export function headingOf(time, now) {
  const moment = new Date(time);
  const days = Math.round((midnight(now) - midnight(moment)) / DAY_MS);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days <= 7) return "Previous 7 days";
  return MONTH.format(moment);
}

/**
 * @param {Date} moment
 * @returns {number} when its day began, where the reader is
 */
function midnight(moment) {
  return new Date(moment.getFullYear(), moment.getMonth(), moment.getDate()).getTime();
}
