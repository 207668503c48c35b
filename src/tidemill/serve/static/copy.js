// The last request as a command that works where it is pasted, with the token or with a question for it.
const LONG = 100_000;  // bytes of an argument; a shell takes little more
const BASE64_LONG = 1 << 20;  // of a picture; a larger one is named, not copied

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const literal = (text) => JSON.stringify(text);

async function content({ body, kind }) {
  if (typeof body === "string") return { text: body, kind };
  if (body.size > BASE64_LONG) return { name: body.name || "picture", kind };
  const url = await new Promise((done) => { const reader = new FileReader(); reader.onload = () => done(reader.result); reader.readAsDataURL(body); });
  return { text: JSON.stringify({ image: url.slice(url.indexOf(",") + 1) }), kind: "application/json" };
}

export async function asCurl(request) {
  const { text, name, kind } = await content(request);
  const login = request.token ? ` -H ${quote(`authorization: Bearer ${request.token}`)}` : request.asks ? ' -H "authorization: Bearer $TOKEN"' : "";
  const call = `curl -sS ${quote(request.url)} -H ${quote(`content-type: ${kind}`)}${login}`;
  const question = request.asks ? "printf 'Token: '; read -rs TOKEN; " : "";
  if (name) return `${question}${call} --data-binary ${quote(`@${name}`)}\n`;
  if (text.length < LONG) return `${question}${call} --data-raw ${quote(text)}\n`;
  return `${question}${call} --data-binary @- <<'TIDEMILL'\n${text}\nTIDEMILL\n`;
}

export async function asPython(request) {
  const { text, name, kind } = await content(request);
  const login = request.token ? `, "authorization": ${literal(`Bearer ${request.token}`)}` : request.asks ? ', "authorization": "Bearer " + getpass.getpass("Token: ")' : "";
  return [
    `import ${request.asks ? "getpass, " : ""}json, urllib.request`,
    "",
    name ? `body = open(${literal(name)}, "rb").read()` : `body = ${literal(text)}.encode()`,
    `headers = {"content-type": ${literal(kind)}${login}}`,
    `request = urllib.request.Request(${literal(request.url)}, data=body, headers=headers)`,
    "print(json.load(urllib.request.urlopen(request)))",
    "",
  ].join("\n");
}

// Browsers let a page write to the clipboard on https and localhost only; elsewhere the text is shown, marked to be copied.
export async function offer(text, dialog, area) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    area.value = text;
    dialog.showModal();
    area.select();
  }
}
