// A whole table asked in parts, as large as the server takes them; comes back as a table with predictions beside its rows.
import { Problem, ask } from "./ask.js";
import { match, readCsv, values, writeCsv } from "./csv.js";

const ROWS = 2000, TRIES = 20;
const BUSY = [429, 502, 503, 504];

export async function predictTable(columns, file, { signal, tell }) {
  const table = await readCsv(file);
  if (!table.rows.length) throw new Problem("The file has no rows below its heading.");
  let matched;
  try { matched = match(columns, table.heads); } catch (error) { throw new Problem(error.message); }
  const found = [];
  let size = ROWS;
  while (found.length < table.rows.length) {
    const part = table.rows.slice(found.length, found.length + size);
    try {
      found.push(...await askPart(matched, part, table.separator, signal));
    } catch (error) {
      if (error.status === 413 && size > 1) { size = Math.ceil(size / 4); continue; }
      throw located(error, found.length, matched, table);
    }
    tell(`${found.length} of ${table.rows.length} rows predicted`, found.length / table.rows.length);
  }
  return { rows: found.length, warned: found.filter((f) => f.warnings).length, text: joined(table, found) };
}

async function askPart(matched, rows, separator, signal) {
  const body = JSON.stringify({ columns: matched.map((m) => m.column.name), data: rows.map((r) => values(matched, r, separator)) });
  for (let i = 1; ; i++) {
    try {
      const answer = await (await ask("predict", { method: "POST", headers: { "content-type": "application/json" }, body, signal })).json();
      return answer.predictions.map((p) => ({ ...p, version: answer.version }));
    } catch (error) {
      if (!BUSY.includes(error.status) || i === TRIES) throw error;
      await new Promise((later) => { setTimeout(later, 1000 * (error.retry || 1)); });
    }
  }
}

// What is wrong, by the row and column of the file.
function located(error, before, matched, table) {
  const field = error.fields?.[0];
  const at = field && field.loc.findIndex((part) => typeof part === "number");
  if (!field || at < 0) return error;
  const row = before + field.loc[at], name = field.loc[at + 1];
  const place = matched.find((m) => m.column.name === name)?.place;
  const said = place === undefined ? "" : `, column “${name}”, which says “${String(table.rows[row]?.[place] ?? "").slice(0, 60)}”`;
  return new Problem(`Row ${row + 1}${said}: ${field.msg}`, error);
}

function joined(table, found) {
  const own = ["prediction", "probability", "version"];
  if (found.some((f) => f.warnings)) own.push("warnings");
  const kept = table.heads.map((h, i) => [h, i]).filter(([h]) => !own.includes(h));  // of an earlier download
  const flat = (v) => (v === undefined || v === null ? "" : typeof v === "object" ? JSON.stringify(v) : v);
  const lines = table.rows.map((r, i) => [
    ...kept.map(([, j]) => r[j] ?? ""),
    ...own.map((name) => flat(name === "warnings" ? found[i].warnings?.join("; ") : found[i][name])),
  ]);
  return writeCsv([[...kept.map(([h]) => h), ...own], ...lines], table);
}
