"""TM-D…: the file, its fields, its names."""

from __future__ import annotations

from tidemill.spec.code import ERROR, WARNING, Code

ROWS = (
    Code(
        "TM-D001", ERROR, "Not YAML",
        "The file cannot be read as YAML: a syntax error, a wrong encoding, a tag, or nesting and aliases beyond all bounds.",
        "Nothing in it can be used.",
        "Mend the place named; it is often indentation, a tab or a quote.",
        "# before\ninputs:\n\tdata: 1      # a tab\n# after\ninputs:\n  data: 1",
    ),
    Code(
        "TM-D002", ERROR, "A template, not YAML yet",
        "The file holds `{{ X }}`, which some other tool fills in.",
        "Unfilled it is not YAML, or it means something else.",
        "Render the template and check the result.",
        "# before\nversion: {{VERSION}}\n# after, rendered\nversion: 7",
    ),
    Code(
        "TM-D003", ERROR, "Key twice",
        "A mapping has the same key twice.",
        "YAML keeps the last one and loses the first without a word.",
        "Remove or rename one of them.",
        "# before\ninputs:\n  epochs: 3\n  epochs: 5\n# after\ninputs:\n  epochs: 5",
    ),
    Code(
        "TM-D004", ERROR, "Not an Azure ML document",
        "The file was named as a document, but neither `$schema` nor its fields say which kind it is.",
        "Nothing can be said about it.",
        "Add `$schema` and `type`, or name another file.",
        "$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json\ntype: command",
    ),
    Code(
        "TM-D005", ERROR, "Not a mapping",
        "The file is empty, a list or a single value; a document is a mapping of fields.",
        "Nothing else has a meaning.",
        "Write `field: value` lines.",
        "# before\n- train\n# after\nname: train",
    ),
    Code(
        "TM-D101", ERROR, "Unknown field",
        "The schema has no such field at this place.",
        "Azure refuses the document, or ignores what was meant.",
        "Correct the name; the hint names the nearest one.",
        "# before\ncomand: python train.py\n# after\ncommand: python train.py",
    ),
    Code(
        "TM-D102", ERROR, "Required field missing",
        "The schema, or another field, requires a field that is not there.",
        "The document cannot run.",
        "Add it.",
        "type: command\ncommand: python train.py\nenvironment: azureml:train-env@latest   # was missing",
    ),
    Code(
        "TM-D103", ERROR, "Not an allowed value",
        "The field takes one of a few words, and this is none of them.",
        "Azure refuses any other.",
        "Use one of the words listed.",
        "# before\nmode: mounted\n# after\nmode: ro_mount",
    ),
    Code(
        "TM-D104", ERROR, "Wrong type of value",
        "The field takes another type of value: a number, a text, true or false.",
        "Azure refuses it, or reads it as something else.",
        "Quote texts that look like numbers or dates; write numbers without quotes.",
        "# before\ninstance_count: two\n# after\ninstance_count: 2",
    ),
    Code(
        "TM-D105", ERROR, "Value out of range",
        "A number is outside what the field allows.",
        "Azure refuses it.",
        "Use a value in the range named.",
        "# before\ntraffic: {blue: 120}\n# after\ntraffic: {blue: 100}",
    ),
    Code(
        "TM-D106", WARNING, "Unknown field, tolerated",
        "The schema has no such field in a step, under `settings`, or in a component; Azure ignores it.",
        "What was meant by it does not happen.",
        "Remove it or correct its name.",
        "# before\nsettings: {default_compte: azureml:cpu}\n# after\nsettings: {default_compute: azureml:cpu}",
    ),
    Code(
        "TM-D107", ERROR, "Literal without a meaning",
        "A literal input is null or an unquoted date.",
        "Azure ML refuses both.",
        "Give a value; quote dates.",
        '# before\nsince: 2024-01-31\n# after\nsince: "2024-01-31"',
    ),
    Code(
        "TM-D108", ERROR, "Fields that exclude each other",
        "Two fields are set of which only one may be.",
        "Azure refuses the document.",
        "Remove one.",
        "# before\nimage: python:3.11\nbuild: {path: docker}\n# after\nbuild: {path: docker}",
    ),
    Code(
        "TM-D109", ERROR, "Wrong shape",
        "A mapping stands where a value belongs, or the other way round, or a key is not text.",
        "It cannot be read.",
        "Follow the shape named in the message.",
        "# before\noutputs: model\n# after\noutputs:\n  model: {type: uri_folder}",
    ),
    Code(
        "TM-D110", ERROR, "Cannot be deployed so",
        "A stage of tidemill.yaml, or the deployment it names, has what its target does not take: a quantity, a name or a variable Kubernetes refuses, steps that do not rise, an image that moves, a value no template filled in.",
        "It would fail after training and approvals, or bring something else than was meant.",
        "Write it as the message says.",
        "# before\nmemory: 2 Gi\nsteps: [50, 10]\n# after\nmemory: 2Gi\nsteps: [10, 50]",
    ),
    Code(
        "TM-D111", ERROR, "Gate is no condition",
        "A gate of tidemill.yaml is not a condition in CEL, or speaks of something gates do not know.",
        "No version can be judged by it, and nothing is deployed.",
        "Compare facts: metrics, champion, findings, latency, fairness, model.",
        '# before\ngates: ["accuracy > 0.9"]\n# after\ngates: ["metrics.accuracy > 0.9"]',
    ),
    Code(
        "TM-D112", WARNING, "Input nobody reads",
        "`--set` adds an input to a job that neither has nor reads one of that name.",
        "The value that was meant stays as it was, and the job runs with it.",
        "Correct the name.",
        "# before\n--set inputs.epoch=3\n# after\n--set inputs.epochs=3",
    ),
    Code(
        "TM-D201", ERROR, "Illegal name",
        "A name has characters or a length Azure does not allow.",
        "Creating it fails.",
        "Follow the hint, which says what this kind of name may hold.",
        "# before\njobs:\n  train-model: …\n# after\njobs:\n  train_model: …",
    ),
)  # fmt: skip
