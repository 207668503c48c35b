"""A quote of a shell script that is opened and never closed: the shell reads on to the end and then fails."""

from __future__ import annotations

import re

HEREDOC = re.compile(r"<<-?\s*(?P<quote>[\"']?)\\?(?P<word>[A-Za-z_]\w*)(?P=quote)")
EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
BEFORE_WORDS = " \t\n;|&("


class _UnclosedError(Exception):
    """The script ends inside the quote opened at `place`."""

    def __init__(self, place: int) -> None:
        self.place = place


class _UnclearError(Exception):
    """Only a shell could say where this quote ends."""


def unclosed_quote(script: str) -> int | None:
    """The place of the quote that the end of the script leaves open; None when there is none, or it is hard to say."""
    text = EXPRESSION.sub(lambda found: "x" * len(found.group()), script)
    try:
        _Scan(text).commands(0, "")
    except _UnclosedError as found:
        return found.place
    except (_UnclearError, RecursionError):
        return None
    return None


class _Scan:
    """Walks over commands as a shell does, as far as quotes need it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.bodies: list[str] = []  # words that end the here-documents which begin on the next line

    def commands(self, at: int, closer: str) -> int:
        """From the first place of commands to the place after `closer`."""
        depth = 0
        while at < len(self.text):
            sign = self.text[at]
            if sign == closer and not depth:
                return at + 1
            depth += {"(": 1, ")": -1}.get(sign, 0)
            if closer and self.text.startswith("case ", at):
                raise _UnclearError
            at = self._one(at, closer)
        return at

    def _one(self, at: int, closer: str) -> int:
        sign, text = self.text[at], self.text
        if sign == "\\":
            return at + 2
        if sign == "#" and (at == 0 or text[at - 1] in BEFORE_WORDS):
            end = text.find("\n", at)
            return end if end >= 0 else len(text)
        if sign == "'":
            return self._single(at)
        if sign == '"':
            return self._double(at)
        if sign == "`" and closer != "`":
            return self.commands(at + 1, "`")
        if sign == "$":
            return self._dollar(at)
        if sign == "<" and not text.startswith("<<<", at) and (found := HEREDOC.match(text, at)):
            self.bodies.append(found["word"])
            return found.end()
        return at + 3 if text.startswith("<<<", at) else self._line(at + 1) if sign == "\n" else at + 1

    def _line(self, at: int) -> int:
        """Past the bodies of the here-documents named on the line before."""
        for word in self.bodies:
            end = re.compile(rf"^[ \t]*{word}[ \t]*$", re.MULTILINE).search(self.text, at)
            if end is None:
                raise _UnclearError
            at = end.end()
        self.bodies.clear()
        return at

    def _single(self, at: int) -> int:
        end = self.text.find("'", at + 1)
        if end < 0:
            raise _UnclosedError(at)
        return end + 1

    def _double(self, start: int) -> int:
        at = start + 1
        while at < len(self.text):
            sign = self.text[at]
            if sign == '"':
                return at + 1
            if sign == "\\":
                at += 2
            elif sign == "`":
                at = self.commands(at + 1, "`")
            else:
                at = self._dollar(at) if self.text.startswith(("$(", "${"), at) else at + 1
        raise _UnclosedError(start)

    def _dollar(self, at: int) -> int:
        after = self.text[at + 1 : at + 2]
        if after == "(":
            return self.commands(at + 2, ")")
        if after == "{":
            found = re.compile(r"[^{}'\"`\\]*\}").match(self.text, at + 2)
            if found is None:
                raise _UnclearError
            return found.end()
        if after == "'":
            quoted = re.compile(r"(?:[^\\']|\\.)*'", re.DOTALL).match(self.text, at + 2)
            if quoted is None:
                raise _UnclosedError(at + 1)
            return quoted.end()
        return at + 2 if after == "#" else at + 1
