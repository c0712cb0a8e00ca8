"""Speedlab's update of the weights (src/optim/): optimizers with a beta1 that moves, learning rates, clipping, averages."""

import math

import numpy as np
import torch

from networks import HIDDEN
from schedules import Sizes


def rates(spec, step, settings=None):
    """(learning rate, beta1) of the update at `step`, for the parameters of `settings`: the optimizer's own unless given."""
    settings = settings or spec["optimizer"]
    initial_beta1, train = settings["beta1"], spec["train"]
    tau = min(step / max(train["steps"], 1), 1.0)
    momentum, schedule = spec["momentum"], spec["lr_schedule"]
    beta1 = {
        "constant": lambda: initial_beta1,
        "demon": lambda: initial_beta1 * (1.0 - tau) / ((1.0 - initial_beta1) + initial_beta1 * (1.0 - tau)),
        "linear": lambda: initial_beta1 + (momentum["end"] - initial_beta1) * tau,
        "exponential": lambda: max(initial_beta1 * momentum["decay"] ** step, momentum["floor"]),
    }[momentum["kind"]]()
    share = {
        "constant": lambda: 1.0,
        "linear": lambda: 1.0 + (schedule["end"] - 1.0) * tau,
        "cosine": lambda: schedule["end"] + (1.0 - schedule["end"]) * (1.0 + math.cos(math.pi * tau)) / 2.0,
        "momentum_compensated": lambda: (1.0 - initial_beta1) / (1.0 - beta1),
        "wsd": lambda: decayed(schedule, tau),
        "inverse_sqrt": lambda: 1.0 / math.sqrt(max(step / schedule["reference_steps"], 1.0)),
    }[schedule["kind"]]()
    warmup = (step + 1) / train["warmup_steps"] if step < train["warmup_steps"] else 1.0
    return settings["learning_rate"] * share * warmup, beta1


def decayed(schedule, tau):
    """The share of the learning rate that warmup-stable-decay leaves."""
    u = min(max((tau - (1.0 - schedule["decay"])) / schedule["decay"], 0.0), 1.0)
    falling = {"linear": 1.0 - u, "one_minus_sqrt": 1.0 - math.sqrt(u)}[schedule["shape"]]
    return schedule["end"] + (1.0 - schedule["end"]) * falling


def clip(gradients, clip_norm):
    """Scales the gradients down to a global norm of at most `clip_norm`, if that is above 0; gives the norm before, in float64."""
    norm = torch.stack(torch._foreach_norm(gradients)).double().norm()
    if clip_norm > 0.0:
        torch._foreach_mul_(gradients, (clip_norm / norm.clamp(min=clip_norm)).float())
    return norm


class Adam:
    """Adam and AdamW; the bias correction is by the product of the beta1s used so far."""

    def __init__(self, parameters, settings):
        self.parameters, self.beta2, self.epsilon = parameters, settings["beta2"], settings["epsilon"]
        self.weight_decay = settings.get("weight_decay", 0.0)
        self.first = [torch.zeros_like(parameter) for parameter in parameters]
        self.second = [torch.zeros_like(parameter) for parameter in parameters]
        self.products = [1.0, 1.0]

    def step(self, gradients, learning_rate, beta1):
        if not self.parameters:
            return
        beta2 = self.beta2
        self.products = [self.products[0] * beta1, self.products[1] * beta2]
        torch._foreach_mul_(self.first, beta1)
        torch._foreach_add_(self.first, gradients, alpha=1.0 - beta1)
        torch._foreach_mul_(self.second, beta2)
        torch._foreach_addcmul_(self.second, gradients, gradients, value=1.0 - beta2)
        roots = torch._foreach_sqrt(self.second)
        torch._foreach_mul_(roots, 1.0 / math.sqrt(1.0 - self.products[1]))
        torch._foreach_add_(roots, self.epsilon)
        if self.weight_decay:
            torch._foreach_mul_(self.parameters, 1.0 - learning_rate * self.weight_decay)
        torch._foreach_addcdiv_(self.parameters, self.first, roots, value=-learning_rate / (1.0 - self.products[0]))

    def state(self):
        return dict(first=self.first, second=self.second, products=self.products)

    @torch.no_grad()
    def restore(self, state):
        torch._foreach_copy_(self.first, state["first"])
        torch._foreach_copy_(self.second, state["second"])
        self.products = state["products"]


