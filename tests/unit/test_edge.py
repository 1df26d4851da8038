"""Edge networks: the counts of the public code, invariances of the pieces, clear errors."""

import pytest
import torch
from torch import nn

from deepfake_kit.detect import edge
from deepfake_kit.measure.costs import count_macs, count_parameters, feature_sides


@pytest.fixture(scope="module")
def nets():
    with torch.device("meta"):
        return {"resnet": edge.resnet50(), "phinet": edge.PhiNet(), "micronet": edge.MicroNet("m1")}


# Counted on the three public implementations; the thesis prints 23.5, 1.14 (with its head) and 85.4 and 4.07 billion.
@pytest.mark.parametrize(
    "name, parameters, width, macs",
    [
        ("resnet", 23_508_032, 2048, {224: 4_087_136_256, 1024: 85_412_806_656}),
        ("phinet", 1_039_675, 208, {128: 63_959_424, 224: 195_100_104, 1024: 4_069_711_104}),
        ("micronet", 258_747, 576, {224: 3_801_120, 1024: 74_999_520}),
    ],
)
def test_counts_of_the_public_code(nets, name, parameters, width, macs):
    net = nets[name]
    assert count_parameters(net) == parameters and net.width == width
    assert {side: count_macs(net, side) for side in macs} == macs


def test_phinets_blocks_are_those_of_the_public_code():
    net = edge.PhiNet()
    assert [count_parameters(b) for b in net.blocks] == [13128, 12256, 15904, 50952, 60928, 154968, 191768, 537456]
    assert [b.skip for b in net.blocks] == [False, True] * 4
    assert count_parameters(net.stem) == 307 and count_parameters(net.first) == 2008


def test_micronets_blocks_are_those_of_the_public_code():
    assert [count_parameters(edge.micro_block(*row)) for row in edge.M1] == [408, 1400, 4012, 15904, 56384, 111420]


def test_heads_reproduce_the_printed_parameters(nets):
    def with_head(net, hidden):
        return nn.Sequential(net, nn.Linear(net.width, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    assert count_parameters(with_head(nets["phinet"], 512)) == 1_147_196
    assert count_parameters(with_head(nets["micronet"], 2048)) == 1_442_492
    assert count_parameters(with_head(nets["micronet"], 512)) == 554_684
    assert count_macs(with_head(nets["micronet"], 2048), 1024) == 76_181_216


def test_networks_run_and_every_weight_gets_a_gradient():
    for net in (edge.PhiNet(0.3, t0=3, layers=4), edge.MicroNet()):
        features = net(torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
        assert features.shape == (4, net.width) and torch.isfinite(features).all()
        (features**2).sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def test_expansion_runs_from_t0_to_beta_t0():
    assert edge.expansion(0, 8, 5, 0.75) == 5 and edge.expansion(8, 8, 5, 0.75) == 3.75
    steps = [edge.expansion(n, 8) - edge.expansion(n - 1, 8) for n in range(1, 9)]
    assert steps == pytest.approx([-1.25 / 8] * 8)


@pytest.mark.parametrize("channels", range(1, 300))
def test_divisible_channels_never_lose_a_tenth(channels):
    rounded = edge.make_divisible(channels)
    assert rounded % 8 == 0 and rounded >= 0.9 * channels and (rounded == 8 or abs(rounded - channels) <= 8)


def test_beta_leaves_the_sides_alone():
    assert feature_sides(edge.PhiNet(beta=0.5), 224) == feature_sides(edge.PhiNet(beta=1.5), 224)


def test_shifting_moves_group_and_channel():
    x = torch.arange(12.0).reshape(1, 12, 1, 1)
    shifted = edge.shift_channels(x, 3).flatten()
    # Channel i takes the value of group i // 4 + 1, place i % 4 + 1, both in a circle.
    assert shifted.tolist() == [((i // 4 + 1) % 3) * 4 + (i % 4 + 1) % 4 for i in range(12)]


def test_dynamic_shift_max_by_hand():
    layer = edge.DynamicShiftMax(4, groups=2, squeezed=4, fusions=2).double()
    x = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    hidden = torch.relu(x.mean((2, 3)) @ layer.down.weight.T + layer.down.bias)
    raw = hidden @ layer.up.weight.T + layer.up.bias
    theta = 4 * (((raw + 3).clamp(0, 6) / 6) - 0.5)
    a, b = theta[:, :8].reshape(2, 2, 4), theta[:, 8:].reshape(2, 2, 4)
    shifted = x[:, [3, 2, 1, 0]]
    mixtures = [(1 + a[:, k, :, None, None]) * x + b[:, k, :, None, None] * shifted for k in range(2)]
    assert torch.allclose(layer(x), torch.maximum(*mixtures))


def test_squeeze_excite_weighs_between_zero_and_one():
    x = torch.rand(3, 8, 4, 4, generator=torch.Generator().manual_seed(3)) + 0.1
    share = edge.SqueezeExcite(8, 4)(x) / x
    assert bool(((share > 0) & (share < 1)).all())
    assert torch.allclose(share, share[..., :1, :1].expand_as(share))


@pytest.mark.parametrize("c_out, stride", [(16, 1), (24, 1), (16, 2)])
def test_a_silenced_block_gives_its_input_or_nothing(c_out, stride):
    block = edge.PhiNetBlock(16, c_out, 3.0, stride).eval()
    nn.init.zeros_(block.layers[-1].weight)
    x = torch.rand(2, 16, 8, 8, generator=torch.Generator().manual_seed(4))
    same = c_out == 16 and stride == 1
    assert torch.equal(block(x), x if same else torch.zeros(2, c_out, 8 // stride, 8 // stride))


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: edge.PhiNet(alpha=0), "alpha"),
        (lambda: edge.PhiNet(layers=0), "layers"),
        (lambda: edge.MicroNet("m7"), "variant"),
        (lambda: edge.expansion(9, 8), "block"),
        (lambda: edge.shift_channels(torch.zeros(1, 6, 1, 1), 4), "groups"),
        (lambda: edge.make_divisible(0), "channels"),
        (lambda: edge.PhiNet(0.2, t0=2, layers=2)(torch.zeros(1, 3, 1, 1)), "at least 2 x 2"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
