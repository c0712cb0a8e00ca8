"""What trains the variance of a network with `learned_sigma` (src/train/hybrid_loss.rs)."""

import math

import numpy as np
import torch

from diffusion import LearnedVariance

BOUND_WEIGHT = 0.001
HALF_LEVEL = 1.0 / 255.0
RANGE_END = 0.999
LEAST_PROBABILITY = 1e-12


class HybridLoss:
    """lambda L_vlb, whose gradient with respect to the predicted epsilon is stopped."""

    def __init__(self, process, device):
        variance = LearnedVariance(process)
        self.factor = BOUND_WEIGHT * process.timesteps / math.log(2.0)
        self.first = [float(table[0]) for table in (variance.mean_error, variance.log_range, variance.log_smallest)]
        log_range = variance.log_range.copy()
        mean_error = variance.mean_error / np.exp(variance.log_smallest)
        log_range[0] = mean_error[0] = 0.0  # the divergence is none at t = 0
        self.log_range, self.mean_error = (torch.from_numpy(table).float().to(device) for table in (log_range, mean_error))

    def bound(self, errors, v, images, timesteps):
        """lambda L_vlb of each pixel."""
        errors, share = errors.detach(), (v + 1.0) / 2.0
        of_image = lambda table: table[timesteps].reshape(-1, 1, 1, 1)
        log_ratio = share * of_image(self.log_range)
        grown = errors.square() * of_image(self.mean_error) + 1.0
        nats = (log_ratio + grown * torch.exp(-log_ratio) - 1.0) / 2.0
        is_first = (timesteps == 0).float().reshape(-1, 1, 1, 1)
        return (nats + self.decoder(errors, share, images) * is_first) * self.factor

    def decoder(self, errors, share, images):
        """The term of t = 0, as if all images were there."""
        mean_error, log_range, log_smallest = self.first
        lowest, highest = (images < -RANGE_END).float(), (images > RANGE_END).float()
        centered = errors * math.sqrt(mean_error)
        precision = torch.exp(-(share * (log_range / 2.0) + log_smallest / 2.0))
        below = lambda bound: (torch.erf(bound * precision * math.sqrt(0.5)) + 1.0) / 2.0
        above_level, below_level = below(centered + HALF_LEVEL), below(centered - HALF_LEVEL)
        upper = above_level + (1.0 - above_level) * highest
        lower = below_level - below_level * lowest
        return -(upper - lower).clamp(min=LEAST_PROBABILITY).log()
