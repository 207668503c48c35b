"use strict";
// One page for every model: what is shown follows from the signature that /version tells.
const $ = (id) => document.getElementById(id);
const CSV_ROWS = 2000;  // a request; large files stay below the server's limit of a body
let info, signature, pen, last, file;

async function start() {
  info = await (await fetch("version")).json();
  signature = info.signature;
  document.title = $("title").textContent = info.name;
  const parts = [`version ${info.version}`];
  if (signature.trained_at) parts.push(`trained ${signature.trained_at.slice(0, 16).replace("T", " ")}`);
  if (signature.metrics.accuracy !== undefined) parts.push(`accuracy ${(signature.metrics.accuracy * 100).toFixed(1)} %`);
  $("about").textContent = parts.join(" · ");
  if (signature.image && signature.image.mode === "L") startDrawing();
  if (signature.image && signature.image.mode !== "L") startDropping();
  if (signature.kind === "table") startForm();
  $("go").onclick = predict;
  $("clear").onclick = clear;
}

function startDrawing() {
  $("draw").hidden = false;
  const canvas = $("canvas");
  pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.lineCap = pen.lineJoin = "round";
  clear();
  let drawing = false;
  const at = (e) => { const r = canvas.getBoundingClientRect(); return [(e.clientX - r.left) * canvas.width / r.width, (e.clientY - r.top) * canvas.height / r.height]; };
  canvas.onpointerdown = (e) => { drawing = true; canvas.setPointerCapture(e.pointerId); pen.beginPath(); pen.moveTo(...at(e)); pen.lineTo(...at(e)); pen.stroke(); };
  canvas.onpointermove = (e) => { if (drawing) { pen.lineTo(...at(e)); pen.stroke(); } };
  canvas.onpointerup = () => { if (drawing) { drawing = false; predict(); } };
  canvas.onkeydown = (e) => { if (e.key === "Delete" || e.key === "Escape") clear(); if (e.key === "Enter") predict(); };
}

// Ink centred by mass in a box of 20/28 of the picture, as the handwritten digits sets were made.
function pixels() {
  const canvas = $("canvas"), side = canvas.width, raw = pen.getImageData(0, 0, side, side).data;
  let left = side, top = side, right = -1, bottom = -1, mass = 0, mx = 0, my = 0;
  for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) {
    const v = raw[(y * side + x) * 4];
    if (v > 20) { left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y); mass += v; mx += x * v; my += y * v; }
  }
  const [width, height] = signature.image.size;
  if (right < 0) return null;
  const longest = Math.max(right - left, bottom - top) + 1, scale = (20 / 28) * Math.min(width, height) / longest;
  const small = Object.assign(document.createElement("canvas"), { width, height }), ctx = small.getContext("2d");
  ctx.fillStyle = "#000"; ctx.fillRect(0, 0, width, height);
  ctx.imageSmoothingEnabled = true; ctx.imageSmoothingQuality = "high";
  ctx.translate(width / 2, height / 2); ctx.scale(scale, scale); ctx.translate(-mx / mass, -my / mass);
  ctx.drawImage(canvas, 0, 0);
  const data = ctx.getImageData(0, 0, width, height).data, values = [];
  for (let i = 0; i < data.length; i += 4) values.push(signature.image.ink === "dark" ? 255 - data[i] : data[i]);
  return { values, url: small.toDataURL() };
}

function startDropping() {
  $("drop").hidden = $("cameralabel").hidden = false;
  const zone = $("zone");
  const take = (f) => { if (!f) return; file = f; $("preview").src = URL.createObjectURL(f); $("preview").hidden = false; zone.querySelector("span").hidden = true; predict(); };
  $("file").onchange = $("camera").onchange = (e) => { take(e.target.files[0]); e.target.value = ""; };
  zone.ondragover = (e) => { e.preventDefault(); zone.classList.add("over"); };
  zone.ondragleave = () => zone.classList.remove("over");
  zone.ondrop = (e) => { e.preventDefault(); zone.classList.remove("over"); take(e.dataTransfer.files[0]); };
  zone.onkeydown = (e) => { if (e.key === "Enter" || e.key === " ") $("file").click(); };
  document.onpaste = (e) => take([...e.clipboardData.files][0]);
}

function startForm() {
  const form = $("form");
  form.hidden = $("csvlabel").hidden = false;
  for (const c of signature.columns) {
    const label = document.createElement("label"), input = document.createElement(c.values.length ? "select" : "input");
    label.append(c.name, input);
    input.name = c.name;
    for (const v of c.values) input.append(new Option(v, v));
    if (!c.values.length) {
      input.type = c.type === "string" ? "text" : "number";
      input.step = c.type === "integer" ? "1" : "any";
      const middle = c.min !== null && c.max !== null ? (c.min + c.max) / 2 : 0;
      input.value = c.type === "string" ? "" : c.type === "integer" ? Math.round(middle) : +middle.toPrecision(4);
      if (c.min !== null) label.title = `${c.min} to ${c.max} in training`;
    }
    form.append(label);
  }
  form.onkeydown = (e) => { if (e.key === "Enter" && e.target.tagName === "INPUT") { e.preventDefault(); predict(); } };
  $("csv").onchange = async (e) => { await batch(e.target.files[0]); e.target.value = ""; };
}

function record() {
  const values = {};
  for (const c of signature.columns) { const v = $("form").elements[c.name].value; values[c.name] = c.type === "string" ? v : v === "" ? null : Number(v); }
  return values;
}

