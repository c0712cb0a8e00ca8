"""What is measured of the averaged weights: images for Speedlab, and the loss on held-out images (src/evaluate/)."""

import math

import numpy as np
import torch

import draws
from ode_samplers import BATCH_IMAGES, Generation


class NotFinite(Exception):
    """The network's answer is no number."""


class Evaluation:
    """`held_out` are the images that nothing was trained on."""

    def __init__(self, spec, process, parameterization, held_out, image_shape, device):
        self.spec, self.process, self.parameterization, self.device = spec, process, parameterization, device
        self.generation = Generation(spec, process, parameterization, image_shape, device)
        self.channels, self.side, classes = image_shape
        self.tells_classes = spec["model"]["class_conditional"]
        self._noised = self.noised(held_out)

    def noised(self, held_out):
        """Held-out images, each at one timestep of every bin: input, target, timesteps and classes."""
        settings, count = self.spec["evaluate"]["validation"], self.process.timesteps
        images, bins = settings["images"], settings["bins"]
        values = self.channels * self.side**2
        starts = [-(-bin * count // bins) for bin in range(bins + 1)]
        timesteps, noise = [], []
        for index in range(images):
            stream = draws.Draws(0, draws.VALIDATION, index)
            timesteps += [start + stream.below(end - start) for start, end in zip(starts, starts[1:])]
            noise.append(stream.normals(bins * values))
        indices = np.repeat(np.arange(images), bins)
        clean, t = held_out.pixels(indices), np.array(timesteps)
        noise = np.concatenate(noise).reshape(clean.shape)
        shown = self.parameterization.network_input(self.process.add_noise(clean, noise, t), t)
        target = self.parameterization.target(clean, noise, t)
        return shown, target, t.astype(np.float32), held_out.labels[indices]

    @torch.no_grad()
    def images(self, network):
        """`evaluate.fid.samples` generated images; raises `NotFinite` if the network's answers are not."""
        bad = []

        def predict(noisy, t, classes):
            predicted = network(noisy, t, classes).float()
            bad.append(~torch.isfinite(predicted).all())
            return predicted

        images = self.generation.images(predict, self.spec["evaluate"]["fid"]["samples"])
        if torch.stack(bad).any():
            raise NotFinite("the network's answer is not finite while images are generated")
        return images

    @torch.no_grad()
    def validation(self, network):
        """The mean squared error on held-out images by name, and how it was measured."""
        shown, target, t, labels = self._noised
        bins, sums = self.spec["evaluate"]["validation"]["bins"], []
        for first in range(0, len(t), BATCH_IMAGES):
            part = slice(first, first + BATCH_IMAGES)
            tensors = [torch.from_numpy(values[part]).to(self.device) for values in (shown, t, labels)]
            predicted = network(tensors[0], tensors[1], tensors[2] if self.tells_classes else None)[:, : self.channels]
            errors = predicted.float().cpu().numpy() - target[part]
            sums.append((errors.astype(np.float64) ** 2).reshape(len(errors), -1).sum(1))
        by_bin = np.concatenate(sums).reshape(-1, bins).mean(0) / (self.channels * self.side**2)
        if not math.isfinite(by_bin.sum()):
            raise NotFinite("the validation loss is not finite")
        return float(by_bin.mean())
