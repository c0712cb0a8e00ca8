"""Which timesteps are trained on (src/diffusion/timestep_sampler/): by inverse CDF of uniforms that all runs of a seed share."""

import math

import numpy as np


def timestep_sampler(spec, process):
    """The sampler of a run."""
    settings, steps, count = spec["timestep_sampler"], spec["train"]["steps"], process.timesteps
    kind = settings["kind"]
    if kind == "uniform":
        return Uniform(count)
    if kind in ("curriculum", "paced_curriculum"):
        favoured = bump(settings["center"], settings["width"], count)
        return Curriculum(favoured, settings["anneal"], settings.get("pacing", "linear"), steps)
    if kind == "log_snr_curriculum":
        exponents = -0.5 * ((process.log_snr - settings["center"]) / settings["width"]) ** 2
        return Curriculum(normalized(relative_to_largest(exponents)), settings["anneal"], settings["pacing"], steps)
    if kind == "curriculum_sampling":
        return MiddleFirst(bump(settings["center"], settings["width"], count), settings["switch"] * steps)
    if kind == "loss_second_moment":
        return LossSecondMoment(settings["history"], settings["uniform"], count)
    if kind == "task_difficulty":
        return TaskDifficulty(settings, process)
    return Fixed(normalized(FIXED[kind](settings, process)))


class Sampler:
    """Draws by a density that depends on the step, and perhaps on what was lost so far."""

    observes_losses = False

    def probabilities(self, step):
        raise NotImplementedError

    def draw(self, uniforms, step):
        """A timestep and an importance weight for each uniform."""
        return invert(np.cumsum(self.probabilities(step)), uniforms), np.ones(len(uniforms), np.float32)

    def state(self):
        return []

    def restore(self, state):
        assert len(state) == 0


def invert(cumulative, uniforms):
    """The smallest t with P(t' <= t) above each uniform."""
    total = cumulative[-1]
    t = np.searchsorted(cumulative, uniforms * total, side="right")
    return np.minimum(t, np.searchsorted(cumulative, total, side="left"))


def normalized(weights):
    return weights / np.sum(weights)


def relative_to_largest(log_weights):
    return np.exp(log_weights - np.max(log_weights))


def bump(center, width, count):
    """exp(-(t - center T)^2 / (2 (width T)^2)), with sum 1."""
    return normalized(relative_to_largest(-0.5 * ((np.arange(count) - center * count) / (width * count)) ** 2))


class Uniform(Sampler):
    def __init__(self, count):
        self.count = count

    def draw(self, uniforms, step):
        t = np.minimum((uniforms * self.count).astype(np.int64), self.count - 1)
        return t, np.ones(len(t), np.float32)


class Fixed(Sampler):
    def __init__(self, probabilities):
        self._probabilities = probabilities

    def probabilities(self, step):
        return self._probabilities


class Curriculum(Sampler):
    """CLTS: from all timesteps alike to the favoured ones."""

    def __init__(self, favoured, anneal, pacing, planned_steps):
        self.favoured, self.pacing = favoured, pacing
        self.anneal_steps = anneal if anneal > 1.0 else anneal * planned_steps

    def probabilities(self, step):
        done = min(step / self.anneal_steps, 1.0) if self.anneal_steps > 0.0 else 1.0
        share = dict(linear=done, cosine=(1.0 - math.cos(math.pi * done)) / 2.0, step=math.floor(done))[self.pacing]
        return (1.0 - share) / len(self.favoured) + share * self.favoured


class MiddleFirst(Sampler):
    def __init__(self, middle, switch_step):
        self.middle, self.switch_step = middle, switch_step

    def probabilities(self, step):
        return self.middle if step < self.switch_step else np.full(len(self.middle), 1.0 / len(self.middle))


def weights_in_log_snr(process, log_density):
    """A density of ln(SNR) brought to the timesteps."""
    last = process.timesteps - 1
    t = np.arange(last + 1)
    before, after = np.maximum(t - 1, 0), np.minimum(t + 1, last)
    width = (process.log_snr[before] - process.log_snr[after]) / np.maximum(after - before, 1)
    return relative_to_largest(log_density(process.log_snr) + (np.log(width) if last > 0 else 0.0))


def logit_normal(settings, process):
    """The probability of each timestep under t / T = sigmoid(mean + deviation z)."""
    mean, deviation, count = settings["mean"], settings["deviation"], process.timesteps

    def border(index):
        if index in (0, count):
            return math.inf if index else -math.inf
        share = index / count
        return (math.log(share / (1.0 - share)) - mean) / deviation

    def between(low, high):
        above = lambda z: 0.5 * math.erfc(z * math.sqrt(0.5))
        return above(low) - above(high) if low > 0.0 else above(-high) - above(-low)

    return np.array([between(border(t), border(t + 1)) for t in range(count)])


