"""The server's own command line, as containers start it: what makes no sense is an error of use, before anything is loaded."""

from __future__ import annotations

import pytest

from tidemill.serve.options import parse


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--port", "99999"], "argument --port: 99999 is not 0 to 65535"),
        (["--workers", "0"], "argument --workers: 0 is not at least 1"),
        (["--workers", "x"], "argument --workers: `x` is no whole number"),
        (["--timeout", "-1"], "argument --timeout: -1 is not at least 0.001"),
        (["--timeout", "nan"], "argument --timeout: nan is not at least 0.001"),
        (["--max-queue", "0"], "argument --max-queue: 0 is not at least 1"),
        (["--max-body", "-5"], "argument --max-body: -5 is not at least 1"),
        (["--tls-key", "key.pem"], "--tls-key needs --tls-cert"),
    ],
)
def test_a_bound_that_makes_no_sense_is_an_error_of_use(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(argv)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_numbers_are_what_they_say() -> None:
    options = parse(["--port", "0", "--workers", "3", "--timeout", "0.5", "--max-body", "10"])
    assert (options.port, options.workers, options.timeout, options.max_body) == (0, 3, 0.5, 10)
