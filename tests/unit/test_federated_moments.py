"""Sums that devices send once: the covariance, components and codes of all rows in one place, whatever the split."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from deepfake_kit.federated import Components, Moments, partition_dirichlet, partition_iid, partition_shards


def rows():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(300, 6, generator=generator) @ torch.randn(6, 6, generator=generator) + 3


LABELS = torch.arange(300) % 10
SPLITS = {
    "iid": partition_iid(300, 20, torch.Generator().manual_seed(0)),
    "dirichlet": partition_dirichlet(LABELS, 20, 0.1, torch.Generator().manual_seed(0)),
    "shards": partition_shards(LABELS, 20, 2, torch.Generator().manual_seed(0)),
    "one image a device": list(torch.arange(300).split(1)),
}


@pytest.mark.parametrize("split", SPLITS)
def test_the_split_does_not_matter(split):
    x = rows()
    sent = [Moments.of(x[torch.as_tensor(part)]) for part in SPLITS[split]]
    together = sent[0]
    for one in sent[1:]:
        together = together + one
    np.testing.assert_allclose(together.covariance, np.cov(x.double().numpy().T, bias=True), rtol=1e-9, atol=1e-9)
    assert together.count == 300
    own, whole = Components.of(together, 4), Components.of(Moments.of(x), 4)
    torch.testing.assert_close(own.encode(x), whole.encode(x), rtol=1e-6, atol=1e-6)


def test_a_device_left_out_is_noticed():
    x = rows()
    less = Moments.of(x[20:])
    assert (less.covariance - Moments.of(x).covariance).norm() > 1e-3


def test_components_are_those_of_scikit_learn():
    x = rows()
    ours, theirs = Components.of(Moments.of(x), 3), PCA(3).fit(x.double().numpy())
    for direction, other in zip(ours.directions.T.numpy(), theirs.components_, strict=True):
        assert abs(direction @ other) == pytest.approx(1, abs=1e-9)
    scale = np.sqrt(theirs.explained_variance_ * 299 / 300)  # scikit-learn divides by n - 1
    np.testing.assert_allclose(ours.scale, scale, rtol=1e-9)


def test_codes_have_unit_covariance_and_all_components_give_the_rows_back():
    x = rows()
    components = Components.of(Moments.of(x), 6)
    codes = components.encode(x.reshape(300, 1, 2, 3))
    torch.testing.assert_close(codes.T @ codes / 300, torch.eye(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(components.decode(codes), x, atol=1e-4, rtol=1e-4)
    assert codes.dtype == components.decode(codes).dtype == torch.float32


@pytest.mark.parametrize("k", [0, 7, 2.0, True])
def test_a_wrong_number_of_components_is_named(k):
    with pytest.raises(ValueError, match="k: got .*; valid: a whole number from 1 to 6"):
        Components.of(Moments.of(rows()), k)


def test_data_that_do_not_vary_are_refused():
    with pytest.raises(ValueError, match="directions along which the data vary"):
        Components.of(Moments.of(rows()[:3]), 5)
