"""From one `torch.Generator` to the draws of code that takes numpy's generator, or only a seed."""

from __future__ import annotations

import numpy as np
import torch


def seed_of(generator: torch.Generator | None = None) -> int:
    """The seed that `generator` was made with; it goes on from another one, so the next call gives another seed.

    Without a generator the seed is drawn from torch's global stream.

    Examples
    --------
    >>> random = torch.Generator().manual_seed(7)
    >>> seed_of(random), seed_of(random) == 7
    (7, False)
    """
    if generator is None:
        return int(torch.randint(2**62, (1,)))
    seed = generator.initial_seed()
    generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
    return seed


def numpy_generator(generator: torch.Generator | None = None) -> np.random.Generator:
    """numpy's generator for the draws of torch's: that of :func:`seed_of`.

    Examples
    --------
    >>> ours = numpy_generator(torch.Generator().manual_seed(7))
    >>> ours.random() == np.random.default_rng(7).random()
    True
    """
    return np.random.default_rng(seed_of(generator))
