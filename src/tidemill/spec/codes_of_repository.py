"""TM-X…: mistakes of workflows, Dockerfiles, manifests and scripts, each seen in a real project."""

from __future__ import annotations

from tidemill.spec.code import ERROR, WARNING, Code

ROWS = (
    Code("TM-X01", WARNING, "Download of a job nobody waited for", "A job is created without `--stream`, and its outputs are downloaded right after.", "The download is refused, or brings nothing, while the job still runs.", "Create it with `--stream`.", "az ml job create -f job.yml --stream"),
    Code("TM-X04", ERROR, "Copied file is not in the build context", "A Dockerfile copies what is not there.", "The build fails, or the image has no model in it.", "Copy from inside the context; bring the model there first.", "COPY model/ /app/model/"),
    Code("TM-X05", WARNING, "Image by a movable tag", "A manifest names an image by `:latest`, a branch, or no tag at all.", "What runs changes without a trace, or never changes although it should.", "Name it by digest: `image@sha256:…`; `tidemill up` does.", "image: ghcr.io/me/api@sha256:…"),
    Code("TM-X08", WARNING, "First of a list taken for the newest", "`[0].version` of `az ml … list` is used as the newest version.", "Azure promises no order: the wrong model is deployed.", "Ask for `@latest`, or sort: `--query \"max_by([], &creation_context.created_at).version\"`. Tidemill's lists are newest first.", "az ml model show -n digits --label latest --query version -o tsv"),
    Code("TM-X10", ERROR, "A label where a version belongs", "`latest` is given as a version.", "There is no version of that name; scripts then fall back to something else.", "Use `--label latest`.", "az ml model download -n digits --label latest"),
    Code("TM-X14", ERROR, "No such az command", "`az ml` nouns are singular.", "The command fails.", "Write the singular.", "az ml component create -f component.yml"),
    Code("TM-X21", WARNING, "Template never filled in", "A manifest still holds a variable in an image name.", "The cluster refuses it: InvalidImageName.", "Fill it in before applying, as objects, not as text.", "image: ghcr.io/me/api@sha256:…"),
    Code("TM-X28", WARNING, "Condition the wrong way round", "A step runs when an input called `skip…` is true.", "What should be skipped runs, and the other way round.", "Negate it.", "if: ${{ !inputs.skip_training }}"),
    Code("TM-X32", WARNING, "Secret written into a script", "`${{ secrets.X }}` is pasted into the text of a script.", "A quote in the secret breaks the script or runs as code, and it may be printed.", "Pass it through `env:` and use the variable.", "env: {TOKEN: '${{ secrets.TOKEN }}'}"),
    Code("TM-X34", WARNING, "Errors swallowed", "A failure is ignored, the crucial ones too.", "The workflow is green and nothing works.", "Handle the one failure you expect; let others fail.", "az ml compute show -n c || az ml compute create -f compute.yml"),
    Code("TM-X35", WARNING, "Not pinned", "An action or base image is named by what can move.", "Tomorrow's run is another one than today's.", "Pin an action to a commit, an image to a version or digest.", "uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2"),
    Code("TM-X36", ERROR, "Port nobody listens on", "A Service sends requests to a port its pods do not open.", "Every request is refused.", "Let `targetPort` be a containerPort.", "targetPort: 8000"),
    Code("TM-X39", WARNING, "Archive extracted unchecked", "`extractall` writes wherever the archive says.", "A prepared archive overwrites files outside.", 'Pass `filter="data"` (tar), or check every name.', 'archive.extractall(target, filter="data")'),
    Code("TM-X42", WARNING, "No readiness probe", "A container of a Deployment has no readinessProbe.", "Requests reach it before the model is loaded.", "Add one that asks for a real answer.", "readinessProbe: {httpGet: {path: /readyz, port: 8000}}"),
    Code("TM-X44", WARNING, "Subscription id committed", "A file names an Azure subscription by id.", "It tells strangers what to aim at.", "Keep it in a secret or in `az configure --defaults`.", "subscription: ${AZURE_SUBSCRIPTION_ID}"),
    Code("TM-X45", WARNING, "SDK v1", "The code imports `azureml.core`, which is out of support.", "It breaks with current packages.", "Use `mlflow`; in Azure ML jobs it is set up already.", "import mlflow; mlflow.log_metric('accuracy', a)"),
    Code("TM-X46", WARNING, "Development server", "A server is started with `reload` or `debug`.", "It runs anybody's code, or restarts under load.", "Leave them out in production.", "uvicorn.run(app, host='0.0.0.0', port=8000)"),
    Code("TM-X47", WARNING, "CORS for everybody with credentials", "All origins are allowed, with credentials.", "Any web page can act as the user.", "Name the origins.", "allow_origins=['https://app.example.org']"),
)  # fmt: skip
