"""AutoML's trials: whose turn it is, what is proposed, and when enough has been tried. The same however many run at once."""

import math
import time

import numpy as np
import tidemill_automl_metrics as measures
from tidemill_automl_journal import name_of
from tidemill_automl_pool import Pool
from tidemill_split import Refused

SEED = 0
LANDMARKS, PATIENCE = 20, 10  # Azure ML's: no end before the first, then after so many trials without gain
AHEAD = 3
ATTEMPTS = 50
LEAST_ROWS = 10_000
FIXED = frozenset({"naive", "seasonal_naive", "average", "seasonal_average"})
VOID = object()


class Lane:
    """One algorithm's search. It learns from its own trials alone, so what others do meanwhile changes nothing."""

    def __init__(self, learner, copy, space, rows):
        self.learner = learner
        self._seed = SEED + 1000 * copy
        self._asked, self.is_free, self.config = 0, True, {}
        self._cfo = _make_cfo(space, copy, self._seed, rows) if space else None

    def propose(self):
        """A configuration that was not tried before; None when there is none left."""
        if self._cfo is None:
            found = None if self._asked else {}
        else:
            np.random.seed(self._seed + self._asked)
            found = next((c for c in map(self._cfo.suggest, self._names()) if c is not None), None)
        self._asked += 1
        self.is_free, self.config = found is None, dict(found or {})
        return found

    def _names(self):
        for attempt in range(ATTEMPTS):
            self._name = "%d-%d" % (self._asked, attempt)
            yield self._name

    def learn(self, loss):
        """How the last proposal went; no loss means that it failed."""
        self.is_free = True
        if self._cfo is not None:
            # every trial costs the same: measured times would differ from run to run
            result = {"loss": loss if loss is not None else math.inf, "cost": 1.0, "config": self.config}
            self._cfo.on_trial_complete(self._name, result)


def _make_cfo(space, copy, seed, rows):
    from flaml import CFO

    domains = {name: hp["domain"] for name, hp in space.items() if hp["domain"] is not None}
    first = {name: hp["init_value"] for name, hp in space.items() if name in domains and "init_value" in hp}
    if copy:
        draw = np.random.RandomState(seed)
        first = {name: domain.sample(random_state=draw) for name, domain in domains.items()}
    sampled = {"resource_attr": "FLAML_sample_size", "min_resource": LEAST_ROWS, "max_resource": rows} if rows else {}
    return CFO(
        metric="loss",
        mode="min",
        space=domains,
        points_to_evaluate=[first],
        low_cost_partial_config={
            n: hp["low_cost_init_value"] for n, hp in space.items() if "low_cost_init_value" in hp
        },
        cat_hp_cost={n: hp["cat_hp_cost"] for n, hp in space.items() if "cat_hp_cost" in hp},
        seed=seed,
        cost_attr="cost",
        allow_empty_config=True,
        **sampled,
    )


