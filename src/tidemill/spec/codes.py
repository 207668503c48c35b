"""Every code a finding can have: what it says, why it matters, how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tidemill.base.findings import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


class Code(NamedTuple):
    """One row of the reference."""

    code: str
    severity: Severity
    title: str
    what: str
    why: str
    mend: str
    example: str = ""


# TM-D0xx the file · TM-D1xx its fields · TM-D2xx names and values · TM-B1xx bindings and graphs · TM-R1xx references and paths
# TM-S1xx sweep · TM-P1xx parallel · TM-L1xx deployments · TM-C1xx schedules and computes · TM-X…  a repository
ROWS = (
    Code("TM-D001", ERROR, "Not YAML", "The file cannot be read as YAML.", "Nothing in it can be used.", "Mend the place named; often indentation or a quote."),
    Code("TM-D002", ERROR, "A template, not YAML yet", "The file holds `{{ X }}` that some other tool fills in.", "Unfilled it is not YAML, or means something else.", "Render the template and check the result."),
    Code("TM-D003", ERROR, "Key twice", "A mapping has the same key twice.", "YAML keeps the last one and loses the first without a word.", "Remove or rename one."),
    Code("TM-D004", ERROR, "Not an Azure ML document", "The file is YAML, but no document Tidemill knows.", "It was named as one.", "Add `$schema` and `type`, or name another file."),
    Code("TM-D005", ERROR, "Not a mapping", "A document is a mapping of fields.", "Nothing else has a meaning.", "Write `field: value` lines."),
    Code("TM-D101", ERROR, "Unknown field", "The schema has no such field.", "Azure refuses the document, or ignores what you meant.", "Correct the name; see `docs/reference/documents.md`.", "comand: python train.py   # command"),
    Code("TM-D102", ERROR, "Required field missing", "The schema requires a field that is not there.", "The document cannot run.", "Add it."),
    Code("TM-D103", ERROR, "Not an allowed value", "The field takes one of a few values.", "Azure refuses any other.", "Use one of the values listed."),
    Code("TM-D104", ERROR, "Wrong type of value", "The field takes another type of value.", "Azure refuses it, or reads it as something else.", "Quote text; write numbers without quotes."),
    Code("TM-D105", ERROR, "Value out of range", "A number is outside what the field allows.", "Azure refuses it.", "Use a value in the range named."),
    Code("TM-D106", WARNING, "Unknown field, tolerated", "The schema has no such field here; Azure ignores it.", "What you meant by it does not happen.", "Remove it or correct its name."),
    Code("TM-D107", ERROR, "Literal without a meaning", "A literal input is null or an unquoted date.", "Azure ML refuses both.", "Give a value; quote dates.", 'since: "2024-01-31"'),
    Code("TM-D108", ERROR, "Fields that exclude each other", "Only one of these fields may be set.", "Azure refuses the document.", "Remove one."),
    Code("TM-D109", ERROR, "Wrong shape", "The field takes another shape of value.", "It cannot be read.", "Follow the shape named in the hint."),
    Code("TM-D201", ERROR, "Illegal name", "A name has characters or a length Azure does not allow.", "Creating it fails.", "Use letters, digits, `-`, `_`; see the hint for this kind."),
    Code("TM-B101", ERROR, "Required input missing", "A step does not give an input its component requires.", "The submission fails.", "Give it under `inputs:`."),
    Code("TM-B102", ERROR, "Unknown input", "A step gives an input its component does not have.", "The submission fails.", "Use the component's name for it."),
    Code("TM-B103", ERROR, "Unknown output", "A step names an output its component does not have.", "The submission fails.", "Use the component's name for it."),
    Code("TM-B104", ERROR, "Binding to nothing", "A `${{ … }}` names a job, input or output that does not exist.", "The submission fails.", "Bind to what exists."),
    Code("TM-B105", ERROR, "Literal of the wrong type", "A literal does not fit the type of the input.", "The submission or the step fails.", "Write a value of that type."),
    Code("TM-B106", ERROR, "Literal out of bounds", "A literal is below `min`, above `max` or not in `enum`.", "The submission fails.", "Use an allowed value."),
    Code("TM-B107", ERROR, "Cycle", "Steps wait for each other, or one for itself.", "None of them can ever start.", "Break the circle."),
    Code("TM-B108", ERROR, "Command uses what is not declared", "The command names an input or output that is not declared.", "The job fails when it starts.", "Declare it, or correct the name."),
    Code("TM-B109", ERROR, "Optional input outside `$[[ ]]`", "The command uses an optional input outside an optional group.", "Without the input the command is broken; Azure refuses it.", "Wrap it.", "$[[--extra ${{inputs.extra}}]]"),
    Code("TM-B110", ERROR, "Expression of another context", "The expression is not available at this place.", "It is never filled in.", "In a command use `${{inputs.x}}` and `${{outputs.x}}`; in a step's inputs use `${{parent…}}`."),
    Code("TM-B111", ERROR, "Malformed expression", "What stands inside `${{ }}` is no dotted name.", "It is never filled in.", "Write `${{inputs.name}}`."),
    Code("TM-B112", WARNING, "Output never written", "The command never mentions a declared output.", "The output will be empty.", "Pass `${{outputs.name}}` to the command."),
    Code("TM-B113", WARNING, "Default that does not fit", "A default does not fit the type, bounds or `enum` of its own input.", "The component fails when the default is used.", "Correct the default."),
    Code("TM-R101", ERROR, "File not found", "A local path in the document leads to nothing.", "The upload or the job fails.", "Correct the path; it is relative to this file."),
    Code("TM-R102", ERROR, "Component cannot be read", "The component a step uses is not valid itself.", "The pipeline cannot run.", "Mend the component."),
    Code("TM-R103", ERROR, "Not a component", "The file a step uses is another kind of document.", "The pipeline cannot run.", "Name a component."),
    Code("TM-R104", ERROR, "Malformed reference", "The reference is not of a form Azure ML knows.", "It cannot be resolved.", "Write `azureml:name:version`, `azureml:name@latest` or a relative path."),
    Code("TM-R105", WARNING, "Name stands twice in the repository", "Two files declare the same name and version.", "Which one is used is chance.", "Rename or remove one."),
    Code("TM-R106", ERROR, "Unknown data asset", "The data asset is neither mapped nor registered here.", "The step has no data.", "Map it in tidemill.yaml or create it with `tidemill data create`."),
    Code("TM-S101", ERROR, "Search space without input", "A name in `search_space` is no input of the trial.", "The value reaches nothing.", "Use the trial's input names."),
    Code("TM-S102", ERROR, "Trials out of bounds", "`max_concurrent_trials` is above `max_total_trials`.", "Azure refuses the sweep.", "Lower it."),
    Code("TM-S103", ERROR, "Sampling that cannot sample", "The sampling algorithm cannot draw from this distribution.", "Azure refuses the sweep.", "Grid needs choices; Bayesian needs choice, uniform or quniform."),
    Code("TM-P101", ERROR, "Parallel job without its parts", "A parallel job needs `task` and `input_data`.", "It cannot run.", "Add them."),
    Code("TM-P102", ERROR, "Two ways to split", "`mini_batch_size` and `partition_keys` exclude each other.", "Azure refuses the job.", "Keep one."),
    Code("TM-L101", ERROR, "Deployment without a model", "The deployment names no model, and no environment or code that could bring one.", "It cannot answer.", "Add `model: azureml:name@latest`."),
    Code("TM-L102", ERROR, "No instances", "The deployment asks for no instance.", "It never answers.", "Set `instance_count: 1` or more."),
    Code("TM-L103", ERROR, "Traffic that does not add up", "The percentages are neither 0 nor 100 in sum.", "Azure refuses the update.", "Let them add up to 100."),
    Code("TM-L104", ERROR, "Scoring code without environment", "Custom scoring code needs an environment.", "The server cannot be built.", "Add `environment:`."),
    Code("TM-C101", ERROR, "Bad cron expression", "The expression is no five-field cron.", "The schedule never fires or is refused.", "minute hour day month weekday, e.g. `0 3 * * *`."),
    Code("TM-C102", ERROR, "Unknown time zone", "The time zone is neither a Windows nor an IANA name.", "The schedule is refused.", "e.g. `UTC`, `W. Europe Standard Time`."),
    Code("TM-C103", ERROR, "Impossible time", "An hour or minute is out of range.", "The schedule is refused.", "Hours 0-23, minutes 0-59."),
)  # fmt: skip


CODES: Mapping[str, Code] = {row.code: row for row in ROWS}
