"""Commands that people try because other tools have them, and what does it here."""

from __future__ import annotations

from tidemill.base.suggest import closest

# What was typed: what to type.
INTENTS = {
    "help": "tidemill --help",
    "version": "tidemill --version",
    "init": "tidemill check .",
    "validate": "tidemill check .",
    "lint": "tidemill check .",
    "train": "tidemill run FILE",
    "submit": "tidemill run FILE",
    "start": "tidemill up",
    "deploy": "tidemill up",
    "release": "tidemill up",
    "stop": "tidemill down",
    "destroy": "tidemill down",
    "approve": "tidemill promote --stage NAME --approve",
    "invoke": "tidemill online-endpoint invoke -n NAME --request-file FILE",
    "predict": "tidemill online-endpoint invoke -n NAME --request-file FILE",
    "register": "tidemill model create --name NAME --path PATH",
    "resume": "tidemill job resume NAME",
    "cancel": "tidemill job cancel -n NAME",
    "logs": "tidemill job stream -n NAME",
    "list": "tidemill job list",
    "ps": "tidemill status",
    "clean": "tidemill gc",
    "prune": "tidemill gc",
}


def explain_unknown(name: str, known: list[str]) -> str:
    """One sentence that leads on from a command there is not."""
    if name == "ml":
        return "Leave `ml` out: the nouns of `az ml` follow `tidemill` at once."
    near = closest(name, known)
    if name not in INTENTS:
        return f"Did you mean `{near}`?" if near else ""
    return f"Did you mean `{INTENTS[name]}`?"
