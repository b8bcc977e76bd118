"""Files with one planted defect each, for test_check.py: what is exchanged in a sound file, which checks fail, words of the
remedy of one of them."""

# ruff: noqa: E501 - a defect a line

from __future__ import annotations

METHOD = '''"""Mine (2026): predict an EMA teacher's features of hidden tokens from a random few.

Source: this test.
Kept: everything.
Differs: nothing.
"""
import random
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from jepakit.masking import Blocks, Subset
from jepakit.nn import Embedder, Predictor
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import linear, momentum
from jepakit.targets import EMA, layer_norm
from jepakit.types import Losses, Tokens, UsageError, gather


def distance(predicted, target):
    return F.smooth_l1_loss(predicted, target)


class Mine(MaskedJEPA):
    pass


@methods.register("mine", family="jepa", paper="me", augmentation="none")
def mine(modality, size, *, keep: float = 0.25):
    backbone = vit(modality, size)
    return Mine(
        backbone=backbone,
        predictor=narrow(size),
        masker=Subset(modality.grid, keep),
        target=EMA(backbone, momentum(0.996, 1.0, size.steps), norm=layer_norm),
        distance=distance,
    )
'''

FACTS, SAYS, BLIND, WAITS = "registration", "says what it is", "its modality", "waits for the device"
RUNS, FINITE, LEARNS, FALLS = "it runs", "loss is finite", "gradient reaches", "loss falls"
REPEATS, STILLS, ROWS, LABELS = "equal seeds", "teachers are still", "row alone", "sees no label"
HIDES, GROUPS, QUERY, FOLLOWS, RESUMES = "hidden input", "groups of", "query is known", "follows its", "resumes"

LOSS = "return F.smooth_l1_loss(predicted, target)"
TARGET = "target=EMA(backbone, momentum(0.996, 1.0, size.steps), norm=layer_norm),"
BODY = "class Mine(MaskedJEPA):\n    pass"


def body(text: str) -> tuple[str, str]:
    """The class of the method with this text inside."""
    return BODY, "class Mine(MaskedJEPA):\n" + "\n".join(f"    {line}" for line in text.strip().splitlines())


FORWARD = """
def forward(self, batch, progress):
    losses = super().forward(batch, progress)
    return Losses({}, losses.parts)
"""
LEAKY = """
def forward(self, batch, progress):
    tokens, target = self.backbone.tokenize(batch), self.target(batch)
    split = self.masker(tokens, target, progress)
    predicted = self.predict(self.backbone.encode(tokens).take(split.context), tokens, split)
    loss = self.distance(predicted, gather(target, split.target))
    return Losses(loss, {"prediction": loss.detach()})
"""
COUNTS = """
count = 0
def after_step(self, progress):
    super().after_step(progress)
    self.count += 1
def forward(self, batch, progress):
    losses = super().forward(batch, progress)
    return Losses(losses.total * (1 + self.count), losses.parts)
"""
CENTRED = """
def encoder(self):
    class Centred(Embedder):
        def tokens(inner, batch):
            return self.backbone.tokens(batch)
        def embed(inner, batch):
            x = self.backbone.embed(batch)
            return x - x.mean(0)
    return Centred()
"""
RANKED = """
def predict(self, context, tokens, split):
    places = gather(tokens.pos, split.target)
    return self.predictor(context, places + torch.arange(places.shape[-2])[:, None])
"""
SPARE = """
def __init__(self, **slots):
    super().__init__(**slots)
    self.spare = nn.Linear(2, 2)
"""
NOTED = """
def forward(self, batch, progress):
    losses = super().forward(batch, progress)
    return Losses(losses.total, {"prediction": losses.total})
"""
MIXED = "class Mixed(Predictor):\n    def forward(self, context, pos):\n        out = super().forward(context, pos)\n        return out + out.mean(2, keepdim=True)\n\n\n@methods"
AWAKE = "class Awake(EMA):\n    def train(self, mode=True):\n        return nn.Module.train(self, mode)\n\n\n@methods"

