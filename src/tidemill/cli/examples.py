"""What people type most, shown at the end of `--help` and in the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

# One block a command: a line is a command line, and after two spaces and `#` what it does.
EXAMPLES = {
    "check": """
tidemill check .                       # everything below this folder
tidemill check pipeline.yml --fix      # mend what takes no judgement
tidemill check . -o github             # annotations in a workflow
tidemill check --explain TM-B104
""",
    "plan": """
tidemill plan pipeline.yml
tidemill plan pipeline.yml --set inputs.epochs=3
""",
    "run": """
tidemill run pipeline.yml
tidemill run pipeline.yml --set inputs.epochs=3 --stream
tidemill run pipeline.yml --executor kubernetes
""",
    "up": """
tidemill up                            # every stage of tidemill.yaml
tidemill up --stage staging            # no further than this one
tidemill up --set stages.production.replicas=3
""",
    "status": """
tidemill status
tidemill status --query "endpoints[0].url" -o tsv
""",
    "down": """
tidemill down                          # all that `up` started
tidemill down digits                   # one endpoint
tidemill down --stage production --yes
""",
    "serve": """
tidemill serve churn@latest --port 8080 --workers 2
tidemill serve ./model                 # a model folder
tidemill serve --app main:app site     # your own ASGI or WSGI application
""",
    "feedback": """
tidemill feedback truth.csv            # columns request_id and truth
tidemill feedback --request-id ID --truth 7
tidemill feedback --join joined.parquet
""",
    "gate": """
tidemill gate
tidemill gate --stage production
tidemill gate --history
""",
    "render": """
tidemill render                        # plain YAML on standard output
tidemill render --stage production --format helm --out chart
tidemill render --rbac --stage production
""",
    "history": """
tidemill history
tidemill history --stage production --at 2026-11-20
""",
    "promote": """
tidemill promote --stage production --approve    # say yes to the newest version
tidemill promote --stage production              # deploy it
""",
    "rollback": """
tidemill rollback --reason "sevens are read as ones"
tidemill rollback --lift               # let the version in again
""",
    "gc": """
tidemill gc --dry-run
tidemill gc --older-than 30d --keep 5
""",
    "job": """
tidemill job create -f pipeline.yml --stream
tidemill job list -o table
tidemill job show -n NAME --query status -o tsv
tidemill job stream -n NAME            # the steps' logs
tidemill job download -n NAME --output-name model -p out
tidemill job resume NAME
""",
    "data": """
tidemill data create -n mnist -v 1 -p ~/mnist
tidemill data list -o table
""",
    "environment": """
tidemill environment create -f environment.yml
tidemill environment list -o table
""",
    "model": """
tidemill model create -n churn --type mlflow_model -p ./model
tidemill model list -n churn --query "[0].version" -o tsv
tidemill model download -n churn -v 1 -p out
tidemill model sync http://mlflow.lab:5000 http://mlflow.prod:5000 --name churn
""",
    "preview": """
tidemill preview create feature/new-thing --ttl 2h
tidemill preview delete --expired
""",
    "keys": """
tidemill keys create release
""",
    "online-endpoint": """
tidemill online-endpoint invoke -n digits --request-file sample_request.json
tidemill online-endpoint get-credentials -n digits
tidemill online-endpoint update -n digits --traffic "blue=90 green=10"
""",
    "online-deployment": """
tidemill online-deployment create -f deployment.yml --all-traffic
tidemill online-deployment get-logs -n blue -e digits
""",
    "batch-endpoint": """
tidemill batch-endpoint create -f endpoint.yml
tidemill batch-endpoint invoke -n night --input data
""",
    "schedule": """
tidemill schedule create -f schedule.yml
tidemill schedule trigger -n nightly
""",
    "az": """
tidemill az ml model list -n churn
""",
    "az-shim": """
tidemill az-shim bin                   # then: export PATH=$PWD/bin:$PATH
""",
}


def examples_of(name: str) -> list[str]:
    """The example lines of a command; none for most."""
    return EXAMPLES.get(name, "").strip().splitlines()


def with_examples(name: str, command: click.Command) -> click.Command:
    """`command` with its examples at the end of its help, as they stand."""
    lines = examples_of(name)
    if lines:
        command.epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
    return command
