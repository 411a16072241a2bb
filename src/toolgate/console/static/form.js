// A form drawn from a tool's schema. It checks nothing: the server is the only validator, and says what is wrong where.
import { parse } from "./exact.js";
import { html, short, useMemo, useState } from "./lib.js";
import { DEEPEST, fieldOf, formOf, initial, scalar, whole } from "./schema.js";

/**
 * @typedef {{schema: object, root: object, value: any, onChange: (value: any) => void, path: string, label: string,
 *   required: boolean, problems: {path: string, message: string}[], form: string, deep?: number}} FieldProps
 *   form: what ids of this form begin with; path: JSON pointer of the value in the arguments; problems: as the server found them, by path;
 *   deep: of how many alternatives it is one of another's
 */

const NONE = {};

/** The arguments as fields, or as JSON beside it. */
export function Arguments({ schema, value, onChange, problems, form = "arg" }) {
  const [raw, setRaw] = useState(false);
  const empty = !Object.keys(whole(schema, schema).properties ?? {}).length;
  return html`<div class="arguments">
    <div class="tabs" role="group" aria-label="How to write the arguments">
      <button type="button" aria-pressed=${String(!raw)} onClick=${() => setRaw(false)}>Form</button>
      <button type="button" aria-pressed=${String(raw)} onClick=${() => setRaw(true)}>JSON</button>
    </div>
    ${raw && html`<${Json} id=${form} schema=${{}} value=${value} empty=${NONE} onChange=${onChange} path="" label="Arguments" problems=${[]} />`}
    ${!raw && empty && html`<p class="quiet">It takes no arguments.</p>`}
    ${!raw && !empty && html`<${Properties} ...${{ schema: whole(schema, schema), root: schema, value: plain(value), onChange, path: "", problems, form }} />`}
    ${raw ? problems.map(({ path, message }) => html`<p class="problem"><bdi>${path}</bdi> <bdi>${message}</bdi></p>`) : html`<${Wrong} path="" problems=${problems} />`}
  </div>`;
}

