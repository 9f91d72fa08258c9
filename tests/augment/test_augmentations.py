"""Augmentations against references that go image by image, and what all of them promise."""

import colorsys

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

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
from rlpyt.utils.config import config_dict
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.rebuild import component_from

torch.set_num_threads(1)

GEOMETRY = [
    RandomShift(pad=2),
    RandomCrop(size=9, pad=1),
    RandomTranslate(pad=2),
    RandomTranslate(pad=2, grow=True),
    RandomFlip(probability=0.5),
    RandomRotate(probability=0.7),
]
IMAGES = [
    *GEOMETRY,
    RandomCutout(min_size=2, max_size=5),
    RandomCutoutColor(min_size=2, max_size=5),
    RandomConvolution(),
    RandomColorJitter(),
    Grayscale(probability=0.5),
    Compose(augmentations=(RandomShift(pad=2), RandomFlip(probability=0.5))),
]
VECTORS = [GaussianNoise(), RandomAmplitudeScaling()]


def name_of(augmentation: Augmentation) -> str:
    return repr(augmentation).replace("Random", "")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images_of(*shape: int, dtype: torch.dtype = torch.uint8, seed: int = 1) -> Tensor:
    """Random ones; pixels differ, so that each window of an image tells its place."""
    images = torch.randint(0, 256, shape, generator=seeded(seed), dtype=torch.uint8)
    return images if dtype == torch.uint8 else images.to(dtype) / 255


def item_of(augmentation: Augmentation) -> tuple[int, ...]:
    return (7,) if augmentation in VECTORS else (6, 11, 11)


def batch_for(augmentation: Augmentation, *leading: int, dtype: torch.dtype) -> Tensor:
    return images_of(*leading, *item_of(augmentation), dtype=dtype)


# --- what all of them promise ------------------------------------------------------------------


@pytest.mark.parametrize("augmentation", IMAGES + VECTORS, ids=name_of)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_dtype_and_leading_shape_stay_and_the_input_is_not_touched(augmentation, dtype):
    if dtype == torch.uint8 and augmentation in VECTORS:
        pytest.skip("vectors are floats")
    batch = batch_for(augmentation, 3, 4, dtype=dtype)
    before = batch.clone()
    changed = augmentation(batch, seeded())
    assert changed.dtype == dtype
    assert changed.device == batch.device
    is_resized = isinstance(augmentation, RandomCrop) or getattr(augmentation, "grow", False)
    assert changed.shape[: 3 if is_resized else None] == batch.shape[: 3 if is_resized else None]
    assert torch.equal(batch, before)
    if dtype != torch.uint8:
        assert torch.isfinite(changed).all()
    # The same draws whatever the leading dimensions are, and for one image without any.
    flat = augmentation(batch.reshape(12, *item_of(augmentation)), seeded())
    assert torch.equal(flat.reshape(changed.shape), changed)
    single = augmentation(batch[0, 0], seeded())
    assert torch.equal(single, augmentation(batch[:1, 0], seeded())[0])


@pytest.mark.parametrize("augmentation", IMAGES + VECTORS, ids=name_of)
def test_same_generator_same_result_and_each_image_its_own_draw(augmentation):
    one = batch_for(augmentation, dtype=torch.float32)
    batch = one.expand(64, *one.shape)
    first = augmentation(batch, seeded(5))
    assert torch.equal(first, augmentation(batch, seeded(5)))
    assert not torch.equal(first, augmentation(batch, seeded(6)))
    generator = seeded(5)
    assert torch.equal(augmentation(batch, generator), first)
    assert not torch.equal(augmentation(batch, generator), first)
    different = {tuple(image.flatten().tolist()) for image in first}
    n_possible = 2 if isinstance(augmentation, RandomFlip | Grayscale) else 4
    assert len(different) >= n_possible


@pytest.mark.parametrize("augmentation", IMAGES, ids=name_of)
def test_frames_stacked_in_an_image_share_the_draw(augmentation):
    frame = images_of(20, 3, 11, 11)
    changed = augmentation(frame.repeat(1, 4, 1, 1), seeded())
    for other in changed.split(3, dim=1):
        assert torch.equal(other, changed[:, :3])


