"""From noise to images (src/diffusion/ode_sampler/, src/evaluate/sample.rs). Images are float64 tensors between the steps."""

import math

import numpy as np
import torch

import draws

NOISE_SEED = 0
BATCH_IMAGES = 256
RHO = 7.0


class Level:
    """How noisy an image is: t, which may lie between two timesteps, and the variances of image and noise."""

    def __init__(self, t, signal_variance, noise_variance):
        self.t, self.noise_variance = float(t), float(noise_variance)
        self.scale_variance = float(signal_variance + noise_variance)
        self.alpha_bar = float(signal_variance) / self.scale_variance
        self.signal_scale, self.noise_scale = math.sqrt(signal_variance), math.sqrt(noise_variance)
        self.sigma = math.sqrt(noise_variance / signal_variance)


CLEAN = Level(-1.0, 1.0, 0.0)


def generation_levels(ode, process):
    """Where generation begins its steps, the noisiest first (src/diffusion/ode_sampler/spacing.rs)."""
    steps, count = ode["steps"], process.timesteps
    spacing, last, shift = ode["spacing"], steps - 1, ode.get("shift", 1.0)
    if spacing == "karras":
        largest, smallest = process.sigma[-1] ** (1.0 / RHO), process.sigma[0] ** (1.0 / RHO)
        sigmas = [(largest + index / last * (smallest - largest)) ** RHO for index in range(1, last)] if last else []
        levels = [at(process, count - 1), *(of_sigma(process, sigma) for sigma in sigmas)]
        return levels + [at(process, 0)] * (last > 0)
    if shift != 1.0:
        shares = [1.0 - index / steps for index in range(steps)]
        return [at(process, count * (shift * share / (1.0 + (shift - 1.0) * share)) - 1.0) for share in shares]
    timesteps = {
        "trailing": lambda index: (2 * count * (steps - index) + steps) // (2 * steps) - 1,
        "leading": lambda index: (last - index) * (count // steps),
        "linspace": lambda index: round((count - 1) * (last - index) / last),
        "quadratic": lambda index: max((count - 1) * (last - index) ** 2 // last**2, last - index),
    }[spacing]
    return [at(process, t) for t in map(timesteps, range(steps))]


def level(process, t, sigma):
    """The level of sigma whose t is known."""
    if process.is_straight:
        return Level(t, (1.0 / (1.0 + sigma)) ** 2, (sigma / (1.0 + sigma)) ** 2)
    alpha_bar = 1.0 / (1.0 + sigma * sigma)
    return Level(t, alpha_bar, 1.0 - alpha_bar)


def at(process, t):
    """The level at `t`, which may lie between two timesteps."""
    below, share = int(t), t - int(t)
    if process.is_straight:
        noise_scale = (t + 0.5) / process.timesteps
        return Level(t, (1.0 - noise_scale) ** 2, noise_scale**2)
    if share == 0.0:
        return Level(t, process.alpha_bar[below], 1.0 - process.alpha_bar[below])
    low, high = np.log(process.sigma[below]), np.log(process.sigma[below + 1])
    return level(process, t, math.exp(low + share * (high - low)))


def of_sigma(process, sigma):
    if process.is_straight:
        t = process.timesteps * sigma / (1.0 + sigma) - 0.5
        return level(process, min(max(t, 0.0), process.timesteps - 1.0), sigma)
    above = int(np.searchsorted(process.sigma, sigma, side="left"))
    t = min(above, process.timesteps - 1)
    if 0 < above < process.timesteps:
        low, high = np.log(process.sigma[above - 1]), np.log(process.sigma[above])
        t = above - 1 + (math.log(sigma) - low) / (high - low)
    return level(process, t, sigma)


class Generation:
    """Generates images as `evaluate.fid` says. `predict(input, t, classes)` is the network."""

    def __init__(self, spec, process, parameterization, image_shape, device):
        fid = spec["evaluate"]["fid"]
        self.ode, self.guidance = fid["ode"], fid["guidance"]
        self.parameterization, self.process, self.device = parameterization, process, device
        channels, side, classes = image_shape
        self.shape, self.classes = (channels, side, side), classes if spec["model"]["class_conditional"] else None
        levels = generation_levels(self.ode, process)
        self.steps = list(zip(levels, levels[1:] + [CLEAN]))

    @torch.no_grad()
    def images(self, predict, count):
        """The first `count` images of every evaluation: float32 in [-1, 1], `[n, height, width, channels]`."""
        firsts = range(0, count, BATCH_IMAGES)
        parts = [self.batch(predict, first, min(BATCH_IMAGES, count - first)) for first in firsts]
        return np.concatenate([part.float().cpu().numpy() for part in parts]).transpose(0, 2, 3, 1)

    def batch(self, predict, first, count):
        indices = np.arange(first, first + count)
        x = self.normals(draws.EVALUATION_NOISE, indices)
        classes = None
        if self.classes is not None:
            classes = torch.from_numpy(indices % self.classes).to(self.device)
        fresh = lambda index: self.normals(draws.GENERATION_NOISE, (indices << 20) | index)
        clean = lambda x, level: self.clean(predict, x, level, classes)
        solver = SOLVERS[self.ode["kind"]]
        if solver in (euler, heun):
            return solver(self.steps, x, clean, self.process)
        return solver(self.ode, self.steps, x, clean, fresh)

    def normals(self, stream, steps):
        noise = draws.image_normals(NOISE_SEED, stream, steps, math.prod(self.shape))
        return torch.from_numpy(noise.reshape(-1, *self.shape)).to(self.device).double()

    def clean(self, predict, x, level, classes):
        """(x_0, v): what the network takes the images for, and what it says of the variance."""
        channels = self.shape[0]
        scale = self.parameterization.input_scale(level.signal_scale, level.noise_scale)
        seen = x.float() if scale is None else (x.float().double() * float(scale)).float()
        t = torch.full((len(x),), level.t, dtype=torch.float32, device=self.device)
        predicted = predict(seen, t, classes)
        predicted, v = predicted[:, :channels], predicted[:, channels:].double()
        if self.guidance != 1.0 and classes is not None:
            without = predict(seen, t, torch.full_like(classes, self.classes))[:, :channels]
            predicted = without + self.guidance * (predicted - without)
        clean = self.parameterization.clean_from(x, predicted.double(), level.signal_scale, level.noise_scale)
        return (clean.clamp(-1.0, 1.0) if self.ode["clip"] else clean), v


def ddim(ode, steps, x, clean, fresh):
    for index, (level, next_) in enumerate(steps):
        x_0, _ = clean(x, level)
        shrunk = (1.0 - next_.alpha_bar) / (1.0 - level.alpha_bar)
        variance = next_.scale_variance * (ode["eta"] ** 2 * shrunk * (1.0 - level.alpha_bar / next_.alpha_bar))
        epsilon = (x - level.signal_scale * x_0) / level.noise_scale
        x = next_.signal_scale * x_0 + math.sqrt(max(next_.noise_variance - variance, 0.0)) * epsilon
        if variance > 0.0:
            x = x + math.sqrt(variance) * fresh(index)
        x = x.float().double()
    return x


def ddpm(ode, steps, x, clean, fresh):
    for index, (level, next_) in enumerate(steps):
        x_0, v = clean(x, level)
        scale, next_scale = math.sqrt(level.scale_variance), math.sqrt(next_.scale_variance)
        beta = 1.0 - level.alpha_bar / next_.alpha_bar
        of_clean = math.sqrt(next_.alpha_bar) * beta / (1.0 - level.alpha_bar)
        of_noisy = math.sqrt(1.0 - beta) * (1.0 - next_.alpha_bar) / (1.0 - level.alpha_bar)
        x = next_scale * (of_clean * x_0 + of_noisy * x / scale)
        if next_ is CLEAN:
            return x
        small, large = (1.0 - next_.alpha_bar) / (1.0 - level.alpha_bar) * beta, beta
        if ode["variance"] == "learned":
            small, large = math.log(small), math.log(large)
            deviation = ((small + (1.0 + v) / 2.0 * (large - small)) / 2.0).exp()
        else:
            deviation = math.sqrt(small if ode["variance"] == "small" else large)
        x = x + deviation * next_scale * fresh(index)
    return x


def ode_variables(process, level):
    """(c, u) in which the path's ODE reads d(x / c) / du = (x / c - x_0) / u."""
    return (1.0, level.noise_scale) if process.is_straight else (level.signal_scale, level.sigma)


def euler(steps, x, clean, process):
    x = x / ode_variables(process, steps[0][0])[0]
    for level, next_ in steps:
        (scale, time), (_, next_time) = ode_variables(process, level), ode_variables(process, next_)
        x = x + (next_time - time) * (x - clean(scale * x, level)[0]) / time
    return x


def heun(steps, x, clean, process):
    def slope(x, level):
        scale, time = ode_variables(process, level)
        return (x - clean(scale * x, level)[0]) / time

    x = x / ode_variables(process, steps[0][0])[0]
    for level, next_ in steps:
        change = ode_variables(process, next_)[1] - ode_variables(process, level)[1]
        first = slope(x, level)
        end = x + change * first
        if next_ is CLEAN:
            return end
        x = x + change * (first + slope(end, next_)) / 2.0
    return x


def dpm_solver_pp(ode, steps, x, clean, fresh):
    before = None
    for level, next_ in steps:
        x_0, _ = clean(x, level)
        if next_ is CLEAN:
            return x_0
        shrunk = next_.sigma / level.sigma
        h = -math.log(shrunk)
        extrapolated = x_0
        if before is not None:
            share = h / (2.0 * before[1])
            extrapolated = (1.0 + share) * x_0 - share * before[0]
        x = next_.noise_scale / level.noise_scale * x + next_.signal_scale * (1.0 - shrunk) * extrapolated
        before = x_0, h
    return x


SOLVERS = dict(ddim=ddim, euler=euler, ddpm=ddpm, heun=heun, dpm_solver_pp=dpm_solver_pp)