/** The properties of an object: those that are required first. */
function Properties({ schema, root, value, onChange, path, problems, form }) {
  const needed = new Set(schema.required ?? []);
  const names = Object.keys(schema.properties).sort((one, other) => needed.has(other) - needed.has(one));
  const set = (name, next) => {
    const { [name]: _, ...others } = value;
    onChange(next === undefined ? others : { ...others, [name]: next });
  };
  return names.map((name) => {
    const below = `${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    const props = { schema: schema.properties[name], root, value: Object.hasOwn(value, name) ? value[name] : undefined, path: below, label: name, required: needed.has(name), problems, form };
    return html`<${Field} key=${name} ...${props} onChange=${(next) => set(name, next)} />`;
  });
}

/** @param {FieldProps} props */
function Field(props) {
  const schema = whole(props.schema, props.root);
  const field = props.deep > DEEPEST ? { kind: "json" } : fieldOf(schema, props.root);
  const given = { ...props, schema, id: `${props.form}${props.path}` };
  const Kind = { choice: Choice, one: OneOf, object: Group, array: Rows, boolean: Choice, number: Number_, text: Text, scalar: Scalar, json: Json }[field.kind];
  const values = field.kind === "boolean" ? [true, false] : field.values;
  return html`<${Kind} ...${given} values=${values} branches=${field.of} />`;
}

/** A label, what the field is for, the field, and what is wrong with it. */
function Labelled({ id, label, required, schema, path, problems, children }) {
  const wrong = problems.filter((each) => each.path === path || missing(each, path));
  return html`<div class="field">
    <label for=${id}><bdi>${label}</bdi>${required && html` <span class="required">required</span>`}</label>
    <${Describe} id=${`${id}-about`} text=${schema.description} />
    ${children({ "aria-describedby": `${id}-about ${id}-wrong`, "aria-invalid": wrong.length ? "true" : undefined, "aria-required": required ? "true" : undefined })}
    <div id=${`${id}-wrong`} class="problem">${wrong.length > 0 && html`<bdi>${wrong.map(({ message }) => message).join(" ")}</bdi>`}</div>
  </div>`;
}

/** A required property that is missing is told of at its object; it belongs at the field. */
function missing({ path, message }, at) {
  const cut = at.lastIndexOf("/");
  return path === at.slice(0, cut) && message.includes(`"${at.slice(cut + 1)}" is a required property`);
}

function Describe({ id, text }) {
  return html`<small id=${id} class="about"><bdi>${text}</bdi></small>`;
}

function Choice({ values, value, onChange, ...props }) {
  const at = values.findIndex((each) => JSON.stringify(each) === JSON.stringify(value));
  const chosen = (event) => onChange(event.target.value === "" ? undefined : values[Number(event.target.value)]);
  return html`<${Labelled} ...${props}>${(aria) => html`<select id=${props.id} value=${at < 0 ? "" : String(at)} onChange=${chosen} ...${aria}>
    <option value=""></option>
    ${values.map((each, index) => html`<option key=${index} value=${String(index)}>${short(typeof each === "string" ? each : JSON.stringify(each))}</option>`)}
  </select>`}<//>`;
}

function Number_({ value, onChange, ...props }) {
  // Text, so that what cannot be a number reaches the server, which says so, instead of vanishing in the browser.
  const [text, typed] = useTyped(value, shown);
  const heard = (event) => onChange(typed(event.target.value, scalar(event.target.value, props.schema, props.root)));
  return html`<${Labelled} ...${props}>${(aria) => html`<input id=${props.id} inputmode="decimal" value=${text} onInput=${heard} ...${aria} />`}<//>`;
}

function Scalar(props) {
  return html`<${Number_} ...${props} />`;
}

function Text({ value, onChange, ...props }) {
  const long = (props.schema.maxLength ?? Infinity) > 200 && /body|description|content|message|text|comment/i.test(props.label);
  const typed = (event) => onChange(event.target.value === "" ? undefined : event.target.value);
  return html`<${Labelled} ...${props}>${(aria) =>
    long
      ? html`<textarea id=${props.id} rows="3" value=${shown(value)} onInput=${typed} ...${aria}></textarea>`
      : html`<input id=${props.id} autocomplete="off" value=${shown(value)} placeholder=${example(props.schema)} onInput=${typed} ...${aria} />`}<//>`;
}

function Group({ schema, root, value, onChange, path, label, required, problems, form, id }) {
  return html`<fieldset>
    <legend><bdi>${label}</bdi>${required && html` <span class="required">required</span>`}</legend>
    <${Describe} id=${`${id}-about`} text=${schema.description} />
    ${value === undefined
      ? html`<button type="button" onClick=${() => onChange(initial(schema, root) ?? {})}>Add <bdi>${label}</bdi></button>`
      : html`<${Properties} ...${{ schema, root, value: plain(value), onChange, path, problems, form }} />
          ${!required && html`<button type="button" class="plain" onClick=${() => onChange(undefined)}>Leave out <bdi>${label}</bdi></button>`}`}
    <${Wrong} path=${path} problems=${problems} />
  </fieldset>`;
}

function Rows({ schema, root, value, onChange, path, label, required, problems, form, id }) {
  const rows = Array.isArray(value) ? value : [];
  const put = (next) => onChange(next.length || required ? next : undefined);
  return html`<fieldset>
    <legend><bdi>${label}</bdi>${required && html` <span class="required">required</span>`}</legend>
    <${Describe} id=${`${id}-about`} text=${schema.description} />
    ${rows.map(
      (row, index) => html`<div class="item" key=${index}>
        <${Field} ...${{ schema: schema.items, root, value: row, path: `${path}/${index}`, label: `${label} ${index + 1}`, required: false, problems, form }}
          onChange=${(next) => put(rows.with(index, next ?? empty(schema.items, root)))} />
        <button type="button" class="plain" aria-label=${`Remove ${label} ${index + 1}`} onClick=${() => put(rows.toSpliced(index, 1))}>Remove</button>
      </div>`,
    )}
    <button type="button" onClick=${() => put([...rows, initial(schema.items, root) ?? empty(schema.items, root)])}>Add to <bdi>${label}</bdi></button>
    <${Wrong} path=${path} problems=${problems} />
  </fieldset>`;
}

function OneOf({ branches, root, value, onChange, path, label, required, problems, schema, form, id, deep = 0 }) {
  const [at, setAt] = useState(() => formOf(value, branches));
  const choose = (event) => {
    const next = Number(event.target.value);
    setAt(next);
    onChange(initial(branches[next], root));
  };
  return html`<fieldset>
    <legend><bdi>${label}</bdi>${required && html` <span class="required">required</span>`}</legend>
    <${Describe} id=${`${id}-about`} text=${schema.description} />
    <select aria-label=${`Form of ${label}`} value=${String(at)} onChange=${choose}>
      ${branches.map((branch, index) => html`<option key=${index} value=${String(index)}>${short(titled(branch, index))}</option>`)}
    </select>
    <${Field} key=${at} ...${{ schema: branches[at], root, value, onChange, path, label: titled(branches[at], at), required, problems, form, deep: deep + 1 }} />
  </fieldset>`;
}

function Json({ value, onChange, empty, ...props }) {
  const [text, typed] = useTyped(value, (whole) => (whole === undefined ? "" : JSON.stringify(whole, null, 2)));
  const { wrong } = useMemo(() => read(text), [text]);
  const heard = (event) => {
    const { found = empty, wrong } = read(event.target.value);
    onChange(typed(event.target.value, wrong ? value : found));
  };
  const problems = wrong ? [...props.problems, { path: props.path, message: wrong }] : props.problems;
  const watched = (node) => node?.setCustomValidity(wrong); // nothing is run that is not what stands there
  return html`<${Labelled} ...${props} problems=${problems}>${(aria) =>
    html`<textarea ref=${watched} id=${props.id} class="json" rows="5" spellcheck="false" value=${text} onInput=${heard} ...${aria}></textarea>`}<//>`;
}

/** What JSON `text` says, undefined where there is none, or what is wrong with it. */
function read(text) {
  try {
    return { found: text.trim() ? parse(text) : undefined, wrong: "" };
  } catch (error) {
    return { wrong: `Not JSON yet: ${error.message}` };
  }
}

/** The text of a field: as it was typed, while its value is what came of that, since "0." is on the way to 0.5; else as `written`. */
function useTyped(value, written) {
  const [last, setLast] = useState(null);
  const typed = (text, of) => {
    setLast({ text, of });
    return of;
  };
  return [last && last.of === value ? last.text : written(value), typed];
}

function Wrong({ path, problems }) {
  const wrong = problems.filter((each) => each.path === path && !/ is a required property/.test(each.message));
  return html`<div class="problem">${wrong.length > 0 && html`<bdi>${wrong.map(({ message }) => message).join(" ")}</bdi>`}</div>`;
}

const shown = (value) => (value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value));
const plain = (value) => (typeof value === "object" && value !== null && !Array.isArray(value) ? value : {});
const titled = (schema, index) => schema.title ?? ([schema.type ?? []].flat().join(" or ") || `form ${index + 1}`);
const example = (schema) => (Array.isArray(schema.examples) && typeof schema.examples[0] === "string" ? `such as ${short(schema.examples[0])}` : undefined);

function empty(schema, root) {
  const { kind } = fieldOf(whole(schema, root), root);
  return kind === "object" ? {} : kind === "array" ? [] : kind === "text" || kind === "scalar" ? "" : null;
}
