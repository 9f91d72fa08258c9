"""Settings of augmentations that have no sense, and batches that are none or empty."""

import math

import numpy as np
import pytest
import torch

from rlpyt.augment import (
    Augmentation,
    Compose,
    GaussianNoise,
    Grayscale,
    RandomAmplitudeScaling,
    RandomColorJitter,
    RandomConvolution,
    RandomCrop,
    RandomCutout,
    RandomCutoutColor,
    RandomFlip,
    RandomRotate,
    RandomShift,
    RandomTranslate,
    center_crop,
    center_translate,
)
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.overrides import apply_overrides

PIXELS = {"values": (-1, 2.5, True, "4", 10**30), "hint": "whole number"}
SIZES = {**PIXELS, "values": (0, -3, 2.5)}
UNITS = {"values": (-0.1, 2, math.nan, False), "hint": "use 0 to 1"}
AMOUNTS = {"values": (-0.1, math.nan, math.inf, None), "hint": "finite number, 0 or more"}
WHITES = {"values": (0, -1.0, math.nan, math.inf), "hint": "finite number above 0"}
NUMBERS = {"values": (math.nan, -math.inf, math.inf, "1"), "hint": "use a finite number"}
HUES = {"values": (-0.1, 0.6, math.nan), "hint": "use 0 to 0.5"}
FLAGS = {"values": ("yes", 1, None), "hint": "use True or False"}
REFUSED = {
    RandomShift: {"pad": PIXELS},
    RandomCrop: {"size": SIZES, "pad": PIXELS},
    RandomTranslate: {"pad": PIXELS, "grow": FLAGS},
    RandomFlip: {"probability": UNITS},
    RandomRotate: {"probability": UNITS},
    Grayscale: {"probability": UNITS},
    RandomCutout: {"min_size": PIXELS, "max_size": PIXELS},
    RandomCutoutColor: {
        "min_size": PIXELS,
        "max_size": PIXELS,
        "frame_channels": SIZES,
        "white": WHITES,
    },
    RandomConvolution: {"frame_channels": SIZES, "white": WHITES},
    RandomColorJitter: {
        "brightness": AMOUNTS,
        "contrast": AMOUNTS,
        "saturation": AMOUNTS,
        "hue": HUES,
        "white": WHITES,
    },
    GaussianNoise: {"mean": NUMBERS, "std": AMOUNTS},
    RandomAmplitudeScaling: {"low": NUMBERS, "high": NUMBERS},
}
VECTORS = (GaussianNoise, RandomAmplitudeScaling)
FITTING = {RandomCrop: {"size": 9}, RandomCutout: {"max_size": 11}}
FITTING[RandomCutoutColor] = FITTING[RandomCutout]


def made(cls):
    return cls(**FITTING.get(cls, {}))


def test_every_setting_is_listed_here():
    own = {cls for cls in Augmentation.__subclasses__() if cls.__module__.startswith("rlpyt.")}
    assert own - {Compose} == set(REFUSED)
    for cls, settings in REFUSED.items():
        assert set(settings) == set(cls.__dataclass_fields__)


@pytest.mark.parametrize(
    ("cls", "name"),
    [(cls, name) for cls, settings in REFUSED.items() for name in settings],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_setting_out_of_its_range_is_refused_by_name(cls, name):
    for value in REFUSED[cls][name]["values"]:
        with pytest.raises(RlpytError) as caught:
            cls(**{name: value})
        assert caught.value.code == "config"
        assert caught.value.what == f"{cls.__name__}.{name}={value!r}"
        assert REFUSED[cls][name]["hint"] in caught.value.hint


@pytest.mark.parametrize(
    ("cls", "settings", "named"),
    [
        (RandomAmplitudeScaling, {"low": 3}, "RandomAmplitudeScaling.low=3 is above its high=1.2"),
        (RandomCutout, {"max_size": 9}, "RandomCutout.min_size=10 is above its max_size=9"),
        (RandomCutoutColor, {"min_size": 31}, "RandomCutoutColor.min_size=31 .*max_size=30"),
        (Compose, {"augmentations": RandomShift()}, r"Compose.augmentations: RandomShift\(pad=4"),
        (Compose, {"augmentations": (RandomFlip(), RandomShift)}, "augmentations: <class .*Shift"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(cls, settings, named):
    with pytest.raises(RlpytError, match=named) as caught:
        cls(**settings)
    assert caught.value.code == "config"


def test_settings_at_the_ends_of_their_range_are_taken():
    RandomShift(pad=0), RandomCrop(size=1), RandomCutout(min_size=0, max_size=0)
    RandomFlip(probability=1), RandomColorJitter(brightness=2.0, hue=0.5)
    RandomShift(pad=np.int64(4)), GaussianNoise(std=np.float32(0.0))
    RandomAmplitudeScaling(low=-1, high=-1)
    assert apply_overrides(RandomShift(), ["pad=1e1"]) == RandomShift(pad=10)


def test_windows_without_chance_have_a_size_too():
    images = torch.zeros(2, 3, 8, 8)
    for size in (0, -3, 2.5):
        with pytest.raises(RlpytError, match=rf"center_crop\.size={size} - use a whole number"):
            center_crop(images, size)
    with pytest.raises(RlpytError, match=r"center_translate\.pad=-1 - use a whole number"):
        center_translate(images, -1)


@pytest.mark.parametrize("cls", REFUSED)
def test_an_empty_batch_gives_an_empty_batch(cls):
    item = (7,) if cls in VECTORS else (6, 11, 11)
    shape = (6, 9, 9) if cls is RandomCrop else item
    for leading in ((0,), (3, 0)):
        batch = torch.zeros(*leading, *item)
        changed = made(cls)(batch, torch.Generator())
        assert changed.shape == (*leading, *shape)
        assert changed.dtype == batch.dtype
        assert changed is not batch


@pytest.mark.parametrize("cls", REFUSED)
def test_what_is_no_tensor_is_refused(cls):
    with pytest.raises(RlpytError, match=r"a batch is a torch.Tensor, not numpy.ndarray.*as_tens"):
        made(cls)(np.zeros((2, 7) if cls in VECTORS else (2, 3, 11, 11), np.float32), None)


def test_images_without_a_pixel_are_refused():
    with pytest.raises(RlpytError, match=r"\[4, 3, 0, 8\], without a pixel"):
        RandomShift()(torch.zeros(4, 3, 0, 8), torch.Generator())


@pytest.mark.parametrize("shape", [(3, 2, 2), (4, 64, 64, 3)])
def test_images_that_read_both_ways_are_told_of_both(shape):
    with pytest.raises(RlpytError) as caught:
        RandomShift()(torch.zeros(shape), torch.Generator())
    c, _height, w = shape[-3:]
    assert caught.value.what.endswith(f"{list(shape)}: {c} channels of only {w} columns")
    assert "where the channel is last, move" in caught.value.hint
    assert "where it is not, give images with as many columns as channels" in caught.value.hint
