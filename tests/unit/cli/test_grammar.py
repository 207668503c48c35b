"""Every option the reference of `az ml` lists for what Tidemill has is taken, so that scripts need no change."""

from __future__ import annotations

import click
import pytest

from tests.unit.cli.conftest import Run
from tidemill.cli.main import NOUNS, tidemill
from tidemill.cli.scripts import AZURE_NOUNS

ASSET_LIST = "registry-name name max-results include-archived archived-only"
ONE_ASSET = "registry-name name version label"
EDIT = "set add remove force-string"
REFERENCE = f"""
job create: file name save-as set skip-validation stream web
job list: max-results parent-job-name all-results include-archived archived-only tag asset-name
job show: name web
job update: name web {EDIT}
job cancel: name no-wait
job download: name output-name download-path all
job stream: name
job archive: name
job restore: name
job validate: file set
job show-services: name node-index
data share: name version registry-name share-with-name share-with-version
data create: registry-name file name version description tags path type datastore set skip-validation no-wait
data list: {ASSET_LIST}
data show: {ONE_ASSET}
data update: {ONE_ASSET} {EDIT}
data archive: {ONE_ASSET}
data restore: {ONE_ASSET}
environment share: name version registry-name share-with-name share-with-version
environment create: registry-name file name version description tags image conda-file build-context dockerfile-path os-type datastore set no-wait
environment list: {ASSET_LIST}
environment show: {ONE_ASSET}
environment update: {ONE_ASSET} {EDIT}
environment archive: {ONE_ASSET}
environment restore: {ONE_ASSET}
component share: name version registry-name share-with-name share-with-version
component create: registry-name file name version set skip-validation
component list: {ASSET_LIST}
component show: {ONE_ASSET}
component update: {ONE_ASSET} {EDIT}
component archive: {ONE_ASSET}
component restore: {ONE_ASSET}
model share: name version registry-name share-with-name share-with-version
model create: registry-name file name version description tags path type stage datastore set no-wait
model list: {ASSET_LIST} tag stage
model show: {ONE_ASSET}
model update: {ONE_ASSET} {EDIT}
model delete: name version registry-name
model download: registry-name name version download-path
model archive: {ONE_ASSET}
model restore: {ONE_ASSET}
compute create: file name type size min-instances max-instances tier description tags location idle-time-before-scale-down \
idle-time-before-shutdown idle-time-before-shutdown-minutes admin-username admin-password ssh-key-value \
ssh-public-access-enabled subnet vnet-name identity-type user-assigned-identities user-object-id user-tenant-id set no-wait
compute attach: file name type resource-id namespace admin-username admin-password ssh-port identity-type no-wait
compute list: max-results type
compute show: name
compute update: name min-instances max-instances idle-time-before-scale-down identity-type no-wait {EDIT}
compute delete: name no-wait yes
compute detach: name no-wait yes
compute start: name no-wait
compute stop: name no-wait
compute restart: name no-wait
compute resize: name size no-wait
compute list-nodes: name
compute list-sizes: location type
compute list-usage: location
datastore create: file name set
datastore list: max-results
datastore show: name
datastore update: name file {EDIT}
datastore delete: name yes
workspace create: file name location description display-name tags container-registry key-vault storage-account \
application-insights image-build-compute public-network-access managed-network kind hub-id set no-wait
workspace list: max-results filtered-kinds
workspace show: name
workspace update: name display-name description {EDIT}
workspace delete: name all-resources permanently-delete no-wait yes
registry create: file name location description display-name tags public-network-access set no-wait
registry list: max-results
registry show: name
registry update: name description display-name {EDIT}
registry delete: name no-wait yes
connection create: file name set
connection list: max-results type populate-secrets
connection show: name populate-secrets
connection update: name {EDIT}
connection delete: name yes
online-endpoint create: file name auth-mode local set no-wait
online-endpoint show: name local
online-endpoint list: local
online-endpoint update: name traffic mirror-traffic local no-wait file {EDIT}
online-endpoint delete: name local no-wait yes
online-endpoint invoke: name request-file deployment-name local
online-endpoint get-credentials: name
online-endpoint regenerate-keys: name key-type
online-deployment create: file name endpoint-name all-traffic local local-enable-gpu skip-script-validation vscode-debug set no-wait
online-deployment update: file name endpoint-name local set no-wait
online-deployment show: name endpoint-name local
online-deployment list: endpoint-name local
online-deployment delete: name endpoint-name local no-wait yes
online-deployment get-logs: name endpoint-name lines container local
batch-endpoint create: file name set no-wait defaults
batch-endpoint update: file name defaults no-wait {EDIT}
batch-endpoint show: name
batch-endpoint list: max-results
batch-endpoint delete: name no-wait yes
batch-endpoint invoke: name deployment-name input input-type file job-name experiment-name mini-batch-size instance-count output-path set
batch-endpoint list-jobs: name
batch-deployment create: file name endpoint-name set-default skip-script-validation set no-wait
batch-deployment update: file name endpoint-name set no-wait
batch-deployment show: name endpoint-name
batch-deployment list: endpoint-name
batch-deployment delete: name endpoint-name no-wait yes
batch-deployment list-jobs: name endpoint-name
schedule create: file name set no-wait
schedule list: max-results include-disabled disabled-only
schedule update: file name no-wait {EDIT}
schedule enable: name no-wait
schedule disable: name no-wait
schedule trigger: name
schedule show: name
schedule delete: name no-wait yes
"""
EVERYWHERE = "resource-group workspace-name subscription output query only-show-errors debug verbose".split()  # noqa: SIM905
ONLY_AZURE = (
    "job connect-ssh -n x", "compute connect-ssh -n x --private-key-file-path k", "compute enable-sso -n x",
    "data import -f x.yml", "data list-materialization-status -n x", "data mount --path azureml:a:1 --mount-point m",
    "datastore mount --path x", "model package -n m -v 1 -f x.yml", "workspace diagnose -n w", "workspace list-keys -n w",
    "workspace sync-keys -n w", "workspace provision-network -n w",
)  # fmt: skip