METHODS: dict[str, tuple[list[tuple[str, str]], set[str], str]] = {
    "a foreign family": ([('"jepa"', '"japa"')], {FACTS}, "is none of jepa, mae"),
    "no paper": ([('paper="me"', 'paper=""')], {FACTS}, "say paper="),
    "a space of nothing": ([('"none")', '"none", space={"recipe.keap": (0.1, 0.5, "log")})')], {FACTS}, "a setting of"),
    "a setting of nothing": ([('"none")', '"none", training={"rate": 1.0})')], {FACTS}, "no setting of"),
    "asks for its modality": (
        [("    backbone =", '    assert modality.name != "x"\n    backbone =')],
        {BLIND},
        "ask the Modality for what is needed",
    ),
    "waits": (
        [("distance(predicted, target)", "distance(predicted: Tensor, target: Tensor)"), (LOSS, f"float(target.sum())\n    {LOSS}")],
        {WAITS},
        "float(target.sum())",
    ),
    "runs nowhere": ([("    backbone =", '    raise UsageError("no")\n    backbone =')], {RUNS}, "runs on no grid"),
    "crashes when built": ([("    backbone =", '    {}["x"]\n    backbone =')], {RUNS}, "KeyError: 'x' at mine.py:"),
    "infinite": ([(LOSS, f"{LOSS} / 0")], {FINITE}, "guard divisions"),
    "no gradient": ([(LOSS, f"{LOSS}.detach()")], {FINITE}, "do not detach"),
    "a part with a gradient": ([body(NOTED)], {FINITE}, "detach() what goes into Losses.parts"),
    "crashes in a step": ([(LOSS, f"torch.zeros(3) + torch.zeros(2)\n    {LOSS}")], {RUNS}, "RuntimeError"),
    "a spare layer": ([body(SPARE)], {LEARNS}, "no gradient reaches spare."),
    "never falls": ([(LOSS, "return (predicted - predicted.detach()).sum() + 1 + 1e-3 * predicted.detach().mean()")], {FALLS}, "sign of the loss"),
    "draws from elsewhere": ([(LOSS, f"{LOSS} + 1e-3 * random.random()")], {REPEATS}, "torch's default generators"),
    "counts outside its state": ([body(COUNTS)], {RESUMES}, "keep all that a step changes in the state dict"),
    "sees labels": (
        [body(FORWARD.format("losses.total + (batch.labels['phase'] * torch.arange(8)).sum()"))],
        {LABELS},
        "family='supervised'",
    ),
    "centres features": ([body(CENTRED)], {ROWS, FOLLOWS}, "no statistics of the batch"),
    "encodes what is hidden": ([body(LEAKY)], {HIDES}, "encode tokens.take(split.context)"),
    "mixes groups": (
        [("@methods", MIXED), ("narrow(size)", "narrow(size, kind=Mixed)"),
         ("Subset(modality.grid, keep)", "Blocks(modality.grid, targets=2)")],
        {GROUPS},
        "each group in a pass of its own",
    ),
    "knows queries by rank": ([body(RANKED)], {QUERY}, "by its position, not by its rank"),
    "a teacher that stays": ([body("def after_step(self, progress):\n    pass")], {FOLLOWS}, "update(progress)"),
    "a falling momentum": ([("momentum(0.996, 1.0, size.steps)", "linear(1.0, 0.9)")], {FOLLOWS}, "the smaller end first"),
    "a teacher that drops out": ([("@methods", AWAKE), ("target=EMA(", "target=Awake(")], {STILLS}, "do not call train()"),
    "a frozen backbone": (
        [("    return Mine(", "    backbone.registers.requires_grad_(False)\n    return Mine(")],
        {STILLS},
        "leave requires_grad of the backbone",
    ),
}  # fmt: skip

DATA = '''"""Mine: waves under a name of their own."""
from dataclasses import replace
from typing import ClassVar
import numpy as np
import torch
from benchmark.contracts.toys.waves import Waves
from jepakit.registry import datasets
from jepakit.types import Card, DataError, Task


@datasets.register("toy/mine")
class Mine(Waves):
    dataset = "mine"
    embedded: ClassVar[bool] = True
    card = Card("Mine", "CC0", "here", "none", "unit")

    def data(self, part):
        data = super().data(part)
        return data
'''

PARTS, CARD, TASKS, UNITS, COPIES = "every part", "card is complete", "every task", "no unit", "no row"
RESIDENT, AGAIN, TOKENS, VIEWS = "inputs are small", "read again", "tokens fit", "views are random"
FREE, TOLD, CANARY = "depends on the labels", "no feature", "shuffled labels"


def data(text: str) -> tuple[str, str]:
    """``data`` ends in this text."""
    return "        return data\n", "".join(f"        {line}\n" for line in text.splitlines())


