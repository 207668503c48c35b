"""The mistakes of the real projects Tidemill was made for, X01 to X46: what of each a repository shows, `check` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tidemill.base.findings import Severity
from tidemill.spec.check import check_paths
from tidemill.spec.codes import CODES

TESTS = Path(__file__).parents[3]
WORKFLOW = ".github/workflows/train.yml"
STEPS = "on: push\njobs:\n  train:\n    runs-on: ubuntu-24.04\n    steps:\n"
RUN = STEPS + "      - run: |\n          {}\n"
DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
        - name: api
          image: ghcr.io/me/api:master
          ports: [{containerPort: 8000}]
"""
COMPONENT = """$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: split
version: 1
inputs:
  train_test_split_factor: {type: integer}
outputs:
  training_data_output: {type: uri_folder}
environment: azureml:pillow@latest
code: ./code
command: python split.py --training_data ${{outputs.training_data_output}} --factor ${{inputs.train_test_split_factor}}
"""
PIPELINE = """$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
jobs:
  split:
    component: ../components/split.yaml
    compute: azureml:cli-created-machine
    inputs:
      train_test_split_percentage: 20
"""
PARSER = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--training_data_output')\np.add_argument('--factor')\np.parse_args()\n"
TRAINING = "name: env\ndependencies:\n  - python=3.10\n  - scikit-learn=1.4.2\n"
ENVIRONMENT = "name: env\nconda_file: ./conda.yaml\nimage: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04\ntags: {tensorflow: 2.6.0}\n"
SERVER = "import joblib\nfrom fastapi import FastAPI, Request\napp = FastAPI()\nmodel = joblib.load('model.joblib')\n"
SPLIT = "x_train, x_test, y_train, y_test = train_test_split(x, y)\nm.fit(x_train, y_train)\njoblib.dump(m, 'm')\n"


@dataclass(frozen=True)
class Seen:
    """One way a mistake shows in a repository: the files, and where `check` says what of it."""

    mistake: str
    code: str
    place: str
    files: Mapping[str, str]
    is_taste: bool = False


