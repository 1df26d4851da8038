r"""What every training of the book shares: batches, fast arithmetic, first weights, averaged weights.

Networks work in [-1, 1]; every public boundary is float [0, 1].
"""

from __future__ import annotations

import contextlib
import copy
import io
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from deepfake_kit.cache import write_whole
from deepfake_kit.images import to_model
from deepfake_kit.valid import one_of, whole, within


@contextlib.contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Context in which the global generators of the CPU and of `device` start from `seed`; outside nothing changes.

    For what draws from the global generators alone, such as torch's own first weights and dropout.
    ``torch.manual_seed`` would seed every GPU anew and leave it so.

    Examples
    --------
    >>> with seeded(1):
    ...     first = torch.rand(2)
    >>> with seeded(1):
    ...     bool((torch.rand(2) == first).all())
    True
    """
    gpus = [device] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield


def check_steps(steps: int, batch_size: int) -> None:
    """Refuse a number of steps or a batch size below 1."""
    whole("steps", steps, 1)
    whole("batch_size", batch_size, 1)


def batch(images: Tensor, size: int, generator: torch.Generator | None, mirror: bool = True) -> Tensor:
    """A random batch in [-1, 1], drawn with replacement; half of it mirrored, which doubles the data for nothing."""
    index = torch.randint(len(images), (size,), generator=generator, device=images.device)
    x = to_model(images[index])
    if mirror:
        flip = torch.rand(size, generator=generator, device=images.device) < 0.5
        x = torch.where(flip[:, None, None, None], x.flip(-1), x)
    return x


def fast_arithmetic(device: torch.device | str = "cpu"):
    """Context in which convolutions run in bfloat16 where the processor multiplies it natively."""
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=fast_dtype(device) == torch.bfloat16)


def initialise(model: nn.Module, generator: torch.Generator | None, gain: float = 2**0.5) -> None:
    r"""Draw every weight matrix anew from :math:`\mathcal N(0, g^2/\text{fan-in})`, from `generator`; zero all biases.

    The gain :math:`g=\sqrt2` keeps the size of signals through rectifiers (He et al. 2015).

    torch's own initialisation draws from the global generator, which would tie a forger to whatever ran before it.
    """
    with torch.no_grad():
        for module in model.modules():
            weight = getattr(module, "weight", None)
            if weight is None or weight.ndim < 2:
                continue
            fan_in = weight[0].numel()
            if isinstance(module, nn.ConvTranspose2d):  # each output pixel hears kernel/stride of the taps an axis
                fan_in = weight.shape[0] * weight[0, 0].numel() // (module.stride[0] * module.stride[1])
            weight.normal_(0, gain * fan_in**-0.5, generator=generator)
            if getattr(module, "bias", None) is not None:
                module.bias.zero_()


def dense(*widths: int) -> list[nn.Module]:
    """Linear layers of these widths, a leaky rectifier between any two.

    >>> dense(4, 2, 1)
    [Linear(in_features=4, out_features=2, bias=True), LeakyReLU(negative_slope=0.2), Linear(in_features=2, \
out_features=1, bias=True)]
    """
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
    return layers[:-1]


def fast_dtype(device: torch.device | str = "cpu") -> torch.dtype:
    """The faster type on `device`: bfloat16 where the hardware multiplies it natively, else float32.

    >>> fast_dtype("cpu") in (torch.float32, torch.bfloat16)
    True
    """
    kind = torch.device(device).type
    if kind == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # absent from some builds: then float32
        native = kind == "cpu" and probe is not None and probe()
    return torch.bfloat16 if native else torch.float32


class EMA:
    r"""Moving average of a model's parameters: :math:`\bar\theta \leftarrow d\,\bar\theta + (1-d)\,\theta`.

    The decay d starts low and grows to `decay` with the number of updates n as (1 + n)/(10 + n), so that the
    random initial weights are forgotten. Buffers are copied. Ho et al. 2020, appendix B (decay 0.9999 there).

    Attributes
    ----------
    model : nn.Module
        The averaged copy, in evaluation mode, without gradients.

    Examples
    --------
    >>> net = nn.Linear(2, 2); average = EMA(net, 0.99); average.update(net)
    >>> torch.equal(average.model.weight, net.weight)
    True
    """

    def __init__(self, model: nn.Module, decay: float = 0.999):
        within("decay", decay, "[0, 1)")
        self.decay, self.updates = decay, 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average one step towards `model`."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - decay)
        for average, value in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(value)

    def state_dict(self) -> dict:
        """The averaged weights and the number of updates."""
        return {"updates": self.updates, "model": self.model.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Take up the average that :meth:`state_dict` gave."""
        self.updates = state["updates"]
        self.model.load_state_dict(state["model"])


def save(path: Path, value) -> None:
    """Write with ``torch.save`` what ``torch.load`` reads, whole or not at all."""
    content = io.BytesIO()
    torch.save(value, content)
    write_whole(path, content.getvalue())


