"""ACT-JEPA's two branches on a pendulum that has to be swung up: a chunk of actions, and the latents of what is seen next.

Source: ACT-JEPA (Vujinovic & Kovacevic 2025, arXiv 2501.14622) as summarised; no official code was found.
Kept: one encoder of the current observation; a decoder of a chunk of actions, by L1 behaviour cloning; a predictor of the
latent sequence of as many next observations, whose targets are an EMA copy of the encoder, behind LayerNorm; both losses end
to end, no pre-training. No target sees an action, and no future observation enters the encoder.
Differs: the observation is the state of ``Pendulum-v1`` (gymnasium), networks are perceptrons, demonstrations are scripted:
energy is pumped until the pendulum is up, then it is held there; while one is recorded its torque is disturbed (DART, Laskey
et al. 2017, arXiv 1703.09327), and what the expert would do is written down. Of a chunk the first HELD actions are carried
out.
Tests: test_act_policy.py.
"""

from __future__ import annotations

import copy
import importlib.util
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.randomness import batch_index, mix, reseed
from jepakit.schedules import momentum, warmup_cosine
from jepakit.targets import follow
from jepakit.types import UsageError

ENVIRONMENT, EXTRA = "Pendulum-v1", "gymnasium>=1.2"
LENGTH = 200  # steps of an episode: ten seconds
TORQUE, SPEED = 2.0, 8.0  # largest, of the environment
TOP = 15.0  # energy over inertia of the pendulum at rest upright: 3 g / 2 l
UPRIGHT, LAST = 0.3, 20  # rad; a roll-out succeeds that stays within it for its last steps
DEMOS, NOISE = 20, 0.5
CHUNK, HELD = 10, 2
WIDTH, LATENT = 64, 32
STEPS, BATCH, RATE, DECAY = 600, 128, 2e-3, 1e-4
EMA = (0.996, 1.0)
SEEDS, ROLLOUTS = 10, 100  # 1,000 roll-outs an arm
ARMS = {"with": 1.0, "without": 0.0}  # weight of the latent loss
Policy = Callable[[np.ndarray], np.ndarray]  # observations (n, 3) → actions (n, k) in [−1, 1], k of them to carry out


@dataclass(frozen=True)
class Episodes:
    """Observations (n, LENGTH, 3): cosine, sine, speed / SPEED; actions (n, LENGTH) in [−1, 1], what the policy said."""

    seen: np.ndarray
    done: np.ndarray

    @property
    def success(self) -> np.ndarray:
        """(n,) whether the pendulum stayed upright at the end."""
        angle = np.arctan2(self.seen[..., 1], self.seen[..., 0])
        return np.asarray((np.abs(angle[:, -LAST:]) < UPRIGHT).all(1))


def expert(seen: np.ndarray) -> np.ndarray:
    """Swings up by energy, holds by a linear controller: observations (n, 3) → actions (n, 1)."""
    angle, speed = np.arctan2(seen[:, 1], seen[:, 0]), SPEED * seen[:, 2]
    energy = speed**2 / 2 + TOP * seen[:, 0]
    pump = (TOP - energy) * np.where(speed < 0, -1.0, 1.0)
    torque = np.where((np.abs(angle) < 0.35) & (np.abs(speed) < 2.5), -12 * angle - 4 * speed, pump)
    return np.asarray(np.clip(torque, -TORQUE, TORQUE)[:, None] / TORQUE)


def roll(policy: Policy, n: int, seed: int, noise: float = 0.0) -> Episodes:
    """``n`` episodes from starts that are a function of the seed. noise: standard deviation of what is added to an action
    before it is carried out. Raises UsageError without gymnasium."""
    if importlib.util.find_spec("gymnasium") is None:
        raise UsageError(f"roll-outs need {EXTRA}; .venv/bin/pip install -c constraints.txt -e '.[control]'")
    import gymnasium

    world = gymnasium.make_vec(ENVIRONMENT, num_envs=n, vectorization_mode="sync")
    seen, done = np.zeros((n, LENGTH, 3)), np.zeros((n, LENGTH))
    now, _ = world.reset(seed=mix(seed) % 2**31)
    chunk, shaken = np.zeros((n, 0)), noise * np.random.default_rng(seed).standard_normal((LENGTH, n))
    for step in range(LENGTH):
        seen[:, step] = now / (1, 1, SPEED)
        if not chunk.shape[1]:
            chunk = np.clip(policy(seen[:, step]), -1, 1)
        done[:, step], chunk = chunk[:, 0], chunk[:, 1:]
        taken = np.clip(done[:, step] + shaken[step], -1, 1)
        now, *_ = world.step((TORQUE * taken[:, None]).astype(np.float32))
    world.close()
    return Episodes(seen, done)


