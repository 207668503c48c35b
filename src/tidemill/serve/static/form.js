// A form with one field a column. Fields are found by a map: a column may be called `length`, `elements` or `1`.
const make = (tag, props, ...inner) => { const made = Object.assign(document.createElement(tag), props); made.append(...inner); return made; };

export class Form {
  constructor(form, columns, example, done) {
    Object.assign(this, { form, fields: new Map(), columns });
    form.replaceChildren();
    for (const column of columns) {
      const field = this.field(column, example?.[column.name]);
      field.id = `column-${this.fields.size}`;
      const label = make("label", { title: range(column) && `${range(column)} in training` }, make("span", {}, column.name, column.required === false ? " (optional)" : ""), field);
      form.append(label);
      this.fields.set(column.name, field);
    }
    form.onsubmit = (e) => e.preventDefault();
    form.onkeydown = (e) => { if (e.key === "Enter" && e.target.tagName === "INPUT") { e.preventDefault(); done(); } };
  }

  field(column, example) {
    const optional = column.required === false;
    if (column.values.length || column.type === "boolean") {
      const values = column.values.length ? column.values : ["false", "true"];
      const field = make("select", {}, ...(optional ? [new Option("—", "")] : []), ...values.map((v) => new Option(v, v)));
      if (example !== undefined && example !== null && values.includes(String(example))) field.value = String(example);
      return field;
    }
    if (column.type === "string" && this.columns.length === 1) return make("textarea", { rows: 6, value: example ?? "" });
    const field = make("input", { type: kind(column.type), step: "any" });
    if (column.type === "integer") field.step = "1";
    field.placeholder = range(column);
    if (kind(column.type) === "datetime-local") field.step = "1";
    field.value = nice(typeof example === "object" && example ? JSON.stringify(example) : example) ?? (optional ? "" : kind(column.type) === "number" ? middle(column) : "");
    if (typeof example === "string" && !field.value) field.value = example.slice(0, 19).replace(" ", "T");
    return field;
  }

  read() {
    const values = {};
    for (const c of this.columns) {
      const text = this.fields.get(c.name).value;
      if (text === "" && c.required === false) continue;
      values[c.name] = cell(c, text);
    }
    return values;
  }

  put(values) {
    for (const [name, value] of Object.entries(values)) {
      const field = this.fields.get(name);
      if (field && value !== null) field.value = String(value);
    }
  }

  clear() {
    for (const field of this.fields.values()) if (field.tagName !== "SELECT") field.value = "";
  }

  // Fields the server found wrong; the first gets the focus.
  mark(names) {
    for (const [name, field] of this.fields) {
      const wrong = names.includes(name);
      field.classList.toggle("bad", wrong);
      if (wrong) field.setAttribute("aria-invalid", "true"); else field.removeAttribute("aria-invalid");
    }
    this.fields.get(names.find((n) => this.fields.has(n)))?.focus();
  }
}

const kind = (type) => (type === "number" || type === "integer" ? "number" : type === "datetime" || type === "date" ? "datetime-local" : "text");
const nice = (n) => (typeof n === "number" && !Number.isInteger(n) ? +n.toPrecision(6) : n);
const range = (c) => (typeof c.min === "number" && typeof c.max === "number" ? `${short(c.min)} to ${short(c.max)}` : "");
const short = (n) => (typeof n === "number" ? String(+n.toPrecision(4)) : n);

function middle(column) {
  if (typeof column.min !== "number" || typeof column.max !== "number") return "0";
  const value = (column.min + column.max) / 2;
  return String(column.type === "integer" ? Math.round(value) : +value.toPrecision(4));
}

// What a text means in a column: a number where it is one; what is none stays, so that the server can say so.
export function cell(column, text) {
  if (column.type === "number" || column.type === "integer") {
    const trimmed = text.trim();
    return trimmed === "" ? null : Number.isFinite(Number(trimmed)) ? Number(trimmed) : text;
  }
  if (column.type === "any") { try { return JSON.parse(text); } catch { return text; } }
  if (column.type === "boolean") return { true: true, 1: true, yes: true, false: false, 0: false, no: false }[text.trim().toLowerCase()] ?? (text === "" ? null : text);
  return text;
}
