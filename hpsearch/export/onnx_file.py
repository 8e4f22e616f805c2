"""A model as an ONNX graph, the preparation of columns inside.

One input for each column, (rows, 1): `double` for numbers and booleans (NaN where missing), `string` for categories (an
empty one where missing, whole numbers without a point), and for dates one `double` for each part that the network
uses, named column=days, column=month, ... Outputs are `probabilities` (rows, classes) and `label` (rows,), or
`prediction` (rows, 1); with a line behind the name where a column has it too: `label_`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from hpsearch.data.encoders import LARGEST, Category, Date, Number
from hpsearch.engine.kernels.norms import NORM_EPSILON
from hpsearch.engine.layout import TASKS
from hpsearch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection

    from hpsearch.data.encoders import Encoder
    from hpsearch.data.normalising import Normalizer
    from hpsearch.model import Member, Model

OPSET, ML_OPSET, IR_VERSION = 20, 4, 9
CLIP = 3.0
SIMPLE = {
    "identity": "Identity", "sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "leaky_relu": "LeakyRelu",
    "elu": "Elu", "selu": "Selu", "softplus": "Softplus", "gelu": "Gelu", "mish": "Mish",
}  # fmt: skip


def onnx_model(model: Model) -> bytes:
    """The graph, checked, as bytes."""
    names = [name for encoder in model.preparation.encoders for name in _inputs(encoder)]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice or "" in names:
        raise ConfigError(f"column {(twice or [''])[0]!r}: ONNX wants inputs with names of their own; rename it")
    graph = _Graph(names)
    features = [feature for encoder in model.preparation.encoders for feature in graph.encoded(encoder)]
    joined = graph.node("Concat", features, axis=1)
    inputs = {kind: graph.normalised(normalizer, joined) for kind, normalizer in model.normalizers.items()}
    outputs = [graph.network(member, inputs[member.normalize]) for member in model.members]
    graph.finish(model, outputs)
    made = helper.make_model(
        helper.make_graph(graph.nodes, "hpsearch", graph.inputs, graph.outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        producer_name="hpsearch",
    )
    made.ir_version = IR_VERSION
    checker.check_model(made, full_check=True)
    return made.SerializeToString()


def _inputs(encoder: Encoder) -> list[str]:
    """The names of a column's inputs."""
    return [f"{encoder.name}={part}" for part in encoder.parts] if isinstance(encoder, Date) else [encoder.name]


