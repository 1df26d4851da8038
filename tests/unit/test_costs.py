"""What a network costs: counted by hand, by hooks on its modules, and without touching it."""

import pytest
import torch
from torch import nn

from deepfake_kit.detect import edge
from deepfake_kit.measure import costs


@pytest.mark.parametrize("groups", [1, 4])
def test_macs_of_one_layer_by_hand(groups):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 5, 2, 2, groups=groups), nn.Flatten(), nn.Linear(12 * 16, 7)
    )
    assert costs.count_macs(net, 8) == 64 * 27 * 8 + 16 * 25 * (8 // groups) * 12 + 12 * 16 * 7
    assert costs.peak_activation(net, 8) == 64 * 8 + 16 * 12  # the second convolution's input and output


def test_counting_leaves_the_model_alone():
    net = edge.PhiNet(0.2, t0=2, layers=2).train()
    before = {name: x.clone() for name, x in net.state_dict().items()}
    costs.count_macs(net, 64)
    assert net.training and all(x.device.type == "cpu" for x in net.parameters())
    assert all(torch.equal(x, before[name]) for name, x in net.state_dict().items())
    assert not any(layer._forward_hooks for layer in net.modules())


class Residual(nn.Module):
    """Three convolutions and a skip whose input the last of them does not read."""

    def __init__(self, skip: bool):
        super().__init__()
        self.layers, self.skip = nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))), skip

    def forward(self, x):
        return torch.relu(self.layers(x) + x) if self.skip else torch.relu(self.layers(x))


def test_a_residual_stays_in_memory_until_it_is_added():
    stem = nn.Conv2d(3, 4, 3, padding=1)
    assert costs.peak_activation(nn.Sequential(stem, Residual(False)), 10) == 2 * 400
    assert costs.peak_activation(nn.Sequential(stem, Residual(True)), 10) == 3 * 400


class Wide(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how, self.last = how, nn.Conv2d(8, 1, 1)

    def forward(self, x):
        return self.last(self.how(x))


@pytest.mark.parametrize(
    ("how", "numbers"),
    [
        (nn.Upsample(scale_factor=8), 8 * 6400 + 6400),  # the enlarged maps and the last convolution's result
        (lambda x: torch.cat([x[:, :4], x[:, 4:]], 1), 800 + 300),  # no larger than its input: it may take its room
        (lambda x: nn.functional.pad(x, (2, 2, 2, 2)), 8 * 196 + 800),
        (lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, 90, 90), 8 + 8100),  # a view holds eight numbers
        (lambda x: torch.cat([x, x], 2), 1600 + 800),
    ],
)
def test_a_result_larger_than_its_inputs_takes_room_of_its_own(how, numbers):
    assert costs.peak_activation(nn.Sequential(nn.Conv2d(3, 8, 1), Wide(how)), 10) == numbers


def live_by_hooks(net: nn.Module, side: int) -> int:
    """The same by hooks: each convolution's input and output, beside what the modules around it still need."""
    held, found, handles = [], [], []

    def hold(module, inputs):
        held.append((module, inputs[0]))

    def drop(module, inputs, output):
        held[:] = [(owner, kept) for owner, kept in held if owner is not module]

    def keep_result(block):
        return lambda module, inputs, output: held.append((block, output))

    def note(module, inputs, output):
        beside = sum(kept.numel() for _, kept in held if kept is not inputs[0])
        found.append(inputs[0].numel() + output.numel() + beside)

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            handles.append(module.register_forward_hook(note))
        needs_its_input = getattr(module, "skip", False) or isinstance(module, edge.SqueezeExcite)
        if needs_its_input or hasattr(module, "bn3"):
            handles += [module.register_forward_pre_hook(hold), module.register_forward_hook(drop)]
        if hasattr(module, "bn3"):  # torchvision's bottleneck keeps its result while it shortens the skip
            handles.append(module.bn3.register_forward_hook(keep_result(module)))
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, side, side, device="meta"))
    for handle in handles:
        handle.remove()
    return max(found)


NETS = {
    "resnet": edge.resnet50,
    "phinet": edge.PhiNet,
    "narrow phinet": lambda: edge.PhiNet(0.35, t0=4, layers=6),
    "short phinet": lambda: edge.PhiNet(0.35, t0=1, layers=2),
    "micronet": edge.MicroNet,
}


@pytest.mark.parametrize("side", [64, 128, 224])
@pytest.mark.parametrize("name", NETS)
def test_live_memory_agrees_with_hooks(name, side):
    with torch.device("meta"):
        net = NETS[name]()
    assert costs.peak_activation(net, side) == live_by_hooks(net, side)


def test_phinet_and_resnet_need_about_the_same_memory_at_1024():
    with torch.device("meta"):
        found = [costs.peak_activation(net, 1024) for net in (edge.PhiNet(), edge.resnet50())]
    # A residual of 64 channels beside two maps of 256, all of 256 x 256 pixels; without it 25.2 million.
    assert found == [39_321_600, 37_748_736]


@pytest.mark.parametrize("resolution", [0, 2.5, True])
@pytest.mark.parametrize("count", [costs.count_macs, costs.peak_activation, costs.feature_sides])
def test_bad_input_is_named(count, resolution):
    with pytest.raises(ValueError, match="resolution"):
        count(nn.Identity(), resolution)
