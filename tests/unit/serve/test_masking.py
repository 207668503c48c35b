"""What is masked is kept nowhere: not under another case, not in a warning, not in a traceback."""

from __future__ import annotations

import logging

import pytest

from tidemill.serve.masking import HideMasked, check_names, hide_values, masked

NAMES = frozenset({"salary"})


def test_masked_columns_are_hidden_in_every_form_of_request() -> None:
    assert masked({"salary": 1, "age": 2}, NAMES) == {"salary": "***", "age": 2}
    assert masked({"input_data": {"columns": ["age", "salary"], "data": [[2, 1]]}}, NAMES) == {
        "input_data": {"columns": ["age", "salary"], "data": [[2, "***"]]}
    }
    assert masked([[2, 1]], NAMES) == [["***", "***"]]
    tensors = {"inputs": [{"name": "salary", "shape": [1], "datatype": "FP64", "data": [7.5]}]}
    assert "7.5" not in str(masked(tensors, NAMES, bare=False))


def test_the_case_of_a_masked_name_does_not_matter() -> None:
    assert masked({"Salary": 1}, NAMES) == {"Salary": "***"}
    assert masked({"salary": 1}, frozenset({"SALARY"})) == {"salary": "***"}


def test_a_warning_about_a_masked_column_does_not_tell_its_value() -> None:
    answer = {"prediction": "no", "warnings": ["`salary`: 99000 is above what training saw (5)", "`age`: 7 is below …"]}
    assert masked(answer, NAMES, bare=False) == {
        "prediction": "no",
        "warnings": ["`salary`: ***", "`age`: 7 is below …"],
    }


def test_a_text_about_a_request_loses_the_masked_values_and_keeps_the_others() -> None:
    text = "ValueError: could not convert string to float: 'ninety thousand' (age 512)"
    raw = b'{"salary": "ninety thousand", "age": 512}'
    assert hide_values(text, raw, NAMES) == "ValueError: could not convert string to float: '***' (age 512)"
    assert hide_values("wrong: 4711", b"[[4711]]", NAMES) == "wrong: ***"
    assert hide_values("wrong: 4711", b"4711", frozenset()) == "wrong: 4711"
    assert hide_values("Not JSON: 4711", b"\xff4711", NAMES).startswith("***")


def test_the_traceback_of_a_failure_is_logged_without_masked_values(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("tidemill.serve")
    hide = HideMasked(NAMES)
    log.addFilter(hide)
    try:
        float("ninety thousand")
    except ValueError:
        log.exception("the model failed on a request", extra={"body": b'{"salary": "ninety thousand"}'})
    finally:
        log.removeFilter(hide)
    assert "could not convert string to float: '***'" in caplog.text
    assert "ninety thousand" not in caplog.text.replace('float("ninety thousand")', "")


def test_a_mask_that_hides_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    check_names(frozenset({"SALARY", "slary"}), ["salary", "age"])
    check_names(NAMES, [])
    (said,) = (m for m in caplog.messages if m.startswith("nothing is masked"))
    assert said.startswith("nothing is masked by `slary`")
    assert "salary" in said
