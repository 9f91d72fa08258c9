import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from rlpyt.models.conv2d import Conv2d, image_layout, is_image
from rlpyt.models.resnet import ImpalaResNet
from rlpyt.utils.errors import RlpytError


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((210, 160, 3), "HWC"),
        ((4, 84, 84), "CHW"),
        ((84, 84, 1), "HWC"),
        ((1, 84, 84), "CHW"),
        ((84, 84), "HW"),
        ((7, 7, 3), "HWC"),
    ],
)
def test_layout_of_common_images(shape, layout):
    assert image_layout(shape) == layout


@pytest.mark.parametrize("shape", [(3, 84, 3), (84, 84, 84), (4, 84, 84, 3), (128,)])
def test_layout_refuses_what_is_ambiguous(shape):
    with pytest.raises(RlpytError, match="flatten"):
        image_layout(shape)


def test_is_image():
    assert is_image(spaces.Box(0, 255, (84, 84, 3), np.uint8))
    assert is_image(spaces.Box(0, 255, (84, 84), np.uint8))
    assert is_image(spaces.Box(0, 1, (3, 84, 84), np.float32))
    assert not is_image(spaces.Box(0, 255, (128,), np.uint8))
    assert not is_image(spaces.Box(-1, 1, (3, 84, 84), np.float32))
    assert not is_image(spaces.Box(0, 1, (84, 84), np.float32))
    assert not is_image(spaces.Discrete(3))


def nature_reference(trunk, x):
    """The Nature network in plain torch, on images [N, C, H, W] scaled to [0, 1]."""
    for conv in trunk.convs:
        x = torch.relu(nn.functional.conv2d(x, conv.weight, conv.bias, conv.stride))
    return torch.relu(trunk.linear(x.permute(0, 2, 3, 1).reshape(len(x), -1)))


def test_nature_sizes():
    trunk = Conv2d((4, 84, 84))
    shapes = [tuple(conv.weight.shape) for conv in trunk.convs]
    assert shapes == [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3)]
    assert trunk.linear.in_features == 3136
    assert trunk.feature_size == 512


@pytest.mark.parametrize("make", [Conv2d, ImpalaResNet])
@pytest.mark.parametrize("shape", [(4, 40, 44), (40, 44, 3), (40, 44)])
def test_uint8_equals_float_divided_by_255(make, shape):
    trunk = make(shape)
    images = torch.randint(0, 256, (2, 3, *shape), dtype=torch.uint8)
    scale, trunk.scale = trunk.scale, 1.0
    expected = trunk(images.float() / 255)
    trunk.scale = scale
    out = trunk(images)
    assert out.shape == (2, 3, trunk.feature_size)
    assert out.abs().max() > 0
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


def test_conv2d_equals_plain_torch_in_every_layout():
    torch.set_num_threads(1)
    trunk_first, trunk_last = Conv2d((4, 40, 44)), Conv2d((40, 44, 4))
    trunk_last.load_state_dict(trunk_first.state_dict())
    images = torch.randint(0, 256, (3, 4, 40, 44), dtype=torch.uint8)
    expected = nature_reference(trunk_first, images.float() / 255)
    torch.testing.assert_close(trunk_first(images), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        trunk_last(images.permute(0, 2, 3, 1).contiguous()), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("make", [Conv2d, ImpalaResNet])
def test_weights_are_channels_last_and_gradient_reaches_all(make):
    trunk = make((4, 40, 40))
    for parameter in trunk.parameters():
        if parameter.dim() == 4:
            assert parameter.is_contiguous(memory_format=torch.channels_last)
    trunk(torch.randint(0, 256, (8, 4, 40, 40), dtype=torch.uint8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trunk.parameters())


def test_orthogonal_kernels():
    weight = Conv2d((4, 40, 40)).convs[0].weight.flatten(1)
    torch.testing.assert_close(weight @ weight.T, 2 * torch.eye(32), rtol=0, atol=1e-5)


def test_errors_name_the_remedy():
    with pytest.raises(RlpytError, match=r"shape \(7, 7, 3\) is too small.*small"):
        Conv2d((7, 7, 3))
    with pytest.raises(RlpytError, match="one entry per layer"):
        Conv2d((4, 84, 84), channels=(32, 64))


def test_impala_architecture_and_forward_against_plain_torch():
    trunk = ImpalaResNet((7, 9, 3))
    kernels = [m for m in trunk.modules() if isinstance(m, nn.Conv2d)]
    assert len(kernels) == 15
    assert [m.out_channels for m in kernels[::5]] == [16, 32, 32]
    assert trunk.linear.in_features == 32 * 1 * 2
    images = torch.randint(0, 256, (2, 7, 9, 3), dtype=torch.uint8)
    x = images.permute(0, 3, 1, 2).float() / 255
    for stage in trunk.stages:
        x = nn.functional.max_pool2d(stage.conv(x), 3, 2, 1)
        for block in stage.blocks:
            x = x + block.conv_2(torch.relu(block.conv_1(torch.relu(x))))
    expected = torch.relu(trunk.linear(torch.relu(x).permute(0, 2, 3, 1).flatten(1)))
    torch.testing.assert_close(trunk(images), expected, rtol=1e-5, atol=1e-6)
