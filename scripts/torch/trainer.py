"""A run between two steps: what src/train/trainer.rs does, in PyTorch."""

import collections
import concurrent.futures
import copy
import math

import numpy as np
import torch

import data
import draws
from aligned_tokens import DigitsCnn, misalignment
from diffusion import ForwardProcess, Parameterization, assigned_noise, loss_weights
from evaluation import Evaluation
from hybrid_loss import HybridLoss
from networks import build, dropout_masks
from optim import Optimizer, average, clip, ema_decay, rates
from schedules import Sizes, smaller
from timestep_samplers import timestep_sampler

# Steps drawn ahead, and threads that draw them, where a device works on its own.
AHEAD, DRAWING_THREADS = 8, 4
# Losses are read from the device every so many steps, at the latest.
UNREAD_STEPS = 10


def dispersion(tokens, temperature):
    """ln(mean of exp(-D_ij / temperature)) over all pairs of images, D_ij their squared distance over the number of values."""
    rows = tokens.flatten(1)
    rows = rows - rows.mean(0, keepdim=True)
    squares = rows.square().sum(1)
    distances = (squares[:, None] + squares[None, :] - 2.0 * rows @ rows.T).clamp(min=0.0) / rows.shape[1]
    return (-distances / temperature).exp().mean().log()


class Diverged(Exception):
    """The loss or the gradient is no longer finite."""


