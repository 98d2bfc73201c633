"""Are accuracies and alignment figures what their definitions say?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pointmcd.evaluation.accuracy import accuracy, predict
from pointmcd.evaluation.alignment import cosine_matrix, diagonal_dominance, retrieval_at_1, view_alignment
from pointmcd.networks.student import Student
from pointmcd.tasks.classification import classification_student


def test_overall_and_mean_class_accuracy_by_hand() -> None:
    # Class 0: three of four right. Class 2: none of one. Class 1 is absent and counts for nothing.
    result = accuracy(np.array([0, 0, 0, 2, 1]), np.array([0, 0, 0, 0, 2]))
    assert result.overall == 3 / 5
    assert result.mean_class == (3 / 4 + 0) / 2
    assert result.shapes == 5


def test_every_answer_right_is_one_and_every_answer_wrong_is_zero() -> None:
    labels = np.array([0, 1, 2, 2])
    assert accuracy(labels, labels).overall == accuracy(labels, labels).mean_class == 1
    assert accuracy(labels + 1, labels).overall == accuracy(labels + 1, labels).mean_class == 0


def test_a_frequent_class_does_not_outweigh_a_rare_one_in_the_mean_class_accuracy() -> None:
    labels = np.array([0] * 99 + [1])
    result = accuracy(np.zeros(100, dtype=np.int64), labels)
    assert result.overall == 0.99
    assert result.mean_class == 0.5


def test_cosines_by_hand() -> None:
    ours = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    theirs = torch.tensor([[2.0, 0.0], [0.0, 5.0], [-1.0, 0.0]])
    expected = torch.tensor([[1.0, 0.0, -1.0], [0.6, 0.8, -0.6], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(cosine_matrix(ours, theirs), expected)


def test_cosines_of_half_precision_descriptors_are_taken_in_single_precision() -> None:
    large = torch.full((1, 2, 512), 300.0, dtype=torch.float16)  # its squared length overflows half precision
    torch.testing.assert_close(cosine_matrix(large, large), torch.ones(1, 2, 2))


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(0)
    return classification_student("pointnet", classes=4).eval()


def clouds(shapes: int = 5, points: int = 24) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (shapes, points, 3)).astype(np.float32)


def test_every_cloud_is_named_by_the_student_alone(student: Student) -> None:
    given = clouds(40)  # more than one batch
    with torch.inference_mode():
        expected = [int(student(torch.from_numpy(cloud[None])).logits.argmax()) for cloud in given]
    assert predict(student, given).tolist() == expected


def test_judging_leaves_no_dropout_or_batch_statistics_behind(student: Student) -> None:
    given = clouds()
    expected = predict(student, given)
    student.train()
    before = student.encoder.state_dict()
    kept = {key: value.clone() for key, value in before.items()}
    assert np.array_equal(predict(student, given), expected)
    assert all(torch.equal(kept[key], value) for key, value in student.encoder.state_dict().items())
    student.eval()


def test_a_student_that_copies_the_teacher_finds_every_view(student: Student) -> None:
    given = clouds()
    seen = np.random.default_rng(1).random((5, 6, 24)) < 0.3
    seen[:, :, 0] = True
    with torch.inference_mode():
        own = student(torch.from_numpy(given), torch.from_numpy(seen)).view_features.numpy()
    result = view_alignment(student, given, seen, own)
    assert result.mean_cosine == pytest.approx(1, abs=1e-5)
    assert result.retrieval_at_1 == 1
    assert result.diagonal_dominance > 0


@pytest.mark.parametrize("views", [1, 2, 6])
def test_a_set_has_the_mean_of_its_shapes_figures(student: Student, views: int) -> None:
    given = clouds(35)  # more than one batch, the last one short
    rng = np.random.default_rng(2)
    seen = rng.random((35, views, 24)) < 0.3
    taught = rng.random((35, views, 512)).astype(np.float32)
    result = view_alignment(student, given, seen, taught)
    with torch.inference_mode():
        ours = student(torch.from_numpy(given), torch.from_numpy(seen)).view_features
        matrices = cosine_matrix(ours, torch.from_numpy(taught))
    assert result.mean_cosine == pytest.approx(np.mean([matrix.diagonal().mean() for matrix in matrices]), abs=1e-5)
    expected = np.mean([diagonal_dominance(matrix) for matrix in matrices])
    assert result.diagonal_dominance == pytest.approx(expected, abs=1e-5)
    assert result.retrieval_at_1 == pytest.approx(np.mean([retrieval_at_1(matrix) for matrix in matrices]), abs=1e-5)


def test_diagonal_dominance_and_retrieval_by_hand() -> None:
    similarity = torch.tensor([[0.9, 0.1, 0.3], [0.5, 0.4, 0.2], [0.0, 0.1, 0.2]])
    assert diagonal_dominance(similarity).item() == pytest.approx(1.5 / 3 - 1.2 / 6)
    assert retrieval_at_1(similarity).item() == pytest.approx(2 / 3)


def test_a_single_view_dominates_nothing_and_finds_itself() -> None:
    assert diagonal_dominance(torch.tensor([[0.7]])).item() == 0
    assert retrieval_at_1(torch.tensor([[0.7]])).item() == 1
