"""TM-X…: what the files of a repository say to each other about versions, labels, limits, and about `check` itself."""

from __future__ import annotations

from tidemill.spec.code import ERROR, INFO, WARNING, Code

ROWS = (
    Code(
        "TM-X26", WARNING, "Label read from where an input is mounted",
        "A script takes a label from the path of a whole input: its last folder, or the digits in it.",
        "Where an input is mounted is the platform's business. On Azure the path holds a job's id, here another; "
        "digits of it end up as labels, and the model learns them.",
        "Say the label: an option of the script, a folder below the input, or a column.",
        "# before\nlabel = int(re.findall(r'\\d+', args.data)[0])\n# after\nlabel = args.label",
    ),
    Code(
        "TM-X27", INFO, "Label read from file names",
        "A script takes the first part of a file's name for its label.",
        "Nothing checks the names: a file called otherwise becomes a class of its own.",
        "Keep each class in a folder, or check the labels against the list of classes.",
        "assert label in CLASSES, f'{path} is of no known class'",
    ),
    Code(
        "TM-X43", WARNING, "Served with another version than trained with",
        "An image that serves installs another minor version of scikit-learn, or another Python under pickled models, than "
        "the environment that trains. Info: another Python without pickles, or in a workflow.",
        "A pickle is only promised to load with the version that wrote it; otherwise it fails, or predicts something else.",
        "Use one set of versions for both; `tidemill up` builds the server from the training run's lock.",
        "# training: scikit-learn==1.4.2\n# before\nRUN pip install scikit-learn==1.2.0\n# after\nRUN pip install scikit-learn==1.4.2",
    ),
    Code(
        "TM-X54", ERROR, "Quote never closed",
        "A script opens a quote and ends before it is closed.",
        "The shell takes everything after it for one word, and then fails: unexpected end of file.",
        "Close the quote, or remove it when it is a stray one; it may stand before the place named.",
        "# before\naz ml model download --name animals --version 3'\n# after\naz ml model download --name animals --version 3",
    ),
    Code(
        "TM-X55", WARNING, "Credentials left on the runner",
        "A workflow on a runner of your own writes credentials below the home folder, and no step removes them.",
        "The machine lives on: whoever runs the next job there can read them.",
        "Write them to `$RUNNER_TEMP`, which is emptied after each job, and say where: KUBECONFIG, AZURE_CONFIG_DIR.",
        'echo "$CONFIG" > "$RUNNER_TEMP/kubeconfig"\necho "KUBECONFIG=$RUNNER_TEMP/kubeconfig" >> "$GITHUB_ENV"',
    ),
    Code(
        "TM-X60", INFO, "Container without a memory limit",
        "A container of a Deployment says no `resources.limits.memory`.",
        "One request too large takes the whole node down, and its neighbours with it.",
        "Measure, then set a limit; `tidemill up` always writes one, a stage's `memory` if it says so.",
        "resources: {requests: {cpu: 250m, memory: 512Mi}, limits: {memory: 1Gi}}",
    ),
    Code(
        "TM-X61", INFO, "Container that may be root",
        "Neither the pod nor the container says `runAsNonRoot` or a user; or the container is privileged (a warning).",
        "Who breaks into the server has all rights inside, and of a privileged one the machine's.",
        "Give the image a user, and say so in the manifest.",
        "securityContext: {runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}",
    ),
    Code(
        "TM-X90", WARNING, "Ignores what does not exist",
        "A comment `# tidemill: ignore …`, or `check.codes` of tidemill.yaml, names a code no finding has, or none.",
        "It silences nothing; the finding that was meant is still shown, or was mended long ago.",
        "Name the code as `check` prints it, several with commas between them.",
        "image: ghcr.io/me/api:main  # tidemill: ignore TM-X05",
    ),
)  # fmt: skip
