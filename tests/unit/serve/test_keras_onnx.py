"""Keras models written as ONNX from their configuration: the same numbers as by hand, and as Keras where it is installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidemill.serve.keras_onnx import NotConvertible, keras_to_onnx

onnxruntime = pytest.importorskip("onnxruntime")
KERAS = Path.home() / ".cache" / "tidemill-bench" / "keras" / "bin" / "python"
DRAW = np.random.default_rng(3)
BESIDE_KERAS = """
import json, sys
import keras, numpy as np, onnxruntime
from keras import layers as L
from tidemill.serve.convert import _from_keras

def check(model):
    for w in model.weights:
        w.assign(np.random.uniform(0.05, 0.3, w.shape))
    rows = np.random.uniform(0, 1, (5, *model.input_shape[1:])).astype("float32")
    session = onnxruntime.InferenceSession(_from_keras(model, rows), providers=["CPUExecutionProvider"])
    apart = np.abs(np.asarray(model(rows, training=False)) - session.run(None, {"input": rows})[0]).max()
    assert apart < 1e-5, (model.name, apart)

check(keras.Sequential([
    L.Input((28, 28, 1)), L.Rescaling(1 / 255), L.Conv2D(6, 3, activation="relu", padding="same", strides=2), L.BatchNormalization(),
    L.MaxPooling2D(), L.RandomFlip(), L.Conv2D(5, (3, 2)), L.AveragePooling2D(2, padding="same"), L.Dropout(0.3), L.Flatten(),
    L.Dense(7, activation="leaky_relu"), L.Dense(10, activation="softmax"),
]))
given = L.Input((12, 10, 3))
x = L.ZeroPadding2D(((1, 2), (0, 1)))(given)
x = L.BatchNormalization(scale=False)(L.Conv2D(8, 3, use_bias=False, dilation_rate=2)(x))
x = L.Activation("swish")(x)
y = L.ReLU(max_value=6)(L.DepthwiseConv2D(3, padding="same")(x))
y = L.DepthwiseConv2D(3, padding="same", depth_multiplier=1)(y)
x = L.Average()([x, y])
x = L.LeakyReLU()(L.Concatenate()([L.GlobalAveragePooling2D()(x), L.GlobalMaxPooling2D()(x)]))
inner = keras.Sequential([L.Input((16,)), L.Dense(8, activation="tanh"), L.Reshape((2, 4)), L.Flatten()])
check(keras.Model(given, L.Dense(1, activation="sigmoid")(inner(x))))

import pathlib, tempfile, yaml
from tidemill.serve.engine import load_engine
model = keras.Sequential([L.Input((28, 28, 1)), L.Conv2D(4, 3), L.Flatten(), L.Dense(3, activation="softmax")])
with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    (folder / "data").mkdir()
    model.save(folder / "data" / "model.keras")
    about = {"classes": ["a", "b", "c"], "image": {"mode": "L", "size": [28, 28], "range": [0, 1]}}
    for flavor in ("keras", "tensorflow"):
        (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {flavor: {"data": "data"}, "python_function": {}}, "metadata": about}))
        engine = load_engine(folder, name="m", version="1", deployment="", allow_pickle=True)
        assert engine.predictor.path == "onnxruntime (proven equal to Keras)", (engine.predictor.path, engine.slow_reason)
print("equal")
"""


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **config}, "name": name}


def sequential(shape: list[int], *layers: dict[str, Any]) -> dict[str, Any]:
    return {"layers": [layer("InputLayer", "in", batch_shape=[None, *shape]), *layers]}


def answer(kind: str, config: dict[str, Any], weights: dict[tuple[str, ...], list[Any]], rows: Any) -> Any:
    raw = keras_to_onnx(kind, config, lambda path: weights[path], rows.shape[1:])
    session = onnxruntime.InferenceSession(raw, providers=["CPUExecutionProvider"])
    return session.run(["output"], {"input": rows})[0]


def random(*shape: int) -> Any:
    return DRAW.uniform(-1, 1, shape).astype(np.float32)


def convolved(rows: Any, kernel: Any) -> Any:
    """By the definition, in Keras's own order of axes."""
    high, wide = kernel.shape[:2]
    out = np.zeros((len(rows), rows.shape[1] - high + 1, rows.shape[2] - wide + 1, kernel.shape[3]), dtype=np.float32)
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            out[:, i, j] = np.tensordot(rows[:, i : i + high, j : j + wide], kernel, 3)
    return out


