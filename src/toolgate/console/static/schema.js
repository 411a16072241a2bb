// JSON Schema 2020-12 as a form needs it: what an empty field holds, and what kind of field draws it. Pure.

import { integer } from "./exact.js";
import { decoded } from "./route.js";

/** @typedef {Record<string, any>} Schema */

export const DEEPEST = 6; // of required objects that a new value is made with, and of alternatives of alternatives; a schema may require itself
const MOST = 100; // parts that are laid together, or that a new value has; a schema may refer to itself more than once

/** `schema` with its references followed and its `allOf` laid together, as far as a form needs. */
export function whole(schema, root, left = { parts: MOST }) {
  if (typeof schema !== "object" || schema === null || left.parts-- <= 0) return {};
  if (typeof schema.$ref === "string") {
    const { $ref, ...beside } = schema;
    return { ...whole(pointed(root, $ref), root, left), ...beside };
  }
  if (!Array.isArray(schema.allOf)) return schema;
  const { allOf, ...beside } = schema;
  return [...allOf, beside].reduce((sum, part) => {
    const more = whole(part, root, left);
    const properties = sum.properties || more.properties ? { properties: { ...sum.properties, ...more.properties } } : {};
    const required = sum.required || more.required ? { required: [...(sum.required ?? []), ...(more.required ?? [])] } : {};
    return { ...sum, ...more, ...properties, ...required };
  }, {});
}

function pointed(root, ref) {
  const parts = ref.replace(/^#\/?/, "").split("/").filter(Boolean);
  return parts.reduce((node, part) => node?.[decoded(part).replaceAll("~1", "/").replaceAll("~0", "~")], root);
}

/** The types that a value may have besides null. */
export const typesOf = (schema) => [schema.type ?? []].flat().filter((type) => type !== "null");

const alternatives = (schema, root) => (schema.oneOf ?? schema.anyOf ?? []).map((each) => whole(each, root)).filter((each) => each.type !== "null");
const isScalar = (schema) => {
  const types = typesOf(schema);
  return "const" in schema || (types.length > 0 && types.every((type) => ["string", "integer", "number", "boolean"].includes(type)));
};

/**
 * How to draw a field: its kind, and what that needs.
 * @returns {{kind: "choice", values: any[]} | {kind: "one", of: Schema[]} | {kind: "object" | "array" | "boolean" | "number" | "text" | "scalar" | "json"}}
 */
export function fieldOf(schema, root, deep = 0) {
  if ("const" in schema) return { kind: "choice", values: [schema.const] };
  if (Array.isArray(schema.enum)) return { kind: "choice", values: schema.enum };
  const branches = alternatives(schema, root);
  if (branches.length && !schema.properties) {
    if (branches.length === 1) return deep > DEEPEST ? { kind: "json" } : fieldOf(branches[0], root, deep + 1);
    if (branches.every((each) => "const" in each)) return { kind: "choice", values: branches.map((each) => each.const) };
    return branches.every(isScalar) ? { kind: "scalar" } : { kind: "one", of: branches };
  }
  const types = typesOf(schema);
  if (types.length > 1) return { kind: types.every((type) => type !== "object" && type !== "array") ? "scalar" : "json" };
  const type = types[0] ?? (schema.properties ? "object" : "");
  if (type === "object") return { kind: schema.properties && Object.keys(schema.properties).length ? "object" : "json" };
  if (type === "array") return { kind: schema.items && typeof schema.items === "object" ? "array" : "json" };
  return { kind: { boolean: "boolean", integer: "number", number: "number", string: "text" }[type] ?? "json" };
}

/** What a new value of this schema holds; undefined: it is left out. */
export function initial(schema, root, depth = 0, left = { parts: MOST }) {
  const full = whole(schema, root);
  if ("default" in full) return full.default;
  if ("const" in full) return full.const;
  const { kind, of } = fieldOf(full, root);
  if ((kind !== "object" && kind !== "one") || depth > DEEPEST || left.parts-- <= 0) return undefined;
  if (kind === "one") return initial(of[0], root, depth, left);
  const needed = (full.required ?? []).filter((name) => full.properties[name]);
  return Object.fromEntries(needed.map((name) => [name, initial(full.properties[name], root, depth + 1, left)]));
}

/** Which of the forms `value` has: the first whose type, required members and constants it has. */
export function formOf(value, branches) {
  if (value === undefined || value === null) return 0;
  const type = Array.isArray(value) ? "array" : typeof value;
  const same = ([name, { const: one }]) => one === undefined || JSON.stringify(value[name]) === JSON.stringify(one);
  const fits = (schema) =>
    [type, undefined].includes(typesOf(schema)[0]) &&
    (schema.required ?? []).every((name) => value[name] !== undefined) &&
    Object.entries(schema.properties ?? {}).every(same);
  return Math.max(0, branches.findIndex(fits));
}

/** What somebody typed into a field of several scalar types: a number or a truth value where the schema takes one. */
export function scalar(text, schema, root) {
  if (text === "") return undefined;
  const types = new Set([typesOf(schema), ...alternatives(schema, root).map(typesOf)].flat());
  if (/^-?\d+$/.test(text) && (types.has("integer") || types.has("number"))) return integer(text);
  if (types.has("number") && text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  if (types.has("boolean") && (text === "true" || text === "false")) return text === "true";
  return text;
}
