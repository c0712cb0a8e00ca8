"""The diffusion process (src/diffusion/): noise schedules, what is predicted, how timesteps are weighted. Tables are float64."""

import math

import numpy as np


class ForwardProcess:
    """x_t = a_t x_0 + s_t epsilon: the scales of image and noise at each timestep, and what follows from them."""

    def __init__(self, schedule):
        settings = {key: value for key, value in schedule.items() if key != "kind"}
        self.is_straight = schedule["kind"] == "rectified_flow"
        if self.is_straight:
            self.noise_scale = (np.arange(settings["timesteps"]) + 0.5) / settings["timesteps"]
            self.signal_scale = 1.0 - self.noise_scale
            signal_variance, noise_variance = self.signal_scale**2, self.noise_scale**2
        else:
            betas = BETAS[schedule["kind"]](**settings)
            signal_variance = np.cumprod(1.0 - np.asarray(betas, np.float64))
            noise_variance = 1.0 - signal_variance
            self.signal_scale, self.noise_scale = np.sqrt(signal_variance), np.sqrt(noise_variance)
        self.timesteps = len(signal_variance)
        self.alpha_bar = signal_variance / (signal_variance + noise_variance)
        self.snr = signal_variance / noise_variance
        self.sigma = 1.0 / np.sqrt(self.snr)
        self.log_snr = np.log(self.snr)

    def add_noise(self, images, noise, t):
        """x_t of float32 images, each at its own timestep."""
        signal, noisy = (per_image(scale[t].astype(np.float32)) for scale in (self.signal_scale, self.noise_scale))
        return signal * images + noisy * noise


def per_image(values):
    return np.asarray(values).reshape(-1, 1, 1, 1)


def linear_betas(timesteps, beta_start, beta_end):
    return beta_start + (beta_end - beta_start) / max(timesteps - 1, 1) * np.arange(timesteps)


def cosine_betas(timesteps, offset, beta_max):
    angles = (np.arange(timesteps + 1) / timesteps + offset) / (1.0 + offset) * (math.pi / 2)
    alpha_bar = np.cos(angles) ** 2
    return np.minimum(1.0 - alpha_bar[1:] / alpha_bar[:-1], beta_max)


def scaled_linear_betas(timesteps, beta_start, beta_end):
    return linear_betas(timesteps, math.sqrt(beta_start), math.sqrt(beta_end)) ** 2


def sigmoid_betas(timesteps, start, end, tau, beta_max):
    start, end = start / tau, end / tau
    half_step = (end - start) / timesteps / 2.0
    t = np.arange(timesteps)
    half_from, rest = start / 2.0 + half_step * t, half_step * (timesteps - t)
    betas = math.sinh(half_step) * math.cosh(end / 2.0) / (np.cosh(half_from + half_step) * np.sinh(rest))
    return np.minimum(betas, beta_max)


BETAS = dict(linear=linear_betas, cosine=cosine_betas, scaled_linear=scaled_linear_betas, sigmoid=sigmoid_betas)


class Parameterization:
    """What the network is shown, what it is compared with, and what its answer means (src/diffusion/parameterization.rs)."""

    def __init__(self, spec, process):
        self.kind = spec if isinstance(spec, str) else spec["kind"]
        self.process = process
        settings = {} if isinstance(spec, str) else spec
        self.sigma_data, self.multiplier = settings.get("sigma_data"), settings.get("multiplier")

    def deviation(self, signal_scale, noise_scale):
        """d, the standard deviation of x_t."""
        return np.hypot(noise_scale, self.sigma_data * signal_scale)

    def input_scale(self, signal_scale, noise_scale):
        """What x_t is multiplied by before the network sees it; None where that is nothing."""
        if self.kind == "edm":
            return 1.0 / self.deviation(signal_scale, noise_scale)
        if self.kind == "fdm":
            least, largest = self.process.sigma[0], self.process.sigma[-1]
            u = (noise_scale / signal_scale - least) / (largest - least)
            b = self.multiplier * (0.1 * u + 9.95 * u * u)
            return np.exp(-b) * (1.0 + b) / signal_scale
        return None

    def network_input(self, noisy, t):
        """Of float32 images, each at its own timestep."""
        scale = self.input_scale(self.process.signal_scale[t], self.process.noise_scale[t])
        return noisy if scale is None else (noisy.astype(np.float64) * per_image(scale)).astype(np.float32)

    def target(self, images, noise, t):
        """What the prediction is compared with."""
        if self.kind == "epsilon":
            return noise
        if self.kind == "x0":
            return images
        signal, noisy = self.process.signal_scale[t], self.process.noise_scale[t]
        if self.kind == "v":
            straight = self.process.is_straight
            of_image, of_noise = (-np.ones_like(noisy), np.ones_like(signal)) if straight else (-noisy, signal)
        else:
            deviation = self.deviation(signal, noisy)
            of_image, of_noise = noisy / self.sigma_data / deviation, -self.sigma_data * signal / deviation
        target = per_image(of_noise) * noise.astype(np.float64) + per_image(of_image) * images.astype(np.float64)
        return target.astype(np.float32)

    def clean_from(self, x_t, predicted, signal_scale, noise_scale):
        """x_0, if `predicted` is right; of tensors or arrays at one noise level."""
        if self.kind == "epsilon":
            return (x_t - noise_scale * predicted) / signal_scale
        if self.kind == "v":
            return (x_t if self.process.is_straight else signal_scale * x_t) - noise_scale * predicted
        if self.kind == "x0":
            return predicted
        d = float(self.deviation(signal_scale, noise_scale))
        return self.sigma_data * (self.sigma_data * signal_scale * x_t / d + noise_scale * predicted) / d

    def clean_error(self):
        """How large the squared error of x_0 is at each timestep, if that of what is predicted is 1."""
        snr, sigma = self.process.snr, self.process.sigma
        if self.kind in ("edm", "fdm"):
            return (sigma * self.sigma_data) ** 2 / (sigma**2 + self.sigma_data**2)
        of_v = self.process.noise_scale**2 if self.process.is_straight else 1.0 / (snr + 1.0)
        return dict(epsilon=1.0 / snr, v=of_v, x0=np.ones_like(snr))[self.kind]