class _Graph:
    """Nodes, constants and ends of a graph that is being made; values are known by names v0, v1, ...

    `inputs` are the names of the inputs, which no other value gets.
    """

    def __init__(self, inputs: Collection[str]) -> None:
        self._taken = inputs
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def node(self, kind: str, inputs: list[str], *, domain: str = "", name: str = "", **attributes: Any) -> str:
        """Add an operation; the name of its output."""
        output = self.free(name or f"v{len(self.nodes)}")
        self.nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output

    def free(self, name: str) -> str:
        """The name, with a line behind it for as long as an input has it."""
        while name in self._taken:
            name += "_"
        return name

    def constant(self, value: Any, dtype: Any) -> str:
        """Add a constant; its name."""
        name = self.free(f"c{len(self.constants)}")
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def input(self, name: str, kind: int) -> str:
        """Add an input (rows, 1); its name."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, ["rows", 1]))
        return name

    def encoded(self, encoder: Encoder) -> list[str]:
        """The features of a column, each (rows, width) double, in the order of its encoder."""
        if isinstance(encoder, Category):
            return self._category(encoder)
        fills = encoder.fills if isinstance(encoder, Date) else [encoder.fill]
        missing, features = [], []
        for name, fill in zip(_inputs(encoder), fills, strict=True):
            value = self.input(name, TensorProto.DOUBLE)
            absent = self.node("Or", [self.node("IsNaN", [value]), self.node("IsInf", [value])])
            filled = self.node("Where", [absent, self.constant(fill, np.float64), value])
            if isinstance(encoder, Number) and encoder.origin:
                filled = self.node("Sub", [filled, self.constant(encoder.origin, np.float64)])
            ends = [self.constant(end, np.float64) for end in (-LARGEST, LARGEST)]
            features.append(self.node("Clip", [filled, *ends]))
            missing.append(absent)
        marks = [self.node("Cast", missing[:1], to=TensorProto.DOUBLE)] if encoder.marked else []
        return features + marks

    def _category(self, encoder: Category) -> list[str]:
        value = self.input(encoder.name, TensorProto.STRING)
        width = len(encoder.names)
        if not width:
            return []
        other = len(encoder.levels) if encoder.other else width
        absent = width - 1 if encoder.marked else width
        keys, places = [*encoder.levels, ""], [*range(len(encoder.levels)), absent]
        place = self.node(
            "LabelEncoder", [value], domain="ai.onnx.ml", keys_strings=keys, values_int64s=places, default_int64=other
        )
        hot = self.node("Equal", [place, self.constant(range(width), np.int64)])
        return [self.node("Cast", [hot], to=TensorProto.DOUBLE)]

    def normalised(self, scale: Normalizer, features: str) -> str:
        """The features on the scale of the training rows, float."""
        rounded = self.node("Cast", [self.node("Cast", [features], to=TensorProto.FLOAT)], to=TensorProto.DOUBLE)
        if scale.source is not None:
            rounded = self.node("Gather", [rounded, self.constant(scale.source, np.int64)], axis=1)
        shifted = self.node("Sub", [rounded, self.constant(scale.shift, np.float64)])
        z = self.node("Div", [shifted, self.constant(scale.scale, np.float64)])
        if scale.kind == "robust_clip":
            share = self.node("Div", [z, self.constant(CLIP, np.float64)])
            sum_ = self.node("Add", [self.node("Mul", [share, share]), self.constant(1.0, np.float64)])
            clipped = self.node("Div", [z, self.node("Sqrt", [sum_])])
            z = self.node("Where", [self.constant(scale.numeric, np.bool_), clipped, z])
        low, high = (-LARGEST, LARGEST) if scale.low is None else (scale.low, scale.high)
        raised = self.node("Max", [z, self.constant(low, np.float64)])
        ended = self.node("Min", [raised, self.constant(high, np.float64)])
        return self.node("Cast", [ended], to=TensorProto.FLOAT)

    def network(self, member: Member, a: str) -> str:
        """The outputs of a network (rows, outputs), float: shares of the classes, or the standardised value."""
        tensors, depth, hyperparameters = member.tensors(), len(member.network.layers), member.network.hyperparameters
        for l in range(depth):
            layer = {part: tensors[name] for part in ("weight", "bias", "gain", "mean", "variance")
                     if (name := f"layers.{l}.{part}") in tensors}  # fmt: skip
            weight, bias = layer["weight"].astype(np.float64), layer["bias"].astype(np.float64)
            if "gain" in layer:  # the norm is a straight line once its statistics stand
                slope = layer["gain"] / np.sqrt(layer["variance"].astype(np.float64) + float(NORM_EPSILON))
                weight, bias = weight * slope, bias - layer["mean"] * slope
            a = self.node("Gemm", [a, self.constant(weight, np.float32), self.constant(bias, np.float32)])
            if l < depth - 1:
                a = self._activated(hyperparameters["activation"], a)
        if member.network.settings["task"][0] == TASKS.index("regression"):
            return a
        if hyperparameters["output"] == "logistic":  # sigmoids over their sum: the softmax of their logarithms
            a = self.node("Neg", [self.node("Softplus", [self.node("Neg", [a])])])
        return self.node("Softmax", [a], axis=1)

    def _activated(self, name: str, z: str) -> str:
        if name == "silu":
            return self.node("Mul", [z, self.node("Sigmoid", [z])])
        return self.node(SIMPLE[name], [z])

    def finish(self, model: Model, outputs: list[str]) -> None:
        """The mean of the networks' outputs as probabilities and a label, or as a prediction."""
        whole = sum(member.votes for member in model.members)
        shares = [self.constant(member.votes / whole, np.float32) for member in model.members]
        voted = [self.node("Mul", pair) for pair in zip(outputs, shares, strict=True)]
        target = model.preparation.target
        if target.task == "regression":
            value = self.node("Cast", [self.node("Sum", voted)], to=TensorProto.DOUBLE)
            scaled = self.node("Mul", [value, self.constant(target.sd, np.float64)])
            predicted = self.node("Add", [scaled, self.constant(target.mean, np.float64)], name="prediction")
            self.outputs.append(helper.make_tensor_value_info(predicted, TensorProto.DOUBLE, ["rows", 1]))
            return
        probabilities = self.node("Sum", voted, name="probabilities")
        winner = self.node("ArgMax", [probabilities], axis=1, keepdims=0)
        texts = all(isinstance(one, str) for one in target.classes)
        names = self.constant(target.classes, object if texts else np.int64)
        label = self.node("Gather", [names, winner], name="label")
        kind = TensorProto.STRING if texts else TensorProto.INT64
        self.outputs += [
            helper.make_tensor_value_info(label, kind, ["rows"]),
            helper.make_tensor_value_info(probabilities, TensorProto.FLOAT, ["rows", len(target.classes)]),
        ]
