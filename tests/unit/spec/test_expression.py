from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.spec.expression import Lookup, literal_text, parse_template

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
PATHS = st.lists(NAMES, min_size=1, max_size=5).map(tuple)
TEXTS = st.text(alphabet=st.characters(exclude_characters="$[]{}", exclude_categories=["Cs"]), max_size=20)


def lookup_of(values: dict[str, str]) -> Lookup:
    return lambda reference: values.get(reference.dotted)


@pytest.mark.parametrize("text", ["${{inputs.x}}", "${{ inputs.x }}", "${{\tinputs . x }}"])
def test_inner_spaces_are_legal(text: str) -> None:
    template = parse_template(text)
    assert template.is_bare
    assert template.references[0].path == ("inputs", "x")


def test_text_around_a_reference_is_kept_as_it_is() -> None:
    template = parse_template("a && b | ${{inputs.x}} $VAR  $(date)\n")
    assert template.render(lookup_of({"inputs.x": "1"})) == "a && b | 1 $VAR  $(date)\n"
    assert not template.is_bare


def test_an_optional_group_vanishes_and_its_surrounding_spaces_stay() -> None:
    template = parse_template("run --a 1 $[[--b ${{inputs.b}}]] --c")
    assert template.render(lookup_of({})) == "run --a 1  --c"
    assert template.render(lookup_of({"inputs.b": "2"})) == "run --a 1 --b 2 --c"


def test_a_group_without_a_reference_is_plain_text() -> None:
    text = "echo $[[inputs.x]] $[[ ]]"
    assert parse_template(text).render(lookup_of({})) == text


def test_references_inside_groups_are_known_but_not_required() -> None:
    template = parse_template("${{inputs.a}} $[[${{inputs.b}}]]")
    assert [r.dotted for r in template.references] == ["inputs.a", "inputs.b"]
    assert [r.dotted for r in template.required] == ["inputs.a"]


def test_a_reference_knows_where_it_stands() -> None:
    text = "python x.py $[[--b ${{inputs.b}}]] ${{inputs.c}}"
    for reference in parse_template(text).references:
        assert text[reference.start :].startswith(reference.text)


@pytest.mark.parametrize("inside", ["", "inputs x", "inputs..x", "1x", "inputs.x)"])
def test_what_is_no_dotted_name_is_not_valid(inside: str) -> None:
    assert not parse_template("${{" + inside + "}}").references[0].is_valid


def test_unclosed_braces_cost_no_time() -> None:
    text = "${{" * 200_000
    assert parse_template(text).render(lookup_of({})) == text


@given(st.lists(st.tuples(TEXTS, PATHS), max_size=6), TEXTS)
def test_rendering_puts_each_value_in_its_place(pieces: list[tuple[str, tuple[str, ...]]], tail: str) -> None:
    text = "".join(f"{before}${{{{ {'.'.join(path)} }}}}" for before, path in pieces) + tail
    expected = "".join(f"{before}<{'.'.join(path)}>" for before, path in pieces) + tail
    assert parse_template(text).render(lambda r: f"<{r.dotted}>") == expected


@given(st.text(max_size=60))
def test_any_text_parses_and_unreferenced_text_is_untouched(text: str) -> None:
    template = parse_template(text)
    rebuilt = template.render(lambda r: r.text)
    if not any(not isinstance(p, str) for p in template.parts):
        assert rebuilt == text


@pytest.mark.parametrize(("value", "text"), [(True, "True"), (1.10, "1.1"), (8, "8"), ("1e-3", "1e-3")])
def test_literals_become_text_as_python_writes_them(value: object, text: str) -> None:
    assert literal_text(value) == text