SEEN = (
    Seen("X01", "TM-X01", "run.py:1", {"run.py": "run(['az', 'ml', 'job', 'create', '--file', 'j.yml'])\n", WORKFLOW: RUN.format("az ml job download -n x")}),
    Seen("X02", "TM-X02", f"{WORKFLOW}:7", {WORKFLOW: RUN.format('az ml job download --name "$AZURE_JOB" --download-path ml/artifacts')}),
    Seen("X03", "TM-X03", f"{WORKFLOW}:7", {WORKFLOW: RUN.format("sed -i 's|api:.*|api:x|' k8s/api.yml")}),
    Seen("X04", "TM-X04", "inference/Dockerfile:2", {"inference/Dockerfile": "FROM python:3.11.9-slim\nCOPY animal-classification /app/model\n"}),
    Seen("X05", "TM-X05", "k8s/api.yaml:10", {"k8s/api.yaml": DEPLOYMENT}),
    Seen("X06", "TM-X06", "poll.py:2", {"poll.py": "r = requests.get('https://api.github.com/repos/me/m/releases/latest').json()\nzips = [a for a in r['assets'] if a['name'] == 'mnist-model-2.zip']\n"}),
    Seen("X08", "TM-X08", f"{WORKFLOW}:7", {WORKFLOW: RUN.format('V=$(az ml model list -n animals --query "[0].version" -o tsv)')}),
    Seen("X09", "TM-X09", "get.py:4", {"get.py": "from azure.ai.ml import MLClient\nmodels = list(ml_client.models.list())\nif models:\n    name = models[-1].name\n"}),
    Seen("X10", "TM-X10", "get.sh:1", {"get.sh": "az ml model download -n animals --version latest 2>/dev/null\n"}),
    Seen("X11", "TM-X11", "data.py:2", {"data.py": "run(['az', 'ml', 'data', 'create', '-f', 'data.yml'])\nprint('Data asset already exists. Skipping creation.')\n"}),
    Seen("X12", "TM-X12", f"{WORKFLOW}:7", {WORKFLOW: RUN.format("az ml environment create -f env.yml || echo 'May already exist'"), "env.yml": ENVIRONMENT + "version: 1\n", "conda.yaml": TRAINING}),
    Seen("X13", "TM-B102", "pipelines/train.yaml:8", {"pipelines/train.yaml": PIPELINE, "components/split.yaml": COMPONENT, "components/code/split.py": PARSER}),
    Seen("X13", "TM-B101", "pipelines/train.yaml:4", {"pipelines/train.yaml": PIPELINE, "components/split.yaml": COMPONENT, "components/code/split.py": PARSER}),
    Seen("X14", "TM-R101", "pipelines/train.yaml:5", {"pipelines/train.yaml": PIPELINE.replace("../", "./"), "components/split.yaml": COMPONENT, "components/code/split.py": PARSER}),
    Seen("X14", "TM-X14", f"{WORKFLOW}:7", {WORKFLOW: RUN.format("az ml components create -f c.yml")}),
    Seen("X15", "TM-X15", "components/split.yaml:11", {"components/split.yaml": COMPONENT, "components/code/split.py": PARSER}),
    Seen("X16", "TM-X16", "train.yaml:6", {"train.yaml": "type: pipeline\noutputs:\n  model: {type: uri_folder}\njobs:\n  register:\n    outputs: {registration_details_folder: '${{parent.outputs.model}}'}\n    type: command\n"}),
    Seen("X17", "TM-X17", "api.py:1", {"api.py": "MODEL = 'model/INPUT_model_path/model.keras'\n"}, is_taste=True),
    Seen("X18", "TM-X18", "api.py:1", {"api.py": "p = raw_output['activation_3']\n"}),
    Seen("X19", "TM-X19", "api.py:5", {"api.py": SERVER + "ANIMALS = ['Cat', 'Dog', 'Panda']\n"}),
    Seen("X20", "TM-X20", "api.py:5", {"api.py": SERVER + "names = [n for n, f in Person.model_fields.items() if f.annotation in (int, float)]\ndef predict(x):\n    return model.predict(scaler.transform(x[names]))\n", "train.py": "names = df.select_dtypes(['int64', 'float64']).columns\nscaler.fit(df[names])\n"}),
    Seen("X21", "TM-X53", "api.py:6", {"api.py": SERVER + "@app.post('/predict')\nasync def predict(request: Request):\n    body = await request.json()\n    return model.predict(body)\n", "README.md": "```\ncurl -X POST localhost/predict -d '{\"pixels\": [0, 1]}'\n```\n"}),
    Seen("X21", "TM-X34", "api.py:7", {"api.py": SERVER + "try:\n    predict()\nexcept Exception as e:\n    print(e)\n"}),
    Seen("X22", "TM-X22", "grey.js:2", {"grey.js": "const [r, g, b] = c.getImageData(0, 0, 1, 1).data;\nconst grey = (r + g + b) / 3;\n", "api.py": SERVER, "train.py": "Image.open(f).convert('L')\n"}),
    Seen("X23", "TM-X23", "train.py:1", {"train.py": SPLIT}),
    Seen("X24", "TM-X24", "train.py:1", {"train.py": "model.fit(x, y, validation_data=(testX, y_v), callbacks=[EarlyStopping()])\n"}),
    Seen("X25", "TM-X25", "train.py:2", {"train.py": "# mnist\ng = ImageDataGenerator(horizontal_flip=True)\n"}),
    Seen("X25", "TM-X34", "prep.py:3", {"prep.py": "try:\n    resize(image)\nexcept Exception as e:\n    print(e)\n"}),
    Seen("X26", "TM-X26", "prep.py:4", {"prep.py": "import argparse, glob, re\nargs = argparse.ArgumentParser().parse_args()\nfiles = glob.glob(args.data + '/*.png')\nlabel = re.findall(r'\\d+', args.data)[0]\n"}),
    Seen("X27", "TM-X27", "train.py:2", {"train.py": "files = glob.glob('data/*.png')\nlabels = [os.path.basename(f).split('_')[0] for f in files]\n"}, is_taste=True),
    Seen("X28", "TM-X28", f"{WORKFLOW}:7", {WORKFLOW: STEPS + "      - run: az ml job create -f p.yaml --stream\n        if: ${{ inputs.skip_training_pipeline }}\n"}),
    Seen("X28", "TM-X28", f"{WORKFLOW}:7", {WORKFLOW: STEPS + "      - run: make\n        if: ${{ steps.a.outcome == 'success' }} || ${{ steps.a.outcome == 'skipped' }}\n        id: a\n"}),
    Seen("X28", "TM-X48", f"{WORKFLOW}:7", {WORKFLOW: RUN.format("az ml compute start --name $name")}),
    Seen("X28", "TM-X49", f"{WORKFLOW}:8", {WORKFLOW: STEPS + "      - id: version\n        run: echo 3\n      - run: echo ${{ steps.version.outputs.value }}\n"}),
    Seen("X28", "TM-X54", f"{WORKFLOW}:7", {WORKFLOW: RUN.format("az ml model download --name \"animals\" --version 3'")}),
    Seen("X29", "TM-X29", f"{WORKFLOW}:7", {WORKFLOW: STEPS + "      - name: Cleanup Compute\n        run: echo 'Stopping compute'\n"}),
    Seen("X30", "TM-X30", "compute.yaml:4", {"compute.yaml": "type: computeinstance\nname: c\nschedules:\n  compute_start_stop:\n    - action: stop\n      trigger: {type: cron, expression: '0 18 * * 1-5'}\n"}),
    Seen("X30", "TM-X30", "compute.yaml:4", {"compute.yaml": "type: computeinstance\nname: c\nidle_time_before_shutdown: PT30M\nidle_time_before_shutdown_minutes: 30\n"}),
    Seen("X31", "TM-X31", f"{WORKFLOW}:7", {WORKFLOW: RUN.format('az role assignment create --role Contributor --assignee "$ID" || echo OK')}),
    Seen("X31", "TM-X34", f"{WORKFLOW}:7", {WORKFLOW: RUN.format('az role assignment create --role Contributor --assignee "$ID" || echo OK')}),
    Seen("X32", "TM-X32", f"{WORKFLOW}:7", {WORKFLOW: RUN.format("CREDS='${{ secrets.AZURE_CREDENTIALS }}'")}),
    Seen("X32", "TM-X55", f"{WORKFLOW}:7", {WORKFLOW: RUN.format('echo "$KUBECONFIG_DATA" > $HOME/.kube/config').replace("ubuntu-24.04", "self-hosted")}),
    Seen("X33", "TM-X33", f"{WORKFLOW}:8", {WORKFLOW: STEPS + "      - uses: azure/login@v2\n        with:\n          creds: '{\"clientId\":\"${{ secrets.ID }}\"}'\n"}, is_taste=True),
    Seen("X33", "TM-X32", f"{WORKFLOW}:7", {WORKFLOW: RUN.format('echo "KEY=${{ secrets.KEY }}" >> .env')}),
    Seen("X34", "TM-X34", f"{WORKFLOW}:7", {WORKFLOW: STEPS + "      - run: make\n        continue-on-error: true\n"}),
    Seen("X34", "TM-X34", "a.sh:1", {"a.sh": "az ml data create -f d.yml || true\n"}),
    Seen("X35", "TM-X35", f"{WORKFLOW}:6", {WORKFLOW: STEPS + "      - uses: actions/checkout@v4\n"}),
    Seen("X35", "TM-X35", "a.sh:1", {"a.sh": "az extension add --name ml\n"}, is_taste=True),
    Seen("X35", "TM-X35", "Dockerfile:1", {"Dockerfile": "FROM python:latest\n"}),
    Seen("X35", "TM-X35", "conda.yaml:3", {"env.yml": ENVIRONMENT, "conda.yaml": "name: env\ndependencies:\n  - tensorflow\n"}),
    Seen("X36", "TM-X50", f"{WORKFLOW}:6", {WORKFLOW: RUN.format("kubectl apply -f k8s/")}),
    Seen("X37", "TM-X37", "k8s/namespace.yml:2", {WORKFLOW: RUN.format("kubectl apply -f k8s/\n          kubectl rollout status deployment/api"), "k8s/api.yml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: ns}\n", "k8s/namespace.yml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n"}),
    Seen("X38", "TM-X38", "poll.py:2", {"poll.py": "def swap():\n    shutil.rmtree(target)\n    shutil.copytree(new, target)\n"}),
    Seen("X39", "TM-X39", "poll.py:2", {"poll.py": "import zipfile, requests\nz.extractall(t)\n"}),
    Seen("X39", "TM-X39", "poll.py:1", {"poll.py": "folder = list(os.scandir(t))[0]\n"}),
    Seen("X40", "TM-X40", "m/variables/variables.index:1", {"m/saved_model.pb": "x", "m/variables/variables.index": "x"}),
    Seen("X41", "TM-X41", "api.py:1", {"api.py": "m = keras.layers.TFSMLayer('m')\n"}),
    Seen("X42", "TM-X42", "k8s/api.yaml:9", {"k8s/api.yaml": DEPLOYMENT}),
    Seen("X42", "TM-X60", "k8s/api.yaml:9", {"k8s/api.yaml": DEPLOYMENT}, is_taste=True),
    Seen("X42", "TM-X61", "k8s/api.yaml:9", {"k8s/api.yaml": DEPLOYMENT}, is_taste=True),
    Seen("X42", "TM-X47", "api.py:1", {"api.py": "app.add_middleware(CORSMiddleware, allow_origins=['*'], allow_credentials=True)\n"}),
    Seen("X43", "TM-X43", "api/Dockerfile:2", {"env.yml": ENVIRONMENT, "conda.yaml": TRAINING, "api/Dockerfile": "FROM python:3.10-slim\nRUN pip install scikit-learn==1.2.0 uvicorn\n"}),
    Seen("X43", "TM-X43", "api/Dockerfile:1", {"env.yml": ENVIRONMENT, "conda.yaml": TRAINING, "api/Dockerfile": "FROM python:3.12-slim\nRUN pip install uvicorn\n", "api/api.py": SERVER}),
    Seen("X43", "TM-X43", f"{WORKFLOW}:8", {"env.yml": ENVIRONMENT, "conda.yaml": TRAINING, WORKFLOW: STEPS + "      - uses: actions/setup-python@v5\n        with:\n          python-version: '3.8'\n"}, is_taste=True),
    Seen("X44", "TM-X44", "compute_machine.yaml:2", {"compute_machine.yaml": "type: computeinstance\nid: /subscriptions/01234567-89ab-cdef-0123-456789abcdef/x\n"}),
    Seen("X44", "TM-X44", "compute_machine.yaml:3", {"compute_machine.yaml": "type: computeinstance\nnetwork:\n  public_ip_address: 20.31.4.7\n"}),
    Seen("X45", "TM-X45", "train.py:1", {"train.py": "from azureml.core import Run\n"}),
    Seen("X45", "TM-X45", "train.py:1", {"train.py": "o = tf.keras.optimizers.legacy.SGD(lr=0.1)\n"}),
    Seen("X45", "TM-X51", "api.py:3", {"api.py": "@app.get('/h')\ndef a(): ...\n@app.get('/h')\ndef b(): ...\n"}),
    Seen("X46", "TM-X46", "main.py:1", {"main.py": "uvicorn.run('m:app', reload=True)\n"}),
)  # fmt: skip

