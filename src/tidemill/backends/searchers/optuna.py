"""Bayesian search and Sobol sequences by Optuna."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler, QMCSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from tidemill.run.ports import SearchRequest

EDGE = 1e-9


class OptunaSearch:
    """A `TrialSearch` that keeps one study in memory; what was measured before is told again after a crash."""

    def __init__(self, request: SearchRequest) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = {name: _distribution(count) for name, count in request.dimensions.items()}
        self._study = optuna.create_study(
            direction="maximize" if request.maximize else "minimize", sampler=_sampler(request, self._space)
        )
        self._asked: dict[int, Trial] = {}

    def ask(self, number: int) -> Mapping[str, float]:
        """The point of trial `number`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on features it calls experimental
            trial = self._study.ask(self._space)
        self._asked[number] = trial
        return {name: trial.params[name] for name in self._space}

    def tell(self, number: int, point: Mapping[str, float], score: float | None) -> None:
        """How a trial ended; one that was not asked for in this process is added as it was."""
        asked = self._asked.pop(number, None)
        state = TrialState.FAIL if score is None else TrialState.COMPLETE
        if asked is not None:
            self._study.tell(asked, score, state=state)
        else:
            self._study.add_trial(
                optuna.trial.create_trial(state=state, value=score, params=dict(point), distributions=self._space)
            )


class _Sobol(QMCSampler):  # type: ignore[misc]  # Optuna imports it lazily, so it has no type
    """Optuna takes the space of a sequence from earlier trials; here the first trial belongs to it too."""

    def __init__(self, space: Mapping[str, BaseDistribution], seed: int) -> None:
        super().__init__(qmc_type="sobol", scramble=True, seed=seed, warn_independent_sampling=False)
        self._whole = dict(space)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All dimensions."""
        del study, trial
        return self._whole


def _sampler(request: SearchRequest, space: Mapping[str, BaseDistribution]) -> BaseSampler:
    if request.method == "sobol":
        return _Sobol(space, request.seed)
    # trials under way count as poor ones, so that trials at the same time do not crowd at one point
    return TPESampler(seed=request.seed, constant_liar=True)


def _distribution(count: int) -> Any:  # noqa: ANN401 - one of Optuna's
    return CategoricalDistribution(tuple(range(count))) if count else FloatDistribution(EDGE, 1 - EDGE)


def open_search(request: SearchRequest) -> OptunaSearch:
    """A search that knows nothing yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return OptunaSearch(request)