def shifted(settings, process):
    shift, borders = settings["shift"], np.arange(process.timesteps + 1) / process.timesteps
    return np.diff(borders / (shift - (shift - 1.0) * borders))


def mode(settings, process):
    """By halving, since t(u) = 1 - u - scale (cos^2(pi u / 2) - 1 + u) has no inverse in closed form."""
    borders = np.arange(process.timesteps + 1) / process.timesteps
    above, below = np.zeros_like(borders), np.ones_like(borders)
    for _ in range(60):
        u = 0.5 * (above + below)
        is_above = 1.0 - u - settings["scale"] * (np.cos(0.5 * math.pi * u) ** 2 - 1.0 + u) > borders
        above, below = np.where(is_above, u, above), np.where(is_above, below, u)
    return np.maximum(np.diff(1.0 - 0.5 * (above + below)), 0.0)


def laplace(settings, process):
    return weights_in_log_snr(process, lambda log_snr: -np.abs(log_snr - settings["mean"]) / settings["scale"])


def edm(settings, process):
    mean, deviation = settings["mean"], settings["deviation"]
    return weights_in_log_snr(process, lambda log_snr: -0.5 * ((-0.5 * log_snr - mean) / deviation) ** 2)


def speed(settings, process):
    return np.where(np.arange(process.timesteps) < settings["tau"] * process.timesteps, settings["k"], 1.0)


FIXED = dict(logit_normal=logit_normal, shifted=shifted, mode=mode, laplace=laplace, edm=edm, speed=speed)


class LossSecondMoment(Sampler):
    """Importance sampling by the root mean square of the last losses of each timestep."""

    observes_losses = True

    def __init__(self, history, uniform, count):
        self.history, self.uniform, self.count = history, uniform, count
        self.losses, self.counts = np.zeros((count, history), np.float32), np.zeros(count, np.int64)

    def probabilities(self, step):
        even = 1.0 / self.count
        roots = np.sqrt((self.losses.astype(np.float64) ** 2).sum(1) / self.history)
        total = roots.sum()
        if total <= 0.0 or np.any(self.counts < self.history):
            return np.full(self.count, even)
        return (1.0 - self.uniform) * roots / total + self.uniform * even

    def draw(self, uniforms, step):
        probabilities = self.probabilities(step)
        t = invert(np.cumsum(probabilities), uniforms)
        return t, (1.0 / (self.count * probabilities[t])).astype(np.float32)

    def observe(self, timesteps, losses):
        for t, loss in zip(timesteps, losses):
            if self.counts[t] == self.history:
                self.losses[t, :-1] = self.losses[t, 1:].copy()
                self.losses[t, -1] = loss
            else:
                self.losses[t, self.counts[t]] = loss
                self.counts[t] += 1

    def state(self):
        return [self.losses.copy(), self.counts.copy()]

    def restore(self, state):
        self.losses, self.counts = state


class TaskDifficulty(Sampler):
    """The noisiest timesteps first, the next ones when the loss stops improving."""

    observes_losses = True

    def __init__(self, settings, process):
        clusters, self.count = settings["clusters"], process.timesteps
        self.patience, self.smoothing = settings["patience"], settings["smoothing"]
        log_snr = process.log_snr

        def lowest_above(share):
            border = log_snr[-1] + share * (log_snr[0] - log_snr[-1])
            return 0 if share >= 1.0 else int(np.argmax(log_snr <= border))

        by_timestep = settings["clustering"] == "timestep"
        lowest = lambda stage: (clusters - stage) * self.count // clusters if by_timestep else lowest_above(stage / clusters)
        self.lowest = [lowest(stage) for stage in range(1, clusters + 1)]
        self.stage = 0
        self.start()

    def start(self):
        self.average, self.best, self.waited = math.nan, math.inf, 0

    def probabilities(self, step):
        lowest = self.lowest[self.stage]
        return np.where(np.arange(self.count) < lowest, 0.0, 1.0 / (self.count - lowest))

    def observe(self, timesteps, losses):
        if self.stage + 1 == len(self.lowest):
            return
        mean = float(np.asarray(losses, np.float64).mean())
        average = mean if math.isnan(self.average) else self.smoothing * self.average + (1.0 - self.smoothing) * mean
        self.average = float(np.float32(average))
        if self.average < self.best:
            self.best, self.waited = self.average, 0
        else:
            self.waited += 1
        if self.waited > self.patience:
            self.stage += 1
            self.start()

    def state(self):
        return [self.stage, self.average, self.best, self.waited]

    def restore(self, state):
        self.stage, self.average, self.best, self.waited = state
