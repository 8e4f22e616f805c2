"""The same networks and updates once more out of PyTorch's own parts, gradients by its autograd: the third derivation.

Test modules that import this are passed over where PyTorch is not installed. Hyperparameters have the names of a study.
"""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; it is in the extra: pip install -e .[oracle]")
torch.set_num_threads(1)  # of use to larger networks only
F = torch.nn.functional

ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,  # 0.01 on the left
    "elu": F.elu,
    "selu": F.selu,
    "softplus": lambda z: F.softplus(z, threshold=40),  # from 20 on torch would take z itself, 2e-9 less
    "gelu": F.gelu,  # with the error function, not tanh
    "silu": F.silu,
    "mish": F.mish,
}


def tensor(array, dtype):
    array = np.asarray(array)
    return torch.as_tensor(array.astype(np.int64)) if array.dtype.kind in "iu" else torch.tensor(array, dtype=dtype)


class Twin(torch.nn.Module):
    """Linear layers, with BatchNorm1d and without bias where there is a gamma, and the activation between them."""

    def __init__(self, W, b, activation, gamma=(), dtype=torch.float64):
        super().__init__()
        self.g = ACTIVATIONS[activation]
        self.linear, self.norm = torch.nn.ModuleList(), torch.nn.ModuleList()
        for l, w in enumerate(W):
            normed = l < len(gamma)
            self.linear.append(torch.nn.Linear(*w.shape, bias=not normed, dtype=dtype))
            if normed:
                self.norm.append(torch.nn.BatchNorm1d(w.shape[1], dtype=dtype))
                self.norm[-1].running_var.zero_()  # where torch begins with 1, to which a small variance is lost
        for values, given in zip(self.groups(), (W, b, gamma), strict=True):
            for value, array in zip(values, given, strict=True):
                value.data[:] = tensor(array, dtype)

    def groups(self):
        """W (n_in, n_out), b or beta, gamma: views of what is trained."""
        biased = [*self.norm, *list(self.linear)[len(self.norm) :]]
        W = [layer.weight.T for layer in self.linear]
        return W, [layer.bias for layer in biased], [norm.weight for norm in self.norm]

    def arrays(self):
        """The same as float64 arrays in one list: all W, all b, all gamma."""
        return [values.detach().numpy().astype(np.float64) for group in self.groups() for values in group]

    def forward(self, X, masks=None):
        a = X
        for l, layer in enumerate(self.linear):
            a = layer(a if masks is None else a * tensor(masks[l], X.dtype))
            if l < len(self.norm):
                a = self.norm[l](a)
            if l < len(self.linear) - 1:
                a = self.g(a)
        return a

    def running(self):
        """(mean, variance) of each norm as we have them: torch's averages start at 0 and are not corrected for it."""
        found = []
        for norm in self.norm:
            gone = 1 - (1 - norm.momentum) ** int(norm.num_batches_tracked)
            found.append([values.double().numpy() / gone for values in (norm.running_mean, norm.running_var)])
        return found

    def judged(self, arrays=None):
        """What predictions are made with: corrected running statistics, and if given other parameters."""
        other = copy.deepcopy(self).eval()
        for norm, (mean, variance) in zip(other.norm, self.running(), strict=True):
            norm.running_mean[:], norm.running_var[:] = torch.tensor(mean), torch.tensor(variance)
        parameters = [values for group in other.groups() for values in group]
        for value, array in zip(parameters, arrays or self.arrays(), strict=True):
            value.data[:] = torch.tensor(array)
        return other


# --- Objectives ---


def row_losses(z, y, h):
    """Of each row: `loss` and `output` of h, with smoothing; y class numbers (m,) or values (m, 1)."""
    if h["loss"] == "squared":
        return F.mse_loss(z, y, reduction="none")[:, 0] / 2
    if h["loss"] == "huber":
        return F.huber_loss(z, y, reduction="none", delta=h["huber_delta"])[:, 0]
    eps, k = h.get("label_smoothing", 0.0), z.shape[1]
    if h["output"] == "softmax":
        return F.cross_entropy(z, y, reduction="none", label_smoothing=eps)
    wanted = F.one_hot(y, k).to(z.dtype) * (1 - eps) + eps / k
    if h["loss"] == "binary_cross_entropy":
        return F.binary_cross_entropy_with_logits(z, wanted, reduction="none").sum(dim=1)
    s = torch.sigmoid(z)
    return F.cross_entropy(
        torch.log(s / s.sum(dim=1, keepdim=True)), wanted, reduction="none"
    )  # of shares that add to 1


def mean_loss(z, y, h):
    """Of the rows' own labels: without smoothing, weights, mixup and penalties."""
    return float(row_losses(z, y, h | {"label_smoothing": 0.0}).mean().detach())