class Trials:
    """What was tried, in the order of the turns: a trial is told once all before it have ended."""

    def __init__(self, metric, limits, tell):
        self.done, self.failed = [], []
        self.ended = ""
        self._metric, self._limits, self._tell = metric, limits, tell
        self._outcomes = {}  # by turn: VOID, a trial, or None while it runs
        self._told = 0
        self._since_gain = 0

    @property
    def count(self):
        """Trials, those that failed included."""
        return len(self.done) + len(self.failed)

    def begins(self, turn):
        """A turn's trial has started."""
        self._outcomes[turn] = None

    def ends(self, turn, outcome):
        """A turn has an outcome; enough may have been tried now."""
        self._outcomes[turn] = outcome
        while not self.ended and self._outcomes.get(self._told) is not None:
            self._take(self._outcomes.pop(self._told))
            self._told += 1

    def flush(self):
        """Tell what has ended although something before it has not: time is over."""
        for turn in sorted(self._outcomes):
            if self._outcomes[turn] is not None and not self.ended:
                self._take(self._outcomes[turn])
        self._outcomes = {}

    def may_start(self, turn):
        """Whether that turn is within `max_trials`, whatever becomes of those before it."""
        before = self.count + sum(outcome is not VOID for t, outcome in self._outcomes.items() if t < turn)
        untried = sum(t not in self._outcomes for t in range(self._told, turn))
        return before + untried < self._limits["max_trials"]

    def _take(self, trial):
        if trial is VOID:
            return
        trial["number"] = self.count
        if trial["error"]:
            self.failed.append(trial)
        else:
            before = self.best["loss"] if self.done else math.inf
            self.done.append(trial)
            self._since_gain = 0 if trial["loss"] < before else self._since_gain + 1
        self._tell(trial, self.best if self.done else None)
        self.ended = self._is_enough()

    def _is_enough(self):
        goal = self._limits["exit_score"]
        if self.count >= self._limits["max_trials"]:
            return "max_trials"
        if goal is not None and self.done and measures.is_reached(self._metric, self.best["value"], goal):
            return "exit_score"
        stale = self.count > LANDMARKS + PATIENCE and self._since_gain >= PATIENCE
        return "early termination" if stale and self._limits["early_stop"] and self.done else ""

    @property
    def best(self):
        """The best so far; of equals the first."""
        return min(self.done, key=lambda t: t["loss"])

    def best_by_learner(self):
        """The best of each learner, best first."""
        found = {}
        for trial in sorted(self.done, key=lambda t: t["loss"]):
            found.setdefault(trial["learner"], trial)
        return list(found.values())


