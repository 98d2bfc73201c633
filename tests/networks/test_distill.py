"""What does a student learn from, and what does it need at inference? The losses by their formulas."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from torch import Tensor

from pointmcd.networks.encoders import ENCODERS
from pointmcd.networks.student import Student
from pointmcd.projection import project_shape_and_views
from pointmcd.tasks.classification import classification_student
from pointmcd.tasks.losses import distillation_loss, smoothed_cross_entropy


def student(*, encoder: str = "pointnet", plain: bool = False) -> Student:
    torch.manual_seed(0)
    return classification_student(encoder, classes=6, isolate_views=plain)


def batch(*, shapes: int = 3, points: int = 32, views: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    cloud = torch.rand(shapes, points, 3, generator=generator) * 2 - 1
    return cloud, torch.rand(shapes, views, points, generator=generator) < 0.5


def test_smoothed_cross_entropy_spreads_epsilon_over_the_other_classes() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5, 0.0, 1.0], [0.0, 0.0, 3.0, -2.0, 1.0]])
    labels = torch.tensor([0, 3])
    epsilon, by_hand = 0.2, []
    for row, label in zip(logits.double().numpy(), labels.tolist(), strict=True):
        log_p = row - np.log(np.exp(row).sum())
        target = np.full(5, epsilon / 4)
        target[label] = 1 - epsilon
        by_hand.append(-(target * log_p).sum())
    assert smoothed_cross_entropy(logits, labels, smoothing=epsilon).item() == pytest.approx(np.mean(by_hand), rel=1e-6)


def test_without_smoothing_it_is_the_plain_cross_entropy() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0]])
    loss = smoothed_cross_entropy(logits, torch.tensor([2]), smoothing=0.0)
    assert loss.item() == pytest.approx(np.log(4))


def test_the_distillation_loss_is_the_mean_absolute_difference() -> None:
    ours, theirs = torch.tensor([[[1.0, 2.0], [0.0, 0.0]]]), torch.tensor([[[0.0, 4.0], [1.0, 0.0]]])
    assert distillation_loss(ours, theirs).item() == (1 + 2 + 1 + 0) / 4


def test_the_distillation_loss_takes_stored_half_precision_targets() -> None:
    ours, theirs = torch.rand(2, 3, 8), torch.rand(2, 3, 8)
    assert distillation_loss(ours, theirs.half()).dtype == torch.float32


EVERY_ENCODER = pytest.mark.parametrize("encoder", list(ENCODERS))


@EVERY_ENCODER
def test_a_student_is_composed_with_every_encoder_and_all_of_it_learns(encoder: str) -> None:
    model = student(encoder=encoder).train()
    points, visibility = batch(points=280)
    alone = model(points)
    assert alone.view_features is None
    assert alone.logits.shape == (3, 6)
    output = model(points, visibility)
    assert output.view_features.shape == (3, 4, 512)
    assert output.view_logits.shape == (3, 4, 6)
    (output.logits.square().sum() + output.view_features.square().sum()).backward()
    for part in (model.encoder, model.head, model.alignment):
        assert any(weight.grad is not None and weight.grad.any() for weight in part.parameters())


@EVERY_ENCODER
def test_no_gradient_of_the_distillation_loss_reaches_a_plain_students_encoder(encoder: str) -> None:
    model = student(encoder=encoder, plain=True)
    output = model(*batch())
    assert output.view_features is not None
    distillation_loss(output.view_features, torch.rand(3, 4, 512)).backward()
    reached = [key for key, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()]
    assert reached
    assert all(key.startswith("alignment.") for key in reached)


@EVERY_ENCODER
def test_the_distillation_loss_reaches_a_distilled_students_encoder(encoder: str) -> None:
    model = student(encoder=encoder)
    output = model(*batch())
    assert output.view_features is not None
    distillation_loss(output.view_features, torch.rand(3, 4, 512)).backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in model.encoder.parameters())


def test_a_plain_and_a_distilled_student_of_one_seed_start_alike_and_differ_only_in_gradients() -> None:
    distilled, plain = student().eval(), student(plain=True).eval()
    a, b = distilled(*batch()), plain(*batch())
    for name in ("shape_feature", "logits", "view_features", "view_logits", "winners", "global_winners"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


def test_the_task_loss_of_a_plain_student_reaches_its_encoder() -> None:
    model = student(plain=True)
    smoothed_cross_entropy(model(*batch()).logits, torch.tensor([0, 1, 2]), smoothing=0.2).backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in model.encoder.parameters())


@pytest.mark.parametrize("plain", [False, True])
def test_without_visibility_there_are_no_view_features_and_the_scores_are_the_same(plain: bool) -> None:
    model = student(plain=plain).eval()
    points, visibility = batch()
    alone = model(points)
    assert alone.view_features is None
    assert alone.view_logits is None
    assert alone.winners is None
    assert torch.equal(alone.logits, model(points, visibility).logits)


def test_what_the_views_see_does_not_change_the_scores() -> None:
    model = student().eval()
    points, visibility = batch()
    torch.testing.assert_close(model(points, visibility).logits, model(points, ~visibility).logits)


def test_a_view_that_sees_everything_has_the_global_winners() -> None:
    model = student().eval()
    points, _ = batch()
    output = model(points, torch.ones(3, 2, 32, dtype=torch.bool))
    assert output.winners is not None
    assert torch.equal(output.winners[:, 1], output.global_winners)


def test_the_scores_come_from_the_maximum_over_all_points() -> None:
    model = student().eval()
    points, _ = batch()
    output = model(points)
    feature, logits = model.head.classify(model.encoder(points).values.amax(dim=1))
    assert torch.equal(output.shape_feature, feature)
    assert torch.equal(output.logits, logits)


def test_permuting_the_points_changes_no_score_and_no_view() -> None:
    model = student().eval()
    points, visibility = batch()
    order = torch.randperm(32, generator=torch.Generator().manual_seed(2))
    before, after = model(points, visibility), model(points[:, order], visibility[:, :, order])
    torch.testing.assert_close(after.logits, before.logits)
    torch.testing.assert_close(after.view_features, before.view_features)


@pytest.mark.parametrize("shape", [(3, 4, 31), (2, 4, 32), (3, 32, 4), (4, 32)])
def test_visibility_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    # The test run checks annotations before the function's own check, which is what one reads outside of it.
    project = inspect.unwrap(project_shape_and_views)
    with pytest.raises(ValueError, match=r"Visibility must be \(B, V, N\) = \(3, V, 32\), not "):
        project(lambda _: None, batch()[0], torch.ones(shape, dtype=torch.bool))
