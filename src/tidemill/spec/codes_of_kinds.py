"""TM-S…, TM-P…, TM-L…, TM-C…: sweeps, parallel work, deployments, schedules and computes."""

from __future__ import annotations

from tidemill.spec.code import ERROR, Code

ROWS = (
    Code(
        "TM-S101", ERROR, "Search space without input",
        "A name in `search_space` is no input of the trial.",
        "The value drawn reaches nothing.",
        "Use the trial's names.",
        "search_space: {lr: {type: uniform, min_value: 0.01, max_value: 0.1}}\ntrial: ./train.yml   # has an input `lr`",
    ),
    Code(
        "TM-S102", ERROR, "Trials out of bounds",
        "`max_concurrent_trials` is above `max_total_trials`.",
        "Azure refuses the sweep.",
        "Lower it.",
        "limits: {max_total_trials: 20, max_concurrent_trials: 4}",
    ),
    Code(
        "TM-S103", ERROR, "Sampling that cannot sample",
        "The sampling algorithm cannot draw from a distribution of the search space.",
        "Azure refuses the sweep.",
        "Grid draws from choices; Bayesian from choice, uniform and quniform; random from everything.",
        "# before\nsampling_algorithm: grid\nsearch_space: {lr: {type: uniform, min_value: 0, max_value: 1}}\n# after\nsampling_algorithm: random",
    ),
    Code(
        "TM-S104", ERROR, "Range with nothing in it",
        "A hyperparameter's range begins above its end.",
        "Nothing can be drawn from it.",
        "Exchange min_value and max_value.",
        "# before\nlr: {type: uniform, min_value: 0.2, max_value: 0.01}\n# after\nlr: {type: uniform, min_value: 0.01, max_value: 0.2}",
    ),
    Code(
        "TM-P101", ERROR, "Parallel job without its parts",
        "A parallel job needs `task` with its entry script, and `input_data`.",
        "It cannot run.",
        "Add them.",
        "input_data: ${{inputs.images}}\ntask: {type: run_function, code: ./src, entry_script: score.py, environment: azureml:e@latest}",
    ),
    Code(
        "TM-P102", ERROR, "Two ways to split",
        "`mini_batch_size` and `partition_keys` exclude each other.",
        "Azure refuses the job.",
        "Keep one.",
        'mini_batch_size: "10"',
    ),
    Code(
        "TM-P103", ERROR, "Mini batch of no size",
        "`mini_batch_size` is neither a number of files above 0 nor, for tables, a size such as 10kb.",
        "The data cannot be split.",
        "Files (uri_folder, uri_file): a number. Tables (mltable): a size in kb, mb or gb.",
        '# before\nmini_batch_size: "0"\n# after\nmini_batch_size: "10"',
    ),
    Code(
        "TM-L101", ERROR, "Deployment without a model",
        "The deployment names no model, though its scoring script is called for one, or nothing else could answer.",
        "It cannot answer.",
        "Name a model.",
        "model: azureml:digits@latest",
    ),
    Code(
        "TM-L102", ERROR, "No instances",
        "The deployment asks for no instance.",
        "It never answers.",
        "Ask for one or more.",
        "instance_count: 1",
    ),
    Code(
        "TM-L103", ERROR, "Traffic that does not add up",
        "The percentages are neither 0 nor 100 in sum.",
        "Azure refuses the update.",
        "Let them add up to 100.",
        "traffic: {blue: 90, green: 10}",
    ),
    Code(
        "TM-L104", ERROR, "Scoring code without environment",
        "Custom scoring code needs an environment.",
        "The server cannot be built.",
        "Add `environment:`.",
        "code_configuration: {code: ./src, scoring_script: score.py}\nenvironment: azureml:serve-env@latest",
    ),
    Code(
        "TM-C101", ERROR, "Bad cron expression",
        "The expression has not five fields, or one of them is out of range.",
        "The schedule is refused or never fires.",
        "Write minute, hour, day, month, weekday.",
        'trigger: {type: cron, expression: "0 3 * * *"}',
    ),
    Code(
        "TM-C102", ERROR, "Unknown time zone",
        "The time zone is neither one of Windows' names nor the IANA's.",
        "The schedule is refused.",
        "Use one of them.",
        "time_zone: W. Europe Standard Time",
    ),
    Code(
        "TM-C103", ERROR, "Impossible time",
        "An hour, minute or day is out of range.",
        "The schedule is refused.",
        "Hours are 0 to 23, minutes 0 to 59, days of a month 1 to 31.",
        "schedule: {hours: [3], minutes: [30]}",
    ),
)  # fmt: skip
