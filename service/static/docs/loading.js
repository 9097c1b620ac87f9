// How do the viewers come onto the page? From this service only.

/**
 * @param {string} path relative to this file
 */
export function address(path) {
  return new URL(path, import.meta.url).href;
}

/**
 * Ahead of the page's own styles, which have the last word.
 * @param {string} path
 */
export function useStyles(path) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = address(path);
  document.querySelector("link[rel=stylesheet]")?.before(link);
}

/**
 * Run a script that is no module.
 * @param {string} path
 * @returns {Promise<void>}
 */
export function runScript(path) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.addEventListener("load", () => resolve());
    script.addEventListener("error", () => reject(new Error(`${path} did not load`)));
    script.src = address(path);
    document.head.append(script);
  });
}

/**
 * Tell whether the user's colours are dark, now and whenever that changes.
 * @param {(dark: boolean) => void} tell
 */
export function onColorScheme(tell) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  tell(dark.matches);
  dark.addEventListener("change", () => tell(dark.matches));
}

/**
 * A document in JSON.
 * @param {string} path
 * @param {(name: string, value: unknown) => unknown} [revive] see JSON.parse
 */
export async function fetched(path, revive) {
  const response = await fetch(address(path));
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return JSON.parse(await response.text(), revive);
}