class Muon:
    """Muon for the matrices of hidden layers, AdamW for everything else."""

    COEFFICIENTS = 3.4445, -4.7750, 2.0315

    def __init__(self, net, settings):
        parts = {module.weight: module.parts for module in net.modules() if hasattr(module, "parts")}
        named = [(name.split(".")[0] in HIDDEN and weight.ndim > 1, weight) for name, weight in net.named_parameters()]
        self.settings = settings
        self.is_matrix = [is_matrix for is_matrix, _ in named]
        self.weights = [weight for is_matrix, weight in named if is_matrix]
        # A modulation is several layers of Speedlab's layout, each a matrix of its own.
        self.parts = [parts.get(weight, 1) for weight in self.weights]
        self.momenta = [torch.zeros_like(weight) for weight in self.weights]
        self.adam = Adam([weight for is_matrix, weight in named if not is_matrix], settings["others"])

    def step(self, gradients, learning_rate, beta1, others):
        matrices = [gradient for is_matrix, gradient in zip(self.is_matrix, gradients) if is_matrix]
        rest = [gradient for is_matrix, gradient in zip(self.is_matrix, gradients) if not is_matrix]
        torch._foreach_lerp_(self.momenta, matrices, 1.0 - beta1)
        torch._foreach_mul_(self.weights, 1.0 - learning_rate * self.settings["weight_decay"])
        for weight, momentum, gradient, parts in zip(self.weights, self.momenta, matrices, self.parts):
            update = gradient.lerp(momentum, beta1) if self.settings["nesterov"] else momentum
            for into, matrix in zip(weight.chunk(parts), update.chunk(parts)):
                flat = matrix.reshape(len(matrix), -1)
                step = self.orthogonalized(flat).reshape(matrix.shape)
                into.sub_(step, alpha=learning_rate * self.scale(*flat.shape))
        self.adam.step(rest, *others)

    def scale(self, rows, columns):
        if self.settings["scale"] == "original":
            return math.sqrt(max(rows / columns, 1.0))
        return 0.2 * math.sqrt(max(rows, columns))

    def orthogonalized(self, matrix):
        """The matrix with its singular values brought near 1, by Newton-Schulz in float32."""
        a, b, c = self.COEFFICIENTS
        is_tall = matrix.shape[0] > matrix.shape[1]
        x = matrix.T if is_tall else matrix
        x = x / x.norm().clamp(min=1e-7)
        for _ in range(self.settings["newton_schulz_steps"]):
            gram = x @ x.T
            x = a * x + (b * gram + c * (gram @ gram)) @ x
        return x.T if is_tall else x

    def state(self):
        return dict(momenta=self.momenta, adam=self.adam.state())

    @torch.no_grad()
    def restore(self, state):
        torch._foreach_copy_(self.momenta, state["momenta"])
        self.adam.restore(state["adam"])


class Optimizer:
    """The update rule of a run on the parameters of `net`."""

    def __init__(self, spec, net):
        self.spec, settings = spec, spec["optimizer"]
        self.is_muon = settings["kind"] == "muon"
        self.rule = Muon(net, settings) if self.is_muon else Adam(list(net.parameters()), settings)

    @torch.no_grad()
    def step(self, gradients, step):
        others = [rates(self.spec, step, self.spec["optimizer"]["others"])] if self.is_muon else []
        self.rule.step(gradients, *rates(self.spec, step), *others)


def ema_decay(spec, step):
    """The decay of the averaged weights after the update at `step`."""
    train, ema = spec["train"], spec["train"]["ema"]
    if ema["kind"] == "exponential":
        return train["ema_decay"]
    if ema["kind"] == "half_life":
        sizes = Sizes(train, None)
        longest = ema["ramp_up"] * sizes.images(step) if ema["ramp_up"] > 0.0 else math.inf
        half_life = min(ema["images"], longest)
        return 2.0 ** (-sizes.batch(step) / half_life) if half_life > 0.0 else 0.0
    precision = ema["sigma_rel"] ** -2
    gamma = np.roots([1, 7, 16 - precision, 12 - precision]).real.max()
    return float((1.0 - 1.0 / (step + 1)) ** (gamma + 1.0))


@torch.no_grad()
def average(averaged, parameters, decay):
    """The moving average of the weights: a step towards the weights."""
    torch._foreach_lerp_(averaged, parameters, 1.0 - decay)