@pytest.mark.parametrize("augmentation", IMAGES, ids=name_of)
def test_uint8_and_floats_are_changed_alike(augmentation):
    if isinstance(augmentation, RandomCutoutColor):
        pytest.skip("levels of uint8 are whole")
    images = images_of(8, 3, 11, 11)
    of_bytes = augmentation(images, seeded()).float() / 255
    of_floats = augmentation(images.float() / 255, seeded())
    assert (of_bytes - of_floats).abs().max() <= 0.5001 / 255


@pytest.mark.parametrize("augmentation", IMAGES, ids=name_of)
def test_images_that_are_none_are_refused_by_shape_and_dtype(augmentation):
    with pytest.raises(RlpytError, match="int64"):
        augmentation(torch.zeros(2, 3, 11, 11, dtype=torch.int64), seeded())
    with pytest.raises(RlpytError, match=r"\[2, 11, 11, 3\].*movedim"):
        augmentation(torch.zeros(2, 11, 11, 3), seeded())
    with pytest.raises(RlpytError, match=r"\[2, 32, 32, 12\].*movedim"):
        augmentation(torch.zeros(2, 32, 32, 12), seeded())
    with pytest.raises(RlpytError, match=r"\[11, 11\]"):
        augmentation(torch.zeros(11, 11), seeded())


@pytest.mark.parametrize("augmentation", VECTORS, ids=name_of)
def test_vectors_that_are_none_are_refused_by_dtype(augmentation):
    with pytest.raises(RlpytError, match=r"uint8 of shape \[2, 7\]"):
        augmentation(torch.zeros(2, 7, dtype=torch.uint8), seeded())
    with pytest.raises(RlpytError, match=r"\[\]"):
        augmentation(torch.zeros(()), seeded())


@pytest.mark.parametrize("augmentation", IMAGES + VECTORS, ids=name_of)
@pytest.mark.gpu
def test_the_batch_stays_on_its_device(augmentation):
    batch = batch_for(augmentation, 8, dtype=torch.float32)
    device = torch.accelerator.current_accelerator()
    assert device is not None
    changed = augmentation(batch.to(device), seeded())
    assert changed.device.type == device.type
    torch.testing.assert_close(changed.cpu(), augmentation(batch, seeded()), rtol=1e-4, atol=1e-5)
    generator = torch.Generator(device).manual_seed(0)
    assert augmentation(batch.to(device), generator).device.type == device.type


def test_settings_are_values():
    assert RandomShift(pad=3) == RandomShift(pad=3) != RandomShift(pad=4)
    assert len({RandomFlip(), RandomFlip(), RandomRotate()}) == 2
    with pytest.raises(AttributeError):
        RandomShift().pad = 3
    for augmentation in IMAGES + VECTORS:
        assert component_from(config_dict(augmentation), "augment") == augmentation


# --- where things are: each result is one of the few possible, found by search ----------------


def places(seen: np.ndarray, candidates: dict[object, np.ndarray]) -> object:
    """The one candidate that ``seen`` equals."""
    found = [key for key, image in candidates.items() if np.array_equal(seen, image)]
    assert len(found) == 1
    return found[0]


