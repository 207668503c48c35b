"""What a person sees in a browser who has no token yet: a field for it, instead of a line of JSON.

The token goes to this tab's storage, from which the page puts it on its requests and into the commands it offers; the server
answers it with a cookie that scripts cannot read, so that links and new tabs work. It never stands in an address.
"""

from __future__ import annotations

import base64
import hashlib

HTML = "text/html; charset=utf-8"
COOKIE = "tidemill-token"  # begins the name of the cookie: servers on other ports of a host have their own

_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:15vh auto;padding:0 1.25rem}"
    "input,button{font:inherit;padding:.5rem .7rem;width:100%;margin-top:.5rem;box-sizing:border-box}"
)
_SCRIPT = """
document.querySelector("form").onsubmit = async (event) => {
  event.preventDefault();
  const said = document.querySelector("[role=alert]"), token = document.querySelector("input").value.trim();
  said.textContent = "";
  try {
    const answer = await fetch(location.pathname, { headers: { authorization: `Bearer ${token}`, accept: "text/html" } });
    if (answer.status === 401) { said.textContent = "This token is not accepted."; return; }
    sessionStorage.setItem("tidemill-token", token);
    location.replace(location.pathname);
  } catch { said.textContent = "The server does not answer, or this cannot be a token."; }
};
"""
PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Token</title>
<link rel="icon" href="data:,"><style>{_STYLE}</style></head>
<body><main><h1>A token is needed</h1><form><label>Token<input type="password" name="token" autocomplete="current-password" required autofocus></label>
<button>Continue</button><p role="alert"></p></form><p>Programs send it as <code>Authorization: Bearer …</code>.</p></main>
<script>{_SCRIPT}</script></body></html>
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}; img-src data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def is_person(method: str, accept: str) -> bool:
    """Whether a browser asks for a page to show."""
    return method in {"GET", "HEAD"} and "text/html" in accept
