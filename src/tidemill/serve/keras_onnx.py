"""Keras models of the usual layers as ONNX, from their configuration and weights alone: Keras itself is not needed here.

Written for inference: what acts only in training (dropout, noise, augmentation) is left out. A layer that is not here is a reason to stay
with Keras, never a guess; whoever converts compares both on the model's own rows.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tidemill.serve.decode import Array

OPSET, IR = 17, 8
INPUT, OUTPUT = "input", "output"
Config = Mapping[str, Any]
Weights = Callable[[tuple[str, ...]], Sequence[Array]]
TRAINING_ONLY = {
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Identity", "RandomBrightness", "RandomContrast",
    "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "SpatialDropout1D", "SpatialDropout2D",
}  # fmt: skip
PLAIN = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softplus": "Softplus", "softsign": "Softsign", "elu": "Elu", "selu": "Selu"}  # fmt: skip
MERGES = {"Add": "Add", "Multiply": "Mul", "Subtract": "Sub", "Maximum": "Max", "Minimum": "Min"}
TO_FRONT, TO_BACK = (
    [0, 3, 1, 2],
    [0, 2, 3, 1],
)  # pictures are height, width, channels to Keras and channels first to ONNX


class NotConvertible(Exception):
    """A model that is left to Keras; the words say what is in the way."""


@dataclass(slots=True)
class Graph:
    """Nodes and constants so far. `weights` gives a layer's arrays by its path of names."""

    weights: Weights
    helper: Any
    numpy_helper: Any
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - what the operator takes
        """Add a node; the name of what it gives."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any, kind: Any = np.float32) -> str:  # noqa: ANN401 - numbers, however nested
        """Add an array; its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(self.numpy_helper.from_array(np.asarray(value, dtype=kind), name))
        return name


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its class, its settings, and where it is."""

    kind: str
    config: Config
    path: tuple[str, ...]


def keras_to_onnx(kind: str, config: Config, weights: Weights, given: Sequence[int]) -> bytes:
    """The model as ONNX for rows of the shape `given`; `NotConvertible` when a layer of it is not known here."""
    onnx: Any = importlib.import_module("onnx")
    graph = Graph(weights, onnx.helper, onnx.numpy_helper)
    shape = input_shape(config)
    rows = INPUT
    if list(given) != shape:
        if list(given) != shape[:-1] or shape[-1] != 1:  # what Keras itself mends
            raise NotConvertible(f"it takes rows of shape {shape}, these have {list(given)}")
        rows = graph.op("Unsqueeze", INPUT, graph.constant([-1], np.int64))
    found = _model(graph, Layer(kind, config, ()), [rows])
    graph.nodes.append(onnx.helper.make_node("Identity", [found], [OUTPUT]))
    floats = onnx.TensorProto.FLOAT
    inputs = [onnx.helper.make_tensor_value_info(INPUT, floats, ["n", *given])]
    outputs = [onnx.helper.make_tensor_value_info(OUTPUT, floats, ["n", "classes"])]
    body = onnx.helper.make_graph(graph.nodes, "keras", inputs, outputs, graph.constants)
    made = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString())


def input_shape(config: Config) -> list[int]:
    """The shape of one row."""
    first: Config = next((c["config"] for c in config["layers"] if c["class_name"] == "InputLayer"), {})
    shape = first.get("batch_shape") or first.get("batch_input_shape") or config.get("build_input_shape")
    if not shape or any(not isinstance(n, int) for n in shape[1:]):
        raise NotConvertible("the shape of its input is not fixed")
    return list(shape[1:])


def _model(graph: Graph, model: Layer, inputs: list[str]) -> str:
    if model.kind == "Sequential":
        value = inputs[0]
        for item in model.config["layers"]:
            value = _layer(graph, _named(item, model.path), [value])
        return value
    if model.kind != "Functional":
        raise NotConvertible(f"a model of class {model.kind}, not Sequential or Functional")
    return _functional(graph, model, inputs)


def _named(item: Config, path: tuple[str, ...]) -> Layer:
    return Layer(item["class_name"], item["config"], (*path, item["config"].get("name") or item.get("name", "")))


def _functional(graph: Graph, model: Layer, inputs: list[str]) -> str:
    """In the order of the configuration where it can be, since a layer may stand before one it reads."""
    ends = _references(model.config["input_layers"]), _references(model.config["output_layers"])
    if len(ends[0]) != 1 or len(ends[1]) != 1:
        raise NotConvertible("it has several inputs or outputs")
    values = {ends[0][0]: inputs[0]}
    left = [
        (item, i, _sources(node))
        for item in model.config["layers"]
        for i, node in enumerate(item.get("inbound_nodes", ()))
    ]
    while left:
        ready = [entry for entry in left if all(s in values for s in entry[2])]
        if not ready:
            raise NotConvertible("its layers cannot be put in an order")
        for item, i, sources in ready:
            values[item["name"], i] = _layer(graph, _named(item, model.path), [values[s] for s in sources])
        left = [entry for entry in left if entry not in ready]
    return values[ends[1][0]]


def _references(given: Any) -> list[tuple[str, int]]:  # noqa: ANN401 - one, or a list of them
    """`[name, node, tensor]`, or several of that."""
    if given and isinstance(given[0], str):
        return [(given[0], int(given[1]))]
    return [found for item in given for found in _references(item)]


def _sources(node: Any) -> list[tuple[str, int]]:  # noqa: ANN401 - nested arguments
    """Whose values a call of a layer takes."""
    if isinstance(node, Mapping):
        if node.get("class_name") == "__keras_tensor__":
            name, number, _ = node["config"]["keras_history"]
            return [(name, int(number))]
        return [found for item in node.values() for found in _sources(item)]
    if isinstance(node, (list, tuple)):
        return [found for item in node for found in _sources(item)]
    return []


def _layer(graph: Graph, layer: Layer, inputs: list[str]) -> str:
    """One layer with the activation it ends in."""
    if layer.kind == "InputLayer" or layer.kind in TRAINING_ONLY:
        return inputs[0]
    if layer.kind in {"Sequential", "Functional"}:
        return _model(graph, layer, inputs)
    if layer.config.get("data_format", "channels_last") not in {None, "channels_last"}:
        raise NotConvertible(f"{layer.kind} with channels first")
    if layer.kind in MERGES or layer.kind in {"Average", "Concatenate"}:
        return _merge(graph, layer, inputs)
    write = WRITERS.get(layer.kind)
    if write is None:
        raise NotConvertible(f"a layer of class {layer.kind}")
    value = write(graph, layer, inputs[0])
    named = layer.config.get("activation") if layer.kind not in {"Activation", "Softmax", "ReLU", "LeakyReLU"} else None
    return activate(graph, named, value)


def activate(graph: Graph, named: Any, value: str) -> str:  # noqa: ANN401 - a name, or nothing
    """The activation of that name."""
    if named in {None, "linear"}:
        return value
    if named in PLAIN:
        return graph.op(PLAIN[named], value)
    if named == "softmax":
        return graph.op("Softmax", value, axis=-1)
    if named in {"swish", "silu"}:
        return graph.op("Mul", value, graph.op("Sigmoid", value))
    if named == "leaky_relu":
        return graph.op("LeakyRelu", value, alpha=0.2)
    if named == "relu6":
        return graph.op("Clip", value, graph.constant(0.0), graph.constant(6.0))
    raise NotConvertible(f"the activation {named}")


def _merge(graph: Graph, layer: Layer, inputs: list[str]) -> str:
    if layer.kind == "Concatenate":
        return graph.op("Concat", *inputs, axis=int(layer.config.get("axis", -1)))
    value = inputs[0]
    for other in inputs[1:]:
        value = graph.op(MERGES.get(layer.kind, "Add"), value, other)
    return graph.op("Div", value, graph.constant(len(inputs))) if layer.kind == "Average" else value


def _dense(graph: Graph, layer: Layer, value: str) -> str:
    kernel, *bias = graph.weights(layer.path)
    value = graph.op("MatMul", value, graph.constant(kernel))
    return graph.op("Add", value, graph.constant(bias[0])) if bias else value


def _conv(graph: Graph, layer: Layer, value: str) -> str:
    """Keras keeps a kernel as height, width, in, out; a depthwise one with a multiplier in place of out."""
    kernel, *bias = graph.weights(layer.path)
    groups = int(layer.config.get("groups", 1))
    if layer.kind == "DepthwiseConv2D":
        high, wide, channels, times = kernel.shape
        groups = channels
        kernel = kernel.reshape(high, wide, 1, channels * times)
    given = [graph.constant(np.transpose(kernel, (3, 2, 0, 1))), *(graph.constant(b) for b in bias)]
    front = graph.op("Transpose", value, perm=TO_FRONT)
    window = _window(layer, kernel.shape[:2])
    made = graph.op(
        "Conv", front, *given, group=groups, dilations=_pair(layer.config.get("dilation_rate", 1)), **window
    )
    return graph.op("Transpose", made, perm=TO_BACK)


def _pool(graph: Graph, layer: Layer, value: str) -> str:
    front = graph.op("Transpose", value, perm=TO_FRONT)
    window = _window(layer, layer.config["pool_size"])
    made = graph.op("MaxPool" if layer.kind.startswith("Max") else "AveragePool", front, **window)
    return graph.op("Transpose", made, perm=TO_BACK)


def _window(layer: Layer, size: Any) -> dict[str, Any]:  # noqa: ANN401
    if layer.config.get("padding", "valid") not in {"same", "valid"}:
        raise NotConvertible(f"{layer.kind} with padding {layer.config['padding']}")
    strides = layer.config.get("strides")
    same = layer.config.get("padding") == "same"
    return {
        "kernel_shape": _pair(size),
        "strides": _pair(size if strides is None else strides),
        "auto_pad": "SAME_UPPER" if same else "VALID",
    }


def _pair(value: Any) -> list[int]:  # noqa: ANN401 - one number or two
    return [int(value)] * 2 if isinstance(value, int) else [int(v) for v in value]


def _global_pool(graph: Graph, layer: Layer, value: str) -> str:
    kept = int(bool(layer.config.get("keepdims")))
    kind = "ReduceMax" if "Max" in layer.kind else "ReduceMean"
    return graph.op(kind, value, axes=[1, 2], keepdims=kept)


def _flatten(graph: Graph, layer: Layer, value: str) -> str:
    del layer
    return graph.op("Flatten", value, axis=1)


def _reshape(graph: Graph, layer: Layer, value: str) -> str:
    shape = [0, *(int(n) for n in layer.config["target_shape"])]
    return graph.op("Reshape", value, graph.constant(shape, np.int64))


def _batch_norm(graph: Graph, layer: Layer, value: str) -> str:
    """One multiplication and one addition on the last axis."""
    config, arrays = layer.config, [np.asarray(w, dtype=np.float64) for w in graph.weights(layer.path)]
    axis = config.get("axis", -1)
    if axis not in (-1, [-1], 3, [3]):
        raise NotConvertible(f"BatchNormalization on axis {axis}")
    *mean_first, mean, variance = arrays
    gamma = mean_first.pop(0) if config.get("scale", True) else np.ones_like(mean)
    beta = mean_first.pop(0) if config.get("center", True) else np.zeros_like(mean)
    factor = gamma / np.sqrt(variance + float(config.get("epsilon", 1e-3)))
    return _scaled(graph, value, factor, beta - mean * factor)


def _scaled(graph: Graph, value: str, factor: Any, offset: Any) -> str:  # noqa: ANN401 - numbers or arrays
    return graph.op("Add", graph.op("Mul", value, graph.constant(factor)), graph.constant(offset))


def _rescaling(graph: Graph, layer: Layer, value: str) -> str:
    return _scaled(graph, value, layer.config["scale"], layer.config.get("offset", 0.0))


def _zero_padding(graph: Graph, layer: Layer, value: str) -> str:
    given = layer.config["padding"]
    (top, bottom), (left, right) = [_pair(p) for p in ([given, given] if isinstance(given, int) else given)]
    pads = graph.constant([0, top, left, 0, 0, bottom, right, 0], np.int64)
    return graph.op("Pad", value, pads, mode="constant")


def _relu(graph: Graph, layer: Layer, value: str) -> str:
    config = layer.config
    if config.get("negative_slope") or config.get("threshold"):
        raise NotConvertible("ReLU with a slope or a threshold")
    if config.get("max_value") is None:
        return graph.op("Relu", value)
    return graph.op("Clip", value, graph.constant(0.0), graph.constant(config["max_value"]))


def _leaky(graph: Graph, layer: Layer, value: str) -> str:
    return graph.op("LeakyRelu", value, alpha=float(layer.config.get("negative_slope", 0.3)))


def _softmax(graph: Graph, layer: Layer, value: str) -> str:
    axis = layer.config.get("axis", -1)
    return graph.op("Softmax", value, axis=int(axis[0] if isinstance(axis, list) else axis))


def _activation(graph: Graph, layer: Layer, value: str) -> str:
    return activate(graph, layer.config["activation"], value)


WRITERS: dict[str, Callable[[Graph, Layer, str], str]] = {
    "Activation": _activation,
    "AveragePooling2D": _pool,
    "BatchNormalization": _batch_norm,
    "Conv2D": _conv,
    "Dense": _dense,
    "DepthwiseConv2D": _conv,
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global_pool,
    "GlobalMaxPooling2D": _global_pool,
    "LeakyReLU": _leaky,
    "MaxPooling2D": _pool,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "ZeroPadding2D": _zero_padding,
}
