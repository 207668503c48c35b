// One page for every model: what is shown follows from the signature that /version tells.
import { Problem, ask, isGuarded, token } from "./ask.js";
import { predictTable } from "./batch.js";
import { Board } from "./draw.js";
import { Form } from "./form.js";
import { asCurl, asPython, offer } from "./copy.js";

const $ = (id) => document.getElementById(id);
const DEPLOYMENT = "azureml-model-deployment";  // of an endpoint: who answered, and who is to answer
const TRIES = 12, SHOWN = 10, LOOK_MS = 3000, LARGE = 4 << 20, LONGEST = 2000;
const make = (tag, props, ...inner) => { const made = Object.assign(document.createElement(tag), props); made.append(...inner); return made; };
let info, signature, board, form, file, last, running;

const kept = (name) => `${name}:${location.pathname}:${info.name}`;
function keep(name, value) { try { sessionStorage.setItem(kept(name), JSON.stringify(value)); } catch { sessionStorage.removeItem(kept(name)); } }
function recall(name, otherwise) { try { return JSON.parse(sessionStorage.getItem(kept(name))) ?? otherwise; } catch { return otherwise; } }

async function start() {
  for (;;) {
    try { info = await (await ask("version")).json(); break; } catch (error) { say(error.message); await new Promise((later) => { setTimeout(later, LOOK_MS); }); }
  }
  say("");
  signature = info.signature;
  introduce();
  if (signature.image && signature.image.mode === "L") startDrawing();
  else if (signature.image) startDropping();
  else startForm();
  $("go").onclick = predict;
  $("clear").onclick = clear;
  $("curl").onclick = () => copy(asCurl);
  $("python").onclick = () => copy(asPython);
  showHistory();
}

function introduce() {
  document.title = $("title").textContent = info.name;
  const parts = [`version ${info.version}`];
  if (signature.trained_at) parts.push(`trained ${signature.trained_at.slice(0, 16).replace("T", " ")}`);
  for (const [name, value] of Object.entries(signature.metrics).slice(0, 4)) parts.push(name === "accuracy" ? `accuracy ${(value * 100).toFixed(1)} %` : `${name} ${number(value)}`);
  $("about").textContent = parts.join(" · ");
}

function startDrawing() {
  $("draw").hidden = $("picturelabel").hidden = false;
  board = new Board($("canvas"), $("pen"), signature.image, signature.drawing, predict);
  takePictures($("draw"));
}

function startDropping() {
  $("drop").hidden = $("cameralabel").hidden = false;
  takePictures($("zone"));
}

function takePictures(zone) {
  const take = (taken) => { if (taken) choose(taken); };
  $("file").onchange = $("camera").onchange = $("picture").onchange = (e) => { take(e.target.files[0]); e.target.value = ""; };
  document.ondragover = (e) => { e.preventDefault(); zone.classList.add("over"); };
  document.ondragleave = (e) => { if (!e.relatedTarget) zone.classList.remove("over"); };
  document.ondrop = (e) => { e.preventDefault(); zone.classList.remove("over"); take(e.dataTransfer.files[0]); };
  document.onpaste = (e) => take([...e.clipboardData.files][0]);
}

// A photograph is turned as its camera says, and made smaller when it is larger than a server takes.
async function choose(taken) {
  file = taken;
  if (file.size > LARGE || file.type === "image/jpeg") {
    try { file = await upright(taken); } catch { /* no picture a browser knows: the server says what it takes */ }
  }
  if (board) { await predict(); file = null; return; }
  URL.revokeObjectURL($("preview").src);
  $("preview").src = URL.createObjectURL(file);
  $("preview").hidden = false;
  $("zone").querySelector("span").hidden = true;
  await predict();
}

async function upright(taken) {
  const picture = await createImageBitmap(taken), scale = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
  if (taken.size <= LARGE && !(await isTurned(taken))) return taken;
  const canvas = make("canvas", { width: Math.round(picture.width * scale), height: Math.round(picture.height * scale) });
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((made) => { canvas.toBlob(made, "image/png"); });
  return blob.size <= LARGE ? new File([blob], taken.name, { type: blob.type }) : new Promise((made) => { canvas.toBlob((b) => made(new File([b], taken.name, { type: b.type })), "image/jpeg", 0.95); });
}

async function isTurned(taken) {
  const plain = await createImageBitmap(taken, { imageOrientation: "none" }), shown = await createImageBitmap(taken, { imageOrientation: "from-image" });
  const look = (picture) => { const ctx = make("canvas", { width: 16, height: 16 }).getContext("2d"); ctx.drawImage(picture, 0, 0, 16, 16); return ctx.getImageData(0, 0, 16, 16).data.join(); };
  return plain.width !== shown.width || look(plain) !== look(shown);
}