def windows(padded: np.ndarray, height: int, width: int) -> dict[object, np.ndarray]:
    rows = range(padded.shape[1] - height + 1)
    columns = range(padded.shape[2] - width + 1)
    return {(r, c): padded[:, r : r + height, c : c + width] for r in rows for c in columns}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_shift_is_a_window_of_the_padded_image(dtype):
    images = images_of(400, 2, 6, 7, dtype=dtype)
    shifted = RandomShift(pad=1)(images, seeded())
    drawn = []
    for image, seen in zip(images.numpy(), shifted.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
        drawn.append(places(seen, windows(padded, 6, 7)))
    counts = [drawn.count((row, column)) for row in range(3) for column in range(3)]
    assert min(counts) > 20  # of 44 each
    assert torch.equal(RandomShift(pad=0)(images, seeded()), images)


def test_shift_is_the_bilinear_sampling_of_the_paper():
    images, pad, size = images_of(30, 3, 12, 12, dtype=torch.float32), 4, 12
    generator = seeded(3)
    shifted = RandomShift(pad=pad)(images, generator)
    generator = seeded(3)
    rows, columns = (
        torch.rand(30, generator=generator, dtype=torch.float64).mul(9).long() for _ in range(2)
    )
    padded = functional.pad(images, (pad,) * 4, mode="replicate")
    step = 2 / (size + 2 * pad)
    places_of = torch.arange(size) * step + step / 2 - 1
    x = (places_of + columns[:, None] * step)[:, None, :].expand(-1, size, -1)
    y = (places_of + rows[:, None] * step)[:, :, None].expand(-1, -1, size)
    grid = torch.stack([x, y], dim=-1)
    sampled = functional.grid_sample(padded, grid, padding_mode="zeros", align_corners=False)
    torch.testing.assert_close(shifted, sampled, rtol=0, atol=1e-5)


@pytest.mark.parametrize("pad", [0, 2])
def test_crop_is_a_window_of_the_padded_image(pad):
    images = images_of(300, 2, 6, 7)
    cropped = RandomCrop(size=5, pad=pad)(images, seeded())
    assert cropped.shape == (300, 2, 5, 5)
    drawn = set()
    for image, seen in zip(images.numpy(), cropped.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode="edge")
        drawn.add(places(seen, windows(padded, 5, 5)))
    assert len(drawn) == (2 + 2 * pad) * (3 + 2 * pad)
    with pytest.raises(RlpytError, match=r"\[300, 2, 6, 7\] have no window of 11 x 11"):
        RandomCrop(size=11, pad=2)(images, seeded())


def test_translate_moves_over_black():
    images = images_of(200, 2, 6, 7)
    moved = RandomTranslate(pad=1)(images, seeded())
    placed = RandomTranslate(pad=1, grow=True)(images, seeded())
    assert placed.shape == (200, 2, 8, 9)
    in_place, in_canvas = set(), set()
    for image, seen, canvas in zip(images.numpy(), moved.numpy(), placed.numpy(), strict=True):
        black = np.pad(image, ((0, 0), (1, 1), (1, 1)))
        in_place.add(places(seen, windows(black, 6, 7)))
        black = np.pad(image, ((0, 0), (2, 2), (2, 2)))
        in_canvas.add(places(canvas, windows(black, 8, 9)))
        assert canvas.sum() == image.sum()  # nothing is lost
    assert len(in_place) == len(in_canvas) == 9


def test_without_chance_the_middle_is_taken():
    images = images_of(4, 3, 8, 10)
    assert torch.equal(center_crop(images, 4), images[..., 2:6, 3:7])
    grown = center_translate(images, 2)
    assert grown.shape == (4, 3, 12, 14)
    assert torch.equal(center_crop(grown, 8), center_crop(images, 8))
    assert grown.sum() == images.sum()
    with pytest.raises(RlpytError, match="9 x 9"):
        center_crop(images, 9)


def test_flip_and_rotate_as_often_as_they_should():
    images = images_of(1000, 1, 5, 5)
    flipped = RandomFlip(probability=0.2)(images, seeded())
    rotated = RandomRotate(probability=0.6)(images, seeded())
    sides, turns = [], []
    for image, flip, rotation in zip(images.numpy(), flipped.numpy(), rotated.numpy(), strict=True):
        sides.append(places(flip, {0: image, 1: image[:, :, ::-1]}))
        four = {k: np.rot90(image, k, axes=(1, 2)) for k in range(4)}
        turns.append(places(rotation, four))
    assert 160 < sum(sides) < 240
    assert all(expected - 50 < turns.count(k) < expected + 50 for k, expected in TURNS.items())
    with pytest.raises(RlpytError, match=r"square.*\[2, 1, 4, 5\]"):
        RandomRotate()(images_of(2, 1, 4, 5), seeded())


TURNS = {0: 400, 1: 200, 2: 200, 3: 200}


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_probabilities_at_the_ends_are_certain(probability):
    images = images_of(50, 3, 5, 5)
    assert torch.equal(
        RandomFlip(probability=probability)(images, seeded()),
        images.flip(-1) if probability else images,
    )
    rotated = RandomRotate(probability=probability)(images, seeded())
    assert (rotated == images).flatten(1).all(1).any() != bool(probability)
    grey = Grayscale(probability=probability)(images, seeded())
    assert torch.equal(grey, images) != bool(probability)


# --- rectangles --------------------------------------------------------------------------------


def rectangle(inside: np.ndarray) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the true part of [H, W]; fails where it is no rectangle."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    top, left, height, width = rows[0], columns[0], np.ptp(rows) + 1, np.ptp(columns) + 1
    assert inside[top : top + height, left : left + width].all()
    assert inside.sum() == height * width
    return int(top), int(left), int(height), int(width)


@pytest.mark.parametrize("augmentation", [RandomCutout, RandomCutoutColor])
def test_cutout_is_a_rectangle_anywhere_inside(augmentation):
    images = torch.full((2000, 3, 9, 8), 0.5)
    cut = augmentation(min_size=2, max_size=4)(images, seeded()).numpy()
    drawn = []
    for image in cut:
        inside = (image != 0.5).any(axis=0)
        drawn.append(rectangle(inside))
        for channel in image:  # one color, and black where it is to be
            assert len(set(channel[inside].tolist())) == 1
            assert (channel[~inside] == 0.5).all()
        assert augmentation is RandomCutoutColor or (image[:, inside] == 0).all()
    heights, widths = {place[2] for place in drawn}, {place[3] for place in drawn}
    assert heights == widths == {2, 3, 4}
    # Every place where it is whole is drawn, whatever its size: the place does not tell the size.
    assert {place[0] for place in drawn if place[2] == 2} == set(range(8))
    assert {place[1] for place in drawn if place[3] == 4} == set(range(5))
    assert (
        abs(np.corrcoef([place[0] for place in drawn], [place[1] for place in drawn])[0, 1]) < 0.1
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_cutout_colors_are_uniform_and_shared_by_frames(dtype):
    images = torch.full((600, 6, 5, 5), 77, dtype=dtype)
    cut = RandomCutoutColor(min_size=5, max_size=5, white=255.0)(images, seeded())
    colors = cut[:, :, 0, 0].float()
    assert torch.equal(cut.float(), colors[:, :, None, None].expand_as(cut))
    assert torch.equal(colors[:, :3], colors[:, 3:])
    assert (colors[:, :3].mean(0) - 127.5).abs().max() < 12
    assert colors.min() < 3
    assert 252 < colors.max() <= 255
    assert torch.corrcoef(colors[:, :3].T).fill_diagonal_(0).abs().max() < 0.15
    grey = RandomCutoutColor(min_size=5, max_size=5, frame_channels=1)(images, seeded())
    assert (grey == grey[:, :1]).all()


def test_cutouts_that_do_not_fit_are_refused():
    with pytest.raises(RlpytError, match=r"min_size=2 to max_size=9.*8 x 12.*8 or less"):
        RandomCutout(min_size=2, max_size=9)(images_of(2, 3, 8, 12), seeded())


# --- what things look like ---------------------------------------------------------------------


def test_convolution_is_one_of_its_own_for_each_image():
    images = images_of(5, 6, 7, 6, dtype=torch.float64)
    convolved = RandomConvolution()(images, seeded()).numpy()
    weight = torch.randn(15, 3, 3, 3, generator=seeded()).numpy().reshape(5, 3, 3, 3, 3)
    weight = weight.astype(np.float64) * np.sqrt(2 / (27 + 27))
    for n, image in enumerate(images.numpy()):
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
        for frame in range(2):
            for out, row, column in np.ndindex(3, 7, 6):
                patch = padded[3 * frame : 3 * frame + 3, row : row + 3, column : column + 3]
                expected = 1 / (1 + np.exp(-(weight[n, out] * patch).sum()))
                assert convolved[n, 3 * frame + out, row, column] == pytest.approx(expected, 1e-6)


def test_color_jitter_is_that_of_a_loop_over_pixels():
    images = images_of(6, 6, 3, 5, dtype=torch.float64)
    jitter = RandomColorJitter(brightness=0.3, contrast=0.5, saturation=0.6, hue=0.4)
    jittered = jitter(images, seeded(2)).numpy()
    generator = seeded(2)
    b, c, s, h = (
        (2 * torch.rand(6, generator=generator) - 1).numpy() * amount
        for amount in (0.3, 0.5, 0.6, 0.4)
    )
    luma = np.array([0.2989, 0.587, 0.114])
    for n, image in enumerate(images.numpy()):
        for frame, seen in zip(np.split(image, 2), np.split(jittered[n], 2), strict=True):
            x = np.clip(frame * (1 + b[n]), 0, 1)
            mean = np.tensordot(luma, x, 1).mean()
            x = np.clip((1 + c[n]) * x - c[n] * mean, 0, 1)
            x = np.clip((1 + s[n]) * x - s[n] * np.tensordot(luma, x, 1), 0, 1)
            for row, column in np.ndindex(3, 5):
                hue, saturation, value = colorsys.rgb_to_hsv(*x[:, row, column])
                expected = colorsys.hsv_to_rgb((hue + h[n]) % 1, saturation, value)
                np.testing.assert_allclose(seen[:, row, column], expected, atol=1e-6)


def test_color_jitter_of_nothing_is_nothing():
    images = images_of(4, 3, 6, 6)
    nothing = RandomColorJitter(brightness=0, contrast=0, saturation=0, hue=0)
    assert torch.equal(nothing(images, seeded()), images)
    black = torch.zeros(4, 3, 6, 6)
    assert torch.equal(RandomColorJitter()(black, seeded()), black)


def test_floats_up_to_255_are_told_by_white():
    images = images_of(6, 3, 8, 8)
    for augmentation in (RandomColorJitter(white=255.0), RandomConvolution(white=255.0)):
        of_floats = augmentation(images.float(), seeded())
        assert (of_floats - augmentation(images, seeded()).float()).abs().max() <= 0.5001


def test_grayscale_is_the_luma_in_three_channels():
    images = images_of(40, 6, 4, 5)
    grey = Grayscale(probability=0.5)(images, seeded()).numpy()
    n_grey = 0
    for image, seen in zip(images.numpy(), grey, strict=True):
        red, green, blue = (image[i::3].astype(np.float64) for i in range(3))
        luma = np.round(0.2989 * red + 0.587 * green + 0.114 * blue).repeat(3, axis=0)
        is_grey = bool(np.abs(seen - luma).max() <= 1e-6)
        n_grey += is_grey
        assert is_grey or np.array_equal(seen, image)
    assert 8 < n_grey < 32


@pytest.mark.parametrize("augmentation", [RandomColorJitter(), Grayscale(), RandomConvolution()])
def test_stacks_of_grey_frames_have_no_color(augmentation):
    with pytest.raises(RlpytError, match=r"4 channels are no frames of 3.*\[4, 8, 8\]"):
        augmentation(images_of(2, 4, 8, 8), seeded())
    grey = RandomConvolution(frame_channels=1)(images_of(2, 4, 8, 8), seeded())
    assert grey.shape == (2, 4, 8, 8)


# --- vectors -----------------------------------------------------------------------------------


def test_noise_is_added_to_each_entry():
    vectors = torch.full((200, 50), 3.0)
    noise = GaussianNoise(mean=1.0, std=0.5)(vectors, seeded()) - vectors
    assert abs(noise.mean().item() - 1) < 0.02
    assert abs(noise.std().item() - 0.5) < 0.02
    assert len(noise.unique()) > 5000
    assert torch.equal(GaussianNoise(std=0.0)(vectors, seeded()), vectors)
    assert (GaussianNoise()(vectors, seeded()) - vectors).std() < 0.2  # the vector is still there


def test_amplitudes_are_scaled_by_one_number_for_each_vector():
    vectors = torch.randn(50, 30, 4, generator=seeded(), dtype=torch.float64)
    scaled = RandomAmplitudeScaling(low=0.6, high=1.2)(vectors, seeded())
    scale = scaled / vectors
    assert torch.allclose(scale, scale[..., :1].expand_as(scale))
    each = scale[..., 0]
    assert 0.6 <= each.min() < 0.61
    assert 1.19 < each.max() < 1.2
    assert abs(each.mean().item() - 0.9) < 0.01


# --- one after the other -----------------------------------------------------------------------


def test_compose_goes_in_order_through_one_generator():
    images = images_of(5, 3, 8, 8)
    generator = seeded()
    expected = RandomCutout(min_size=2, max_size=4)(RandomShift()(images, generator), generator)
    both = Compose(augmentations=(RandomShift(), RandomCutout(min_size=2, max_size=4)))
    assert torch.equal(both(images, seeded()), expected)
    assert torch.equal(Compose(augmentations=())(images, seeded()), images)
