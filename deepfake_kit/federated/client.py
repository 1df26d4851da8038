r"""One client's work in one round: load the global weights, train on the own images, hand the weights back.

A client is a pure function of (global weights, round, client, seed). :class:`Worker` lets one model serve
client after client: the flat view of its weights and the optimiser are made once, because making them anew
costs more than a small client's arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from deepfake_kit.diffusion import NoiseSchedule, q_sample, to_model_range
from deepfake_kit.diffusion.steps import at_step
from deepfake_kit.federated.plan import Plan
from deepfake_kit.valid import require


def client_seed(seed: int, round: int, client: int) -> int:
    """A seed for one client in one round, independent between all three numbers.

    >>> client_seed(0, 1, 2) == client_seed(0, 1, 2) != client_seed(0, 2, 1)
    True
    """
    return int(np.random.SeedSequence([seed, round, client]).generate_state(1, np.uint64)[0] >> 1)


class FlatWeights:
    """A model's weights as one vector [P], in the order of its state dict.

    The tensors of ``state_dict()`` are the live weights, and they stay inside: :meth:`read` hands out a copy
    and :meth:`write` copies in, so no client can train another's by accident. Float32, or float64 if the
    model has weights of that type. Of use until somebody gives the model other tensors, as ``model.to()``
    does.

    Examples
    --------
    >>> net = nn.Linear(1, 1); flat = FlatWeights(net); flat.write(torch.tensor([2.0, 3.0]))
    >>> flat.read().tolist()
    [2.0, 3.0]
    """

    def __init__(self, model: nn.Module):
        self._live = list(model.state_dict().values())
        sizes = [tensor.numel() for tensor in self._live]
        wide = any(tensor.dtype == torch.float64 for tensor in self._live)
        device = self._live[0].device if self._live else None
        self._buffer = torch.empty(sum(sizes), dtype=torch.float64 if wide else torch.float32, device=device)
        self._pieces = [piece.view(t.shape) for piece, t in zip(self._buffer.split(sizes), self._live, strict=True)]
        self._whole = [p for p, t in zip(self._pieces, self._live, strict=True) if not t.is_floating_point()]

    @torch.no_grad()
    def read(self) -> Tensor:
        """The weights [P], a copy."""
        torch._foreach_copy_(self._pieces, self._live)
        return self._buffer.clone()

    @torch.no_grad()
    def write(self, vector: Tensor) -> None:
        """Copy a vector [P] into the model; whole-number tensors are rounded.

        Raises
        ------
        ValueError
            If it has not as many numbers as the model.
        """
        require(vector.shape == self._buffer.shape, "vector", vector, f"shape {tuple(self._buffer.shape)}")
        self._buffer.copy_(vector)
        for piece in self._whole:
            piece.round_()
        torch._foreach_copy_(self._live, self._pieces)


def load_vector(model: nn.Module, vector: Tensor) -> None:
    """Copy a flat vector [P] into a model's weights.

    >>> net = nn.Linear(1, 1); load_vector(net, torch.tensor([2.0, 3.0])); net(torch.ones(1)).item()
    5.0
    """
    FlatWeights(model).write(vector)


def add_proximal_gradient(parameters: Sequence[Tensor], anchors: Sequence[Tensor], mu: float) -> None:
    r"""Add the gradient of :math:`\frac\mu2\lVert\theta-\theta_t\rVert^2`, FedProx's penalty, to each
    parameter's.

    Li et al. (2020), MLSys, Eq. (2). The norm is *squared*: its gradient is :math:`\mu(\theta-\theta_t)`.

    Parameters
    ----------
    parameters : sequence of Tensor
        The client's weights :math:`\theta`; those without a gradient are left alone.
    anchors : sequence of Tensor
        The global weights :math:`\theta_t`, in the same order.
    mu : float
        Strength of the pull, >= 0.

    Examples
    --------
    >>> w = nn.Parameter(torch.tensor([3.0])); w.grad = torch.zeros(1)
    >>> add_proximal_gradient([w], [torch.tensor([1.0])], mu=0.5); w.grad.item()
    1.0
    """
    with torch.no_grad():
        for parameter, anchor in zip(parameters, anchors, strict=True):
            if parameter.grad is not None:
                parameter.grad.add_(parameter - anchor, alpha=mu)


def withheld(size: tuple[int, ...], plan: Plan, generator: torch.Generator) -> Tensor:
    """Float Tensor ``[*size, 1]``: 0 where a condition is withheld (the share ``plan.drop``), else 1.

    >>> withheld((2,), Plan(1, 1, 1, 0.1), torch.Generator()).tolist()
    [[1.0], [1.0]]
    """
    return (torch.rand(*size, 1, generator=generator, device=generator.device) >= plan.drop).float()


def error_weight(t: Tensor, like: Tensor, schedule: NoiseSchedule, plan: Plan) -> Tensor:
    r"""Weight of the noise's squared error, shaped to multiply `like`: 1, or :math:`1/\bar\alpha_t` for the velocity's.

    >>> plan = Plan(1, 1, 1, 0.1, target="velocity")
    >>> error_weight(torch.tensor([0]), torch.zeros(1, 2), NoiseSchedule(torch.tensor([0.75])), plan).item()
    4.0
    """
    alpha_bar = at_step(schedule.alpha_bars, t, like)
    return 1 / alpha_bar if plan.target == "velocity" else torch.ones_like(alpha_bar)


def local_optimizer(parameters: Sequence[Tensor], plan: Plan, round: int = 0) -> torch.optim.Optimizer:
    """The clients' optimiser in a round: AdamW with its usual constants, or plain descent, with the plan's FedProx.

    Parameters
    ----------
    parameters : sequence of Tensor
        What to train; every number by itself, so they may hold one client's weights or many clients'.
    plan : Plan

    Examples
    --------
    >>> w = nn.Parameter(torch.tensor([3.0])); optimizer = local_optimizer([w], Plan(1, 1, 1, 0.1))
    >>> w.sum().backward(); optimizer.step(); round(w.item(), 4)
    2.897
    """
    parameters = list(parameters)
    if plan.optimizer == "sgd":
        optimizer = torch.optim.SGD(parameters, lr=plan.rate(round))
    else:
        optimizer = torch.optim.AdamW(parameters, lr=plan.rate(round), fused=True)
    if plan.prox:
        anchors = [p.detach().clone() for p in parameters]
        optimizer.register_step_pre_hook(lambda *_: add_proximal_gradient(parameters, anchors, plan.prox))
    return optimizer


class Worker:
    """A model that trains for client after client.

    Parameters
    ----------
    model : nn.Module
        A noise model to work in; it is put in training mode, and its own weights are overwritten.
    plan : Plan

    Attributes
    ----------
    weights : FlatWeights
        What the model holds at present.

    Examples
    --------
    >>> net = nn.Conv2d(1, 1, 1); net.forward = lambda x, t: x * net.bias
    >>> worker = Worker(net, Plan(rounds=1, local_steps=2, batch_size=2, lr=0.1))
    >>> update, loss = worker(torch.zeros(2), torch.zeros(4, 1, 8, 8), torch.arange(2),
    ...                       NoiseSchedule.linear(), round=0, client=0)
    >>> update.shape
    torch.Size([2])
    """

    def __init__(self, model: nn.Module, plan: Plan):
        self.model, self.plan, self.weights = model, plan, FlatWeights(model)
        model.train()

    def __call__(
        self,
        start: Tensor,
        images: Tensor,
        part: Tensor,
        schedule: NoiseSchedule,
        round: int,
        client: int,
        conditions: Tensor | None = None,
    ) -> tuple[Tensor, float]:
        """Arguments and results of :func:`local_update`."""
        self.weights.write(start)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = local_optimizer(trained, self.plan, round)  # nothing may pass from the client before
        generator = torch.Generator(images.device).manual_seed(client_seed(self.plan.seed, round, client))
        total = 0.0
        for _ in range(self.plan.local_steps):
            total = total + self._step(images, part, schedule, optimizer, generator, conditions)
        return self.weights.read(), float(total) / self.plan.local_steps

    def _step(self, images, part, schedule, optimizer, generator, conditions) -> Tensor:
        """Draw a batch and train on it once: all that a client must do, whoever coordinates it."""
        size = (self.plan.batch_size,)
        chosen = part[torch.randint(len(part), size, generator=generator, device=images.device)]
        x0, given = to_model_range(images[chosen]), ()
        if conditions is not None:
            kept = withheld(size, self.plan, generator) if self.plan.drop else 1
            given = (conditions[chosen] * kept,)
        t = torch.randint(len(schedule), size, generator=generator, device=x0.device)
        noise = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
        error = self.model(q_sample(x0, t, noise, schedule), t, *given) - noise
        loss = (error_weight(t, noise, schedule, self.plan) * error.square()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()


def local_update(
    model: nn.Module,
    start: Tensor,
    images: Tensor,
    part: Tensor,
    schedule: NoiseSchedule,
    plan: Plan,
    round: int,
    client: int,
    conditions: Tensor | None = None,
) -> tuple[Tensor, float]:
    """One client's work in one round: start from the global weights, train on the own images, hand back the
    result.

    Parameters
    ----------
    model : nn.Module
        A noise model to work in; its own weights are overwritten.
    start : Tensor [P]
        Global weights.
    images : Tensor [M, C, H, W]
        uint8, or floats used as they are; on the model's device.
    part : long Tensor [n]
        Which of them are this client's.
    schedule : NoiseSchedule
    plan : Plan
    round, client : int
        With ``plan.seed`` they decide every draw.
    conditions : Tensor [M, D], optional
        What the model is told about each image, as its third argument: a label as ones and zeros, say.

    Returns
    -------
    (Tensor [P], float)
        New weights, a copy; and the mean training loss over the local steps.

    Raises
    ------
    ValueError
        If `start` has not as many numbers as the model.

    Examples
    --------
    >>> from deepfake_kit.diffusion import UNet
    >>> net = UNet(channels=(8,), blocks=1, stem=2); plan = Plan(1, 1, 2, 0.1)
    >>> start = FlatWeights(net).read()
    >>> update, loss = local_update(net, start, torch.zeros(4, 1, 8, 8), torch.arange(2),
    ...                             NoiseSchedule.linear(), plan, round=0, client=0)
    >>> update.shape == start.shape
    True
    """
    return Worker(model, plan)(start, images, part, schedule, round, client, conditions)