def more(text: str) -> tuple[str, str]:
    """The class has this method too."""
    return "        return data\n", "        return data\n\n" + "".join(f"    {line}\n" for line in text.splitlines())


WITH_LABEL = "return torch.cat([batch.x, batch.labels['wave'][:, None].float()], 1)"
RELABELLED = "wave = (data.x.diff(dim=1).abs().mean(1) > 0.15).long()\n    return replace(data, labels={**data.labels, 'wave': wave})"

STEEP = "def handmade(self, batch):\n    return batch.x.diff(dim=1).abs().mean(1, keepdim=True)"
STARTS = "    def __init__(self, root=None):\n        super().__init__(root)\n        {}\n\n"
THREE = "Task('wave', 'class', 'macro_f1', ('slow', 'fast', 'other'))"
DENSE = "Task('beat', 'dense', 'macro_f1', ('no', 'yes'))"

DATASETS: dict[str, tuple[list[tuple[str, str]], set[str], str]] = {
    "an empty part": ([data("return data.take(np.arange(0)) if part == 'val' else data")], {PARTS}, "the val part has no row"),
    "files that are told by python": (
        [
            ("embedded: ClassVar[bool] = True", "embedded = False"),
            ("    def data(", STARTS.format("self.place = root") + "    def data("),
            data("open(self.place / 'mine.py').close()\nreturn data"),
        ],
        {PARTS},
        "missing files end in FileNotFoundError",
    ),
    "an empty licence": ([('"CC0"', '" "')], {CARD}, "does not say licence"),
    "another name": ([('"toy/mine"', '"toy/yours"')], {CARD}, "says toy/mine"),
    "labels of another type": (
        [data("return replace(data, labels={**data.labels, 'phase': data.labels['phase'].double()})")],
        {TASKS},
        "float32 (n,), NaN where unknown",
    ),
    "a class that train lacks": (
        [
            data("wave = data.labels['wave'] + (part != 'train')\nreturn replace(data, labels={**data.labels, 'wave': wave})"),
            ("    def data(", STARTS.format(f"self.tasks = ({THREE}, self.tasks[1])") + "    def data("),
        ],
        {TASKS},
        "'other' of task 'wave' is in val but not in train",
    ),
    "an unknown metric": (
        [("    def data(", STARTS.format("self.tasks = (Task('phase', 'regression', 'r3'),)") + "    def data(")],
        {TASKS, CANARY},
        "did you mean 'r2'",
    ),
    "units in two parts": ([data("return replace(data, unit=np.array([f'u{i // 4}' for i in range(len(data))]))")], {UNITS}, "split by unit"),
    "a copied row": (
        [data("if part == 'test':\n    data.x[0] = super().data('train').x[3]\nreturn data")],
        {COPIES},
        "1 rows are in train and",
    ),
    "float64": ([data("return replace(data, x=data.x.double())")], {RESIDENT}, "float32 or smaller"),
    "integers without a scale": ([data("return replace(data, x=(data.x * 60).to(torch.int8))")], {RESIDENT}, "Data.scale"),
    "a value that is none": ([data("data.x[5, 5] = float('nan') if part == 'val' else 0\nreturn data")], {RESIDENT}, "in row 5"),
    "drawn anew": ([data("data.x.add_(0.01 * torch.randn(1))\nreturn data")], {AGAIN}, "default_rng with a fixed seed"),
    "a label with other places": (
        [
            data("return replace(data, labels={**data.labels, 'beat': torch.arange(7).expand(len(data), 7) % 2})"),
            ("    def data(", STARTS.format(f"self.tasks = (*self.tasks, {DENSE})") + "    def data("),
        ],
        {TOKENS},
        "7 places for 40 tokens",
    ),
    "a tokenizer that crashes": (
        [more("def tokenizer(self, dim):\n    raise KeyError('width')")],
        {TOKENS, FREE},
        "KeyError: 'width' at mine.py:",
    ),
    "views that are none": ([more("def views(self, batch):\n    return replace(batch, extra={'action': batch.x[:, :1]})")], {VIEWS}, "every view is the same"),
    "views that forget actions": ([more("def views(self, batch):\n    return batch.with_x(batch.x + torch.randn_like(batch.x))")], {VIEWS}, "extra['action']"),
    "views from elsewhere": (
        [more("def views(self, batch):\n    view = super().views(batch)\n    return view.with_x(view.x + float(np.random.normal()))")],
        {VIEWS},
        "an equal seed gives another view",
    ),
    "features that read labels": ([more(f"def handmade(self, batch):\n    {WITH_LABEL}")], {FREE, CANARY}, "handmade depends on the labels"),
    "a side input that is the label": ([data("return replace(data, extra={'hint': data.labels['wave']})")], {FREE}, "leave it out of Data.extra"),
    "windows that relabel": ([more(f"def windows(self, data):\n    {RELABELLED}\n\n{STEEP}")], {CANARY}, "carry on the labels"),
}  # fmt: skip