def windows(demos: Episodes) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n k"], Float[Tensor, "n k 3"]]:
    """Every observation with the CHUNK actions from it on and the CHUNK observations after it, within its episode."""
    last = LENGTH - CHUNK
    now, actions, later = demos.seen[:, :last], [], []
    for ahead in range(CHUNK):
        actions.append(demos.done[:, ahead : ahead + last])
        later.append(demos.seen[:, ahead + 1 : ahead + 1 + last])
    pieces = now.reshape(-1, 3), np.stack(actions, -1).reshape(-1, CHUNK), np.stack(later, 2).reshape(-1, CHUNK, 3)
    return tuple(torch.from_numpy(piece).float() for piece in pieces)  # type: ignore[return-value]


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers with GELU between them."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.GELU()]
    return nn.Sequential(*layers[:-1])


class Actor(nn.Module):
    """Encoder, decoder of actions, predictor of latents, EMA teacher. Both arms have all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(perceptron(3, WIDTH, WIDTH, LATENT), nn.LayerNorm(LATENT))
        self.actions = perceptron(LATENT, WIDTH, CHUNK)
        self.predictor = perceptron(LATENT, 2 * WIDTH, CHUNK * LATENT)
        self.teacher = copy.deepcopy(self.encoder).requires_grad_(False)

    def losses(
        self, now: Float[Tensor, "b 3"], actions: Float[Tensor, "b k"], later: Float[Tensor, "b k 3"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """(L1 of the actions, smooth L1 of the latents of what is seen next)."""
        latent = self.encoder(now)
        with torch.no_grad():
            wanted = F.layer_norm(self.teacher(later), (LATENT,))
        predicted = self.predictor(latent).unflatten(1, (CHUNK, LATENT))
        return F.l1_loss(self.actions(latent), actions), F.smooth_l1_loss(predicted, wanted)

    @torch.no_grad()
    def act(self, seen: np.ndarray) -> np.ndarray:
        """The first HELD actions of the chunk."""
        chunk: Tensor = self.actions(self.encoder(torch.from_numpy(seen).float()))
        return chunk[:, :HELD].double().numpy()


def train(demos: Episodes, weight: float, seed: int, steps: int = STEPS) -> Actor:
    """Both losses end to end; the same start and batches whatever the ``weight`` of the latent one."""
    now, actions, later = windows(demos)
    rate, keep = warmup_cosine(0.0, RATE, 0.0, 0.05), momentum(*EMA, steps)
    with torch.random.fork_rng([]):
        reseed(mix(seed, 0x616374), 0, torch.device("cpu"))
        model = Actor()
        trained = [one for one in model.parameters() if one.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY)
        for step in range(steps):
            rows = batch_index(seed, step, len(now), BATCH)
            for group in optimiser.param_groups:
                group["lr"] = rate(step / steps)
            cloning, latent = model.losses(now[rows], actions[rows], later[rows])
            optimiser.zero_grad()
            (cloning + weight * latent).backward()
            optimiser.step()
            follow(model.teacher, model.encoder, keep(step / steps))
    return model


def measure(seeds: Sequence[int] = tuple(range(SEEDS)), rollouts: int = ROLLOUTS, steps: int = STEPS) -> dict[str, Any]:
    """Success of every seed and arm over the same starts, with demonstrations of each seed's own; and of the expert."""
    runs = []
    for seed in seeds:
        demos = roll(expert, DEMOS, mix(seed, 1), NOISE)
        tried = {"expert": roll(expert, rollouts, mix(seed, 2))}
        for arm, weight in ARMS.items():
            tried[arm] = roll(train(demos, weight, seed, steps).act, rollouts, mix(seed, 2))
        runs.append({"seed": seed, **{name: float(one.success.mean()) for name, one in tried.items()}})
    return {"runs": runs, "rollouts": rollouts, "demonstrations": DEMOS, "steps": steps}
