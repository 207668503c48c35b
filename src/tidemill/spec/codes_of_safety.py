"""TM-X…: what the files of a repository say to each other about versions, labels, limits, and about `check` itself."""

from __future__ import annotations

from tidemill.spec.code import WARNING, Code

ROWS = (
    Code(
        "TM-X90", WARNING, "Ignores what does not exist",
        "A comment `# tidemill: ignore …`, or `check.codes` of tidemill.yaml, names a code no finding has, or none.",
        "It silences nothing; the finding that was meant is still shown, or was mended long ago.",
        "Name the code as `check` prints it, several with commas between them.",
        "image: ghcr.io/me/api:main  # tidemill: ignore TM-X05",
    ),
)  # fmt: skip
