"""A run's resolved settings (src/spec/): their defaults, and what this trainer refuses."""

import copy
import json
import math
import pathlib

CLASSES = dict(class_conditional=False, class_dropout=0.1)
TRANSFORMER = dict(patch=2, dim=128, depth=4, heads=4, mlp_ratio=4) | CLASSES
LEVELS = dict(channels=32, channel_multipliers=[1, 2], blocks_per_level=1, attention_resolutions=[], attention_heads=1, dropout=0.0)
ADAMW = dict(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.01)
ADAM = {key: value for key, value in ADAMW.items() if key != "weight_decay"}
FLIPS = dict(horizontal_flips=False)
BETAS = dict(timesteps=1000, beta_start=1e-4, beta_end=0.02)
CURRICULUM = dict(center=0.3, width=0.3, anneal=0.5)
SOLVER = dict(spacing="trailing", clip=True)

# Of each map with a `kind`: the default kind, and the settings of every kind with their defaults.
KINDS = {
    "data": ("digits", dict(digits=FLIPS, mnist={}, fashion_mnist=FLIPS, cifar10=FLIPS)),
    "noise_schedule": (
        "linear",
        dict(
            linear=BETAS,
            cosine=dict(timesteps=1000, offset=0.008, beta_max=0.999),
            scaled_linear=BETAS | dict(beta_start=0.00085, beta_end=0.012),
            sigmoid=dict(timesteps=1000, start=-3.0, end=3.0, tau=1.0, beta_max=0.999),
            rectified_flow=dict(timesteps=1000),
        ),
    ),
    "parameterization": (
        "epsilon",
        dict(epsilon={}, v={}, x0={}, edm=dict(sigma_data=0.5), fdm=dict(sigma_data=0.5, multiplier=2.0)),
    ),
    "model": (
        "unet",
        dict(
            unet=LEVELS | dict(norm_groups=8) | CLASSES,
            adm=LEVELS
            | dict(head_channels=None, scale_shift_norm=True, resblock_updown=True, learned_sigma=False, norm_groups=32)
            | CLASSES,
            dit=TRANSFORMER | dict(learned_sigma=False, mask_token=False),
            uvit=TRANSFORMER,
        ),
    ),
    "timestep_sampler": (
        "uniform",
        dict(
            uniform={},
            curriculum=CURRICULUM,
            paced_curriculum=CURRICULUM | dict(pacing="cosine"),
            log_snr_curriculum=dict(center=-0.43, width=4.0, anneal=0.5, pacing="linear"),
            curriculum_sampling=dict(center=0.5, width=0.2, switch=0.5),
            logit_normal=dict(mean=0.0, deviation=1.0),
            shifted=dict(shift=3.0),
            mode=dict(scale=1.29),
            laplace=dict(mean=0.0, scale=0.5),
            edm=dict(mean=-1.2, deviation=1.2),
            speed=dict(k=5.0, tau=0.7),
            loss_second_moment=dict(history=10, uniform=0.001),
            task_difficulty=dict(clusters=20, clustering="timestep", patience=200, smoothing=0.99),
        ),
    ),
    "noise": ("independent", dict(independent={}, immiscible={}, optimal_transport={})),
    "loss_weighting": (
        "uniform",
        dict(
            uniform={},
            min_snr=dict(gamma=5.0),
            p2=dict(k=1.0, gamma=1.0),
            edm=dict(sigma_data=0.5),
            speed={"lambda": 0.6, "tau": 0.7},
            fdm=dict(sigma_data=0.5, warm_up=200, cap_start=5.0, cap_end=500.0),
        ),
    ),
    "optimizer": (
        "adam",
        dict(
            adam=ADAM,
            adamw=ADAMW,
            muon=dict(learning_rate=0.02, beta1=0.95, nesterov=True, weight_decay=0.0, scale="original")
            | dict(newton_schulz_steps=5, others=ADAMW),
        ),
    ),
    "momentum": ("constant", dict(constant={}, demon={}, linear=dict(end=0.0), exponential=dict(decay=0.9995, floor=0.4))),
    "lr_schedule": (
        "constant",
        dict(constant={}, linear=dict(end=0.0), cosine=dict(end=0.0), momentum_compensated={})
        | dict(wsd=dict(decay=0.2, end=0.0, shape="linear"), inverse_sqrt=dict(reference_steps=70000)),
    ),
    # With a weight, digits-cnn alone is done here.
    "auxiliary_losses.alignment.encoder": (
        "efficientnet-lite0",
        {"efficientnet-lite0": dict(side=224, stride=16), "digits-cnn": {}},
    ),
    "train.ema": (
        "exponential",
        dict(exponential={}, half_life=dict(images=500000, ramp_up=0.0), power=dict(sigma_rel=0.1)),
    ),
    "evaluate.fid.ode": (
        "ddim",
        dict(
            ddim=dict(steps=20, eta=0.0, shift=1.0) | SOLVER,
            euler=dict(steps=20, shift=1.0) | SOLVER | dict(clip=False),
            ddpm=dict(steps=250, variance="small") | SOLVER,
            heun=dict(steps=18, shift=1.0) | SOLVER | dict(spacing="karras"),
            dpm_solver_pp=dict(steps=20, shift=1.0) | SOLVER,
        ),
    ),
}
# Maps without a kind. What Speedlab alone does with the images, or around the run, is only passed over.
MAPS = {
    "auxiliary_losses": dict(contrastive=0.0, dispersive={}, alignment={}),
    "auxiliary_losses.alignment": dict(weight=0.0, encoder={}, weights="", weights_sha256="", block=2, hidden=256, until=1.0),
    "auxiliary_losses.dispersive": dict(weight=0.0, temperature=0.5, block=1),
    "token_routing": dict(share=0.0, first_block=2, last_block=3),
    "token_masking": dict(share=0.0, decoder_blocks=1, reconstruction=0.1, until=0.9),
    "train": dict(steps=2000, batch_size=64, batch_schedule=[], resolution_schedule=[], warmup_steps=0, clip_norm=1.0, ema_decay=0.999, ema={}, log_every=10)
    | dict(checkpoint_seconds=30.0, precision="f32"),
    "evaluate": dict(every=200, fid={}, validation={}, grid_images=64, measures=[], weights="averaged")
    | dict(consistency={}, difficulty={}, also=[]),
    "evaluate.fid": dict(samples=1000, features="digits-cnn", weights="", weights_sha256="", reference="train", reference_folder="")
    | dict(reference_file="", reference_sha256="", resize="customary", ode={}, guidance=1.0, precision="f32"),
    "evaluate.validation": dict(bins=10, images=64),
    "evaluate.consistency": dict(images=0, every=0),
    "evaluate.difficulty": dict(images=0, every=0),
    "optimizer.others": ADAMW,
}
# Values that are known to Speedlab and not done here.
REFUSED = {
    "evaluate.weights": lambda value: value == "both" and "one set of images is handed over at a step",
    "evaluate.also": lambda value: value != [] and "one set of images is handed over at a step",
    "evaluate.fid.precision": lambda value: value != "f32" and "images are generated in f32 here",
    "evaluate.difficulty.images": lambda value: value > 0 and "the gradient of the validation loss is not computed here",
}