function startForm() {
  $("form").hidden = false;
  const table = signature.kind === "table";
  $("csvlabel").hidden = !table;
  const example = table ? signature.example : { request: JSON.stringify(signature.example, null, 1) };
  const columns = table ? signature.columns : [{ name: "request", type: "string", values: [] }];
  form = new Form($("form"), columns, Array.isArray(example) ? undefined : example, predict);
  form.put(recall("form", {}));
  $("form").oninput = () => keep("form", Object.fromEntries([...form.fields].map(([name, field]) => [name, field.value])));
  $("csv").onchange = async (e) => { const csv = e.target.files[0]; e.target.value = ""; if (csv) await batch(csv); };
}

async function input() {
  const json = { kind: "application/json" };
  if (file) return { body: file, kind: file.type.startsWith("image/") ? file.type : "application/octet-stream", picture: await thumbnail(file) };
  if (board) {
    const found = board.pixels();
    if (!found) throw new Problem("Draw something first.");
    return { ...json, body: JSON.stringify({ pixels: found.values }), picture: found.url, drawing: board.url() };
  }
  if (signature.image) throw new Problem("Choose a picture first.");
  if (signature.kind === "table") { const values = form.read(); return { ...json, body: JSON.stringify(values), values }; }
  const { request } = form.read();
  try { JSON.parse(request); } catch (error) { throw new Problem(`This is not JSON: ${error.message}`); }
  return { ...json, body: request, values: { request } };
}

async function thumbnail(picture) {
  try {
    const whole = await createImageBitmap(picture), scale = 56 / Math.max(whole.width, whole.height);
    const canvas = make("canvas", { width: Math.max(1, whole.width * scale), height: Math.max(1, whole.height * scale) });
    canvas.getContext("2d").drawImage(whole, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL();
  } catch { return undefined; }
}

// One thing at a time: what is asked later makes an earlier answer void.
async function alone(work) {
  running?.abort();
  const mine = running = new AbortController();
  const busy = setTimeout(() => { $("go").textContent = "Predicting…"; $("output").setAttribute("aria-busy", "true"); }, 300);
  say("");
  form?.mark([]);
  try {
    await work(mine.signal);
  } catch (error) {
    if (error.name === "AbortError" || mine.signal.aborted) return;
    blank("No prediction.");
    see($("output"));
    say(error instanceof Problem ? error.message : `Something went wrong on this page: ${error.message}`);
    form?.mark((error.fields || []).map((f) => f.loc.at(-1)));
  } finally {
    clearTimeout(busy);
    if (running === mine) { running = null; $("go").textContent = "Predict"; $("output").removeAttribute("aria-busy"); }
  }
}

const predict = () => alone(async (signal) => {
  const asked = await input();
  signal.throwIfAborted();
  const response = await ask("predict", { method: "POST", headers: { "content-type": asked.kind }, body: asked.body, signal });
  const answer = await response.json();
  signal.throwIfAborted();
  last = { body: asked.body, kind: asked.kind };
  show(answer, response.headers.get("x-request-id"));
  remember(asked, answer);
  if (answer.version !== info.version) await renew(response.headers.get(DEPLOYMENT));
});

const batch = (csv) => alone(async (signal) => {
  $("result").hidden = true;
  const done = await predictTable(signature.columns, csv, { signal, tell });
  signal.throwIfAborted();
  const link = $("download");
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([done.text], { type: "text/csv" }));
  $("result").hidden = false;
  link.click();
  const warned = done.warned ? ` ${done.warned} of them lie outside what training saw: see the column “warnings”.` : "";
  tell(`${done.rows} rows predicted; predictions.csv was downloaded.${warned}`);
});

// Another version answered: say so, and follow it when it takes something else.
async function renew(deployment) {
  const before = JSON.stringify([signature.columns, signature.image]);
  info = await (await ask("version", deployment ? { headers: { [DEPLOYMENT]: deployment } } : {})).json();
  signature = info.signature;
  introduce();
  if (JSON.stringify([signature.columns, signature.image]) === before) return;
  if (signature.image || board) { location.reload(); return; }
  startForm();
}

const still = matchMedia("(prefers-reduced-motion: reduce)");
const see = (element) => element.scrollIntoView({ block: "nearest", behavior: still.matches ? "auto" : "smooth" });

