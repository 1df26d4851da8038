r"""A residual U-Net that predicts noise, made for small images and ordinary processors.

The plan is DDPM's (Ho et al. 2020, appendix B): residual blocks that see the step t, skip connections between
equal resolutions, self-attention at the coarsest one only. Four things make it fast on a CPU: a
space-to-depth stem (Shi et al. 2016) that moves the widest layers to a quarter of the pixels, attention where
it costs least, channels-last memory, and bfloat16 arithmetic where the processor has it. Parameters and
results stay float32.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.training import fast_dtype
from deepfake_kit.valid import one_of, require, whole


def time_embedding(t: Tensor, dim: int, max_period: float = 10_000.0) -> Tensor:
    r"""Features :math:`[\cos t\omega_k, \sin t\omega_k]`, :math:`\omega_k = P^{-2k/d}`: t [N] -> [N, dim].

    Vaswani et al. 2017, section 3.5.

    >>> time_embedding(torch.tensor([0]), 4).tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """
    require(dim >= 2 and not dim % 2, "dim", dim, "an even number from 2 on")
    omega = torch.exp(torch.arange(dim // 2, device=t.device) * (-2 * math.log(max_period) / dim))
    angle = t.float()[:, None] * omega
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def _groups(channels: int) -> int:
    """Groups of at least 16 channels: narrower ones are 8x slower in channels-last bfloat16 (measured)."""
    return next(g for g in range(max(1, channels // 16), 0, -1) if channels % g == 0)


class ResBlock(nn.Module):
    """GroupNorm-SiLU-conv twice, with the step scaling and shifting the second norm; in/out [N, C, H, W]."""

    def __init__(self, c_in: int, c_out: int, c_emb: int):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(_groups(c_in), c_in), nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(_groups(c_out), c_out), nn.Conv2d(c_out, c_out, 3, padding=1)
        self.emb = nn.Linear(c_emb, 2 * c_out)
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()
        nn.init.zeros_(self.conv2.weight)  # each block starts as its skip path
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.emb(emb)[:, :, None, None].chunk(2, dim=1)
        h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        return self.skip(x) + self.conv2(F.silu(h))


class Attention(nn.Module):
    """Self-attention over the H*W positions, with a residual path; in/out [N, C, H, W]."""

    def __init__(self, channels: int, head_dim: int = 32):
        super().__init__()
        self.heads = next(h for h in range(max(1, channels // head_dim), 0, -1) if channels % h == 0)
        self.norm = nn.GroupNorm(_groups(channels), channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        n, c, height, width = x.shape
        tokens = self.norm(x).permute(0, 2, 3, 1).reshape(n, height * width, c)
        q, k, v = self.qkv(tokens).reshape(n, -1, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, height * width, c)
        return x + self.out(mixed).reshape(n, height, width, c).permute(0, 3, 1, 2)


class UNet(nn.Module):
    """Noise model eps(x_t, t) for images.

    Parameters
    ----------
    in_channels : int
        Image channels (1 grey, 3 colour).
    channels : tuple of int
        Width of each resolution, finest first (even); each further entry halves the resolution.
        Multiples of 16 are fastest.
    blocks : int
        Residual blocks per resolution on the way down; the way up has one more.
    stem : int
        Side of the space-to-depth patch at the input; 1 for none, 2 suits 28 px, 4 suits 128 px.
    attention : bool
        Self-attention at the coarsest resolution.
    condition_dim : int, optional
        Width of a condition vector [N, condition_dim] that is added to the step's embedding.
    precision : {"auto", "float32", "bfloat16"}
        Type of the arithmetic inside; "auto" takes :func:`fast_dtype`. Parameters and output keep theirs.

    Raises
    ------
    ValueError
        For an unknown precision, an odd or missing first width, other channels, or an image side that does not divide.

    Examples
    --------
    >>> UNet(channels=(8, 16), blocks=1)(torch.zeros(2, 1, 28, 28), torch.tensor([0, 999])).shape
    torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: tuple[int, ...] = (64, 96),
        blocks: int = 2,
        stem: int = 2,
        attention: bool = True,
        condition_dim: int | None = None,
        precision: str = "auto",
    ):
        super().__init__()
        one_of("precision", precision, ("auto", "float32", "bfloat16"))
        require(channels and not channels[0] % 2, "channels", repr(channels), "one width or more, the first even")
        whole("blocks", blocks, 1)
        whole("stem", stem, 1)
        self.stem, self.precision = stem, precision
        self.multiple = stem * 2 ** (len(channels) - 1)
        width, c_emb = channels[0], 2 * channels[0]
        self.embed = nn.Sequential(nn.Linear(width, c_emb), nn.SiLU(), nn.Linear(c_emb, c_emb))
        self.condition = None if condition_dim is None else nn.Linear(condition_dim, c_emb)
        self.inp = nn.Conv2d(in_channels * stem**2, width, 3, padding=1)
        # At early steps the noise is faint beside the image; normalising half the features each shows it.
        self.contrast = nn.GroupNorm(width // 2, width // 2)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, c = [width], width
        for level, c_out in enumerate(channels):
            for _ in range(blocks):
                self.down.append(ResBlock(c, c_out, c_emb))
                skips.append(c := c_out)
            if level < len(channels) - 1:
                self.down.append(nn.Conv2d(c, c, 3, stride=2, padding=1))
                skips.append(c)
        self.middle = ResBlock(c, c, c_emb)
        self.attention = Attention(c) if attention else nn.Identity()
        for level, c_out in reversed(list(enumerate(channels))):
            for _ in range(blocks + 1):
                self.up.append(ResBlock(c + skips.pop(), c_out, c_emb))
                c = c_out
            if level:
                self.up.append(nn.Upsample(scale_factor=2, mode="nearest"))
        self.norm = nn.GroupNorm(_groups(c), c)
        self.out = nn.Conv2d(c, in_channels * stem**2, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Noise in `x` [N, C, H, W] at steps `t` [N] long, given `condition` [N, condition_dim]."""
        channels = self.out.out_channels // self.stem**2
        require(x.ndim == 4 and x.shape[1] == channels, "x", x, f"[N, {channels}, H, W]")
        multiples = not (x.shape[-1] % self.multiple or x.shape[-2] % self.multiple)
        require(multiples, "x", x, f"sides that are multiples of {self.multiple}")
        known = "none" if self.condition is None else "one, as the network was made with condition_dim"
        require((condition is None) == (self.condition is None), "condition", condition, known)
        dtype = fast_dtype(x.device) if self.precision == "auto" else getattr(torch, self.precision)
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            return self._forward(x, t, condition).to(x.dtype)

    def _forward(self, x: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        emb = self.embed(time_embedding(t, self.embed[0].in_features).to(self.inp.weight.dtype))
        if self.condition is not None:
            emb = emb + self.condition(condition)
        emb = F.silu(emb)
        h = F.pixel_unshuffle(x.to(self.inp.weight.dtype), self.stem).contiguous(memory_format=torch.channels_last)
        raw, faint = self.inp(h).chunk(2, dim=1)
        h = torch.cat([raw, self.contrast(faint.contiguous())], dim=1).contiguous(memory_format=torch.channels_last)
        skips = [h]
        for layer in self.down:
            h = layer(h, emb) if isinstance(layer, ResBlock) else layer(h)
            skips.append(h)
        h = self.attention(self.middle(h, emb))
        for layer in self.up:
            h = layer(torch.cat([h, skips.pop()], dim=1), emb) if isinstance(layer, ResBlock) else layer(h)
        return F.pixel_shuffle(self.out(F.silu(self.norm(h))), self.stem)
