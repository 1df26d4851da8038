"""Let a torchvision that was built for CUDA import beside a CPU-only torch.

Such a torchvision registers properties of its ``nms`` and ``qnms`` operators while
it is imported and fails because the operators themselves live in a compiled
library that cannot load. Declaring their signatures first is enough for
transforms, models, data sets and timm. Where torchvision imports as it is, this
does nothing.
"""

from __future__ import annotations

SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
# A library object must stay alive for its definitions to stay registered.
_fragments: list = []


def torchvision():
    """Import torchvision, with the operators declared first where that is needed.

    Returns
    -------
    module
        ``torchvision``. Its own image codecs and ``ops.nms`` may be missing; use Pillow.

    Examples
    --------
    >>> torchvision().__name__
    'torchvision'
    """
    import sys

    import torch

    try:
        import torchvision as module
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        fragment = torch.library.Library("torchvision", "FRAGMENT")
        fragment.define(f"nms{SIGNATURE}")
        fragment.define(f"qnms{SIGNATURE}")
        _fragments.append(fragment)
        import torchvision as module
    return module
