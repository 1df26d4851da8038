r"""The last blocks of a vision transformer, trained on tokens that its frozen blocks made once.

What lies before the first block that may change gives the same tokens for an image in every epoch, so :func:`tokens`
computes them once; :class:`Tail` holds the rest. Only the class token is read at the end, so the last block asks its
keys and values with that one query. Its output is that of the whole network, up to rounding.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.training import fast_arithmetic, fast_dtype
from deepfake_kit.valid import require

#: What of a block and its attention is computed here.
KNOWN = {"norm1", "attn", "norm2", "mlp", "qkv", "proj"}


@torch.no_grad()
def tokens(model: nn.Module, images: Tensor, keep: tuple[int, ...] = (), batch_size: int = 16):
    """Tokens of a frozen transformer of timm.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode.
    images : Tensor float [N, 3, S, S]
        As the network takes them: its own side, its own normalisation.
    keep : tuple of int
        After how many blocks all tokens are kept; 0 means before the first.

    Returns
    -------
    cls : Tensor float [N, blocks + 1, D]
        The class token after 0, 1, ... blocks, without the final norm.
    kept : dict of int to Tensor float16 [N, T, D]

    Raises
    ------
    ValueError
        For a number in `keep` that is no block's.

    Examples
    --------
    >>> from deepfake_kit.detect.vit import small_vit
    >>> cls, kept = tokens(small_vit().eval(), torch.zeros(2, 3, 64, 64), keep=(2,))
    >>> cls.shape, kept[2].shape
    (torch.Size([2, 4, 64]), torch.Size([2, 17, 64]))
    """
    require(set(keep) <= set(range(len(model.blocks) + 1)), "keep", keep, f"numbers from 0 to {len(model.blocks)}")
    classes, kept = [], {k: [] for k in keep}
    device = next(model.parameters()).device
    for part in images.split(batch_size):
        with fast_arithmetic(device):
            x = model.norm_pre(model._pos_embed(model.patch_embed(part.to(device))))
            row = []
            for k in range(len(model.blocks) + 1):
                x = model.blocks[k - 1](x) if k else x
                row.append(x[:, 0].float().cpu())
                if k in kept:
                    kept[k].append(x.half().cpu())
        classes.append(torch.stack(row, 1))
    return torch.cat(classes), {k: torch.cat(parts) for k, parts in kept.items()}


def light(model: nn.Module) -> nn.Module:
    """Frozen linear layers in the type of fast arithmetic: once, not anew at every call as autocast would."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and layer.weight.dtype == torch.float32:
            layer.to(fast_dtype(layer.weight.device))
    return model


