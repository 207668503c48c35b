"""What an AutoML document asks for that can, and cannot, be done on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidemill.base.suggest import did_you_mean
from tidemill.plan.problems import Problems
from tidemill.plan.scope import Place

NO_EFFECT = "TM-N122"
IMPOSSIBLE = "TM-N123"
TABULAR = ("classification", "regression", "forecasting")
_TREES = {
    "lightgbm": ("lgbm",),
    "randomforest": ("rf",),
    "extremerandomtrees": ("extra_tree",),
    "gradientboosting": ("histgb",),
}
_BASELINES = {
    "naive": ("naive",),
    "seasonalnaive": ("seasonal_naive",),
    "average": ("average",),
    "seasonalaverage": ("seasonal_average",),
}
_NUMBERS = {
    **_TREES,
    "xgboostregressor": ("xgboost", "xgb_limitdepth"),
    "knn": ("kneighbor",),
    "sgd": ("sgd",),
    "elasticnet": ("enet",),
    "lassolars": ("lassolars",),
}
ESTIMATORS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "classification": {
        **_TREES,
        "xgboostclassifier": ("xgboost", "xgb_limitdepth"),
        "logisticregression": ("lrl1", "lrl2"),
        "knn": ("kneighbor",),
        "sgd": ("sgd",),
        "linearsvm": ("svc",),
    },
    "regression": _NUMBERS,
    "forecasting": {**_NUMBERS, **_BASELINES},
}
"""Azure ML's algorithms, without case and underscores, and who of FLAML does the same; the baselines are ours."""
OTHERS = frozenset(
    [
        "arimax", "autoarima", "averagedperceptronclassifier", "bernoullinaivebayes", "decisiontree",
        "exponentialsmoothing", "fastlinearregressor", "multinomialnaivebayes", "onlinegradientdescentregressor",
        "prophet", "svm", "tcnforecaster", "tensorflowdnn", "tensorflowlinearclassifier",
        "tensorflowlinearregressor", "xgboostclassifier", "xgboostregressor",
    ]
)  # fmt: skip
"""Algorithms Azure ML knows and that are not tried here."""
USUAL = {
    "classification": ("lgbm", "rf", "xgboost", "extra_tree", "xgb_limitdepth", "histgb", "lrl1"),
    "regression": ("lgbm", "rf", "xgboost", "extra_tree", "xgb_limitdepth", "histgb", "enet"),
    "forecasting": (
        "lgbm",
        "seasonal_naive",
        "enet",
        "naive",
        "rf",
        "extra_tree",
        "seasonal_average",
        "average",
        "xgb_limitdepth",
        "histgb",
    ),
}
# Where a setting has no effect here: what it says, and the values that ask for nothing.
UNUSED: dict[str, tuple[object, ...]] = {
    "environment_id": (),
    "positive_label": (),
    "cv_split_column_names": (),
    "featurization.blocked_transformers": ([],),
    "featurization.dataset_language": (),
    "featurization.enable_dnn_featurization": (False,),
    "training.enable_dnn_training": (False,),
    "training.enable_model_explainability": (False,),
    "training.enable_onnx_compatible_models": (False,),
    "training.ensemble_model_download_timeout_minutes": (),
    "training.training_mode": ("auto", "non_distributed", "not_set"),
    "training.stack_ensemble_settings.stack_meta_learner_train_percentage": (),
    "forecasting.target_aggregate_function": ("none",),
    "forecasting.feature_lags": ("none",),
    "forecasting.use_stl": ("none",),
    "forecasting.country_or_region_for_holidays": (),
    "forecasting.short_series_handling_config": ("auto", "pad", "none"),
}
FORECASTS_LACK = ("weight_column_name", "validation_data_size", "test_data_size")
"""Settings of the other tasks that a forecast does not use."""


def check_automl_body(body: Mapping[str, Any], place: Place, problems: Problems) -> None:
    """Say what the search will not do, and what it cannot."""
    task = str(body.get("task", "")).lower()
    if task not in TABULAR:
        problems.error(
            IMPOSSIBLE,
            f"AutoML of the task `{task}` is not done here: it fine-tunes networks on GPUs with Azure ML's own code",
            place.at("task"),
            hint="Fine-tune a model in a command step, or run this job on Azure ML.",
            path=place.dotted("task"),
        )
        return
    unused = UNUSED if task != "forecasting" else UNUSED | dict.fromkeys(FORECASTS_LACK, ())
    _check_unused(body, unused, place, problems)
    _check_algorithms(body, task, place, problems)


def _check_unused(
    body: Mapping[str, Any], unused: Mapping[str, tuple[object, ...]], place: Place, problems: Problems
) -> None:
    for name, nothing in unused.items():
        keys = name.split(".")
        value: Any = body
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None and value not in nothing:
            problems.warn(
                NO_EFFECT, f"`{name}` has no effect on AutoML here", place.at(*keys), path=place.dotted(*keys)
            )
    others = set((body.get("featurization") or {}).get("transformer_params") or {}) - {"imputer"}
    if others:
        keys = ["featurization", "transformer_params"]
        text = f"`featurization.transformer_params` has no effect here for: {', '.join(sorted(others))}"
        problems.warn(NO_EFFECT, text, place.at(*keys), path=place.dotted(*keys))


def _check_algorithms(body: Mapping[str, Any], task: str, place: Place, problems: Problems) -> None:
    training = body.get("training") or {}
    known = ESTIMATORS[task]
    for field in ("allowed_training_algorithms", "blocked_training_algorithms"):
        keys = ("training", field)
        for name in (n for n in training.get(field) or () if _plain(n) not in known):
            blocked = field.startswith("blocked")
            if blocked and _plain(name) in OTHERS:
                continue  # it is not tried anyway
            hint = "" if _plain(name) in OTHERS else did_you_mean(_plain(name), list(known))
            problems.warn(
                NO_EFFECT,
                f"`{name}` is no algorithm that is tried here",
                place.at(*keys),
                hint=hint,
                path=place.dotted(*keys),
            )
    if not estimators(task, training):
        keys = ("training", "allowed_training_algorithms")
        problems.error(
            IMPOSSIBLE,
            "No algorithm is left to try",
            place.at("training"),
            hint=f"Known here for {task}: {', '.join(sorted(known))}.",
            path=place.dotted(*keys),
        )


def estimators(task: str, training: Mapping[str, Any]) -> tuple[str, ...]:
    """FLAML's names of what may be tried, in the order in which it is."""
    known = ESTIMATORS[task]
    allowed = training.get("allowed_training_algorithms")
    usual = list(USUAL[task]) if allowed is None else list(_expand(allowed, known))
    blocked = set(_expand(training.get("blocked_training_algorithms") or (), known))
    return tuple(name for name in dict.fromkeys(usual) if name not in blocked)


def _expand(names: Sequence[str], known: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for name in names:
        yield from known.get(_plain(name), ())


def _plain(name: str) -> str:
    """`LightGBM`, `light_gbm` and `lightGBM` are one."""
    return name.replace("_", "").lower()
