"""Runs an AutoML step: reads its tables, searches models with FLAML, logs every trial, and leaves the best as an MLflow model."""

import json
import logging
import os
import sys
import warnings

from tidemill_split import Refused

JOURNAL = "trials.jsonl"


def main(path):
    """Search as the settings at `path` say; how it went is left beside them."""
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    warnings.simplefilter("ignore")
    summary = {"error": "", "message": ""}
    journal = os.path.join(config["work"], JOURNAL)
    try:
        summary["message"] = run(config, journal)
    except Refused as exc:
        if os.path.exists(journal):
            os.remove(journal)  # a search that failed begins anew
        summary["error"] = str(exc)
        print(exc, file=sys.stderr)
    with open(config["summary"], "w", encoding="utf-8") as file:
        json.dump(summary, file)
    return 1 if summary["error"] else 0


def run(config, journal):
    """The whole of it; one line about the best model."""
    from tidemill_automl_journal import Journal
    from tidemill_automl_tabular import Tabular
    from tidemill_automl_trials import Search

    kind = Tabular
    if config["task"] == "forecasting":
        from tidemill_automl_forecast import Forecast as kind
    task = kind(config, print)
    log = Log(task.metric)
    kept = Journal(journal)
    search = Search(task, config, log.trial, kept)
    trials = search.run()
    kept.tick()
    best = trials.best
    name, model, metrics = task.choose(search, log)
    final = task.finish(model)
    tested = task.test(final)
    task.save(final, name, config["output"])
    log.best(name, best, metrics, tested)
    text = "%s is the best of %d trials: %s %.6g" % (name, trials.count, task.metric, metrics[task.metric])
    print(text)
    return text


class Log:
    """What MLflow and the step's log are told: a child run a trial, the best on the step's own run."""

    def __init__(self, metric):
        import mlflow

        # what it says of pickles is known: the model's file is made and read by the same person
        logging.getLogger("mlflow.sklearn").setLevel(logging.ERROR)
        self._mlflow = mlflow
        self._metric = metric

    def trial(self, trial, best):
        """A trial has ended."""
        begins = "trial %d: %s" % (trial["number"], trial["learner"])
        if trial["error"]:
            print("%s failed after %.1f s: %s" % (begins, trial["seconds"], trial["error"]), flush=True)
        else:
            values = (begins, self._metric, trial["value"], best["value"], trial["seconds"])
            print("%s, %s %.6g (best %.6g), %.1f s" % values, flush=True)
        self.child("trial_%d" % trial["number"], trial["learner"], trial["metrics"], trial["config"], trial["error"])

    def child(self, name, learner, metrics, config=(), error=""):
        """A child run of the step's."""
        with self._mlflow.start_run(run_name=name, nested=True):
            self._mlflow.log_params({"algorithm": learner, **dict(config)})
            self._mlflow.log_metrics(metrics)
            if error:
                self._mlflow.set_tag("error", error)

    def best(self, name, trial, metrics, tested):
        """The chosen model on the step's own run; what the test data said is called `test_…`."""
        self._mlflow.log_params({"best_algorithm": name, "best_trial": trial["number"], "primary_metric": self._metric})
        self._mlflow.log_metrics({**metrics, **{"test_" + k: v for k, v in (tested or {}).items()}})
        if tested:
            self.child("test", name, tested)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