# What no file shows, or what Tidemill makes impossible besides: the test that proves it.
PREVENTED = {
    "X05": "unit/release/test_objects.py::test_every_style_holds_the_same_objects",
    "X07": "unit/release/test_sameness.py::test_a_saved_model_with_another_fingerprint_and_marker_only_is_nothing_new",
    "X11": "unit/record/test_assets.py::test_the_same_content_is_the_same_version_and_other_content_the_next",
    "X17": "unit/run/test_runner.py::test_inputs_are_seen_under_their_mount_names",
    "X20": "unit/serve/test_server.py::test_columns_may_come_in_any_order",
    "X22": "unit/serve/test_server.py::test_a_picture_with_alpha_is_prepared_as_training_did",
    "X23": "unit/release/test_gates.py::test_a_missing_metric_does_not_pass_and_names_what_there_is",
    "X25": "unit/run/test_notice.py::test_a_label_lost_in_a_split_is_noticed_and_named",
    "X36": "contracts/test_kubernetes.py::test_a_version_that_crashes_is_refused_with_its_last_words",
    "X37": "unit/release/test_objects.py::test_the_namespace_comes_before_everything_that_lives_in_it",
    "X38": "unit/serve/test_endpoint.py::test_a_changed_version_of_the_same_name_takes_over_only_when_it_is_ready",
    "X41": "unit/serve/test_server.py::test_a_pickle_nobody_allowed_is_refused",
    "X42": "unit/release/test_objects.py::test_a_pod_runs_without_root_without_rights_and_cannot_write_its_image",
}
LAST = 46


