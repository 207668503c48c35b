// The OpenAPI document as a page on which every call can be tried.
import { token } from "./ask.js";

const make = (tag, text, name) => Object.assign(document.createElement(tag), { textContent: text || "", className: name || "" });
const headers = (more) => ({ ...more, ...(token() ? { authorization: `Bearer ${token()}` } : {}) });

const api = await (await fetch("openapi.json", { headers: headers() })).json();
document.title = document.getElementById("title").textContent = `${api.info.title} · version ${api.info.version}`;
for (const [path, methods] of Object.entries(api.paths)) for (const [method, about] of Object.entries(methods)) {
  const box = make("section"), head = make("h2", `${method.toUpperCase()} ${path}`), text = make("p", about.summary, "quiet");
  box.append(head, text);
  const json = about.requestBody && about.requestBody.content["application/json"];
  let area;
  if (json) { area = make("textarea", JSON.stringify(json.example)); area.rows = 4; area.setAttribute("aria-label", `Body of ${path}`); box.append(area); }
  const button = make("button", "Try it"), out = make("pre");
  out.hidden = true; out.tabIndex = 0;
  out.setAttribute("aria-label", `Answer of ${path}`); out.setAttribute("role", "region");
  button.onclick = async () => {
    out.hidden = false;
    try {
      const response = await fetch(path.slice(1), { method: method.toUpperCase(), headers: headers(area ? { "content-type": "application/json" } : {}), body: area?.value });
      out.textContent = `${response.status}\n${(await response.text()).slice(0, 4000)}`;
    } catch { out.textContent = "The server does not answer."; }
  };
  const row = make("div", "", "row");
  row.append(button);
  box.append(row, out);
  document.getElementById("paths").append(box);
}
