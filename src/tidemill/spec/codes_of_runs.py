"""TM-E…, TM-N…: what planning and running notice; explained here with all others."""

from __future__ import annotations

from tidemill.spec.code import ERROR, WARNING, Code

ROWS = (
    Code(
        "TM-E101", WARNING, "Environment without a package list",
        "The environment names only an image, or is one of Azure's curated ones, so there is no list to build it from here.",
        "Its steps run in the Python Tidemill runs in, which may have other packages.",
        "Map it in tidemill.yaml to a conda file, a requirements file, the host or a container.",
        "# tidemill.yaml\nenvironments:\n  train-env: {conda_file: environments/train.yml}",
    ),
    Code(
        "TM-E102", ERROR, "Conda file without a list of packages",
        "A conda file is no mapping, has no `dependencies`, or has something other than packages among them.",
        "The environment cannot be built.",
        "Write `dependencies:` and one `- package=version` per line below it.",
        "# before\ndependancies:\n  - python=3.11\n# after\ndependencies:\n  - python=3.11",
    ),
    Code(
        "TM-E103", ERROR, "pip's packages in the wrong place",
        "A conda file names packages for pip where conda does not hand them to pip: beside `dependencies`, without the colon, in conda's own list, or not as a list.",
        "conda ignores them or refuses the file; the step ends with ModuleNotFoundError.",
        "Put them below `- pip:`, a member of the list under `dependencies:`.",
        "dependencies:\n  - python=3.11\n  - pip\n  - pip:\n      - scikit-learn==1.5.2",
    ),
    Code(
        "TM-E104", WARNING, "Conda file without Python",
        "A conda file does not name `python`.",
        "Azure installs the newest there is on the day it builds the environment, and the packages may not know it yet.",
        "Name the version the code was written for.",
        "dependencies:\n  - python=3.11",
    ),
    Code(
        "TM-N101", WARNING, "Output is empty",
        "A step completed and left nothing in one of its outputs.",
        "Steps after it work on nothing.",
        "Write to `${{outputs.name}}`; look into the step's log for a message that was swallowed.",
        "command: python prep.py --out ${{outputs.data}}",
    ),
    Code(
        "TM-N102", WARNING, "Files of some groups are gone",
        "An output has fewer label folders than went in.",
        "A label without examples is never learned.",
        "Check how the step decides which label a file belongs to, and look for errors it swallows.",
        "except Exception: print(…)   # drops the file and goes on",
    ),
    Code(
        "TM-N103", WARNING, "Output is missing",
        "A step completed without making a file it declared.",
        "Steps after it cannot start.",
        "Write to the path the command is given.",
        "command: python fit.py --metrics ${{outputs.metrics}}",
    ),
    Code(
        "TM-N104", WARNING, "Input was changed",
        "A step changed files of an input it was given to read.",
        "On Azure the same step fails, and what it read cannot be reproduced.",
        "Copy the files to an output and change them there.",
        "shutil.copytree(args.data, args.out)",
    ),
    Code(
        "TM-N105", WARNING, "Metric of another model",
        "The accuracy of the registered model on the job's test set is not the one the job logged.",
        "The gate judges a number that says nothing about what will be served.",
        "Evaluate after loading the file that is registered, on the test set the step is given.",
        "model.save(args.model)\nmlflow.log_metric('accuracy', load_model(args.model).evaluate(test)[1])",
    ),
    Code(
        "TM-N106", WARNING, "No better than the commonest class",
        "The registered model is right no more often than always naming the commonest class would be.",
        "A high accuracy on unbalanced data can mean that nothing was learned.",
        "Look at the inputs and labels; log the baseline beside the accuracy, and gate on both.",
        'gates: ["metrics.accuracy > metrics.baseline_accuracy"]',
    ),
    Code(
        "TM-N107", WARNING, "Budget nearly spent",
        "What the project's jobs cost in this period comes near its budget.",
        "At the limit no step that costs anything starts any more.",
        "Raise `budget.limit` in tidemill.yaml, choose a cheaper compute, or wait for the next period.",
        "budget: {limit: 50, per: month, warn_at: 0.8, currency: EUR}",
    ),
    Code(
        "TM-N108", WARNING, "Written outside the step",
        "A step's Python opened a file for writing outside the step's own folders (its temporary files and caches do not count).",
        "In a cluster the file is lost, and when the step is reused it is not written again.",
        "Write to an output the step declares, or below ./outputs.",
        'open(os.path.join(args.out, "scores.csv"), "w")',
    ),
    Code(
        "TM-N109", WARNING, "Pins were loosened",
        "With --relax-pins (or `pins: relaxed`) a step ran with other versions than its environment pins, since those cannot be had here.",
        "The same code may behave otherwise with the versions it was written for; a step that reuses the result says so too.",
        "Pin versions that this Python can have, or install the Python that they are made for.",
        "dependencies: [python=3.11, numpy=1.26.4]",
    ),
    Code(
        "TM-N121", WARNING, "Mini batches failed",
        "A parallel step completed although some of its mini batches failed or gave fewer results than they had items.",
        "Azure ML ignores any number of failures unless a threshold says otherwise; the output lacks their rows.",
        "Read the step's log; set thresholds so that such a job fails.",
        "mini_batch_error_threshold: 0\nerror_threshold: 0",
    ),
    Code(
        "TM-N122", WARNING, "AutoML setting without effect",
        "The document sets something of AutoML that the search on this machine does not do.",
        "The job runs, and its models can differ from those Azure ML would find with it.",
        "Remove the setting, or run the job on Azure ML.",
        "training: {allowed_training_algorithms: [light_gbm, random_forest]}",
    ),
    Code(
        "TM-N123", ERROR, "AutoML cannot do this here",
        "The task is on text or images, or no algorithm is left to try.",
        "There is nothing the job could train.",
        "Train such a model in a command step, allow an algorithm that is known here, or run the job on Azure ML.",
        "task: classification\ntraining: {allowed_training_algorithms: [light_gbm]}",
    ),
)  # fmt: skip