class Refused(Exception):
    """A setting that this trainer does not do."""


def load(path):
    """The settings in a file: a run folder's spec.json, or what is in it as `spec`."""
    found = json.loads(pathlib.Path(path).read_text())
    while "spec" in found or "run" in found:
        found = found.get("spec") or found.get("run")
    return resolve(found)


def resolve(spec):
    """`spec` with every key; raises `Refused` for what is not known or not done here."""
    spec = dict(spec)
    # Of the file that a run is asked for with, these are not what is trained.
    for key in ("version", "trainer", "params"):
        spec.pop(key, None)
    top = {**{key: {} for key in [*KINDS, "train", "evaluate", "auxiliary_losses", "token_routing", "token_masking"] if "." not in key}, "seed": 0}
    unknown(spec, top, "")
    found = {key: filled(key, spec.get(key, default)) for key, default in top.items()}
    alignment = found["auxiliary_losses"]["alignment"]
    encoder = alignment["encoder"]["kind"]
    if alignment["weight"] > 0.0 and encoder != "digits-cnn":
        raise Refused(f"`auxiliary_losses.alignment.encoder: {encoder}` is not done by this trainer: it aligns with digits-cnn alone")
    return found


def filled(path, value):
    """The value at `path` with the defaults of what it leaves out."""
    prefix = path + "."
    if path in KINDS:
        default, kinds = KINDS[path]
        value = {"kind": value} if isinstance(value, str) else dict(value)
        kind = value.setdefault("kind", default)
        if kind not in kinds:
            raise Refused(f"`{path}.kind: {kind}` is not done by this trainer")
        defaults = {"kind": kind, **kinds[kind]}
    elif path in MAPS:
        value, defaults = dict(value), MAPS[path]
    else:
        reason = REFUSED.get(path, lambda value: None)(value)
        if reason:
            raise Refused(f"`{path}: {value}` is not done by this trainer: {reason}")
        if isinstance(value, float) and not math.isfinite(value):
            raise Refused(f"`{path}` is {value}")
        return copy.deepcopy(value)
    unknown(value, defaults, prefix)
    return {key: filled(prefix + key, value.get(key, default)) for key, default in defaults.items()}


def unknown(value, known, prefix):
    for key in value:
        if key not in known:
            raise Refused(f"`{prefix}{key}` is not known to this trainer")
