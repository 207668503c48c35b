"""A quote that is never closed is found; quotes that only look so are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.spec.lint.quotes import unclosed_quote
from tidemill.spec.lint.repository import lint_repository


@pytest.mark.parametrize(
    ("script", "place"),
    [
        ("az ml model download --version 3'\n", 32),
        ('echo "a\nmake\n', 5),
        ("echo 'it'\necho \"x='$y'\necho done\n", 15),
        ('echo $(az ml job show -n "a)\nmake\n', 25),
        ("printf $'a\\'b\n", 8),
        ("cat <<EOF\nit's\nEOF\necho it's\n", 26),
    ],
)
def test_a_quote_that_is_never_closed_is_found(script: str, place: int) -> None:
    assert unclosed_quote(script) == place


@pytest.mark.parametrize(
    "script",
    [
        "echo it\\'s # it's\n",
        'echo "it\'s"\n',
        "echo '\"'\n",
        "cat <<'EOF'\nit's \"\nEOF\n",
        "cat <<-EOF > f\n\tit's\n\tEOF\n",
        "cat <<A <<B\nit's\nA\n\"\nB\n",
        'read x <<< "it\'s"\n',
        'V="$(az ml list --query "[0].name" -o tsv)"\n',
        'V="`az ml list --query "[0].name"`"\n',
        'V="${X:-it\'s}"\n',
        "echo ${#V} $((1 << 2)) $# a#'b'\n",
        "echo \"$(case a in a) echo ';;' ;; esac)\"\n",
        "echo ${{ inputs.it == 'a' && '\"' }}\n",
        "echo 'two\nlines'\n",
        "cat <<EOF\nno end, but bash takes it's\n",
        "$(" * 5000,
    ],
)
def test_a_quote_that_is_closed_or_none_is_not(script: str) -> None:
    assert unclosed_quote(script) is None


def found(folder: Path, name: str, text: str, code: str) -> list[tuple[int, int]]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return [(f.at.line, f.at.column) for _, f in lint_repository(folder, [folder]) if f.code == code]


HEAD = "on: push\njobs:\n  a:\n    runs-on: {0}\n    steps:\n"
BLOCK = "      - run: |\n          make\n\n            echo 'a\n"


@pytest.mark.parametrize(
    ("runner", "step", "places"),
    [
        ("ubuntu-24.04", BLOCK, [(9, 18)]),
        ("ubuntu-24.04", '      - run: echo "a\n', [(6, 19)]),
        ("ubuntu-24.04", '      - run: >\n          echo "a\n', [(7, 16)]),
        ("ubuntu-24.04", BLOCK + "        shell: bash -e {0}\n", [(9, 18)]),
        ("ubuntu-24.04", BLOCK + "        shell: python\n", []),
        ("windows-latest", BLOCK, []),
        (
            "ubuntu-24.04",
            "      - uses: azure/CLI@v2\n        with:\n          inlineScript: |\n            az ml job list '\n",
            [(9, 28)],
        ),
        (
            "ubuntu-24.04",
            "      - uses: actions/github-script@v7\n        with:\n          script: |\n            '\n",
            [],
        ),
    ],
)
def test_scripts_of_workflows_are_read_when_a_posix_shell_reads_them(
    tmp_path: Path, runner: str, step: str, places: list[tuple[int, int]]
) -> None:
    assert found(tmp_path, ".github/workflows/a.yml", HEAD.format(runner) + step, "TM-X54") == places


def test_a_script_of_its_own_is_read_whole(tmp_path: Path) -> None:
    assert found(tmp_path, "a.sh", "make\necho it's\n", "TM-X54") == [(2, 8)]


@pytest.mark.parametrize(
    ("runner", "script", "places"),
    [
        ("self-hosted", 'echo "$K" > ~/.kube/config', [(6, 26)]),
        ("[self-hosted, gpu]", 'echo "$K" | tee "${HOME}/.azure/credentials"', [(6, 31)]),
        ("self-hosted", 'echo "$K" > ~/.kube/config && make; rm -f ~/.kube/config', []),
        ("self-hosted", 'echo "$K" > "$RUNNER_TEMP/kubeconfig"', []),
        ("self-hosted", "make > ~/build.log", []),
        ("ubuntu-24.04", 'echo "$K" > ~/.kube/config', []),
    ],
)
def test_credentials_stay_on_a_runner_of_ones_own(
    tmp_path: Path, runner: str, script: str, places: list[tuple[int, int]]
) -> None:
    text = HEAD.format(runner) + f"      - run: {script}\n"
    assert found(tmp_path, ".github/workflows/a.yml", text, "TM-X55") == places
