// Asking the server: the token this tab was given, what went wrong in words, and whether somebody is there at all.
const KEY = "tidemill-token";
const given = new URLSearchParams(location.search).get("token");
if (given) {
  sessionStorage.setItem(KEY, given);
  history.replaceState(history.state, "", location.pathname);  // no secret stays in the address
}

export const token = () => sessionStorage.getItem(KEY);

export class Problem extends Error {
  constructor(message, { fields = [], status = 0, retry = 0 } = {}) {
    super(message);
    Object.assign(this, { fields, status, retry });
  }
}

export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token()) headers.authorization = `Bearer ${token()}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server does not answer. Nothing is lost: try again when it is back.");
  }
  if (response.status === 401) {
    sessionStorage.removeItem(KEY);
    location.reload();  // the server asks for a token; what was entered here is kept
    throw new Problem("The token is not accepted any more.", { status: 401 });
  }
  if (response.ok) return response;
  throw await problem(response);
}

async function problem(response) {
  const about = { status: response.status, retry: Number(response.headers.get("retry-after")) || 0 };
  let detail;
  try { ({ detail } = await response.json()); } catch { detail = null; }
  if (Array.isArray(detail)) {
    const fields = detail.map((d) => ({ loc: d.loc.slice(1), msg: d.msg }));
    const words = fields.slice(0, 5).map((f) => (f.loc.length ? `${f.loc.join(" › ")}: ${f.msg}` : f.msg));
    return new Problem(words.join("\n"), { ...about, fields });
  }
  return new Problem(detail || `The server answered HTTP ${response.status}.`, about);
}

// Whether the address lets nobody in without a token, by cookie or otherwise.
export async function isGuarded() {
  try { return (await fetch("version", { credentials: "omit" })).status === 401; } catch { return false; }
}