class Checkpoint:
    """A training's state on disk, so that one that was killed goes on where it was last written.

    Parameters
    ----------
    path : Path
        The file; written whole or not at all, read without running code.
    *parts
        What changes while it trains: modules, optimisers and whatever else has a `state_dict`, torch generators, lists
        of plain numbers. The trainer adds its own.
    every : float
        Least seconds between two writings; the end of the training is always written.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "state.pt"
    >>> w = nn.Parameter(torch.tensor(3.0)); net = nn.ParameterList([w])
    >>> def train(steps): return minimise(lambda step: w.square(), torch.optim.SGD([w], 0.25), steps,
    ...                                   checkpoint=Checkpoint(file, net))
    >>> train(2)
    [9.0, 2.25]
    >>> train(3)  # goes on from there
    [9.0, 2.25, 0.5625]
    """

    def __init__(self, path: Path, *parts, every: float = 60.0):
        self.path, self.parts, self.every = path, list(parts), every
        self.spent, self._began, self._written = 0.0, time.perf_counter(), time.perf_counter()

    def resume(self, *parts) -> list[float]:
        """Add `parts`, put all parts back to what was written, and return the losses so far; none without a file."""
        self.parts += [part for part in parts if part is not None]
        if not self.path.is_file():
            return []
        kept = torch.load(self.path, map_location="cpu", weights_only=True)
        for part, state in zip(self.parts, kept["parts"], strict=True):
            if isinstance(part, list):
                part[:] = state
            else:
                (part.set_state if isinstance(part, torch.Generator) else part.load_state_dict)(state)
        torch.set_rng_state(kept["random"])
        self.spent = kept["seconds"]
        return kept["losses"]

    def step(self, losses: list[float], last: bool) -> None:
        """Write the state after a step, if it is time or the `last` one."""
        if not last and time.perf_counter() - self._written < self.every:
            return
        states = [
            list(p) if isinstance(p, list) else p.get_state() if isinstance(p, torch.Generator) else p.state_dict()
            for p in self.parts
        ]
        seconds = self.spent + time.perf_counter() - self._began
        kept = {"parts": states, "losses": losses, "random": torch.get_rng_state(), "seconds": seconds}
        save(self.path, kept)
        self._written = time.perf_counter()


class NotFinite(ArithmeticError):
    """A training met a loss or a gradient that is NaN or infinite, and stopped; ``.step`` counts from 0."""

    def __init__(self, step: int, what: str):
        super().__init__(f"step {step}: {what}. The training stopped: check the data, try a smaller learning rate")
        self.step = step


def descend(loss: Tensor, optimizer: torch.optim.Optimizer, step: int, clip: float | None = None) -> float:
    """Move once against the gradient of a loss, if both are finite.

    Parameters
    ----------
    loss : Tensor, scalar
    optimizer : torch.optim.Optimizer
        Its parameters' gradients are computed anew.
    step : int
        Which step this is, for the message.
    clip : float, optional
        Largest length of the gradient over all parameters; a longer one is shortened to it.

    Returns
    -------
    float
        The loss before the step.

    Raises
    ------
    NotFinite
        Before anything has moved.

    Examples
    --------
    >>> w = nn.Parameter(torch.tensor(3.0))
    >>> descend(w.square(), torch.optim.SGD([w], lr=0.25), step=0), w.item()
    (9.0, 1.5)
    >>> descend(w / 0, torch.optim.SGD([w], lr=0.25), step=1)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    deepfake_kit.training.NotFinite: step 1: the loss is inf. ...
    """
    value = float(loss.detach())
    if not abs(value) < float("inf"):
        raise NotFinite(step, f"the loss is {value}")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    moved = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    length = torch.stack(torch._foreach_norm([p.grad.detach() for p in moved])).norm()
    if not bool(length.isfinite()) and not all(bool(p.grad.isfinite().all()) for p in moved):
        raise NotFinite(step, f"the loss is {value:g}, and its gradient is not finite")
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(moved, clip)
    optimizer.step()
    return value


def minimise(
    loss: Callable[[int], Tensor],
    optimizer: torch.optim.Optimizer,
    steps: int,
    *,
    schedule: str | torch.optim.lr_scheduler.LRScheduler = "constant",
    clip: float | None = None,
    after: Callable[[int, float], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[float]:
    """Train: compute a loss, descend, again and again.

    Parameters
    ----------
    loss : callable (step) -> Tensor, scalar
        Draws its batch itself.
    optimizer : torch.optim.Optimizer
        Holds what is trained, and the highest learning rate.
    steps : int
    schedule : {"constant", "cosine"} or a torch scheduler
        Of the learning rate; "cosine" lowers it to 0 along half a cosine.
    clip : float, optional
        As in :func:`descend`.
    after : callable (step, loss), optional
        Called after each step: to average weights, or to report.
    checkpoint : Checkpoint, optional
        Holds what else changes: the model, the generators that `loss` draws from, averages. The training goes on from
        what it finds there.

    Returns
    -------
    list of float
        The loss of each step.

    Raises
    ------
    NotFinite
        At the first loss or gradient that is NaN or infinite.
    ValueError
        For an unknown schedule, or steps below 1 or below those that the checkpoint has behind it.

    Examples
    --------
    >>> w = nn.Parameter(torch.tensor(3.0))
    >>> minimise(lambda step: w.square(), torch.optim.SGD([w], lr=0.25), steps=3)
    [9.0, 2.25, 0.5625]
    """
    check_steps(steps, 1)
    if isinstance(schedule, str):
        one_of("schedule", schedule, ("constant", "cosine"))
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR
        schedule = cosine(optimizer, steps) if schedule == "cosine" else None
    losses = checkpoint.resume(optimizer, schedule) if checkpoint else []
    whole("steps", steps, len(losses))
    for step in range(len(losses), steps):
        losses.append(descend(loss(step), optimizer, step, clip))
        if schedule is not None:
            schedule.step()
        if after:
            after(step, losses[-1])
        if checkpoint:
            checkpoint.step(losses, step == steps - 1)
    return losses
