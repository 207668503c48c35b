"""Shell, alone and inside workflows: failures that are hidden, and calls of az that cannot work."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tidemill.base.findings import Finding, Severity
from tidemill.spec.lint.files import LintFile

# The rest of a command: until the line ends, over continued lines.
REST = r"(?:[^\n\\]|\\[\s\S]){0,1000}"
SWALLOWED = re.compile(r"\|\|\s*(?:true\b|:\s*(?:$|[;\"'])|echo\b)", re.MULTILINE)
# What a later step builds on. Deleting, stopping and looking are often done twice on purpose.
CRUCIAL = re.compile(
    r"\b(?:az|kubectl|helm|docker|python3?|pip3?|pytest|poetry|make|npm|mlflow|dvc|tidemill|curl|wget|git\s+push)\b"
)
REPEATABLE = re.compile(
    r"\b(?:DELETE|delete|stop|rm|rmi|kill|show|get|list|describe|logs|down|remove|uninstall|prune|inspect|exists|config|--version)\b"
)
FIRST_OF_LIST = re.compile(rf"az\s+ml\s+(?:model|component|data|environment)\s+list\b{REST}?\[-?[01]\](?:\.version)?")
SORTED = re.compile(r"sort_by|max_by|min_by|reverse\(")
PLURAL = re.compile(r"\baz\s+ml\s+(component|environment|model|job|compute|schedule|datastore)s\b")
LATEST = re.compile(
    r"\baz\s+ml\s+(?:model|component|environment|data)\b(?:[^\n\\|;&]|\\[\s\S]){0,500}?(?P<place>(?:--version|\s-v)[ =][\"']?latest\b)"
)
CREATE = re.compile(rf"\baz\s+ml\s+job\s+create\b(?P<rest>{REST})")
# tidemill: ignore TM-X11 - the pattern itself
SKIPPING = re.compile(r"already exists[^\n]{0,40}skip", re.IGNORECASE)
# Where nothing has versions there is none to be kept.
UNVERSIONED = re.compile(r"\b(?:compute|cluster|endpoint|workspace|group|storage|container|bucket|registry|vault|identity)\b", re.IGNORECASE)  # fmt: skip
REGISTERING = re.compile(r"(?P<what>data|environment|component)[\"',\s]{1,5}create\b|create_or_update")
ROLE = re.compile(rf"\baz\s+role\s+assignment\s+create\b{REST}?(?P<role>(?:Owner|Contributor)\b)")
EXTENSION = re.compile(r"\baz\s+extension\s+add\b(?P<rest>[^\n]*)")
SUBSCRIPTION = re.compile(
    r"(?:subscriptions/|subscription[_-]?id\S{0,3}\s*[:=]\s*[\"']?)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    re.IGNORECASE,
)
KNOWN_KEYS = re.compile(
    r"-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bAKIA[0-9A-Z]{16}\b"
    r"|AccountKey=[A-Za-z0-9+/]{80,}|\bhf_[A-Za-z0-9]{34}\b|\bdapi[0-9a-f]{32}\b"
)
# Without one of these no pattern can match; looking for plain words is much faster.
MARKS = (
    *("ubscription", "UBSCRIPTION", "PRIVATE KEY-----", "AKIA", "AccountKey=", "hf_", "dapi", "public_ip", "publicIp"),
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "public_IP", "PUBLIC_IP"),
)
PUBLIC_ADDRESS = re.compile(
    r"^\s*public_?ip\w*:\s*[\"']?(?P<ip>\d{1,3}(?:\.\d{1,3}){3})\b", re.MULTILINE | re.IGNORECASE
)
ENV_SECRET = re.compile(r"^\s*(?:export\s+)?(?P<name>\w*(?:SECRET|PASSWORD|TOKEN|API_KEY|ACCOUNT_KEY)\w*)=[\"']?(?=[^\s\"'<$#])", re.MULTILINE)  # fmt: skip
FEW_CHARACTERS = 4  # 11111111-1111-… is an example, no id
EXAMPLE = re.compile(r"(?:([0-9a-f])\1+-){4}([0-9a-f])\2+|12345678-1234-", re.IGNORECASE)
NO_ID = "00000000-0000-0000-0000-000000000000"


def lint_shell(file: LintFile) -> Iterator[Finding]:
    """Calls of az and swallowed errors, in scripts and in the scripts of workflows."""
    for found in SWALLOWED.finditer(file.bare):
        if _hides_a_failure(file.bare, found.start(), found.end()):
            yield file.finding("TM-X34", f"`{found.group().strip()}` ignores every failure before it", found.start())
    for found in FIRST_OF_LIST.finditer(file.bare):
        if not SORTED.search(found.group()):
            yield file.finding(
                "TM-X08", "One end of the list is taken for the newest version", file.bare.rindex("[", 0, found.end())
            )
    for found in PLURAL.finditer(file.bare):
        yield file.finding(
            "TM-X14", f"`az ml {found[1]}s` is no command", found.start(), hint=f"Write `az ml {found[1]}`."
        )
    for found in LATEST.finditer(file.bare):
        place = found.start("place") + (found["place"][0] != "-")
        yield file.finding("TM-X10", "`latest` is a label, not a version", place)
    for found in EXTENSION.finditer(file.bare):
        if "--version" not in found["rest"]:
            yield file.finding("TM-X35", "The extension's version is not named", found.start(), severity=Severity.INFO)
    yield from lint_skips(file)


def _hides_a_failure(text: str, start: int, end: int) -> bool:
    """Whether what stands before `|| true` is needed later, and nothing else says that it failed."""
    head = start
    while True:  # back over continued lines
        head = text.rfind("\n", 0, head)
        if head <= 0 or text[head - 1] != "\\":
            break
    before = re.split(r"&&|;|\bthen\b|\bdo\b", text[head + 1 : start])[-1]
    after = text[end : text.find("\n", end) if "\n" in text[end:] else len(text)]
    if "$(" in before and before.count("(") > before.count(")") and "echo" in text[start:end]:
        return False  # a default value
    loud = re.search(r"\b(?:exit|return|false)\b", after) or before.lstrip().startswith(("[", "!", "if ", "test "))
    return bool(CRUCIAL.search(before)) and not REPEATABLE.search(before) and not loud


def lint_skips(file: LintFile) -> Iterator[Finding]:
    """A version that exists is taken as it is, whatever the files say now."""
    for found in SKIPPING.finditer(file.bare):
        line = file.bare[file.bare.rfind("\n", 0, found.start()) + 1 : found.start()]
        if REGISTERING.search(file.bare) and not UNVERSIONED.search(line):
            yield file.finding("TM-X11", "An existing version is kept, although its content may differ", found.start())
            return


def lint_roles(file: LintFile) -> Iterator[Finding]:
    """A workflow that hands out rights."""
    for found in ROLE.finditer(file.bare):
        yield file.finding("TM-X31", f"The workflow gives away the role {found['role']}", found.start("role"))


def lint_secrets(file: LintFile) -> Iterator[Finding]:
    """What must not be committed, in any file."""
    if not any(mark in file.text for mark in MARKS) and file.kind != "environment":
        return
    for found in SUBSCRIPTION.finditer(file.text):
        id_ = found.group()[-36:]
        if id_ != NO_ID and len(set(id_)) > FEW_CHARACTERS and not EXAMPLE.match(id_):
            yield file.finding("TM-X44", "An Azure subscription id is committed", found.start())
    for found in KNOWN_KEYS.finditer(file.text):
        yield file.finding("TM-X44", "A key is committed", found.start(), hint="Revoke it, then keep it in a secret.")
    for found in PUBLIC_ADDRESS.finditer(file.text):
        if not found["ip"].startswith(("10.", "127.", "192.168.", "172.16.", "0.")):
            yield file.finding("TM-X44", f"The public address {found['ip']} is committed", found.start("ip"))
    if file.kind == "environment" and not _is_ignored(file):
        for found in ENV_SECRET.finditer(file.text):
            yield file.finding(
                "TM-X44",
                f"`{found['name']}` has a value in a file that git does not ignore",
                found.start("name"),
                hint="Add `.env` to .gitignore and commit a `.env.example` without values.",
            )


def _is_ignored(file: LintFile) -> bool:
    for folder in file.path.absolute().parents[:6]:
        ignore = folder / ".gitignore"
        if ignore.is_file() and re.search(
            r"^/?(?:\*\*/)?\*?\.env\*?\s*$", ignore.read_text(errors="replace"), re.MULTILINE
        ):
            return True
    return False
