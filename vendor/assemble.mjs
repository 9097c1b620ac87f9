// What becomes of node_modules? The files that the pages load, their licences, and a list of both.
//
//   node assemble.mjs DIRECTORY
//
// writes them into DIRECTORY, which holds nothing else then. Nothing is built: what npm brought is
// copied, but for the changes that are told below and in manifest.json.

import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));

/**
 * @typedef {object} Taken
 * @property {string} name of the package
 * @property {Record<string, string>} files where each file that is made comes from
 * @property {string[]} licences
 * @property {[string, string][]} [changes] what is replaced by what; each is there once
 */

/** @type {Taken[]} */
const TAKEN = [
  {
    name: "marked",
    files: { "marked.js": "lib/marked.esm.js", "marked.d.ts": "lib/marked.d.ts" },
    licences: ["LICENSE"],
  },
  {
    name: "dompurify",
    files: { "dompurify.js": "dist/purify.es.mjs", "dompurify.d.ts": "dist/purify.es.d.mts" },
    licences: ["LICENSE"],
  },
  {
    name: "@highlightjs/cdn-assets",
    files: { "highlight.js": "es/highlight.min.js" },
    licences: ["LICENSE"],
  },
  {
    name: "swagger-ui-dist",
    files: { "swagger-ui.js": "swagger-ui-bundle.js", "swagger-ui.css": "swagger-ui.css" },
    licences: ["LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"],
  },
  {
    name: "redoc",
    files: { "redoc.js": "bundles/redoc.standalone.js" },
    licences: ["LICENSE"],
    // Its maker's logo would come from its maker's server. Without one it shows none.
    changes: [
      ["https://cdn.redoc.ly/redoc/logo-mini-full.svg", "data:,"],
      ["https://cdn.redoc.ly/redoc/logo-mini.svg", "data:,"],
    ],
  },
];

/** Types of what has none: written here. */
const TYPES = ["highlight.d.ts", "redoc.d.ts"];

/** Of maps that are not taken along; browsers' tools would look for them. */
const SOURCE_MAP = /\n\/[/*]# sourceMappingURL=[^\n]*\s*$/;

/**
 * @param {string} text
 * @param {[string, string][]} changes
 */
function changed(text, changes) {
  for (const [old, fresh] of changes) {
    const parts = text.split(old);
    if (parts.length !== 2) {
      throw new Error(`${old} is there ${parts.length - 1} times, not once`);
    }
    text = parts.join(fresh);
  }
  return text.replace(SOURCE_MAP, "\n");
}

/**
 * Copy one package's files.
 * @param {Taken} taken
 * @param {string} directory
 */
function take({ name, files, licences, changes = [] }, directory) {
  const from = join(HERE, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(from, "package.json"), "utf8"));
  const sha256 = /** @type {Record<string, string>} */ ({});
  for (const [file, source] of Object.entries(files)) {
    const applied = file.endsWith(".js") ? changes : [];
    const text = changed(readFileSync(join(from, source), "utf8"), applied);
    writeFileSync(join(directory, file), text);
    sha256[file] = createHash("sha256").update(text).digest("hex");
  }
  const short = name.replace(/^.*\//, "").replace("cdn-assets", "highlight.js");
  for (const licence of licences) {
    const path = licences.length > 1 ? `${short}.${licence}` : short;
    copyFileSync(
      join(from, licence),
      join(directory, "licences", `${path.replace(/\.txt$/, "")}.txt`),
    );
  }
  return { name, version, licence: license, source: files, changes, sha256 };
}

const [directory] = process.argv.slice(2);
if (!directory) {
  throw new Error("Say where to: node assemble.mjs DIRECTORY");
}
rmSync(directory, { recursive: true, force: true });
mkdirSync(join(directory, "licences"), { recursive: true });
const packages = TAKEN.map((taken) => take(taken, directory));
for (const file of TYPES) {
  copyFileSync(join(HERE, "types", file), join(directory, file));
}
writeFileSync(join(directory, "manifest.json"), `${JSON.stringify({ packages }, null, 2)}\n`);
