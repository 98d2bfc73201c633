"""Is a data set read, split, augmented and rendered as the training believes?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pointmcd.data.augmentation import augmented_copies, scale_and_shift
from pointmcd.data.labels import MODELNET40
from pointmcd.data.point_set import PointSet, check_training_set, load_point_set, split_validation
from pointmcd.records import DataError
from tests.conftest import write_point_set

MODELNET = Path(__file__).parents[3] / "shared/data/modelnet40_points/modelnet40_1024_test.npz"


def test_a_data_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    data = load_point_set(write_point_set(tmp_path / "data.npz", per_class=3, points=20))
    assert data.points.shape == (6, 20, 3)
    assert data.points.dtype == np.float32
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.class_names == ("box", "rod")
    assert len(data) == 6


def test_a_subset_keeps_points_labels_and_names_together() -> None:
    points = np.arange(4 * 2 * 3, dtype=np.float32).reshape(4, 2, 3)
    part = PointSet(points, np.array([0, 1, 0, 1]), ("a", "b")).subset(np.array([3, 0]))
    assert part.points.tolist() == points[[3, 0]].tolist()
    assert part.labels.tolist() == [1, 0]
    assert part.class_names == ("a", "b")


GOOD = {
    "points": np.tile(np.float32([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 0]]), (2, 1, 1)),
    "labels": np.array([0, 1]),
    "class_names": np.array(["a", "b"]),
}
SOME = np.random.default_rng(0).random((2, 5, 3))
BAD_ARRAYS = {
    "no labels": ({"labels": None}, "not a data set"),
    "flat points": ({"points": np.zeros((2, 15))}, r"not \(2, 15\)"),
    "four columns": ({"points": np.zeros((2, 5, 4))}, r"not \(2, 5, 4\)"),
    "too few labels": ({"labels": np.array([0])}, r"one label each"),
    "two columns of labels": ({"labels": np.zeros((2, 1), dtype=int)}, r"one label each"),
    "no shapes": ({"points": np.zeros((0, 5, 3)), "labels": np.zeros(0, dtype=int)}, "no points"),
    "no points": ({"points": np.zeros((2, 0, 3))}, "no points"),
    "a point that is not finite": ({"points": np.full((2, 5, 3), np.nan)}, "finite"),
    "points that are words": ({"points": np.full((2, 5, 3), "x")}, "finite"),
    "a label without a name": ({"labels": np.array([0, 2])}, "index into its 2 class_names"),
    "a negative label": ({"labels": np.array([0, -1])}, "index into its 2 class_names"),
    "labels that are no integers": ({"labels": np.array([0.0, 1.0])}, "index into its 2 class_names"),
    "points far from the origin": (
        {"points": np.random.default_rng(0).random((2, 5, 3)) + 498},
        "data.npz: cloud 0 is not normalised: its mean lies 8",
    ),
    "huge points": ({"points": np.random.default_rng(0).normal(size=(2, 5, 3)) * 1e30}, "give --normalise"),
    "points beyond single precision": (
        {"points": np.random.default_rng(0).normal(size=(2, 5, 3)) * 1e300},
        "give --norm",
    ),
    "tiny points": ({"points": np.random.default_rng(0).normal(size=(2, 5, 3)) * 1e-3}, "is not normalised"),
    "two classes of one name": ({"class_names": np.array(["a", "a"])}, "two classes are called 'a'"),
    "pickled names": ({"class_names": np.array(["a", None], dtype=object)}, "not a data set"),
}


@pytest.mark.parametrize("case", list(BAD_ARRAYS))
def test_arrays_that_do_not_fit_together_are_refused_with_a_sentence(case: str, tmp_path: Path) -> None:
    change, message = BAD_ARRAYS[case]
    path = tmp_path / "data.npz"
    np.savez(path, **{key: value for key, value in (GOOD | change).items() if value is not None})
    with pytest.raises(DataError, match=message):
        load_point_set(path)


def bad_file(kind: str, folder: Path) -> Path:
    path = folder / "data.npz"
    if kind == "text":
        path.write_text("these are no points")
    elif kind == "empty":
        path.touch()
    elif kind == "one array":
        np.save(folder / "data.npy", GOOD["points"])
        (folder / "data.npy").rename(path)
    elif kind == "cut off":
        np.savez(path, **GOOD)
        path.write_bytes(path.read_bytes()[:-60])
    elif kind == "flipped bytes":
        np.savez_compressed(path, **GOOD)
        content = bytearray(path.read_bytes())
        content[60:90] = bytes(30)
        path.write_bytes(content)
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["text", "empty", "one array", "cut off", "flipped bytes", "folder"])
def test_what_is_no_data_set_is_refused_with_a_sentence(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a data set"):
        load_point_set(bad_file(kind, tmp_path))


def test_a_missing_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.npz: there is no such file"):
        load_point_set(tmp_path / "gone.npz")


def test_modelnet40_has_its_classes_in_the_order_of_the_labels() -> None:
    if not MODELNET.exists():
        pytest.skip("ModelNet40 is not on this machine")
    data = load_point_set(MODELNET)
    assert data.class_names == MODELNET40
    assert data.points.shape == (2220, 1024, 3)
    np.testing.assert_allclose(np.linalg.norm(data.points[:50], axis=2).max(axis=1), 1, atol=1e-3)


def test_validation_takes_the_same_share_of_every_class_and_leaves_the_rest() -> None:
    labels = np.repeat([0, 1, 2], [100, 40, 20])
    train, validation = split_validation(labels, share=0.1, seed=0)
    assert np.bincount(labels[validation]).tolist() == [10, 4, 2]
    assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(160))


def test_the_split_depends_on_nothing_but_its_seed() -> None:
    labels = np.repeat([0, 1], 50)
    first, again, other = (split_validation(labels, share=0.2, seed=seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_small_class_still_sends_one_shape_to_validation() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    train, validation = split_validation(labels, share=0.05, seed=0)
    assert sorted(labels[validation]) == [0, 1]
    assert sorted(labels[train]) == [0, 0, 1, 2]


def test_a_split_without_anything_to_hold_out_is_refused() -> None:
    with pytest.raises(ValueError, match="No class has two shapes"):
        split_validation(np.array([0, 1, 2]), share=0.05, seed=0)


def test_scaling_and_shifting_stay_in_their_ranges_and_differ_by_axis_and_shape() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]).expand(500, 2, 3)
    moved = scale_and_shift(corners, scale=(0.5, 2.0), shift=0.2, generator=generator)
    shift, scale = moved[:, 1], moved[:, 0] - moved[:, 1]
    for values, low, high in ((shift, -0.2, 0.2), (scale, 0.5, 2.0)):
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
        assert len(values.flatten().unique()) > 1400


def test_no_scale_and_no_shift_change_nothing() -> None:
    points = torch.rand(3, 7, 3)
    same = scale_and_shift(points, scale=(1.0, 1.0), shift=0.0, generator=torch.Generator().manual_seed(0))
    assert torch.equal(same, points)


def test_augmented_copies_come_copy_by_copy_each_on_the_unit_sphere_and_stretched_in_its_own_way() -> None:
    sphere = np.random.default_rng(0).normal(size=(3, 500, 3)).astype(np.float32)
    sphere /= np.linalg.norm(sphere, axis=2, keepdims=True)
    clouds = sphere * np.array([1, 0.5, 0.25], dtype=np.float32)[:, None, None]
    copies = augmented_copies(clouds, copies=4, scale=(0.8, 1.25), shift=0.0, seed=1)
    assert copies.shape == (12, 500, 3)
    assert np.allclose(np.linalg.norm(copies, axis=2).max(axis=1), 1)
    stretch = np.abs(copies).max(axis=1) / np.abs(np.tile(sphere, (4, 1, 1))).max(axis=1)
    assert len(np.unique(stretch.round(4), axis=0)) == 12
    assert (stretch.min(axis=1) / stretch.max(axis=1)).min() > 0.8 / 1.25 - 0.02
    direction = copies / np.tile(sphere, (4, 1, 1))  # a point stays in its octant: copy k of cloud s is row k * S + s
    assert (direction > 0).all()


def test_augmented_copies_are_moved_at_most_by_the_shift_and_are_the_same_for_the_same_seed() -> None:
    cloud = np.random.default_rng(0).normal(size=(1, 100, 3)).astype(np.float32)
    cloud = np.concatenate([cloud, -cloud], axis=1)
    copies = augmented_copies(cloud, copies=200, scale=(1.0, 1.0), shift=0.1, seed=0)
    centres = copies.mean(axis=1)
    assert 0.08 < np.abs(centres).max() <= 0.1 + 1e-6
    again = augmented_copies(cloud, copies=200, scale=(1.0, 1.0), shift=0.1, seed=0)
    assert np.array_equal(copies, again)


def test_a_cloud_with_all_points_in_one_place_is_refused_by_its_number(tmp_path: Path) -> None:
    path = write_point_set(tmp_path / "set.npz", per_class=2)
    with np.load(path) as arrays:
        content = dict(arrays)
    content["points"][3] = 0.5
    np.savez(path, **content)
    with pytest.raises(DataError, match=r"set\.npz: all points of cloud 3 lie in one place\."):
        load_point_set(path)


@pytest.mark.parametrize("scale", [971.0, 1e30, 1e300, 1e-30])
def test_clouds_are_normalised_where_that_is_asked_for(scale: float, tmp_path: Path) -> None:
    path = write_point_set(tmp_path / "set.npz", per_class=2)
    with np.load(path) as arrays:
        content = dict(arrays)
    content["points"] = (content["points"].astype(np.float64) + np.array([1.0, 2.0, 3.0])) * scale
    np.savez(tmp_path / "far.npz", **content)
    near, far = load_point_set(path), load_point_set(tmp_path / "far.npz", normalise=True)
    np.testing.assert_allclose(far.points, near.points, atol=1e-5)


def training_set(labels: list[int]) -> PointSet:
    return PointSet(np.zeros((len(labels), 5, 3), dtype=np.float32), np.array(labels), ("a", "b", "c"))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1] * 9, r"set\.npz: training needs shapes of at least 2 classes, and there are 1\."),
        ([0, 1], r"set\.npz: No class has two shapes"),
        ([0, 0, 0, 1, 1], r"set\.npz: training needs at least one batch of 4 shapes, and there are 3"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_by_its_file(labels: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_training_set(training_set(labels), "set.npz", batch_size=4, share=0.05)
