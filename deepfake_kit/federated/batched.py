r"""All clients of a round as one computation: weights stacked [K, ...], one batched step instead of K steps.

The network is small and a step's arithmetic soon done, so that calling its hundred operations K times over is
what takes the time; :func:`torch.func.vmap` calls them once, on all clients' weights. Each client draws what
it would have drawn alone (:func:`deepfake_kit.federated.client.local_update`), so the two ways differ by
rounding only: AdamW and plain gradient descent act on each number by itself, and a sum of the clients' losses
has each client's own gradient.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from deepfake_kit.diffusion import NoiseSchedule, q_sample, to_model_range
from deepfake_kit.federated.client import client_seed, error_weight, local_optimizer, withheld
from deepfake_kit.federated.plan import Plan
from deepfake_kit.valid import invalid, whole


class _ForVmap(TorchFunctionMode):
    """Operations as vmap needs them: it knows no channels-last memory, hands group norms what it made of such,
    its convolutions pass autocast by, and it has no one number to give to a model that checks its steps (the engine
    drew them itself, so the first client's stands for all)."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.Tensor.contiguous:
            return func(args[0])  # the layout changes no number
        if func is torch.Tensor.__int__ and torch._C._functorch.is_batchedtensor(args[0]):
            return int(torch._C._functorch.get_unwrapped(args[0]).flatten()[0])
        if func is F.group_norm:
            args = (args[0].clone(memory_format=torch.contiguous_format), *args[1:])
        if func is torch.conv2d and torch.is_autocast_enabled(args[0].device.type):
            dtype = torch.get_autocast_dtype(args[0].device.type)
            args = tuple(arg.to(dtype) if isinstance(arg, Tensor) else arg for arg in args)
        return func(*args, **kwargs)


class BatchedWorker:
    """Trains many clients at once.

    Arithmetic has the model's own precision: a :class:`~deepfake_kit.diffusion.unet.UNet` computes in bfloat16 where it
    is asked to, or where ``precision="auto"`` finds hardware for it.

    Parameters
    ----------
    model : nn.Module
        A noise model; it lends its structure, its weights are left alone. It may not draw random numbers
        itself (no dropout): vmap refuses to.
    plan : Plan
    compiled : bool
        Pass the forward and backward computation through :func:`torch.compile`, which takes a minute once.
        Where that fails (no C++ compiler, say) a warning tells why and the run goes on without.
    at_once : int
        Most clients in one computation, >= 1; bounds the memory.

    Raises
    ------
    ValueError
        If `at_once` is below 1.

    Examples
    --------
    >>> net = nn.Conv2d(1, 1, 1); net.forward = lambda x, t: x * net.bias
    >>> work = BatchedWorker(net, Plan(rounds=1, local_steps=2, batch_size=2, lr=0.1))
    >>> updates, losses = work(torch.zeros(2), torch.zeros(6, 1, 8, 8), [torch.arange(2), torch.arange(2, 6)],
    ...                        NoiseSchedule.linear(), round=0, clients=[0, 1])
    >>> updates.shape, losses.shape
    (torch.Size([2, 2]), torch.Size([2]))
    """

    def __init__(self, model: nn.Module, plan: Plan, compiled: bool = False, at_once: int = 64):
        whole("at_once", at_once, 1)
        self.model, self.plan, self.at_once = model, plan, at_once
        self._plain = vmap(self._loss)
        self._losses = torch.compile(self._plain) if compiled else self._plain
        self._proven = not compiled

    def __call__(
        self,
        start: Tensor,
        images: Tensor,
        parts: Sequence[Tensor],
        schedule: NoiseSchedule,
        round: int,
        clients: Sequence[int],
        conditions: Tensor | None = None,
        shift: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One round of the clients named.

        Parameters
        ----------
        start : Tensor [P] or [K, P]
            Global weights, or each client's own.
        images : Tensor [M, C, H, W]
            uint8, or floats used as they are; on the model's device.
        parts : sequence of long Tensor
            Indices of each client's images, of all clients of the federation.
        schedule : NoiseSchedule
        round : int
        clients : sequence of int, length K
            Who takes part.
        conditions : Tensor [M, D], optional
            As in :func:`~deepfake_kit.federated.client.local_update`.
        shift : Tensor [K, P], optional
            Added to each client's gradients before the optimiser sees them: SCAFFOLD's :math:`c-c_k` (Karimireddy et
            al. 2020). The mean gradients without it are then in `gradients` [K, P].

        Returns
        -------
        (Tensor [K, P], Tensor [K])
            New weights of each, and the mean training loss of each over its local steps.
        """
        self.model.train()
        done = []
        for i in range(0, len(clients), self.at_once):
            some = slice(i, i + self.at_once)
            own = start if start.ndim == 1 else start[some]
            moved = None if shift is None else shift[some]
            done.append(self._group(own, images, parts, schedule, round, clients[some], conditions, moved))
        rows, losses, gradients = zip(*done, strict=True)
        self.gradients = None if shift is None else torch.cat(gradients)
        return torch.cat(rows), torch.cat(losses)

    def _group(self, start, images, parts, schedule, round, clients, conditions, shift):
        stacked = _Stacked(self.model, start, len(clients))
        optimizer = local_optimizer(stacked.trained, self.plan, round)
        draws = _Draws(images, [parts[k] for k in clients], self.plan, round, clients)
        shifts = stacked.split(shift) if shift is not None else []
        sums = [torch.zeros_like(one) for one in shifts]
        total: float | Tensor = 0.0
        for _ in range(self.plan.local_steps):
            chosen, t, noise, kept = draws.next(len(schedule))
            x0 = to_model_range(images[chosen.flatten()])
            x_t = q_sample(x0, t.flatten(), noise.flatten(0, 1), schedule).reshape(noise.shape)
            inputs = (x_t, t) if conditions is None else (x_t, t, conditions[chosen] * kept)
            losses = self._forward(stacked.named, inputs, noise, error_weight(t, noise, schedule, self.plan))
            optimizer.zero_grad()
            losses.sum().backward()
            for tensor, one, running in zip(stacked.trained, shifts, sums, strict=bool(shifts)):
                running += tensor.grad
                tensor.grad += one
            optimizer.step()
            total = total + losses.detach()
        mean = stacked.rows(sums) / self.plan.local_steps if shifts else None
        return stacked.rows(), total / self.plan.local_steps, mean

    def _loss(self, weights: dict[str, Tensor], inputs: tuple[Tensor, ...], noise: Tensor, each: Tensor) -> Tensor:
        """One client's loss; vmap makes it all clients'."""
        return (each * (functional_call(self.model, weights, inputs) - noise).square()).mean()

    def _forward(self, *args) -> Tensor:
        with _ForVmap(), sdpa_kernel(SDPBackend.MATH):  # vmap would run the others client by client
            if self._proven:
                return self._losses(*args)
            try:  # the first call compiles
                losses = self._losses(*args)
            except Exception as error:
                reason = str(error).strip().split("\n")[0][:200]
                warnings.warn(f"torch.compile failed, so this run goes on without it: {reason}", stacklevel=4)
                self._losses = self._plain
                losses = self._losses(*args)
            self._proven = True
            return losses


class _Stacked:
    """K copies of the weights `start`, each tensor [K, ...] and ready to be trained.

    What :func:`torch.func.stack_module_state` makes of K equal models, without making the models.
    """

    def __init__(self, model: nn.Module, start: Tensor, count: int):
        state = model.state_dict(keep_vars=True)  # keeps tensors apart that share one name each, and tied ones
        sizes = [tensor.numel() for tensor in state.values()]
        if start.shape not in ((sum(sizes),), (count, sum(sizes))):
            raise invalid("start", start, f"shape ({sum(sizes)},), or that for each of {count}")
        self.count, self.named, self.trained = count, {}, []
        self._order, self._dtype, made = [], start.dtype, {}
        for (name, tensor), piece in zip(state.items(), start.split(sizes, dim=-1), strict=True):
            if id(tensor) not in made:  # tied weights are stacked once; functional_call ties them again
                piece = piece if tensor.is_floating_point() else piece.round()
                one = piece.reshape(-1, *tensor.shape).to(tensor.dtype)
                copies = one.expand(count, *tensor.shape).clone()
                self.named[name] = made[id(tensor)] = copies
                if tensor.requires_grad:
                    self.trained.append(copies.requires_grad_())
                if tensor.dtype == torch.float64:
                    self._dtype = torch.float64
            self._order.append(made[id(tensor)])

    def rows(self, trained: list[Tensor] | None = None) -> Tensor:
        """The weights as a matrix [K, P], one client a row; a copy. Or what is given in place of those that are
        trained, with 0 for the others."""
        given = None if trained is None else dict(zip(map(id, self.trained), trained, strict=True))
        found = self._order if given is None else [given.get(id(x), torch.zeros_like(x)) for x in self._order]
        return torch.cat([tensor.detach().reshape(self.count, -1).to(self._dtype) for tensor in found], dim=1)

    def split(self, rows: Tensor) -> list[Tensor]:
        """A matrix [K, P] as tensors like those that are trained."""
        pieces = rows.split([tensor[0].numel() for tensor in self._order], dim=1)
        like = {id(tensor): piece.reshape(tensor.shape) for tensor, piece in zip(self._order, pieces, strict=True)}
        return [like[id(tensor)] for tensor in self.trained]


class _Draws:
    """Which images, steps and noise each client draws: what it would draw alone, in the same order."""

    def __init__(self, images: Tensor, parts: list[Tensor], plan: Plan, round: int, clients: Sequence[int]):
        device, size = images.device, (len(clients), plan.batch_size)
        dtype = torch.float32 if images.dtype == torch.uint8 else images.dtype
        self.parts, self.plan = parts, plan
        self.generators = [
            torch.Generator(device).manual_seed(client_seed(plan.seed, round, client)) for client in clients
        ]
        self.chosen, self.t = (torch.empty(size, dtype=torch.long, device=device) for _ in range(2))
        self.kept = torch.ones(*size, 1, device=device)
        self.noise = torch.empty(*size, *images.shape[1:], dtype=dtype, device=device)

    def next(self, steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """Indices [K, B], diffusion steps [K, B], noise [K, B, C, H, W] and which conditions are kept [K, B, 1];
        overwritten by the next call."""
        for k, (generator, part) in enumerate(zip(self.generators, self.parts, strict=True)):
            index = torch.randint(len(part), self.chosen[k].shape, generator=generator, device=self.chosen.device)
            self.chosen[k] = part[index]
            if self.plan.drop:
                self.kept[k] = withheld(index.shape, self.plan, generator)
            self.t[k].random_(steps, generator=generator)
            self.noise[k].normal_(generator=generator)
        return self.chosen, self.t, self.noise, self.kept
