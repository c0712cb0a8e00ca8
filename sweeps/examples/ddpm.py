"""A small DDPM in PyTorch (Ho et al. 2020, arXiv 2006.11239) on 8x8 digits, as one writes it; what makes it an arm of a Speedlab sweep is
marked with `speedlab`. The sweep beside it, ddpm.yaml, asks which learning-rate schedule is faster.

    speedlab trainer --python > sweeps/examples/speedlab_run.py
    speedlab run sweeps/examples/ddpm.yaml

Without Speedlab it trains all the same: python3 sweeps/examples/ddpm.py
"""

import copy
import math
import pathlib
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import speedlab_run  # speedlab

T = 1000
DIGITS = pathlib.Path(__file__).parents[2] / "src/data/digits.bin"


class Block(nn.Module):
    def __init__(self, channels, width):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(4, channels), nn.GroupNorm(4, width)
        self.conv1, self.conv2 = nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.time, self.skip = nn.Linear(64, width), nn.Conv2d(channels, width, 1)

    def forward(self, x, t):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(t)[:, :, None, None]
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


class Net(nn.Module):
    """Predicts the noise in images [n, 1, 8, 8] at timesteps [n]."""

    def __init__(self, width):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(32, 64), nn.SiLU(), nn.Linear(64, 64))
        self.first, self.last = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, 1, 3, padding=1)
        self.down, self.middle = Block(width, width), Block(width, 2 * width)
        self.up = Block(3 * width, width)

    def forward(self, x, t):
        angles = t[:, None] * torch.exp(-math.log(10_000) * torch.arange(16, device=x.device) / 16)
        t = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        high = self.down(self.first(x), t)
        low = F.interpolate(self.middle(F.avg_pool2d(high, 2), t), scale_factor=2)
        return self.last(F.silu(self.up(torch.cat([high, low], 1), t)))


def sample(net, count, abar, steps=20):
    """DDIM without noise (Song et al. 2021, arXiv 2010.02502), always from the same noise."""
    x = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(0)).to(abar.device)
    times = torch.linspace(T - 1, 0, steps + 1).long().tolist()
    with torch.no_grad():
        for now, then in zip(times, times[1:]):
            noise = net(x, torch.full((count,), now, device=x.device))
            image = ((x - (1 - abar[now]).sqrt() * noise) / abar[now].sqrt()).clamp(-1, 1)
            x = abar[then].sqrt() * image + (1 - abar[then]).sqrt() * noise
    return image


def main():
    run = speedlab_run.start(params={"width": 16, "learning_rate": 2e-3, "schedule": "constant"}, steps=600, batch_size=64)  # speedlab
    width, rate, schedule = (run.params[key] for key in ("width", "learning_rate", "schedule"))
    torch.manual_seed(run.seed)
    torch.set_num_threads(run.threads)
    images = np.fromfile(DIGITS, np.uint8).reshape(-1, 65)[:, :64].reshape(-1, 1, 8, 8)
    images = torch.from_numpy(images).float().to(run.device) / 8 - 1
    abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, T), 0).to(run.device)
    net = Net(width).to(run.device)
    average = copy.deepcopy(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)

    checkpoint = run.checkpoints / "state.pt"
    step = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        step = state["step"]
        for part, name in [(net, "net"), (average, "average"), (optimizer, "optimizer")]:
            part.load_state_dict(state[name])
    run.begin(step)  # speedlab

    while step < run.steps:
        # Drawn from the step alone, so that a run that was stopped goes on as if it had not been.
        draws = torch.Generator().manual_seed(run.seed * 1_000_003 + step)
        x = images[torch.randint(len(images), (run.batch_size,), generator=draws)]
        t = torch.randint(T, (run.batch_size,), generator=draws).to(run.device)
        noise = torch.randn(x.shape, generator=draws).to(run.device)
        a = abar[t][:, None, None, None]
        loss = F.mse_loss(net(a.sqrt() * x + (1 - a).sqrt() * noise, t), noise)
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / run.steps if schedule == "linear" else 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), net.parameters()):
                slow.lerp_(fast, 0.02)
        run.progress(step, loss=loss.item())  # speedlab

        if step % 30 == 0:
            with run.evaluating():  # speedlab
                count = run.spec["evaluate"]["fid"]["samples"] if run.spec else 16
                path = run.output / "samples.npz"
                pictures = sample(average, count, abar).permute(0, 2, 3, 1).cpu().numpy()
                np.savez(path, ((pictures + 1) * 127.5).round().astype(np.uint8))
            run.samples(step, path)  # speedlab
        if run.should_checkpoint() or run.should_stop():  # speedlab
            with run.saving():  # speedlab
                state = {"step": step, "net": net.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
                torch.save(state, checkpoint.with_suffix(".new"))
                checkpoint.with_suffix(".new").rename(checkpoint)
            run.checkpointed(step)  # speedlab
        if run.should_stop():  # speedlab
            break
    run.end()  # speedlab


main()
