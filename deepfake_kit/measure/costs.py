"""What a network costs before anything is computed: parameters, multiply-accumulates, memory, sides of its maps.

A copy on torch's meta device, which keeps shapes and no numbers, is shown one image; the model is left as it was.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deepfake_kit.valid import whole


def count_parameters(model: nn.Module) -> int:
    """Numbers in all of a model's parameters, frozen ones too.

    >>> count_parameters(nn.Linear(3, 2))
    8
    """
    return sum(p.numel() for p in model.parameters())


def count_macs(model: nn.Module, resolution: int) -> int:
    """Multiply-accumulates for one image [3, resolution, resolution], counted on torch's meta device.

    Counted by ``torch.utils.flop_counter``: one for each product of a convolution or a linear layer; batch norm,
    activations, pooling and biases are not counted. No number is computed, so a megapixel costs nothing.

    Parameters
    ----------
    model : nn.Module
        Takes [1, 3, resolution, resolution]. It is left as it was.
    resolution : int
        Side in pixels, at least 1.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If the resolution is no whole number of at least 1.

    Examples
    --------
    >>> count_macs(nn.Conv2d(3, 8, 3, padding=1), 10)
    21600
    """
    from torch.utils.flop_counter import FlopCounterMode

    copy, images = _on_meta(model, resolution)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copy(images)
    return counter.get_total_flops() // 2


def peak_activation(model: nn.Module, resolution: int) -> int:
    """Numbers that must be in memory at once for one image [3, resolution, resolution], residuals counted.

    A result of a convolution, a linear layer or a pooling needs room beside its input; a picture or a result stays
    until its last reader has run, as the input of a residual block does. Norms, activations, gates, shuffles and sums
    are taken to write over their largest input, as compilers for small devices do, unless the result is larger, as
    that of an upsampling or a concatenation is. With 8-bit numbers this is bytes.

    Raises
    ------
    ValueError
        As :func:`count_macs`.

    Examples
    --------
    >>> peak_activation(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1)), 10)
    1100
    """
    copy, images = _on_meta(model, resolution)
    with torch.no_grad(), _Buffers(images) as noted:
        copy(images)
    rooms = list(zip(noted.size, noted.made, noted.read))
    return max(sum(size for size, made, read in rooms if made <= step <= read) for step in noted.made)


class _Buffers(TorchDispatchMode):
    """Note for each room in memory its size, the operation that first fills it and the last that reads it."""

    def __init__(self, images: Tensor):
        super().__init__()
        self.kept, self.room = [images], {id(images): 0}  # keeping a tensor keeps its id from being given again
        self.size, self.made, self.read, self.step = [images.numel()], [0], [0], 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.step += 1
        inputs = {self.room[id(x)] for x in tree_leaves((args, kwargs)) if id(x) in self.room}
        for room in inputs:
            self.read[room] = self.step
        beside = any(name in function.__name__ for name in ("conv", "mm", "pool", "mean"))
        for tensor in (x for x in tree_leaves(result) if inputs and isinstance(x, Tensor) and x.numel()):
            self.kept.append(tensor)
            # By its storage: an expanded view is larger and takes no room.
            if beside or tensor.untyped_storage().nbytes() > tensor.element_size() * max(self.size[r] for r in inputs):
                self.room[id(tensor)] = len(self.size)
                for notes, value in ((self.size, tensor.numel()), (self.made, self.step), (self.read, self.step)):
                    notes.append(value)
            else:
                self.room[id(tensor)] = max(inputs, key=self.size.__getitem__)
        return result


def feature_sides(model: nn.Module, resolution: int) -> list[int]:
    """Sides of the maps that the convolutions with kernels above 1x1 give, in order.

    >>> feature_sides(nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, padding=1)), 224)
    [112, 112]
    """
    copy, images = _on_meta(model, resolution)
    sides: list[int] = []
    for layer in copy.modules():
        if isinstance(layer, nn.Conv2d) and max(layer.kernel_size) > 1:
            layer.register_forward_hook(lambda _, inputs, output: sides.append(output.shape[-1]))
    with torch.no_grad():
        copy(images)
    return sides


def _on_meta(model: nn.Module, resolution: int) -> tuple[nn.Module, Tensor]:
    from copy import deepcopy

    whole("resolution", resolution, 1)
    return deepcopy(model).to("meta").eval(), torch.empty(1, 3, resolution, resolution, device="meta")