def weighted_losses(z, y, h):
    """Times the weight of the row's class. torch's own weights mean the same where labels are not smoothed."""
    if h.get("class_weight") is None:
        return row_losses(z, y, h)
    weights = tensor(np.asarray(h["class_weight"], np.float64), z.dtype)
    if h["output"] == "softmax" and not h.get("label_smoothing"):
        return F.cross_entropy(z, y, weight=weights, reduction="none")
    return weights[y] * row_losses(z, y, h)


def penalties(twin, m, h):
    W = twin.groups()[0]
    return (
        h.get("l2", 0.0) / (2 * m) * sum(w.square().sum() for w in W)
        + h.get("l1", 0.0) / m * sum(w.abs().sum() for w in W)
    )  # fmt: skip


def objective(twin, z, y, h, share=None):
    """Sums over rows, divided by their number; share (m,) is that of mixup's own labels, whose rows were mixed."""
    losses = weighted_losses(z, y, h)
    if share is not None:
        share = tensor(share, z.dtype)
        losses = share * losses + (1 - share) * weighted_losses(z, torch.roll(y, -1, 0), h)
    return losses.mean() + penalties(twin, len(z), h)


# --- Optimisers ---


def make_optimizer(twin, h):
    """torch.optim's; only W decays. Ours averages v += (1 - beta) g where torch sums: its rate takes the factor."""
    linear = [layer.weight for layer in twin.linear]
    others = [parameter for parameter in twin.parameters() if parameter.ndim == 1]
    alpha = h["learning_rate"]
    match h["optimizer"]:
        case "sgd":
            return torch.optim.SGD(twin.parameters(), alpha)
        case "momentum" | "nesterov" as name:
            factor = 1 - h["momentum"] if h["momentum_form"] == "average" else 1
            return torch.optim.SGD(twin.parameters(), alpha * factor, h["momentum"], nesterov=name == "nesterov")
        case "adagrad":
            return torch.optim.Adagrad(twin.parameters(), alpha, eps=h["epsilon"])
        case "rmsprop":
            return torch.optim.RMSprop(twin.parameters(), alpha, alpha=h["beta2"], eps=h["epsilon"])
        case "adam":
            return torch.optim.Adam(twin.parameters(), alpha, (h["beta1"], h["beta2"]), h["epsilon"])
        case "adamw":
            groups = [{"params": linear, "weight_decay": h["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
            return torch.optim.AdamW(groups, alpha, (h["beta1"], h["beta2"]), h["epsilon"])


def scheduler(optimizer, h, rate):
    """Of each update: rate(t) / learning_rate, and the correction of momentum, which torch has not."""

    def factor(done):
        t = done + 1
        corrected = h["optimizer"] in {"momentum", "nesterov"} and h["momentum_correction"]
        owed = h["momentum"] ** (t + 1 if h["optimizer"] == "nesterov" else t)
        return (rate(t) / h["learning_rate"] if rate else 1.0) / (1 - owed if corrected else 1.0)

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


class TwinTraining:
    """Updates of a twin, and of each the mean loss (no penalties or the like), the gradient's norm, the weights."""

    def __init__(self, twin, h, rate=None):
        self.twin, self.h = twin, h
        self.optimizer = make_optimizer(twin, h)
        self.scheduler = scheduler(self.optimizer, h, rate)
        self.rate = rate or (lambda t: h["learning_rate"])
        self.losses, self.norms, self.weights = [], [], []

    def update(self, X, y, *, share=None, masks=None):
        twin, h = self.twin, self.h
        self.optimizer.zero_grad()
        twin.train()
        z = twin(X, masks)
        objective(twin, z, y, h, share).backward()
        self.losses.append(mean_loss(z, y, h))
        self.norms.append(float(torch.nn.utils.clip_grad_norm_(twin.parameters(), h.get("clip_norm") or np.inf)))
        if h["optimizer"] != "adamw":
            for layer in twin.linear:
                layer.weight.data.mul_(1 - self.rate(len(self.norms)) * h.get("weight_decay", 0.0))
        self.optimizer.step()
        self.scheduler.step()
        if h.get("max_norm"):
            for layer in twin.linear:  # (n_out, n_in): a row is a unit's
                layer.weight.data = torch.renorm(layer.weight.data, p=2, dim=0, maxnorm=h["max_norm"])
        self.weights.append(twin.arrays())

    def averaged(self):
        """Parameters averaged over the updates so far: sum (1 - beta) beta^(t - i) w_i / (1 - beta^t)."""
        t, beta = len(self.weights), self.h["ema"]
        shares = [(1 - beta) * beta ** (t - i) / (1 - beta**t) for i in range(1, t + 1)]
        return [sum(c * w for c, w in zip(shares, trail, strict=True)) for trail in zip(*self.weights, strict=True)]