function say(text) { $("error").textContent = text; $("done").textContent = ""; }
function tell(text) { $("error").textContent = ""; $("done").textContent = text; }
const percent = (p) => (p > 0 && p < 0.001 ? "< 0.1 %" : p < 1 && p >= 0.9995 ? "> 99.9 %" : `${(p * 100).toFixed(1)} %`);
const number = (n) => (typeof n === "number" && !Number.isInteger(n) ? String(+n.toPrecision(Math.max(6, Math.min(100, 3 + Math.floor(Math.log10(Math.abs(n))))))) : String(n));
const words = (prediction) => (Array.isArray(prediction) ? prediction.map(number).join(", ") : typeof prediction === "object" && prediction ? JSON.stringify(prediction) : number(prediction));

function show(answer, id) {
  const rows = answer.predictions || [answer], first = rows[0];
  $("answer").className = "";
  $("answer").title = typeof first.prediction === "number" ? String(first.prediction) : "";
  $("answer").replaceChildren(rows.length === 1 ? words(first.prediction) : rows.map((r) => words(r.prediction)).join(" · "));
  if (rows.length === 1 && first.probability !== undefined) $("answer").append(make("small", { textContent: percent(first.probability) }));
  const bars = rows.length === 1 ? Object.entries(first.probabilities || {}).sort((a, b) => b[1] - a[1]) : [];
  showBars(bars, SHOWN);
  $("warnings").replaceChildren(...rows.flatMap((r) => r.warnings || []).map((w) => make("li", { textContent: w })));
  $("copies").hidden = !last;
  see($("answer"));
  $("result").hidden = true;
  $("who").textContent = [`Answered by version ${answer.version}`, id ? `request ${id}` : ""].filter(Boolean).join(" · ");
}

function showBars(bars, many) {
  $("bars").replaceChildren(...bars.slice(0, many).map(([name, p]) => {
    const fill = make("i", {});
    fill.style.width = `${p * 100}%`;
    const track = make("div", {}, fill);
    track.setAttribute("aria-hidden", "true");
    return make("li", { className: "bar" }, make("span", { textContent: name }), track, make("span", { textContent: percent(p) }));
  }));
  $("more").hidden = bars.length <= many;
  $("more").textContent = `All ${bars.length} classes`;
  $("more").onclick = () => { showBars(bars, bars.length); };
}

function remember(asked, answer) {
  const { picture, drawing, values } = asked;
  const tries = [{ picture, drawing, values, answer }, ...recall("tries", [])].slice(0, TRIES);
  keep("tries", tries);
  if (!recall("tries", []).length) keep("tries", tries.map((t) => ({ ...t, drawing: undefined, picture: undefined })));
  showHistory(tries);
}

function showHistory(tries = recall("tries", [])) {
  $("past").hidden = !tries.length;
  $("history").replaceChildren(...tries.map((one) => {
    const answer = (one.answer.predictions || [one.answer])[0], text = `${words(answer.prediction)}${answer.probability !== undefined ? ` ${percent(answer.probability)}` : ""} · v${one.answer.version}`;
    const button = make("button", { type: "button", className: "plain", title: one.values ? JSON.stringify(one.values).slice(0, 500) : "", onclick: () => again(one) });
    if (one.picture) button.append(make("img", { src: one.picture, alt: "" }));
    button.append(make("span", { textContent: text }));
    return make("li", {}, button);
  }));
}

// An earlier try comes back with what was asked; it is not asked again.
async function again(one) {
  running?.abort();
  say("");
  if (one.values) form?.put(one.values);
  if (one.drawing) await board?.put(one.drawing);
  if (one.values) last = { body: signature.kind === "table" ? JSON.stringify(one.values) : one.values.request, kind: "application/json" };
  else if (one.drawing) last = { body: JSON.stringify({ pixels: board.pixels().values }), kind: "application/json" };
  else last = null;
  show(one.answer);
}

function clear() {
  running?.abort();
  board?.clear();
  file = null;
  $("preview").hidden = true;
  $("zone").querySelector("span").hidden = false;
  form?.mark([]);
  blank("No prediction yet.");
  say("");
}

// An earlier answer does not stand beside what is asked now.
function blank(words) {
  last = null;
  Object.assign($("answer"), { className: "waiting", textContent: words, title: "" });
  for (const id of ["bars", "warnings"]) $(id).replaceChildren();
  for (const id of ["more", "copies", "result"]) $(id).hidden = true;
  $("who").textContent = "";
}

async function copy(write) {
  const asks = !token() && await isGuarded();
  const url = new URL("predict", location.href);
  const text = await write({ url: url.origin + url.pathname, token: token(), asks, ...last });
  await offer(text, $("text"), $("command"));
  tell("Copied.");
}

start();
