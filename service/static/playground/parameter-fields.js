// Which field fits a hyperparameter? That for its type.

import { ChoiceField } from "./choice-field.js";
import { textField } from "./field.js";
import { ListField } from "./list-field.js";
import { NumberField } from "./number-field.js";
import { labelOf, meaningOf } from "./parameter.js";

/**
 * @param {string} name
 * @param {import("./parameter.js").Parameter} parameter
 * @param {() => void} changed by the user
 * @returns {import("./field.js").Field}
 */
export function parameterField(name, parameter, changed) {
  if (parameter.enum || parameter.type === "boolean")
    return new ChoiceField(name, parameter, changed);
  if (parameter.type === "array") return new ListField(name, parameter, changed);
  if (parameter.type !== "string") return new NumberField(name, parameter, changed);
  return textField({
    id: `setting-${name}`,
    label: labelOf(name),
    help: meaningOf(name),
    placeholder: "",
    changed,
  });
}