def test_every_mistake_is_seen_or_prevented() -> None:
    known = {f"X{number:02}" for number in range(1, LAST + 1)}
    assert {s.mistake for s in SEEN} | set(PREVENTED) == known
    assert known - {s.mistake for s in SEEN} == {"X07"}  # it shows in two versions of a model, in no file


@pytest.mark.parametrize("test", PREVENTED.values(), ids=PREVENTED)
def test_the_proof_of_prevention_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    assert f"def {name}(" in (TESTS / path).read_text(encoding="utf-8")


def test_every_code_of_a_repository_has_its_mistake_here_or_was_found_since() -> None:
    since = {"TM-X21", "TM-X36", "TM-X52", "TM-X90"}  # in none of those projects; test_lint.py and test_seeds.py
    assert {c for c in CODES if c.startswith("TM-X")} - {s.code for s in SEEN} == since


def written(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize("seen", SEEN, ids=[f"{s.mistake}-{s.code}" for s in SEEN])
def test_check_shows_the_mistake_where_it_stands(tmp_path: Path, seen: Seen) -> None:
    root = written(tmp_path, seen.files)
    found = {
        f"{Path(f.at.file).relative_to(root).as_posix()}:{f.at.line}": f
        for report in check_paths([root], root=root)
        for f in report.findings
        if f.code == seen.code
    }
    assert seen.place in found
    assert (found[seen.place].severity is Severity.INFO) == seen.is_taste
