"""What scripts hand to `az ml` besides: options that change nothing here, and verbs that only Azure can carry out."""

from __future__ import annotations

from collections.abc import Mapping

import click

from tidemill.base.errors import BackendError
from tidemill.cli.without_effect import option_without_effect

# One line a command: its options that have no meaning on this machine; `=` marks those that take a value.
ACCEPTED = """
job create: skip-validation
job cancel: no-wait
job list: asset-name=
job validate: skip-validation
data create: datastore= skip-validation no-wait
environment create: datastore= no-wait
component create: skip-validation
component update: skip-validation
model create: datastore= stage= no-wait
compute create: admin-username= admin-password= ssh-key-value= ssh-public-access-enabled= subnet= vnet-name= identity-type= \
user-assigned-identities= user-object-id= user-tenant-id= enable-node-public-ip=
compute attach: identity-type= user-assigned-identities= admin-username= admin-password= ssh-port= ssh-private-key-file= no-wait
compute update: identity-type= user-assigned-identities=
compute detach: no-wait
compute restart: no-wait
compute resize: no-wait
workspace create: application-insights= container-registry= enable-data-isolation hub-id= image-build-compute= key-vault= \
managed-network= primary-user-assigned-identity= public-network-access= storage-account= system-datastores-auth-mode= \
default-resource-group= provision-network-now network-acls= allow-roleassignment-on-rg
workspace update: application-insights= container-registry= image-build-compute= primary-user-assigned-identity= \
public-network-access= managed-network= system-datastores-auth-mode=
workspace delete: all-resources permanently-delete
workspace list: filtered-kinds= kind=
registry create: public-network-access= acr-sku= storage-sku=
connection create: populate-secrets
connection show: populate-secrets
connection list: populate-secrets
connection update: populate-secrets
online-endpoint create: vscode-debug
online-endpoint invoke: no-wait
online-deployment create: local-enable-gpu vscode-debug package-model with-package=
online-deployment update: local-enable-gpu vscode-debug skip-script-validation
batch-deployment create: package-model
"""
LONGEST = 200  # characters of a verb's line in its noun's help; click cuts at 45
DO_IT_HERE = "Everything here is on this machine: "
# A verb with nothing to do on this machine: what it does in Azure, and the way here.
ONLY_AZURE: Mapping[str, tuple[str, str]] = {
    "job connect-ssh": ("opens a shell in a job's container", "its files and logs are in .tidemill/jobs/NAME."),
    "compute connect-ssh": ("opens a shell on a machine in Azure", "a terminal is that shell."),
    "compute enable-sso": ("lets people of a tenant log in to an instance", "nobody has to log in."),
    "data import": ("reads a database or a bucket in Azure", "fetch it and use `data create --path`."),
    "data list-materialization-status": ("lists Azure's imports", "there are none."),
    "data mount": ("mounts data", "`data show --name NAME --query path -o tsv` is a folder or file already."),
    "datastore mount": ("mounts a datastore", "map it to a folder under `datastores:` in tidemill.yaml."),
    "model package": ("builds an image in Azure", "`tidemill up` packs the model, `tidemill render` shows how."),
    "workspace diagnose": ("looks for faults of an Azure workspace", "`tidemill doctor` explains this machine."),
    "workspace list-keys": ("prints keys of storage and registry", "there are no keys."),
    "workspace sync-keys": ("renews keys of storage and registry", "there are no keys."),
    "workspace provision-network": ("builds a network in Azure", "there is no network."),
}
# Nouns of `az ml` that Tidemill does not have.
AZURE_NOUNS = (
    "feature-set",
    "feature-store",
    "feature-store-entity",
    "index",
    "serverless-endpoint",
    "marketplace-subscription",
    "workspace-hub",
    "capability-host",
    "deployment-template",
)


def complete(noun: str, group: click.Group) -> click.Group:
    """Give a noun's verbs the options scripts use, and the verbs that explain why they do nothing."""
    for line in ACCEPTED.strip().splitlines():
        command, _, words = line.partition(": ")
        if command.partition(" ")[0] == noun:
            _accept(group.commands[command.partition(" ")[2]], words.split())
    for command, (what, here) in ONLY_AZURE.items():
        of, _, verb = command.partition(" ")
        if of == noun and verb not in group.commands:
            group.add_command(_refuse(command, what, here))
    return NounGroup(group.name, commands=group.commands, help=group.help)


class NounGroup(click.Group):
    """Verbs whose options may be shortened while that is unambiguous, as az allows: `--endpoint` for `--endpoint-name`."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Every verb with its whole first sentence."""
        del ctx
        rows = [(n, c.get_short_help_str(limit=LONGEST)) for n, c in sorted(self.commands.items()) if not c.hidden]
        with formatter.section("Verbs"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with the options of the verb in full."""
        name, command, rest = super().resolve_command(ctx, args)
        flags = [flag for parameter in command.params for flag in parameter.opts] if command is not None else []
        return name, command, [_in_full(word, flags) for word in rest]


def _in_full(word: str, flags: list[str]) -> str:
    option, equals, value = word.partition("=")
    if not option.startswith("--") or option in {*flags, "--", "--help"}:
        return word
    found = [flag for flag in flags if flag.startswith(option)]
    return f"{found[0]}{equals}{value}" if len(found) == 1 else word


def _accept(command: click.Command, words: list[str]) -> None:
    known = {flag for parameter in command.params for flag in parameter.opts}
    for word in words:
        flag = f"--{word.rstrip('=')}"
        if flag not in known:
            option = option_without_effect(flag, is_flag=not word.endswith("="))
            command.params.append(option)


def _refuse(name: str, what: str, here: str) -> click.Command:
    @click.command(
        name.partition(" ")[2],
        help=f"In Azure it {what}; {here}",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def command() -> None:
        raise BackendError(f"`{name}` {what}: it needs Azure", hint=DO_IT_HERE + here)

    return command


def explain_azure_noun(noun: str) -> BackendError:
    """Why a noun of az is missing here."""
    return BackendError(
        f"`az ml {noun}` manages things that are only in Azure",
        hint="Call az itself for it: the real one, not Tidemill's shim.",
    )
