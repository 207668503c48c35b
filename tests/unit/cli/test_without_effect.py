"""Options of az that do nothing here say so once, on standard error."""

from __future__ import annotations

from tests.unit.cli.conftest import Run


def test_an_option_without_effect_is_taken_and_said_so(tidemill: Run) -> None:
    tidemill("compute", "create", "-n", "box", "--type", "AmlCompute", "--size", "S", "--subnet", "s")
    said = tidemill("compute", "delete", "-n", "box", "--yes", "--no-wait")
    assert said.stderr.splitlines()[0] == "note: `--no-wait` has no effect here: a command returns when it is done"
    said = tidemill("job", "list", "--asset-name", "x", "-o", "json")
    assert (said.stdout, said.stderr) == ("[]\n", "note: `--asset-name` has no effect here\n")


def test_nothing_is_said_of_what_was_not_given_nor_with_only_show_errors(tidemill: Run) -> None:
    assert tidemill("job", "list").stderr == ""
    assert tidemill("job", "list", "--asset-name", "x", "--only-show-errors").stderr == ""
    assert tidemill("az", "ml", "job", "list", "--asset-name", "x", "--only-show-errors").stderr == ""
    assert tidemill("az", "ml", "job", "list", "-g", "group", "--subscription", "s").stderr == ""
