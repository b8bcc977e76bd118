"""Objective: all that the training loop sees of a method; MaskedJEPA: the template that nearly the whole family fills."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor, nn

from jepakit.masking import Masker
from jepakit.nn import Backbone, Embedder, Predictor
from jepakit.targets import Target
from jepakit.types import Batch, Data, Losses, Split, Tokens, gather

Distance = Callable[[Float[Tensor, "*s e"], Float[Tensor, "*s e"]], Float[Tensor, ""]]


class Objective(nn.Module, ABC):
    """A pre-training objective around one backbone.

    ``trains`` is False for reference rows that take no step (random init, hand-made features). ``stages``: shares of the
    steps, adding up to 1; learning rate and weight decay run through their whole schedule once per stage (a teacher is
    trained first, then a student). ``least_batch``: rows that a batch needs for the loss to be defined.
    """

    trains: bool = True
    stages: tuple[float, ...] = (1.0,)
    least_batch: int = 1
    backbone: Embedder

    @abstractmethod
    def forward(self, batch: Batch, progress: float) -> Losses:
        """One step's losses. ``progress`` ∈ [0, 1) is i/T for 0-based optimiser step i of T.

        Every random draw uses torch's default generators, which the caller seeds from (seed, step).
        """

    def after_step(self, progress: float) -> None:
        """Called once after each optimiser step with the progress of that step (EMA updates live here)."""

    def select(self, train: Data) -> Data:
        """The training rows that batches are drawn from: all, unless the method is told to see fewer (labels)."""
        return train

    def encoder(self) -> Embedder:
        """The network that is probed and shipped: the EMA teacher where there is one, else the backbone."""
        return self.backbone


class Reference(Objective):
    """A row that takes no optimiser step: an untrained encoder, hand-made features."""

    trains = False

    def __init__(self, backbone: Embedder) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, batch: Batch, progress: float) -> Losses:
        raise RuntimeError("a reference row has no loss; it is probed as it is")


class MaskedJEPA(Objective):
    """Predict the targets of hidden tokens from the visible ones; see ``docs/architecture.md``.

    tokens → masker → encoder on the visible tokens → predictor at the hidden positions → distance to the target.
    ``regularisers`` maps a name to (weight, function of the context embeddings "b d").
    """

    backbone: Backbone
    predictor: Predictor
    masker: Masker
    target: Target

    def __init__(
        self,
        *,
        backbone: Backbone,
        predictor: Predictor,
        masker: Masker,
        target: Target,
        distance: Distance,
        regularisers: Mapping[str, tuple[float, Callable[[Float[Tensor, "b d"]], Tensor]]] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.predictor = predictor
        self.masker = masker
        self.target = target
        self.distance = distance
        self.regularisers = dict(regularisers or {})
        for name, (_, function) in self.regularisers.items():
            if isinstance(function, nn.Module):  # so that buffers (step counters) are saved and moved
                self.add_module(f"regulariser_{name}", function)

    def forward(self, batch: Batch, progress: float) -> Losses:
        tokens = self.backbone.tokenize(batch)
        target = self.target(batch)
        split = self.masker(tokens, target, progress)
        context = self.backbone.encode(tokens.take(split.context))
        predicted = self.predict(context, tokens, split)
        wanted = gather(target, split.target)
        parts = {"prediction": self.distance(predicted, wanted)}
        total = parts["prediction"]
        for name, (weight, function) in self.regularisers.items():
            parts[name] = function(context.mean())
            total = total + weight * parts[name]
        return Losses(total, {name: value.detach() for name, value in parts.items()})

    def predict(self, context: Tokens, tokens: Tokens, split: Split) -> Float[Tensor, "b m t q e"]:
        """The predictor at the queried positions; a paper that predicts in another order overrides this."""
        return self.predictor(context, gather(tokens.pos, split.target))

    def after_step(self, progress: float) -> None:
        self.target.update(progress)

    def encoder(self) -> Embedder:
        return self.target.teacher or self.backbone
