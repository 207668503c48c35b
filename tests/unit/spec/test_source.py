from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.base.errors import SpecError
from tidemill.spec.load import load
from tidemill.spec.source import MAX_DEPTH, parse_source, read_source

HERE = Path("doc.yml")
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(12)
)


def code_of(text: str) -> tuple[str, int, int]:
    with pytest.raises(SpecError) as caught:
        parse_source(HERE, text)
    finding = caught.value.findings[0]
    return finding.code, finding.at.line, finding.at.column


def test_values_are_yaml_1_1_as_azure_reads_them() -> None:
    data = parse_source(HERE, "a: yes\nb: 010\nc: 1e-3\nd: 1.10\ne: 0x10\nf: '010'\n").data()
    assert data == {"a": True, "b": 8, "c": "1e-3", "d": 1.1, "e": 16, "f": "010"}


def test_every_value_and_key_can_be_found_again() -> None:
    source = parse_source(HERE, "jobs:\n  train:\n    inputs: {x: 1,\n      y: [2, 3]}\n")
    at = source.locate(("jobs", "train", "inputs", "y", 1))
    assert (at.line, at.column) == (4, 14)
    key = source.locate(("jobs", "train", "inputs", "y"), key=True)
    assert (key.line, key.column) == (4, 7)


def test_what_is_not_there_is_placed_at_its_nearest_ancestor() -> None:
    source = parse_source(HERE, "jobs:\n  train:\n    command: ls\n")
    assert source.locate(("jobs", "train", "environment", "image")).line == 3


def test_merge_keys_and_aliases_give_plain_values() -> None:
    data = parse_source(HERE, "base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}\nagain: *b\n").data()
    assert data["mine"] == {"x": 1, "y": 3}
    assert data["again"] == {"x": 1, "y": 2}


def test_a_key_that_stands_twice_is_found_at_its_second_place() -> None:
    (finding,) = parse_source(HERE, "a: 1\nb:\n  c: 1\n  c: 2\n").findings
    assert (finding.code, finding.at.line, finding.at.column) == ("TM-D003", 4, 3)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1, 2\nb: 3\n", 2),
        ("a:\n\tb: 1\n", 2),
        ("a: *nowhere\n", 1),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: !!python/object/apply:os.system [ls]\n", 1),
        ("x: 1\na: \x00\n", 2),
        ("[a]: 1\n", 1),
    ],
)
def test_broken_yaml_is_one_finding_with_its_line(text: str, line: int) -> None:
    assert code_of(text)[:2] == ("TM-D001", line)


def test_a_template_is_called_a_template() -> None:
    assert code_of("name: ok\nversion: {{VERSION}}\n")[:2] == ("TM-D002", 2)


@pytest.mark.parametrize("piece", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_a_finding(piece: str) -> None:
    assert code_of("a:\n  " + piece * 50_000)[0] == "TM-D001"


def test_nesting_within_reason_is_read() -> None:
    depth = MAX_DEPTH // 2
    value = parse_source(HERE, "a: " + "[" * depth + "]" * depth).data()["a"]
    for _ in range(depth - 1):
        (value,) = value
    assert value == []


def test_a_yaml_bomb_is_a_finding_and_not_a_fire() -> None:
    assert code_of(BOMB)[0] == "TM-D001"
    assert code_of("a: &a [*a]")[0] == "TM-D001"


def test_a_byte_order_mark_crlf_and_utf_16_are_read(tmp_path: Path) -> None:
    text = "type: command\r\ncommand: ls\r\n"
    for name, raw in (("bom", b"\xef\xbb\xbf" + text.encode()), ("wide", text.encode("utf-16"))):
        (tmp_path / name).write_bytes(raw)
        assert read_source(tmp_path / name).data() == {"type": "command", "command": "ls"}


def test_bytes_that_are_no_text_are_a_finding(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"a: 1\nb: \xff\xfe\n")
    with pytest.raises(SpecError) as caught:
        read_source(tmp_path / "a.yml")
    assert caught.value.findings[0].at.line == 2


def test_a_missing_file_and_a_folder_say_so(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No such file"):
        read_source(tmp_path / "none.yml")
    with pytest.raises(SpecError, match="is a folder"):
        read_source(tmp_path)


def test_numbers_and_dates_beyond_reason_stay_text() -> None:
    data = parse_source(HERE, f"a: {'9' * 5000}\nb: 2024-13-45\nc: !!bool maybe\nd: !!timestamp soon\n").data()
    assert data == {"a": "9" * 5000, "b": "2024-13-45", "c": "maybe", "d": "soon"}


PIECES = st.sampled_from(
    [*"[]{}:,-?&*!|>'\"%@`#\n\t \r\ufeff\x00", "a", "1", "&a ", "*a ", "<<: ", "${{", "}}", "$[[", "]]", "{{X}}", "type: command\n",
     "jobs:\n  ", "inputs: ", "command: ls\n", "component: ./x\n", "2024-01-01", "1e999", "!!float ", "$schema: azureml\n"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=60).map("".join) | st.binary(max_size=200))
def test_no_bytes_make_loading_raise(tmp_path_factory: pytest.TempPathFactory, raw: str | bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yml"
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass"))
    loaded = load(path)
    assert loaded.document is not None or loaded.findings
