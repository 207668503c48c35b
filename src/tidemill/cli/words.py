"""az lets one option take several words (`--set a=1 b=2`); click takes one, so the words are regrouped first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

REPEATED = {"--set"}
JOINED = {"--add", "--remove", "--tags", "--traffic", "-r", "--mirror-traffic", "--defaults"}


def regroup(argv: Sequence[str], nouns: frozenset[str]) -> list[str]:
    """`--set a=1 b=2` → `--set a=1 --set b=2`; of nouns also `--add PATH VALUE` and the like → one word each."""
    joined = JOINED if argv and argv[0] in nouns else set()
    return list(_regrouped(list(argv), joined))


def _regrouped(words: list[str], joined: set[str]) -> Iterator[str]:
    while words:
        option = words.pop(0)
        if option in REPEATED:
            for word in _values(words, paired=True):
                yield from (option, word)
        elif option in joined and words and not words[0].startswith("-"):
            yield from (option, " ".join(_values(words, paired=False)))
        else:
            yield option


def _values(words: list[str], *, paired: bool) -> Iterator[str]:
    """The words up to the next option; `paired` also ends at one that is no PATH=VALUE, such as a file."""
    yield words.pop(0) if words else ""
    while words and not words[0].startswith("-") and ("=" in words[0] or not paired):
        yield words.pop(0)
