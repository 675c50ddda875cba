"""Augmentation moves labels with their pixels and is repeatable."""

import torch

from napari_convnet.samples.augmentation import augment_batch


def blobs(n=6, size=64):
    """Images whose bright pixels are labelled 1, dark ones 0, and a frame that is not annotated."""
    targets = torch.zeros(n, size, size, dtype=torch.int64)
    targets[:, 20:34, 16:44] = 1
    inputs = targets[:, None].float()
    targets[:, :3] = targets[:, -3:] = -1
    return inputs, targets


def draw(seed):
    return torch.Generator().manual_seed(seed)


def test_labels_move_with_their_pixels():
    inputs, targets = blobs()
    moved, moved_targets = augment_batch(inputs, targets, draw(0))
    for image, target in zip(moved[:, 0], moved_targets, strict=True):
        inside, outside = image[target == 1], image[target == 0]
        # Brightness may have changed by up to a fifth, but what was bright is what is labelled.
        assert (inside.mean() - outside.mean()) > 0.6
        threshold = (inside.mean() + outside.mean()) / 2
        assert (inside > threshold).float().mean() > 0.93
        assert (outside < threshold).float().mean() > 0.93


def test_what_comes_from_outside_is_not_annotated():
    inputs, targets = torch.ones(8, 1, 32, 32), torch.ones(8, 32, 32, dtype=torch.int64)
    _, moved = augment_batch(inputs, targets, draw(1))
    assert set(moved.unique().tolist()) == {-1, 1}


def test_every_sample_is_moved_in_its_own_way():
    inputs, _ = blobs()
    moved, _ = augment_batch(inputs, None, draw(2))
    assert not any(torch.allclose(moved[0], other) for other in moved[1:])


def test_the_same_seed_gives_the_same_batch_and_another_seed_another():
    inputs, _ = blobs()
    first, again, other = (augment_batch(inputs, None, draw(seed))[0] for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_input_is_not_changed():
    inputs, targets = blobs()
    before = inputs.clone(), targets.clone()
    augment_batch(inputs, targets, draw(3))
    assert torch.equal(inputs, before[0])
    assert torch.equal(targets, before[1])
