"""tests/golden/hybrid_loss.json: the hybrid loss of Nichol and Dhariwal 2021 (arXiv 2102.09672) and its gradients, in f64.

    python scripts/golden/hybrid_loss.py

Written from the formulas: Gaussians as torch.distributions has them, their divergence by torch.distributions.kl_divergence,
means from x_0 and x_t (Ho et al. 2020, equations 6 and 7), not from the error of epsilon as src/train/hybrid_loss.rs has it.
"""

import json
import math
import pathlib

import torch
from torch.distributions import Normal, kl_divergence

LAMBDA = 0.001
SHAPE = (1, 2, 2)


def formula(count, start=0):
    return torch.sin(torch.arange(start + 1, start + count + 1).double() ** 2)


def linear(timesteps):
    return torch.linspace(1e-4, 0.02, timesteps, dtype=torch.float64)


def cosine(timesteps):
    bar = lambda t: math.cos((t / timesteps + 0.008) / 1.008 * math.pi / 2) ** 2
    return torch.tensor([min(1 - bar(t + 1) / bar(t), 0.999) for t in range(timesteps)], dtype=torch.float64)


def hybrid(betas, images, noise, epsilon, v, timesteps):
    """The simple loss and lambda L_vlb, means over pixels and images."""
    alpha_bar = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
    posterior = betas * (1 - before) / (1 - alpha_bar)
    bound = []
    for image, noise_of, epsilon_of, v_of, t in zip(images, noise, epsilon.detach(), v, timesteps):
        noisy = alpha_bar[t].sqrt() * image + (1 - alpha_bar[t]).sqrt() * noise_of
        predicted = (noisy - (1 - alpha_bar[t]).sqrt() * epsilon_of) / alpha_bar[t].sqrt()

        def mean(clean):
            return (
                betas[t] * before[t].sqrt() / (1 - alpha_bar[t]) * clean
                + (1 - before[t]) * (1 - betas[t]).sqrt() / (1 - alpha_bar[t]) * noisy
            )

        smallest = posterior[max(t, 1)]
        share = (v_of + 1) / 2
        deviation = torch.exp((share * betas[t].log() + (1 - share) * smallest.log()) / 2)
        backward = Normal(mean(predicted), deviation)
        if t > 0:
            nats = kl_divergence(Normal(mean(image), smallest.sqrt()), backward)
        else:
            upper = torch.where(image > 0.999, torch.ones_like(image), backward.cdf(image + 1 / 255))
            lower = torch.where(image < -0.999, torch.zeros_like(image), backward.cdf(image - 1 / 255))
            nats = -torch.log((upper - lower).clamp(min=1e-12))
        bound.append(nats / math.log(2))
    simple = ((epsilon - noise) ** 2).mean()
    return simple, LAMBDA * len(betas) * torch.stack(bound).mean()


def case(name, betas, timesteps):
    batch = len(timesteps)
    size = batch * math.prod(SHAPE)
    shape = (batch, *SHAPE)
    images = formula(size).reshape(shape)
    images[0, 0, 0, 0], images[0, 0, 1, 1] = -1.0, 1.0
    noise = formula(size, 1000).reshape(shape)
    epsilon = (noise + 0.3 * formula(size, 2000).reshape(shape)).requires_grad_()
    v = (1.5 * formula(size, 3000).reshape(shape)).requires_grad_()
    simple, bound = hybrid(betas, images, noise, epsilon, v, timesteps)
    (simple + bound).backward()
    listed = lambda tensor: [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]
    return dict(
        noise_schedule=name,
        timesteps=timesteps,
        images=listed(images),
        noise=listed(noise),
        epsilon=listed(epsilon),
        v=listed(v),
        simple=float(f"{simple.item():.9g}"),
        bound=float(f"{bound.item():.9g}"),
        epsilon_gradient=listed(epsilon.grad),
        v_gradient=listed(v.grad),
    )


def main():
    cases = [
        case("linear", linear(1000), [0, 1, 2, 50, 400, 999]),
        case("linear", linear(1000), [0, 0, 0]),
        case("cosine", cosine(1000), [0, 1, 10, 300, 700, 999]),
        case("cosine", cosine(1000), [3, 600]),
    ]
    lines = ",\n".join(json.dumps(case) for case in cases)
    pathlib.Path("tests/golden/hybrid_loss.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