def loss_weights(weighting, parameterization, process, step):
    """lambda(t) at `step` (src/diffusion/loss_weighting.rs)."""
    kind, snr = weighting["kind"], process.snr
    if kind == "uniform":
        return np.ones_like(snr)
    if kind == "min_snr":
        return np.minimum(snr, weighting["gamma"]) * parameterization.clean_error()
    if kind == "p2":
        return (weighting["k"] + snr) ** -weighting["gamma"]
    if kind == "speed":
        return change_aware(process, weighting["lambda"], weighting["tau"])
    sigma, sigma_data = process.sigma, weighting["sigma_data"]
    on_clean = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    if kind == "fdm" and step < weighting["warm_up"]:
        start, end = weighting["cap_start"], weighting["cap_end"]
        on_clean = np.minimum(on_clean, start * (end / start) ** (step / weighting["warm_up"]))
    return on_clean * parameterization.clean_error()


def change_aware(process, share_of_change, tau):
    """SpeeD's weights: more where the process changes faster, below tau T."""
    last = process.timesteps - 1
    t = np.arange(last + 1)
    before, after = np.maximum(t - 1, 0), np.minimum(t + 1, last)
    changes = (process.alpha_bar[before] - process.alpha_bar[after]) / np.maximum(after - before, 1)
    least, spread = changes.min(), changes.max() - changes.min()
    share = (changes - least) / spread if spread > 0.0 else np.zeros_like(changes)
    weights = (1.0 - share_of_change) + (2.0 * share_of_change - 1.0) * share
    return np.where(t >= tau * process.timesteps, 1.0, weights)


class LearnedVariance:
    """The bounds between which a network with `learned_sigma` places the variance (src/diffusion/learned_variance.rs)."""

    def __init__(self, process):
        before = np.concatenate([[1.0], process.alpha_bar[:-1]])
        alpha = process.alpha_bar / before
        beta = 1.0 - alpha
        smallest = beta * (1.0 - before) / (1.0 - process.alpha_bar)
        smallest[0] = smallest[1]
        self.log_smallest = np.log(smallest)
        self.log_range = np.log(beta) - self.log_smallest
        self.mean_error = beta**2 / ((1.0 - process.alpha_bar) * alpha)


def assigned_noise(kind, images, noise):
    """Each image's noise: `noise` itself, or its rows in the order of the least sum of distances (immiscible) or of their squares."""
    if kind == "independent":
        return noise
    differences = images.reshape(len(images), 1, -1) - noise.reshape(1, len(noise), -1)
    distances = (differences.astype(np.float64) ** 2).sum(2)
    if kind == "immiscible":
        distances = np.sqrt(distances)
    return noise[assignment(np.rint(distances * 2.0**20).astype(np.int64))]


def assignment(cost):
    """The column of each row for which the sum of a square matrix is least (Kuhn-Munkres, by shortest augmenting paths)."""
    n = len(cost)
    rows, columns = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    row_of = np.full(n + 1, -1)  # of each column; the last is where a path begins
    infinity = np.iinfo(np.int64).max // 4
    for row in range(n):
        row_of[n], column = row, n
        least, way, used = np.full(n, infinity), np.zeros(n, np.int64), np.zeros(n + 1, bool)
        while row_of[column] >= 0:
            used[column] = True
            current = row_of[column]
            slack = cost[current] - rows[current] - columns[:n]
            free = ~used[:n]
            better = free & (slack < least)
            least[better], way[better] = slack[better], column
            nearest = int(np.where(free, least, infinity).argmin())
            delta = least[nearest]
            rows[row_of[used]] += delta
            columns[used] -= delta
            least[free] -= delta
            column = nearest
        while column != n:
            row_of[column] = row_of[way[column]]
            column = way[column]
    order = np.zeros(n, np.int64)
    order[row_of[:n]] = np.arange(n)
    return order
