"""PyTorch with its gradient written by hand and the function behind its fused Adam called without the optimiser.

Not what people do with PyTorch: it shows how much of PyTorch's time goes into recording and looking up, and how fast
its operations are when called one by one.
"""

from __future__ import annotations

import torch
from peers import torch_autograd
from peers.torch_autograd import BETA1, BETA2, EPSILON, LEARNING_RATE

NAME = "PyTorch by hand"


class Engine(torch_autograd.Engine):
    """One training; `first` and `second` are Adam's moments."""

    def __init__(self, job: torch_autograd.Job, seed: int) -> None:
        super().__init__(job, seed)
        for parameter in self.parameters:
            parameter.requires_grad_(requires_grad=False)
        self.first = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = [torch.tensor(0.0) for _ in self.parameters]
        self.one_hot = torch.eye(job.classes)

    def gradient(self, x: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
        activations = [x]
        for W, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            activations.append(torch.addmm(b, activations[-1], W.t()).relu_())
        z = torch.addmm(self.biases[-1], activations[-1], self.weights[-1].t())
        signal = torch.softmax(z, 1).sub_(self.one_hot[labels]).mul_(1 / len(labels))
        for_weights, for_biases = [], []
        for layer in reversed(range(len(self.weights))):
            for_weights.append(signal.t() @ activations[layer])
            for_biases.append(signal.sum(0))
            if layer:
                signal = torch.ops.aten.threshold_backward(signal @ self.weights[layer], activations[layer], 0)
        return for_weights[::-1] + for_biases[::-1]

    def update(self, x: torch.Tensor, labels: torch.Tensor) -> None:
        gradient = self.gradient(x, labels)
        torch._foreach_add_(self.steps, 1)
        torch._fused_adam_(
            self.parameters, gradient, self.first, self.second, [], self.steps, lr=LEARNING_RATE, beta1=BETA1,
            beta2=BETA2, weight_decay=0, eps=EPSILON, amsgrad=False, maximize=False,
        )  # fmt: skip
        self.updates += 1

    @torch.no_grad()
    def train(self) -> None:
        super().train()


VARIANTS = {"no autograd, fused Adam": Engine}
