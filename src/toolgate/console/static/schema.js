// JSON Schema 2020-12 as a form needs it: what an empty field holds, and what kind of field draws it. Pure.

/** @typedef {Record<string, any>} Schema */

const DEEPEST = 6; // of required objects that a new value is made with; a schema may require itself

/** `schema` with its references followed and its `allOf` laid together, as far as a form needs. */
export function whole(schema, root, depth = 0) {
  if (typeof schema !== "object" || schema === null || depth > 20) return {};
  if (typeof schema.$ref === "string") {
    const { $ref, ...beside } = schema;
    return { ...whole(pointed(root, $ref), root, depth + 1), ...beside };
  }
  if (!Array.isArray(schema.allOf)) return schema;
  const { allOf, ...beside } = schema;
  return [...allOf, beside].reduce((sum, part) => {
    const more = whole(part, root, depth + 1);
    const properties = sum.properties || more.properties ? { properties: { ...sum.properties, ...more.properties } } : {};
    const required = sum.required || more.required ? { required: [...(sum.required ?? []), ...(more.required ?? [])] } : {};
    return { ...sum, ...more, ...properties, ...required };
  }, {});
}

function pointed(root, ref) {
  const parts = ref.replace(/^#\/?/, "").split("/").filter(Boolean);
  return parts.reduce((node, part) => node?.[decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~")], root);
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
export function fieldOf(schema, root) {
  if ("const" in schema) return { kind: "choice", values: [schema.const] };
  if (Array.isArray(schema.enum)) return { kind: "choice", values: schema.enum };
  const branches = alternatives(schema, root);
  if (branches.length && !schema.properties) {
    if (branches.length === 1) return fieldOf(branches[0], root);
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
export function initial(schema, root, depth = 0) {
  const full = whole(schema, root);
  if ("default" in full) return full.default;
  if ("const" in full) return full.const;
  if (fieldOf(full, root).kind !== "object" || depth > DEEPEST) return undefined;
  const needed = (full.required ?? []).filter((name) => full.properties[name]);
  return Object.fromEntries(needed.map((name) => [name, initial(full.properties[name], root, depth + 1)]));
}

/** What somebody typed into a field of several scalar types: a number or a truth value where the schema takes one. */
export function scalar(text, schema, root) {
  if (text === "") return undefined;
  const types = new Set([typesOf(schema), ...alternatives(schema, root).map(typesOf)].flat());
  if (/^-?\d+$/.test(text) && (types.has("integer") || types.has("number")) && Number.isSafeInteger(Number(text))) return Number(text);
  if (types.has("number") && text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  if (types.has("boolean") && (text === "true" || text === "false")) return text === "true";
  return text;
}