def options_of(noun: str, verb: str) -> set[str]:
    context = click.Context(tidemill)
    group = tidemill.get_command(context, noun)
    assert isinstance(group, click.Group)
    return {flag.removeprefix("--") for p in group.commands[verb].params for flag in p.opts}


@pytest.mark.parametrize("line", REFERENCE.strip().splitlines(), ids=lambda line: line.partition(":")[0])
def test_a_verb_takes_every_option_the_reference_lists(line: str) -> None:
    command, _, words = line.partition(": ")
    noun, _, verb = command.partition(" ")
    assert {*words.split(), *EVERYWHERE} - options_of(noun, verb) == set()


@pytest.mark.parametrize("words", ONLY_AZURE)
def test_what_only_azure_can_do_says_so_and_what_to_do_here(tidemill: Run, words: str) -> None:
    said = tidemill(*words.split(), code=4)
    assert "it needs Azure" in said.stderr
    assert "hint: Everything here is on this machine: " in said.stderr


@pytest.mark.parametrize("noun", AZURE_NOUNS)
def test_a_noun_that_is_only_in_azure_is_refused_with_a_sentence(tidemill: Run, noun: str) -> None:
    assert noun not in NOUNS
    assert "only in Azure" in tidemill("az", "ml", noun, "list", code=4).stderr


def test_every_output_format_prints_what_az_prints(tidemill: Run) -> None:
    tidemill("compute", "create", "-n", "box", "--type", "AmlCompute", "--size", "S", "--tags", "a=1", "b=2")

    def out(fmt: str, query: str) -> str:
        return tidemill("compute", "show", "-n", "box", "-o", fmt, "--query", query).stdout

    one = "{name: name, tags: tags, zones: zones, up: state == 'Running'}"
    assert out("json", one) == out("jsonc", one)
    assert out("yaml", "{n: name, t: tags}") == "n: box\nt:\n  a: '1'\n  b: '2'\n" == out("yamlc", "{n: name, t: tags}")
    assert out("tsv", one) == "box\t\tNone\tTrue\n"
    assert out("tsv", "state == 'Running'") == "true\n"
    assert out("tsv", "[name, size]") == "box\nS\n"
    assert out("table", "{name: name, size: size, tags: tags}") == "Name  Size\n----  ----\nbox   S\n"
    assert out("table", "name") == "Result\n------\nbox\n"
    assert (out("none", "name"), out("json", "nothing")) == ("", "")
    refused = tidemill("compute", "show", "-n", "box", "--query", "[", code=2)
    assert "--query is not JMESPath" in refused.stderr
    assert "is not one of" in tidemill("compute", "show", "-n", "box", "-o", "xml", code=2).stderr


def test_an_option_may_be_shortened_while_that_is_unambiguous(tidemill: Run) -> None:
    tidemill("compute", "create", "--name", "box", "--type", "amlcompute", "--max-inst=3", "--resource-g", "g")
    assert tidemill("compute", "show", "--name", "box", "--quer", "max_instances", "--out", "tsv").stdout == "3\n"
    assert "--idle" in tidemill("compute", "update", "-n", "box", "--idle", "3", code=2).stderr