class Trainer:
    """Trains the network of `spec` on `device`; `options` are compile, channels_last, precision and data_dir.

    Each batch is computed in `micro_batches` parts, one after the other, which saves memory.
    """

    def __init__(self, spec, device, options, micro_batches=1):
        self.spec, self.device, self.options = spec, torch.device(device), options
        self.micro_batches = micro_batches
        self.contrastive, self.dispersive = spec["auxiliary_losses"]["contrastive"], spec["auxiliary_losses"]["dispersive"]
        if self.dispersive["weight"] > 0.0 and micro_batches > 1:
            raise ValueError("auxiliary_losses.dispersive compares all images of a batch, so that it cannot be computed in parts")
        self.shape = data.SHAPES[spec["data"]["kind"]]
        self.sizes = Sizes(spec["train"], self.shape[1])
        self.images, held_out = data.load(spec["data"]["kind"], options["data_dir"])
        self.order = data.BatchOrder(len(self.images), spec["seed"])
        self.process = ForwardProcess(spec["noise_schedule"])
        self.parameterization = Parameterization(spec["parameterization"], self.process)
        self.sampler = timestep_sampler(spec, self.process)
        self.is_cuda = self.device.type == "cuda"
        self.layout = torch.channels_last if options["channels_last"] else torch.contiguous_format
        self.alignment, self.encoder, self.aligned_steps = spec["auxiliary_losses"]["alignment"], None, 0
        hidden = None
        if self.alignment["weight"] > 0.0:
            self.encoder, hidden = DigitsCnn(), self.alignment["hidden"]
            self.aligned_steps = math.ceil(self.alignment["until"] * spec["train"]["steps"])
        self.net = build(spec["model"], self.shape, spec["seed"], hidden).to(self.device).to(memory_format=self.layout)
        self.averaged = copy.deepcopy(self.net).requires_grad_(False).eval()
        self.forward = torch.compile(self.net) if options["compile"] else self.net
        if self.dispersive["weight"] > 0.0:
            self.net.tapped_block = self.dispersive["block"]
        if self.encoder is not None:
            self.net.aligned_block = self.alignment["block"]
        self.routing, self.masking = spec["token_routing"], spec["token_masking"]
        self.masked_steps = 0
        if self.routing["share"] > 0.0:
            self.net.detour = self.routing["first_block"], self.routing["last_block"]
        elif self.masking["share"] > 0.0:
            self.net.detour, self.net.masked = (1, spec["model"]["depth"] - self.masking["decoder_blocks"]), True
            self.masked_steps = math.ceil(self.masking["until"] * spec["train"]["steps"])
        self.parameters = list(self.net.parameters())
        self.optimizer = Optimizer(spec, self.net)
        self.learns_sigma = spec["model"].get("learned_sigma", False)
        self.hybrid = HybridLoss(self.process, self.device) if self.learns_sigma else None
        self.evaluation = Evaluation(spec, self.process, self.parameterization, held_out, self.shape, self.device)
        self.step, self.evaluated_step = 0, 0
        self.weigh()
        self._unread, self._window = [], []
        self._ahead, self._threads = collections.OrderedDict(), None
        if self.is_cuda and not self.sampler.observes_losses:
            self._threads = concurrent.futures.ThreadPoolExecutor(min(DRAWING_THREADS, torch.get_num_threads()))
        self.set_precision(options["precision"])

    def set_precision(self, precision):
        """Whether tensor cores may round the factors of products."""
        if self.is_cuda:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "f32"
            torch.backends.cudnn.benchmark = True

    def weigh(self):
        """Takes the loss weights of this step."""
        self._weights = loss_weights(self.spec["loss_weighting"], self.parameterization, self.process, self.step)
        self._weights_on_device = torch.from_numpy(self._weights).float().to(self.device)

    def draw(self, step):
        """What the step after `step` steps learns from: functions of (seed, stream, step), on the host."""
        spec, seed, batch_size, side = self.spec, self.spec["seed"], self.sizes.batch(step), self.sizes.side(step)
        indices = self.order.indices(self.sizes.images(step), batch_size)
        images = data.batch_pixels(self.images, indices, spec["data"].get("horizontal_flips", False), seed, step)
        images = smaller(images, side)
        t, importance = self.sampler.draw(draws.Draws(seed, draws.TIMESTEPS, step).uniforms(batch_size), step)
        noise = draws.Draws(seed, draws.NOISE, step).normals(images.size).reshape(images.shape)
        noise = assigned_noise(spec["noise"]["kind"], images, noise)
        shown = self.parameterization.network_input(self.process.add_noise(images, noise, t), t)
        arrays = dict(images=images, shown=shown, target=self.parameterization.target(images, noise, t), t=t)
        arrays["importance"] = importance
        if self.contrastive > 0.0:
            arrays["others"] = np.roll(arrays["target"], -1, 0)
        if spec["model"]["class_conditional"]:
            dropout = spec["model"]["class_dropout"]
            arrays["classes"] = data.batch_classes(self.images.labels[indices], dropout, self.shape[2], seed, step)
        share = self.masking["share"] if step < self.masked_steps else self.routing["share"]
        if share > 0.0:
            row = side // self.net.patch
            patches = row**2
            left_out = math.floor(share * patches + 0.5)
            arrays["kept"] = draws.Draws(seed, draws.PATCHES, step).subsets(batch_size, patches, patches - left_out)
            if step < self.masked_steps:
                for name, masked in (("shown_pixels", 0.0), ("all_pixels", self.masking["reconstruction"])):
                    weights = np.full((batch_size, patches), masked * patches / left_out, np.float32)
                    np.put_along_axis(weights, arrays["kept"], np.float32(patches / (patches - left_out)), 1)
                    pixels = weights.reshape(-1, 1, row, row)
                    arrays[name] = pixels.repeat(self.net.patch, 2).repeat(self.net.patch, 3)
        if step < self.aligned_steps:
            features = self.encoder.features(images, side // self.net.patch).numpy()
            if share > 0.0 and self.net.detour[0] <= self.alignment["block"] < self.net.detour[1]:
                features = np.take_along_axis(features, arrays["kept"][:, :, None], 1)
            arrays["features"] = features
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        tensors["masks"] = dropout_masks(self.net, batch_size, seed, step, self.sizes.full_side // side)
        if self.is_cuda:
            pinned = lambda tensor: tensor.pin_memory()
            masks = [pinned(mask) for mask in tensors.pop("masks")]
            tensors = {name: pinned(tensor) for name, tensor in tensors.items()} | {"masks": masks}
        return tensors

    def batch(self, step):
        """The batch of a step on the device; on a GPU it was drawn while others were worked on."""
        if self._threads is None:
            drawn = self.draw(step)
        else:
            for later in range(step, min(step + AHEAD, self.spec["train"]["steps"])):
                if later not in self._ahead:
                    self._ahead[later] = self._threads.submit(self.draw, later)
            drawn = self._ahead.pop(step).result()
        return self.sent(drawn)

    def sent(self, drawn):
        send = lambda tensor: tensor.to(self.device, non_blocking=True)
        masks = [send(mask) for mask in drawn.pop("masks")]
        return {name: send(tensor) for name, tensor in drawn.items()} | {"masks": masks}

    def losses(self, batch, batch_size):
        """What images add to the loss of their batch of `batch_size`; where the timestep sampler observes losses, that of each image too."""
        t, channels = batch["t"], self.shape[0]
        weights = self._weights_on_device[t] * batch["importance"]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options["precision"] == "bf16"):
            shown = batch["shown"].contiguous(memory_format=self.layout)
            kept = [batch["kept"]] if "kept" in batch else []
            predicted = self.forward(shown, t.float(), batch.get("classes"), batch["masks"], *kept)
        predicted = predicted.float()
        errors = predicted[:, :channels] - batch["target"]
        squares = errors.square()
        objective = squares
        if self.contrastive > 0.0:
            objective = squares - self.contrastive * (predicted[:, :channels] - batch["others"]).square()
        loss = (objective * weights.reshape(-1, 1, 1, 1) * batch.get("all_pixels", 1.0)).mean()
        bound, shown_pixels = None, batch.get("shown_pixels", 1.0)
        if self.hybrid is not None:
            bound = self.hybrid.bound(errors, predicted[:, channels:], batch["images"], t) * shown_pixels
            loss = loss + (bound * batch["importance"].reshape(-1, 1, 1, 1)).mean()
        if self.dispersive["weight"] > 0.0:
            loss = loss + self.dispersive["weight"] * dispersion(self.net.tapped.float(), self.dispersive["temperature"])
        if "features" in batch:
            projected = self.net.projection(self.net.aligned.float())
            loss = loss + self.alignment["weight"] * misalignment(projected, batch["features"])
        loss = loss * (len(t) / batch_size)
        if not self.sampler.observes_losses:
            return loss, np.empty(0, np.float32)
        mean = lambda values: values.detach().double().flatten(1).mean(1).cpu().numpy()
        of_images = self._weights[t.cpu().numpy()] * mean(squares * shown_pixels) + (0.0 if bound is None else mean(bound))
        return loss, of_images.astype(np.float32)

    def gradients(self, batch):
        """(loss, its gradients, losses of the images) of a batch, part by part."""
        total, sums, of_images = 0.0, None, []
        batch_size = len(batch["t"])
        parts = min(self.micro_batches, batch_size)
        for part in [slice(part * batch_size // parts, (part + 1) * batch_size // parts) for part in range(parts)]:
            cut = {name: tensor[part] for name, tensor in batch.items() if name != "masks"}
            loss, losses = self.losses(cut | {"masks": [mask[part] for mask in batch["masks"]]}, batch_size)
            of_part = torch.autograd.grad(loss, self.parameters, allow_unused=True)
            of_part = [torch.zeros_like(p) if g is None else g for p, g in zip(self.parameters, of_part)]
            sums = of_part if sums is None else torch._foreach_add(sums, of_part)
            total = total + loss.detach().double()
            of_images.append(losses)
        return total, list(sums), np.concatenate(of_images)

    def train_step(self):
        """One update. Raises `Diverged`, at the latest ten steps after it happened."""
        if 0 < self.step <= self.spec["loss_weighting"].get("warm_up", 0):
            self.weigh()
        batch = self.batch(self.step)
        loss, gradients, of_images = self.gradients(batch)
        with torch.no_grad():
            norm = clip(gradients, self.spec["train"]["clip_norm"])
        self.optimizer.step(gradients, self.step)
        average(list(self.averaged.parameters()), self.parameters, ema_decay(self.spec, self.step))
        self._unread.append(torch.stack([loss, norm]))
        self.step += 1
        if self.sampler.observes_losses:
            self.read()
            self.sampler.observe(batch["t"].cpu().numpy(), of_images)
        elif len(self._unread) >= UNREAD_STEPS or not self.is_cuda:
            self.read()

    def read(self):
        """Waits for the device, and reads the losses and norms of the last steps."""
        if self._unread:
            for index, (loss, norm) in enumerate(torch.stack(self._unread).tolist()):
                step = self.step - len(self._unread) + index + 1
                if not math.isfinite(loss):
                    raise Diverged(f"the loss is {loss} at step {step}")
                if not math.isfinite(norm):
                    raise Diverged(f"the gradient's norm is {norm} at step {step}")
                self._window.append((loss, norm))
            self._unread = []

    def recorded_mean(self):
        """What is recorded of the last `train.log_every` steps, where they are full or the run is at its end."""
        train = self.spec["train"]
        if self.step % train["log_every"] != 0 and self.step != train["steps"]:
            return None
        self.read()
        if not self._window:
            return None
        loss, norm = (sum(values) / len(self._window) for values in zip(*self._window))
        self._window = []
        learning_rate, beta1 = rates(self.spec, self.step - 1)
        return dict(loss=loss, gradient_norm=norm, learning_rate=learning_rate, beta1=beta1)

    def warm_up(self):
        """Computes a step of every size for nothing, so that no compiler or search for kernels falls into the time of training."""
        if self.is_cuda or self.options["compile"]:
            for step in self.sizes.starts(self.step):
                self.gradients(self.sent(self.draw(step)))
            if self.is_cuda:
                torch.cuda.synchronize(self.device)

    def images_seen(self):
        return self.sizes.images(self.step)

    def evaluation_due(self):
        every, steps = self.spec["evaluate"]["every"], self.spec["train"]["steps"]
        due = self.step % every == 0 or self.step == steps
        return self.step > 0 and due and self.evaluated_step != self.step

    def evaluate(self):
        """(generated images, loss on held-out images), in f32 whatever the precision of training."""
        raw = self.spec["evaluate"]["weights"] == "raw"
        network = self.net if raw else self.averaged
        self.set_precision("f32")
        try:
            return self.evaluation.images(network), self.evaluation.validation(network)
        finally:
            self.set_precision(self.options["precision"])

    def state(self):
        """All that the next step depends on."""
        self.read()
        return dict(
            step=self.step,
            evaluated_step=self.evaluated_step,
            window=self._window,
            weights=self.parameters,
            averaged=list(self.averaged.parameters()),
            optimizer=self.optimizer.rule.state(),
            sampler=self.sampler.state(),
        )

    @torch.no_grad()
    def restore(self, state):
        """Goes on where `state` was taken."""
        self.step, self.evaluated_step, self._window = state["step"], state["evaluated_step"], state["window"]
        torch._foreach_copy_(self.parameters, state["weights"])
        torch._foreach_copy_(list(self.averaged.parameters()), state["averaged"])
        self.optimizer.rule.restore(state["optimizer"])
        self.sampler.restore(state["sampler"])
        self.weigh()
