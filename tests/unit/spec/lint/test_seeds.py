"""The mistakes of the seeds' projects, in their shape, and the same thing done right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.base.findings import Severity
from tidemill.spec.lint.repository import lint_repository

WORKFLOW = ".github/workflows/azure-ai.yaml"
SHA = "a" * 40


def workflow(steps: str, head: str = "") -> str:
    return f"on: push\n{head}jobs:\n  azure:\n    runs-on: ubuntu-24.04\n    steps:\n{steps}"


def cli(script: str, name: str = "Azure", more: str = "") -> str:
    lines = "".join(f"            {line}\n" for line in script.splitlines())
    return (
        f"      - name: {name}\n        uses: azure/CLI@{SHA}\n{more}        with:\n          inlineScript: |\n{lines}"
    )


SERVE = "from fastapi import FastAPI\nmodel = load_model('m')\n"
COMPONENT = "type: command\ncode: ./src\ncommand: >-\n  python split.py --training_data{0} ${{{{outputs.t}}}}\n"
PARSER = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--training_data_output')\np.parse_args()\n"
PIPELINE = "type: pipeline\njobs:\n  register:\n    outputs:\n      registration_details_folder: ${{{{ parent.outputs.{0} }}}}\n"
APPLY = "      - run: |\n          kubectl apply -f k8s/\n"
WAIT = "          kubectl rollout status deployment/api\n"
API = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: mlops-ns}\n"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: mlops-ns}\n"
STOPS = "type: computeinstance\nschedules:\n  compute_start_stop:\n    - action: stop\n      cron: {{expression: '0 18 * * {0}'}}\n"
FIT = "model.fit(x, y, validation_data=({0}, y_v), callbacks=[EarlyStopping()])\n"
FETCH = "      - uses: actions/download-artifact@{0}\n        with:\n          name: m\n          path: {1}\n      - uses: docker/build-push-action@{0}\n        with:\n          context: ./assignment/inference\n"

CASES: list[tuple[str, dict[str, str], dict[str, str]]] = [
    (
        "TM-X01",
        {"a.py": "run(['az', 'ml', 'job', 'create', '--file', 'j.yml'])\n", WORKFLOW: workflow(cli("az ml job download -n x"))},
        {"a.py": "run(['az', 'ml', 'job', 'create', '--file', 'j.yml', '--stream'])\n", WORKFLOW: workflow(cli("az ml job download -n x"))},
    ),
    (
        "TM-X02",
        {WORKFLOW: workflow(cli("az ml job download --name $AZURE_JOB --download-path ml/artifacts"))},
        {WORKFLOW: workflow(cli("az ml job download --name $AZURE_JOB --download-path out\nmv out/named-outputs/m/* ml/"))},
    ),
    (
        "TM-X03",
        {WORKFLOW: workflow("      - run: sed -i 's|api:.*|api:x|' k8s/api-deployment.yml\n")},
        {WORKFLOW: workflow("      - run: |\n          sed -i 's|api:.*|api:x|' k8s/api.yml\n          git commit -am x\n")},
    ),
    (
        "TM-X04",
        {WORKFLOW: workflow(FETCH.format(SHA, "inference"))},
        {WORKFLOW: workflow(FETCH.format(SHA, "assignment/inference"))},
    ),
    (
        "TM-X08",
        {WORKFLOW: workflow(cli('VERSION=$(az ml model list -n animals \\\n  --query "[0].version" -o tsv)'))},
        {WORKFLOW: workflow(cli('VERSION=$(az ml model list -n animals --query "max_by([], &creation_context.created_at).version" -o tsv)'))},
    ),
    (
        "TM-X10",
        {WORKFLOW: workflow(cli("az ml model download --name animals \\\n  --version latest 2>/dev/null"))},
        {WORKFLOW: workflow(cli("az ml model download --name animals \\\n  --label latest"))},
    ),
    (
        "TM-X11",
        {"a.py": "cmd = ['az', 'ml', 'data', 'create']\nprint('Data asset already exists. Skipping creation.')\n"},
        {"a.py": "cmd = ['az', 'ml', 'data', 'create']\nprint('Data asset created.')\n"},
    ),
    (
        "TM-X15",
        {"c.yaml": COMPONENT.format(""), "src/split.py": PARSER},
        {"c.yaml": COMPONENT.format("_output"), "src/split.py": PARSER},
    ),
    (
        "TM-X52",
        {"c.yaml": COMPONENT.format("s"), "src/split.py": PARSER},
        {"c.yaml": COMPONENT.format("s"), "src/split.py": PARSER.replace("parse_args", "parse_known_args")},
    ),
    ("TM-X16", {"p.yaml": PIPELINE.format("model")}, {"p.yaml": PIPELINE.format("registration_details")}),
    ("TM-X18", {"a.py": "p = raw_output['activation_3']\n"}, {"a.py": "p = next(iter(raw_output.values()))\n"}),
    (
        "TM-X19",
        {"main.py": SERVE + "ANIMALS = ['Cat', 'Dog', 'Panda']\n"},
        {"main.py": SERVE + "ANIMALS = json.load(open('serving.json'))['classes']\n", "train.py": "LABELS = [2, 7, 8]\n"},
    ),
    ("TM-X24", {"t.py": FIT.format("testX")}, {"t.py": FIT.format("valX")}),
    (
        "TM-X25",
        {"t.py": "# mnist\ng = ImageDataGenerator(horizontal_flip=True)\n"},
        {"t.py": "# cats\ng = ImageDataGenerator(horizontal_flip=True)\n"},
    ),
    (
        "TM-X28",
        {WORKFLOW: workflow(cli("az ml job create -f p.yaml --stream", more="        if: ${{ inputs.skip_training_pipeline }}\n"))},
        {WORKFLOW: workflow(cli("az ml job create -f p.yaml --stream", more="        if: ${{ !inputs.skip_training_pipeline }}\n"))},
    ),
    (
        "TM-X28",
        {WORKFLOW: workflow("      - run: make\n").replace("    runs-on", "    if: inputs.skip_train\n    runs-on")},
        {WORKFLOW: workflow("      - run: make\n").replace("    runs-on", "    if: inputs.skip_train != true\n    runs-on")},
    ),
    (
        "TM-X48",
        {WORKFLOW: workflow(cli("az ml compute start --name $name"))},
        {WORKFLOW: workflow(cli("for name in a b; do\n  az ml compute start --name $name --set x=$X\ndone", more="        env: {X: y}\n"))},
    ),
    (
        "TM-X49",
        {WORKFLOW: workflow("      - id: version\n        run: echo 3\n      - run: echo ${{ steps.version.outputs.value }}\n")},
        {WORKFLOW: workflow('      - id: version\n        run: echo "value=3" >> "$GITHUB_OUTPUT"\n      - run: echo ${{ steps.version.outputs.value }}\n')},
    ),
    (
        "TM-X29",
        {WORKFLOW: workflow(cli('echo "Stopping compute"', name="Cleanup Compute"))},
        {WORKFLOW: workflow(cli("az ml compute stop --name c", name="Cleanup Compute"))},
    ),
    ("TM-X30", {"c.yaml": STOPS.format("1-5")}, {"c.yaml": STOPS.format("*")}),
    (
        "TM-X30",
        {"c.yaml": "type: computeinstance\nidle_time_before_shutdown: PT30M\nidle_time_before_shutdown_minutes: 30\n"},
        {"c.yaml": "type: computeinstance\nidle_time_before_shutdown_minutes: 30\n"},
    ),
    (
        "TM-X31",
        {WORKFLOW: workflow(cli("az role assignment create --role Contributor --assignee x"))},
        {WORKFLOW: workflow(cli('az role assignment create --role "AzureML Data Scientist" --assignee x'))},
    ),
    ("TM-X50", {WORKFLOW: workflow(APPLY)}, {WORKFLOW: workflow(APPLY + WAIT)}),
    (
        "TM-X37",
        {WORKFLOW: workflow(APPLY + WAIT), "k8s/api.yml": API, "k8s/namespace.yml": NAMESPACE},
        {WORKFLOW: workflow(APPLY + WAIT), "k8s/api.yml": API, "k8s/00-namespace.yml": NAMESPACE},
    ),
    (
        "TM-X38",
        {"a.py": "def f():\n    shutil.rmtree(target)\n    shutil.copytree(new, target)\n"},
        {"a.py": "def f():\n    shutil.copytree(new, spare)\n    os.replace(spare, target)\n"},
    ),
    (
        "TM-X39",
        {"a.py": "import zipfile, requests\nz.extractall(t)\n"},
        {"a.py": "import zipfile, requests, hashlib\nz.extractall(t)\n"},
    ),
    (
        "TM-X40",
        {"m/saved_model.pb": "x", "m/variables/variables.index": "x"},
        {"m/saved_model.pb": "x", "m/variables/variables.index": "x", "m/variables/variables.data-00000-of-00001": "x"},
    ),
    ("TM-X41", {"a.py": "m = keras.layers.TFSMLayer('m')\n"}, {"a.py": "m = keras.models.load_model('m.keras')\n"}),
    (
        "TM-X44",
        {"compute_machine.yaml": "type: computeinstance\nnetwork:\n  public_ip_address: 20.31.4.7\n"},
        {"compute_machine.yaml": "type: computeinstance\nnetwork:\n  public_ip_address: 10.0.0.4\n"},
    ),
    ("TM-X44", {".env": "AZURE_CLIENT_SECRET=abc~123\n"}, {".env": "AZURE_CLIENT_SECRET=abc~123\n", ".gitignore": ".env\n"}),
    ("TM-X45", {"t.py": "o = tf.keras.optimizers.legacy.SGD(lr=0.1)\n"}, {"t.py": "o = tf.keras.optimizers.SGD(learning_rate=0.1)\n"}),
    (
        "TM-X51",
        {"m.py": "@app.get('/h')\ndef a(): ...\n@app.get('/h')\ndef b(): ...\n"},
        {"m.py": "@app.get('/h')\ndef a(): ...\n@app.post('/h')\ndef b(): ...\n"},
    ),
    ("TM-X34", {"a.py": "try:\n    load()\nexcept Exception as e:\n    print(e)\n"}, {"a.py": "try:\n    load()\nexcept OSError as e:\n    print(e)\n"}),
    ("TM-X34", {"a.sh": "az ml data create -f d.yml || true\n"}, {"a.sh": "docker rm -f api || true\nV=$(az x -q || echo 1)\n"}),
]  # fmt: skip


def found(folder: Path, files: dict[str, str]) -> set[str]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {f.code for _, f in lint_repository(folder, [folder]) if f.severity is not Severity.INFO}


@pytest.mark.parametrize(("code", "wrong", "right"), CASES, ids=[c[0] for c in CASES])
def test_a_seeds_mistake_is_found_and_its_right_form_is_not(
    tmp_path: Path, code: str, wrong: dict[str, str], right: dict[str, str]
) -> None:
    assert found(tmp_path / "wrong", wrong) == {code}
    assert found(tmp_path / "right", right) == set()


QUIET = [
    {"c.sh": "az x --id /subscriptions/00000000-1111-2222-3333-444444444444/x\n"},
    {"c.sh": "az x --id /subscriptions/12345678-1234-1234-1234-123456789012/x\n"},
    {"c.sh": 'curl --request DELETE "$URL" \\\n  --header "A: b" || true\n'},
    {"c.sh": 'echo "Compute cluster \'$NAME\' already exists. Skipping creation."\naz ml data create --name taxi --path data/\n'},
]  # fmt: skip


@pytest.mark.parametrize("files", QUIET)
def test_what_only_looks_like_a_mistake_is_none(tmp_path: Path, files: dict[str, str]) -> None:
    assert found(tmp_path, files) == set()


def test_comments_are_no_commands(tmp_path: Path) -> None:
    script = "# az ml components create -f c.yml || true\n"
    steps = "      # - uses: actions/checkout@v4\n      - run: make\n"
    assert found(tmp_path, {"a.sh": script, WORKFLOW: workflow(steps)}) == set()


def test_files_that_a_script_brings_are_not_missing(tmp_path: Path) -> None:
    assert found(tmp_path, {"Dockerfile": "FROM python:3.11\nCOPY model /m\n", "get.sh": "cp -r x model\n"}) == set()
