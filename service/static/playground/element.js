// How is a piece of the page made? By a call for each element: text goes in as text, never as HTML.

/** @typedef {Node | string | null | undefined | false} Child what is not there is left out */
/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Attributes */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with its attributes and children.
 *
 * An attribute that is true is set without a value; one that is false, null or undefined is left
 * out. A function named `onclick` listens to `click`.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * A picture from the sprite in index.html, hidden from screen readers: what bears it has a name.
 * @param {string} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const use = filled(document.createElementNS(SVG, "use"), { href: `#icon-${name}` }, []);
  return filled(document.createElementNS(SVG, "svg"), { "aria-hidden": "true", class: "icon" }, [
    use,
  ]);
}

/**
 * @template {Element} Made
 * @param {Made} made
 * @param {Attributes} attributes
 * @param {Child[]} children
 * @returns {Made}
 */
function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.replace(/^on/, ""), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, String(value));
  }
  made.append(...children.filter(isThere));
  return made;
}

/**
 * @param {Child} child
 * @returns {child is Node | string}
 */
function isThere(child) {
  return child !== null && child !== undefined && child !== false;
}
