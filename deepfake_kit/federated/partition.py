r"""Who holds which images: ways to split a data set over the clients of a federation.

Each function returns one sorted index vector a client. Together the vectors hold every index exactly once.
The paper (DD-TMA, Sec. III.A) says "IID" and "N-IID" and defines neither, so every split here has its source
in its docstring.
"""

from __future__ import annotations

import numpy as np
import torch

from deepfake_kit.draws import numpy_generator
from deepfake_kit.valid import invalid, require, whole, within


def _enough(n: int, clients: int, each: int) -> None:
    most = n // max(1, each)
    require(clients <= most, "clients", clients, f"at most {most}, as there are {n} images and each needs {each}")


def _vector(name: str, values) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise invalid(name, f"{array.dtype} of shape {array.shape}", "a vector of whole numbers")
    return array


def _as_tensors(parts) -> list[torch.Tensor]:
    return [torch.from_numpy(np.sort(np.asarray(part, dtype=np.int64))) for part in parts]


def partition_iid(n: int, clients: int, generator: torch.Generator | None = None) -> list[torch.Tensor]:
    """Shuffle and cut into equal pieces: every client's images follow the same distribution.

    Parameters
    ----------
    n : int
        Number of images, at least one a client.
    clients : int
        Number of clients, >= 1. Sizes differ by at most one.
    generator : torch.Generator, optional
        Of the shuffle.

    Returns
    -------
    list of long Tensor
        Indices of each client, sorted.

    Raises
    ------
    ValueError
        If there are no clients, or more clients than images.

    Examples
    --------
    >>> [part.tolist() for part in partition_iid(5, 2, torch.Generator().manual_seed(0))]
    [[2, 3, 4], [0, 1]]
    """
    n, clients = whole("n", n, 0), whole("clients", clients, 1)
    _enough(n, clients, 1)
    return _as_tensors(np.array_split(numpy_generator(generator).permutation(n), clients))


def partition_dirichlet(
    labels, clients: int, alpha: float, generator: torch.Generator | None = None, minimum: int = 1
) -> list[torch.Tensor]:
    r"""Share out each class in proportions drawn from a symmetric Dirichlet distribution.

    .. math:: p_c \sim \mathrm{Dir}(\alpha \mathbf 1_K), \qquad
              |\{j \in D_k : y_j = c\}| \approx p_{c,k}\, n_c

    Yurochkin et al. (2019), ICML, Sec. 4. As :math:`\alpha\to\infty` every client holds an equal share of
    each class; as :math:`\alpha\to 0` each class belongs to one client. Sizes of clients differ.

    Parameters
    ----------
    labels : integer vector [n]
        Class of each image; array or tensor.
    clients : int
        Number of clients K, >= 1.
    alpha : float
        Concentration, finite and > 0.
    generator : torch.Generator, optional
        Of the draw.
    minimum : int
        Fewest images a client may end with. Whoever has fewer is given single images by the largest client;
        with 0 clients may stay empty.

    Returns
    -------
    list of long Tensor
        Indices of each client, sorted.

    Raises
    ------
    ValueError
        If there are no clients, alpha is not finite and > 0, or there are too few images for `minimum`.

    Examples
    --------
    >>> parts = partition_dirichlet(np.repeat([0, 1], 10), clients=2, alpha=1e6)
    >>> [len(part) for part in parts]
    [10, 10]
    """
    labels, clients = _vector("labels", labels), whole("clients", clients, 1)
    minimum = whole("minimum", minimum, 0)
    within("alpha", alpha, "(0, inf)")
    _enough(len(labels), clients, minimum)
    rng = numpy_generator(generator)
    parts: list[list] = [[] for _ in range(clients)]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        share = rng.dirichlet(np.full(clients, float(alpha)))
        cuts = np.round(share.cumsum()[:-1] * len(members)).astype(int)
        for part, piece in zip(parts, np.split(members, cuts), strict=True):
            part.extend(piece)
    while len(short := min(parts, key=len)) < minimum:
        short.append(max(parts, key=len).pop())
    return _as_tensors(parts)


def partition_shards(labels, clients: int, shards: int, generator: torch.Generator | None = None) -> list[torch.Tensor]:
    """Sort by label, cut into equal shards, deal each client `shards` of them.

    McMahan et al. (2017), AISTATS, Sec. 3 (their "pathological non-IID": 2 shards). A client sees few
    classes, and all clients hold almost equally many images.

    Parameters
    ----------
    labels : integer vector [n]
        Class of each image.
    clients, shards : int
        Number of clients, and of shards a client; each >= 1.
    generator : torch.Generator, optional
        Of the deal.

    Returns
    -------
    list of long Tensor
        Indices of each client, sorted.

    Raises
    ------
    ValueError
        If there are no clients or shards, or fewer images than shards in all.

    Examples
    --------
    >>> sorted(part.tolist() for part in partition_shards(np.array([1, 0, 1, 0]), clients=2, shards=1))
    [[0, 2], [1, 3]]
    """
    labels = _vector("labels", labels)
    clients, shards = whole("clients", clients, 1), whole("shards", shards, 1)
    _enough(len(labels), clients, shards)
    pieces = np.array_split(np.argsort(labels, kind="stable"), clients * shards)
    dealt = numpy_generator(generator).permutation(clients * shards).reshape(clients, shards)
    return _as_tensors(np.concatenate([pieces[i] for i in hand]) for hand in dealt)
