"""The pages for people: files of our own, served with a policy that lets a browser load nothing else."""

from __future__ import annotations

from pathlib import Path

from tidemill.serve.http import Request, Response, Tokens, text_response
from tidemill.serve.sign_in import COOKIE, HTML, PAGE, POLICY, is_person

STATIC = Path(__file__).parent / "static"
SCRIPT, STYLE = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
SCRIPTS = ("page", "ask", "batch", "copy", "csv", "docs", "draw", "form")
PAGES = {
    "/": ("index.html", HTML),
    "/docs": ("docs.html", HTML),
    "/page.css": ("page.css", STYLE),
    **{f"/{name}.js": (f"{name}.js", SCRIPT) for name in SCRIPTS},
}
OWN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'self' https://huggingface.co"  # which shows Spaces in a frame
)
HEADERS = (
    (b"content-security-policy", OWN_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),  # a newer server has a newer page
)


def read_page(path: str) -> Response:
    """One of `PAGES`."""
    name, kind = PAGES[path]
    response = text_response((STATIC / name).read_text(encoding="utf-8"), kind)
    return Response(response.status, response.body, (*response.headers, *HEADERS))


def ask_for_token(request: Request) -> Response:
    """401: a field to enter it for people, words for programs."""
    challenge = (b"www-authenticate", b"Bearer")
    if is_person(request.method, request.header("accept")):
        response = text_response(PAGE, HTML, 401)
        policy = (b"content-security-policy", POLICY.encode())
        return Response(401, response.body, (*response.headers, policy, (b"cache-control", b"no-store"), challenge))
    body = b'{"detail":"A token is needed: Authorization: Bearer \xe2\x80\xa6"}'
    return Response(401, body, ((b"content-type", b"application/json"), challenge))


def cookie_for(request: Request, tokens: Tokens) -> tuple[tuple[bytes, bytes], ...]:
    """For a person who came with a token: the cookie by which links and new tabs work."""
    token = tokens.shown(request) if is_person(request.method, request.header("accept")) else ""
    if not token or ";" in token:
        return ()
    port = request.header("host").rpartition(":")[2]
    name = f"{COOKIE}-{port}" if port.isdigit() else COOKIE
    return ((b"set-cookie", f"{name}={token}; HttpOnly; SameSite=Strict; Path=/".encode()),)