async function predict() {
  let body, kind = "application/json", picture;
  if (pen) { const found = pixels(); if (!found) return say("Draw something first."); picture = found.url; body = JSON.stringify({ pixels: found.values }); }
  else if (signature.image) { if (!file) return say("Choose a picture first."); picture = $("preview").src; kind = file.type || "application/octet-stream"; body = file; }
  else if (signature.kind === "table") body = JSON.stringify(record());
  else return say("This model takes numbers: see API.");
  const answer = await ask(body, kind);
  if (answer) show(answer, picture);
}

async function ask(body, kind) {
  say("");
  for (const input of $("form").elements) input.classList.remove("bad");
  try {
    const response = await fetch("predict", { method: "POST", headers: { "content-type": kind }, body });
    const answer = await response.json();
    if (response.ok) { last = { body: typeof body === "string" ? body : null, kind }; return answer; }
    const first = Array.isArray(answer.detail) ? answer.detail[0] : null;
    if (first && $("form").elements[first.loc.at(-1)]) $("form").elements[first.loc.at(-1)].classList.add("bad");
    say(first ? `${first.loc.slice(1).join(" › ")}: ${first.msg}` : answer.detail);
  } catch { say("The server does not answer."); }
  return null;
}

function say(text) { $("error").textContent = text; $("done").textContent = ""; }
function tell(text) { $("error").textContent = ""; $("done").textContent = text; }
const percent = (p) => `${(p * 100).toFixed(1)} %`;

function show(answer, picture) {
  $("answer").className = "";
  $("answer").textContent = answer.prediction;
  if (answer.probability !== undefined) $("answer").append(Object.assign(document.createElement("small"), { textContent: percent(answer.probability) }));
  $("bars").replaceChildren(...Object.entries(answer.probabilities || {}).sort((a, b) => b[1] - a[1]).slice(0, 10).map(([name, p]) => {
    const row = Object.assign(document.createElement("div"), { className: "bar" }), track = document.createElement("div"), fill = document.createElement("i");
    fill.style.width = percent(p).replace(" ", ""); track.append(fill);
    row.append(Object.assign(document.createElement("span"), { textContent: name }), track, Object.assign(document.createElement("span"), { textContent: percent(p) }));
    return row;
  }));
  $("warnings").replaceChildren(...(answer.warnings || []).map((w) => Object.assign(document.createElement("li"), { textContent: w })));
  $("copies").hidden = !last.body;
  $("past").hidden = false;
  const item = document.createElement("li");
  if (picture) item.append(Object.assign(new Image(), { src: picture, alt: "" }));
  item.append(`${answer.prediction}${answer.probability !== undefined ? ` ${percent(answer.probability)}` : ""} · v${answer.version}`);
  $("history").prepend(item);
  while ($("history").children.length > 12) $("history").lastChild.remove();
}

function clear() {
  if (pen) { pen.fillStyle = "#000"; pen.fillRect(0, 0, 336, 336); pen.strokeStyle = "#fff"; pen.lineWidth = 26; }
  file = null; $("preview").hidden = true; $("zone").querySelector("span").hidden = false;
  $("answer").className = "waiting"; $("answer").textContent = "No prediction yet."; $("bars").replaceChildren(); $("warnings").replaceChildren(); say("");
}

function parseCsv(text) {
  const rows = [[""]]; let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i], row = rows.at(-1);
    if (quoted) { if (c === '"' && text[i + 1] === '"') { row[row.length - 1] += '"'; i++; } else if (c === '"') quoted = false; else row[row.length - 1] += c; }
    else if (c === '"') quoted = true;
    else if (c === ",") row.push("");
    else if (c === "\n") rows.push([""]);
    else if (c !== "\r") row[row.length - 1] += c;
  }
  return rows.filter((r) => r.length > 1 || r[0] !== "");
}

async function batch(csv) {
  if (!csv) return;
  const [heads, ...rows] = parseCsv(await csv.text());
  const known = new Set(signature.columns.map((c) => c.name)), keep = heads.map((h, i) => [h.trim(), i]).filter(([h]) => known.has(h));
  if (!rows.length) return say("The file has no rows below its heading.");
  const found = [];
  for (let i = 0; i < rows.length; i += CSV_ROWS) {
    const part = rows.slice(i, i + CSV_ROWS).map((r) => keep.map(([, j]) => r[j]));
    const answer = await ask(JSON.stringify({ columns: keep.map(([h]) => h), data: part }), "application/json");
    if (!answer) return i && say(`${$("error").textContent} (in the rows after ${i})`);
    found.push(...answer.predictions);
    tell(`${found.length} of ${rows.length} rows predicted`);
  }
  const quote = (v) => /[",\n]/.test(v) ? `"${String(v).replaceAll('"', '""')}"` : v;
  const lines = [[...heads, "prediction", "probability"], ...rows.map((r, i) => [...r, found[i].prediction, found[i].probability ?? ""])];
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([lines.map((l) => l.map(quote).join(",")).join("\n") + "\n"], { type: "text/csv" })), download: "predictions.csv" });
  link.click();
  tell(`${rows.length} rows predicted; predictions.csv was downloaded.`);
}

const url = () => new URL("predict", location.href).href.split("?")[0];
$("curl").onclick = () => navigator.clipboard.writeText(`curl -X POST ${url()} -H 'content-type: application/json' -d '${last.body}'`);
$("python").onclick = () => navigator.clipboard.writeText(`import json, urllib.request\n\nrequest = urllib.request.Request("${url()}", data=${JSON.stringify(last.body)}.encode(), headers={"content-type": "application/json"})\nprint(json.load(urllib.request.urlopen(request)))\n`);
start();