class Tail(nn.Module):
    r"""Blocks `first` to `last` of a transformer with an adapter beside each ``qkv``, and the class token after them.

    Each adapted layer gives :math:`Wx+\frac{\alpha}{r}BA\,\mathrm{dropout}(x)` with :math:`B=0` at the start
    (Hu et al. 2021), as peft's do.

    Parameters
    ----------
    model : nn.Module
        A transformer of timm whose blocks are plain (no scaling of layers, no norm of queries or keys, no dropout, and
        a bias in ``qkv``); it is not changed. Frozen weights share its memory unless `full` or converted to
        another type: a hundred adapters need one network.
    first, last : int
        Blocks, counted from 0; `last` itself is left out. The final norm follows if the last block is the model's.
    rank, alpha, dropout : int, float, float
        Of the adapters; rank 0 for none.
    full : bool
        Whether the blocks' own weights are trained.
    generator : torch.Generator, optional
        For A. Dropout draws from torch's global generator, which callers seed.

    Raises
    ------
    ValueError
        For blocks that are not there, or that hold more than is computed here.

    Examples
    --------
    >>> from deepfake_kit.detect.vit import small_vit
    >>> tail = Tail(small_vit(), first=2, last=3, rank=4)
    >>> sum(p.numel() for p in tail.parameters() if p.requires_grad), tail(torch.zeros(2, 17, 64)).shape
    (1024, torch.Size([2, 64]))
    """

    def __init__(self, model, first, last, rank=16, alpha=32.0, dropout=0.1, full=False, generator=None):
        super().__init__()
        good = 0 <= first < last <= len(model.blocks) and rank >= 0 and 0 <= dropout < 1
        valid = f"0 <= first < last <= {len(model.blocks)}, rank >= 0, 0 <= dropout < 1"
        require(good, "first, last, rank, dropout", (first, last, rank, dropout), valid)
        for part in (part for block in model.blocks[first:last] for part in (block, getattr(block, "attn", block))):
            acts = {name for name, x in part.named_children() if not isinstance(x, nn.Identity) and getattr(x, "p", 1)}
            more = (acts | dict(part.named_parameters(recurse=False)).keys()) - KNOWN
            more |= {"a qkv without bias"} if getattr(getattr(part, "qkv", None), "bias", 0) is None else set()
            require(not more, "model", f"blocks with {', '.join(sorted(more))}", "plain blocks of a transformer")
        rest = () if full else (p for p in model.parameters() if not p.requires_grad)
        shared = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in rest}
        self.blocks = copy.deepcopy(model.blocks[first:last], shared)
        self.norm = copy.deepcopy(model.norm, shared) if last == len(model.blocks) else nn.Identity()
        self.requires_grad_(full)
        if not full:
            light(self.blocks)
        self.full, self.dropout, self.scale = full, dropout, alpha / max(rank, 1)
        width = model.embed_dim
        ups = [torch.zeros(3 * width, rank) for _ in self.blocks if rank]
        downs = [torch.empty(rank, width) for _ in ups]
        for down in downs:  # peft's start: uniform, with the bounds of a linear layer
            down.uniform_(-(width**-0.5), width**-0.5, generator=generator)
        self.down, self.up = nn.ParameterList(downs), nn.ParameterList(ups)

    @torch.no_grad()
    def prepare(self, x: Tensor) -> tuple[Tensor, ...]:
        """All that stays the same for images in every epoch, from their tokens [N, T, D] before block `first`.

        Returns
        -------
        tuple of Tensor, each with N rows
            The tokens alone; for adapters in a single block the class token, the normed tokens, and the frozen query of
            the class token, keys and values, the last two as [N, heads, T, D / heads].
        """
        if self.full or len(self.blocks) > 1:
            return (x,)
        block, parts = self.blocks[0], []
        store = fast_dtype(x.device) if x.dtype == torch.float16 else x.dtype
        for part in x.split(50):
            part = part.float() if part.dtype == torch.float16 else part
            with fast_arithmetic(x.device):
                normed = block.norm1(part)
                qkv = block.attn.qkv(normed).unflatten(-1, (3, block.attn.num_heads, -1))
                q, keys, values = qkv.permute(2, 0, 3, 1, 4)
            row = part[:, 0], normed.to(store), q[:, :, 0].to(part), keys.to(store), values.to(store)
            parts.append([y.contiguous() for y in row])
        return tuple(torch.cat(column) for column in zip(*parts))

    def _low(self, k: int, normed: Tensor) -> Tensor:
        down = self.down[k]
        if self.training and self.dropout:  # 16 random bits a number: torch's own takes as long as all else in a step
            draws = normed.new_empty(normed.numel() // 4 + 1, dtype=torch.int64).random_(-(2**63), None)
            kept = draws.view(torch.int16)[: normed.numel()].view(normed.shape) >= round(self.dropout * 2**16) - 2**15
            normed, down = torch.where(kept, normed, 0.0), down / (1 - self.dropout)
        return self.scale * F.linear(normed, down)

    def _block(self, k: int, x: Tensor) -> Tensor:
        block, asked = self.blocks[k], 1 if k == len(self.blocks) - 1 else x.shape[1]
        normed, qkv = block.norm1(x), block.attn.qkv
        width = normed.shape[-1]
        parts = (normed[:, :asked], slice(width)), (normed, slice(width, None))  # only those asked make a query
        q, others = (F.linear(part, qkv.weight[rows], qkv.bias[rows]) for part, rows in parts)
        if len(self.up):
            low = self._low(k, normed)
            q, others = q + F.linear(low[:, :asked], self.up[k][:width]), others + F.linear(low, self.up[k][width:])
        split = (q, *others.chunk(2, -1))
        q, keys, values = (part.unflatten(-1, (block.attn.num_heads, -1)).transpose(1, 2) for part in split)
        weights = (q @ keys.transpose(-2, -1) / math.sqrt(keys.shape[-1])).softmax(-1)
        return self._out(block, x[:, :asked], (weights @ values).transpose(1, 2).flatten(2))

    @staticmethod
    def _out(block: nn.Module, x: Tensor, attended: Tensor) -> Tensor:
        x = x + block.attn.proj(attended)
        return x + block.mlp(block.norm2(x))

    def _single(self, x: Tensor, normed: Tensor, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """One block's class token; an adapter's part of keys and values is applied after the sums over tokens."""
        block, heads = self.blocks[0], keys.shape[1]
        if len(self.up):
            low = self._low(0, normed)  # [N, T, r]
            of_q, of_k, of_v = (part.unflatten(0, (heads, -1)) for part in self.up[0].chunk(3))  # [heads, d, r]
            q = q + torch.einsum("nr,hdr->nhd", low[:, 0], of_q)
        scores = (q[:, :, None] @ keys.transpose(-2, -1))[:, :, 0]
        if len(self.up):
            scores = scores + torch.einsum("nhd,hdr->nhr", q, of_k) @ low.transpose(1, 2)
        weights = (scores / math.sqrt(keys.shape[-1])).softmax(-1)
        attended = (weights[:, :, None].to(values.dtype) @ values)[:, :, 0]
        if len(self.up):
            attended = attended + torch.einsum("nhr,hdr->nhd", weights @ low.to(weights.dtype), of_v)
        return self._out(block, x, attended.flatten(1))

    def forward(self, x: Tensor, *prepared: Tensor) -> Tensor:
        """The class token after the last block, float [N, D], from what :meth:`prepare` gives."""
        x = x.float() if x.dtype == torch.float16 else x
        with fast_arithmetic(x.device):
            if prepared:
                x = self._single(x, *prepared)
            else:
                for k in range(len(self.blocks)):
                    x = self._block(k, x)
                x = x[:, 0]
            x = self.norm(x)
        return x if x.dtype == torch.float64 else x.float()