PROBE = '''"""Mine: nearest class mean."""
import numpy as np
from benchmark.contracts.questions import problem
from benchmark.probes.base import Choice, EncoderProbe, Fitted, Probe, class_count
from jepakit.registry import probes
from jepakit.types import DataError


@probes.register("mine", kinds=("class",))
class Mine(Probe):
    def fit(self, train, train_label, val, val_label, task, seed, val_record=None):
        shown = np.unique(train_label)
        if len(shown) < 2:
            raise DataError(f"task '{task.name}' shows one class only in train; leave the task out")
        centres = np.stack([train[train_label == c].mean(0) for c in shown])
        choice = Choice(task, val_label, val_record)

        def score(x):
            found = np.full((len(x), class_count(task, train_label)), -1e6)
            found[:, shown] = -((x[:, None] - centres) ** 2).sum(-1)
            return found

        choice.offer({}, score, score(val))
        return Fitted(choice.chosen, choice.score, choice.best())
'''

PFACTS, FINDS, PCHANCE, PBITS = "registration", "finds what", "shuffled labels", "same seed"
HONEST, UNSEEN, LACKS = "validation score", "does not see test", "classes that train lacks"
CENTRES = "        centres ="
KNOWS = """
        known, data = problem("class", shuffle=True, sizes=(400, 400, 1000))

        def cheat(x):
            if x.shape == known["test"].pooled.shape:
                return np.eye(3)[data["test"].labels["shape"].numpy()]
            return score(x)

        return Fitted(choice.chosen, choice.score, cheat)
"""
PEEKS = """
@probes.register("mine", kinds=("class",), sees="encoder")
class Mine(EncoderProbe):
    def fit(self, encoder, modality, train, val, task, seed, device):
        return modality.data("test")
"""

PROBES: dict[str, tuple[list[tuple[str, str]], set[str], str]] = {
    "a foreign kind": ([('("class",)', '("klass",)')], {PFACTS}, "is not made of class"),
    "sees the impossible": ([('("class",))', '("class",), sees="labels")')], {PFACTS}, "none of pooled, tokens"),
    "another interface": ([("class Mine(Probe)", "class Mine(EncoderProbe)")], {PFACTS}, "derive its class from it"),
    "a column too few": ([("-1e6)\n", "-1e6)[:, :2]\n"), ("shown] =", "shown[:2]] ="), ("- centres)", "- centres[:2])")], {FINDS}, "as many as class_count says"),
    "the wrong sign": ([("-((x[:", "((x[:")], {FINDS}, "and at the sign"),
    "no number": ([("            return found", "            return found * np.nan")], {FINDS}, "not finite"),
    "asks for test": ([(PROBE[PROBE.index("\n@probes"):], PEEKS)], {FINDS}, "asks for the test part"),
    "knows the answers": ([("\n        return Fitted(choice.chosen, choice.score, choice.best())\n", KNOWS)], {PCHANCE}, "must not see"),
    "draws from elsewhere": ([("for c in shown])", "for c in shown]) + np.random.normal(size=train.shape[1])")], {PBITS}, "default_rng(seed)"),
    "a score of its own": ([("choice.score, choice.best()", "0.99, choice.best()")], {HONEST}, "it reports 0.990"),
    "scales by test": ([("            found =", "            x = (x - x.mean(0)) / x.std(0) * train.std(0) + train.mean(0)\n            found =")], {UNSEEN}, "from train"),
    "writes into train": ([(CENTRES, f"        train *= 1.5\n        train /= 1.4\n{CENTRES}")], {UNSEEN}, "work on a copy"),
    "means of nothing": (
        [("for c in shown])", "for c in range(3)])"), ("[:, shown] =", "[:] =")],
        {LACKS},
        "give such a class the lowest score",
    ),
    "one class breaks it": ([("            raise DataError", "            raise IndexError")], {LACKS}, "IndexError"),
}  # fmt: skip