class Search:
    """Lanes take turns; a lane's next trial starts when its last has ended and there is room."""

    def __init__(self, task, config, tell, journal):
        self._task, self._limits, self._journal = task, config["limits"], journal
        self._workers, self._threads = config["workers"], config["jobs"]
        self.trials = Trials(task.metric, config["limits"], tell)
        self._until = time.monotonic() + config["limits"]["timeout_s"] - journal.spent_s
        self._lanes = self._make_lanes(config["limits"]["concurrent"])
        self._turns = [0] * len(self._lanes)  # rounds each lane has had
        self._gone = set()
        self._waiting = []  # proposals for which there is no room yet

    @property
    def left_s(self):
        """Seconds until the time is over."""
        return self._until - time.monotonic()

    def _make_lanes(self, concurrent):
        """One for each algorithm, or several when more trials may run at once than there are algorithms."""
        learners = self._task.learners()
        copies = math.ceil(concurrent / max(1, sum(name not in FIXED for name in learners)))
        found = []
        for copy in range(copies):
            for name in (n for n in learners if not (copy and n in FIXED)):
                space = None if name in FIXED else self._task.space(name)
                found.append(Lane(name, copy, space, self._task.sampled_rows))
        return found

    def run(self):
        """Every trial until a limit is met; those that had ended before the search was interrupted are taken as they were."""
        trials, kept = self.trials, self._journal.kept
        if kept:
            print("%d had ended before the search was interrupted; %.0f s are left" % (kept, max(0.0, self.left_s)))
        with Pool(self._workers, self._threads) as pool:
            while not trials.ended:
                self._recall()
                self._start(pool)
                if trials.ended or pool.free == pool.workers or self.left_s <= 0:
                    break
                for (turn, lane), *outcome in pool.ended(self._until):
                    self._journal.note(name_of(lane, self._lanes[lane].config), *outcome)
                    self._learn(turn, self._lanes[lane], *outcome)
            trials.flush()
        if not trials.done:
            raise Refused(self._say_none())
        if trials.ended in {"exit_score", "early termination"}:
            print("%s: the search ends" % ("exit_score is reached" if trials.ended == "exit_score" else trials.ended))
        return trials

    def measure(self, wanted):
        """Metrics and error of each of `wanted` (a function and its arguments by name) that ends while there is time."""
        found = {name: kept[1:] for name in wanted if (kept := self._journal.take(name))}
        waiting = [name for name in wanted if name not in found]
        with Pool(self._workers, self._threads) as pool:
            while self.left_s > 0 and (waiting or pool.free < pool.workers):
                while waiting and pool.free:
                    name = waiting.pop(0)
                    pool.start(name, *wanted[name])
                for name, seconds, metrics, error in pool.ended(self._until):
                    self._journal.note(name, seconds, metrics, error)
                    found[name] = (metrics, error)
        return found

    def _recall(self):
        """Have every turn whose trial is known already; what is proposed meanwhile and is not known waits for room."""
        while self._journal.kept and not self.trials.ended:
            proposed = self._propose()
            if proposed is None:
                break
            turn, lane, config = proposed
            known = self._journal.take(name_of(lane, config))
            if known:
                self._learn(turn, self._lanes[lane], *known)
            else:
                self._waiting.append(proposed)
        self._waiting.sort(key=lambda proposed: proposed[0])

    def _start(self, pool):
        """As many as there is room for, earlier turns first."""
        while pool.free and not self.trials.ended and self.left_s > 0:
            proposed = self._waiting.pop(0) if self._waiting else self._propose()
            if proposed is None:
                return
            turn, lane, config = proposed
            self._journal.tick()
            args = (self._lanes[lane].learner, config, self._threads)
            pool.start((turn, lane), self._task.measure, args, self._limits["trial_timeout_s"])

    def _propose(self):
        """The earliest turn that may be had now, its lane and what to try; None when there is none."""
        while (chosen := self._next()) is not None:
            lane, turn = chosen
            self._turns[lane] += 1
            config = self._lanes[lane].propose()
            if config is not None:
                self.trials.begins(turn)
                return turn, lane, config
            self._gone.add(lane)
            self.trials.ends(turn, VOID)
        return None

    def _next(self):
        """The earliest turn whose lane is free, not far ahead of the slowest."""
        rounds = {lane: had for lane, had in enumerate(self._turns) if lane not in self._gone}
        if not rounds:
            return None
        self._pass_over(max(rounds.values()) + AHEAD)
        first = min(rounds.values())
        turns = [(had * len(self._lanes) + lane, lane) for lane, had in rounds.items() if had < first + AHEAD]
        for turn, lane in sorted(turns):
            if self._lanes[lane].is_free and self.trials.may_start(turn):
                return lane, turn
        return None

    def _pass_over(self, rounds):
        """Lanes that have nothing left let their turns pass."""
        for lane in sorted(self._gone):
            for number in range(self._turns[lane], rounds):
                self.trials.ends(number * len(self._lanes) + lane, VOID)
            self._turns[lane] = max(self._turns[lane], rounds)

    def _learn(self, turn, lane, seconds, metrics, error):
        value = None if error else metrics[self._task.metric]
        if not error and not math.isfinite(value):
            error = "its %s is %s" % (self._task.metric, value)
        loss = None if error else measures.loss_of(self._task.metric, value)
        lane.learn(loss)
        trial = {
            "learner": lane.learner,
            "config": {k: v for k, v in lane.config.items() if not k.startswith("FLAML")},
            "sample": _sample_of(lane.config, self._task.sampled_rows),
            "metrics": metrics or {},
            "value": value,
            "loss": loss,
            "seconds": seconds,
            "error": error,
        }
        self.trials.ends(turn, trial)

    def _say_none(self):
        if self.trials.failed:
            first = self.trials.failed[0]
            return "No model could be trained: %s failed: %s" % (first["learner"], first["error"])
        return "No model could be trained within the limits (%.0f s)" % self._limits["timeout_s"]


def _sample_of(config, rows):
    """How many rows it learned from, if not from all."""
    size = int(config.get("FLAML_sample_size", 0))
    return size if rows and size < rows else 0
