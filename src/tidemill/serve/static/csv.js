// Tables in CSV as people have them: commas, semicolons or tabs, quotes, BOMs, old encodings; and back without formulas.
import { cell } from "./form.js";

export async function readCsv(file) {
  const raw = new Uint8Array(await file.arrayBuffer());
  const text = decode(raw);
  const marked = raw[0] === 0xef && raw[1] === 0xbb;
  const separator = findSeparator(text.slice(0, text.search(/[\r\n]/) >>> 0));
  const [heads, ...rows] = split(text, separator);
  return { heads: (heads || []).map((h) => h.trim()), rows, separator, marked };
}

function decode(raw) {
  if ((raw[0] === 0xff && raw[1] === 0xfe) || (raw[0] === 0xfe && raw[1] === 0xff)) return new TextDecoder(raw[0] === 0xff ? "utf-16le" : "utf-16be").decode(raw);
  try { return new TextDecoder("utf-8", { fatal: true }).decode(raw); } catch { return new TextDecoder("windows-1252").decode(raw); }
}

function findSeparator(line) {
  const count = (s) => line.replace(/"[^"]*"/g, "").split(s).length;
  return [",", ";", "\t"].reduce((best, s) => (count(s) > count(best) ? s : best));
}

export function split(text, separator) {
  const rows = [];
  let row = [], at = 0;
  while (at < text.length) {
    let value;
    if (text[at] === '"') {
      let end = at + 1;
      while ((end = text.indexOf('"', end)) >= 0 && text[end + 1] === '"') end += 2;
      if (end < 0) end = text.length;
      value = text.slice(at + 1, end).replaceAll('""', '"');
      at = end + 1;
      while (at < text.length && text[at] !== separator && text[at] !== "\n" && text[at] !== "\r") value += text[at++];
    } else {
      let end = at;
      while (end < text.length && text[end] !== separator && text[end] !== "\n" && text[end] !== "\r") end++;
      value = text.slice(at, end);
      at = end;
    }
    row.push(value);
    if (text[at] === separator) { at++; if (at < text.length) continue; row.push(""); }
    if (text[at] === "\r" && text[at + 1] === "\n") at++;
    at++;
    if (row.length > 1 || row[0].trim() !== "") rows.push(row);
    row = [];
  }
  return rows;
}

// Which place of the file each column of the model is at; throws, in words, what the file lacks.
export function match(columns, heads) {
  const plain = heads.map((h) => h.toLowerCase());
  const places = columns.map((c) => {
    const exact = heads.indexOf(c.name);
    return exact >= 0 ? exact : plain.indexOf(c.name.trim().toLowerCase());
  });
  const missing = columns.filter((c, i) => places[i] < 0 && c.required !== false).map((c) => c.name);
  if (missing.length) {
    const more = missing.length > 5 ? ` and ${missing.length - 5} more` : "";
    throw new Error(`The file has no column ${missing.slice(0, 5).map((n) => `“${n}”`).join(", ")}${more}. Its first line must name the columns; it reads: ${heads.slice(0, 6).join(", ").slice(0, 120)}`);
  }
  const twice = columns.find((c, i) => places[i] >= 0 && heads.filter((h) => h === heads[places[i]]).length > 1);
  if (twice) throw new Error(`The file has two columns “${twice.name}”.`);
  return columns.map((column, i) => ({ column, place: places[i] })).filter((m) => m.place >= 0);
}

export function values(matched, row, separator) {
  return matched.map(({ column, place }) => {
    let text = row[place] ?? "";
    if (separator === ";" && column.type === "number" && /^\s*-?[\d.]*,\d+\s*$/.test(text)) text = text.replaceAll(".", "").replace(",", ".");
    return text === "" && column.required === false ? null : cell(column, text);
  });
}

// As a file for people, who open it in a spreadsheet: a text that would run there as a formula gets an apostrophe.
export function writeCsv(lines, { separator, marked }) {
  const field = (v) => {
    let text = String(v);
    if (typeof v === "number") return separator === ";" ? text.replace(".", ",") : text;
    if (/^[=+\-@\t\r]/.test(text) && !/^[+-]?[\d.,]+(e[+-]?\d+)?$/i.test(text)) text = `'${text}`;
    return text.includes('"') || text.includes(separator) || /[\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${marked ? "\ufeff" : ""}${lines.map((line) => line.map(field).join(separator)).join("\r\n")}\r\n`;
}
