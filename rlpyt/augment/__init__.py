"""Random changes of observations: batches of images or vectors, on their device, by a generator."""

from rlpyt.augment.base import Augmentation, Compose
from rlpyt.augment.color import Grayscale, RandomColorJitter, RandomConvolution
from rlpyt.augment.cutout import RandomCutout, RandomCutoutColor
from rlpyt.augment.geometry import (
    RandomCrop,
    RandomFlip,
    RandomRotate,
    RandomShift,
    RandomTranslate,
    center_crop,
    center_translate,
)
from rlpyt.augment.vectors import GaussianNoise, RandomAmplitudeScaling

__all__ = [
    "Augmentation",
    "Compose",
    "GaussianNoise",
    "Grayscale",
    "RandomAmplitudeScaling",
    "RandomColorJitter",
    "RandomConvolution",
    "RandomCrop",
    "RandomCutout",
    "RandomCutoutColor",
    "RandomFlip",
    "RandomRotate",
    "RandomShift",
    "RandomTranslate",
    "center_crop",
    "center_translate",
]