def test_a_convolution_with_pooling_and_dense_layers_gives_the_numbers_of_its_definition() -> None:
    kernel, bias, dense, shift = random(3, 2, 2, 4), random(4), random(3 * 2 * 4, 5), random(5)
    config = sequential(
        [8, 5, 2],
        layer("Conv2D", "c", padding="valid", strides=[1, 1], activation="relu", data_format="channels_last"),
        layer("Dropout", "d", rate=0.5),
        layer("MaxPooling2D", "p", pool_size=[2, 2], padding="valid", strides=None),
        layer("Flatten", "f"),
        layer("Dense", "o", activation="softmax"),
    )
    rows = random(3, 8, 5, 2)
    found = answer("Sequential", config, {("c",): [kernel, bias], ("o",): [dense, shift]}, rows)
    made = np.maximum(convolved(rows, kernel) + bias, 0)
    pooled = made.reshape(3, 3, 2, 2, 2, 4).max(axis=(2, 4)).reshape(3, -1)
    scores = np.exp(pooled @ dense + shift)
    np.testing.assert_allclose(found, scores / scores.sum(axis=1, keepdims=True), atol=1e-5)


def test_branches_meet_whatever_their_order_and_models_lie_within_models() -> None:
    def source(name: str) -> dict[str, Any]:
        return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}

    def node(*names: str) -> list[dict[str, Any]]:
        args = [[source(n) for n in names]] if len(names) > 1 else [source(names[0])]
        return [{"args": args, "kwargs": {}}]

    inner = layer("Sequential", "inner", **sequential([4], layer("Dense", "hidden", activation="tanh")))
    config = {
        "input_layers": ["in", 0, 0],
        "output_layers": [["sum", 0, 0]],
        "layers": [
            layer("InputLayer", "in", batch_shape=[None, 4]) | {"inbound_nodes": []},
            layer("Add", "sum") | {"inbound_nodes": node("inner", "norm")},
            inner | {"inbound_nodes": node("in")},
            layer("BatchNormalization", "norm", axis=-1, epsilon=0.1) | {"inbound_nodes": node("in")},
        ],
    }
    kernel, gamma, beta, mean, variance = random(4, 4), random(4), random(4), random(4), random(4) ** 2
    rows = random(6, 4)
    weights = {("inner", "hidden"): [kernel], ("norm",): [gamma, beta, mean, variance]}
    wanted = np.tanh(rows @ kernel) + (rows - mean) / np.sqrt(variance + 0.1) * gamma + beta
    np.testing.assert_allclose(answer("Functional", config, weights, rows), wanted, atol=1e-5)


def test_pictures_without_a_channel_are_given_one_as_keras_does() -> None:
    config = sequential([4, 4, 1], layer("Rescaling", "r", scale=2.0, offset=-1.0), layer("Flatten", "f"))
    rows = random(2, 4, 4)
    np.testing.assert_allclose(answer("Sequential", config, {}, rows), rows.reshape(2, -1) * 2 - 1, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "config", "words"),
    [
        ("Sequential", sequential([4], layer("LSTM", "l")), "a layer of class LSTM"),
        ("Sequential", sequential([4], layer("Activation", "a", activation="mish")), "the activation mish"),
        ("Sequential", sequential([4], layer("Dense", "d", data_format="channels_first")), "channels first"),
        ("Sequential", {"layers": [layer("InputLayer", "in", batch_shape=[None, None])]}, "not fixed"),
        ("MyModel", sequential([4]), "a model of class MyModel"),
        ("Sequential", sequential([5]), "rows of shape"),
        ("Sequential", sequential([4], layer("ReLU", "r", negative_slope=0.1)), "ReLU with a slope"),
    ],
)
def test_what_is_not_known_is_left_to_keras(kind: str, config: dict[str, Any], words: str) -> None:
    with pytest.raises(NotConvertible, match=words):
        keras_to_onnx(kind, config, lambda path: [random(4, 4)], [4])


@pytest.mark.needs_peer
def test_the_numbers_are_those_of_keras() -> None:
    if not KERAS.exists():
        pytest.skip("python benchmarks/serving.py --install makes the environment with Keras")
    source = Path(__file__).parents[3] / "src"
    env = {**os.environ, "PYTHONPATH": str(source), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [KERAS, "-c", BESIDE_KERAS], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.strip() == "equal", done.stderr[-2000:]
