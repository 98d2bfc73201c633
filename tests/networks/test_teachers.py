"""Does the image network keep its sizes and its key names, and do its heat maps add up to its scores?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pointmcd.networks.dense import DenseNorm
from pointmcd.networks.teachers.backbones import BACKBONES
from pointmcd.networks.teachers.classification import ClassificationTeacher, to_input_size
from pointmcd.training.recipes import RECIPES

GOLDEN = Path(__file__).parents[1] / "golden"


def teacher(*, backbone: str = "slim_resnet18", input_size: int = 96, classes: int = 5) -> ClassificationTeacher:
    """Random weights with the statistics of a network that has seen images."""
    torch.manual_seed(0)
    module = ClassificationTeacher(backbone=backbone, input_size=input_size, classes=classes)
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.1, 0.1)
        assert norm.running_mean is not None
        norm.running_mean.uniform_(-0.1, 0.1)
    return module.eval()


def images(*, views: int = 3, size: int = 96) -> Tensor:
    return torch.rand(2, views, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_the_cells_of_a_heat_map_and_the_bias_add_up_to_the_views_logit(backbone: str) -> None:
    module = teacher(backbone=backbone)
    with torch.inference_mode():
        output = module(images())
        classes = torch.tensor([3, 1])
        maps = module.heat_maps(output, classes)
        _, bias = module.view_embedding.folded()
        gate = (output.view_features > 0) * module.classifier.weight[classes][:, None]
    own = output.view_logits.gather(2, classes[:, None, None].expand(-1, 3, 1))[..., 0]
    torch.testing.assert_close(maps.sum(dim=(2, 3)) + gate @ bias, own, rtol=1e-4, atol=1e-5)


def test_a_heat_map_shows_the_cell_that_makes_the_score() -> None:
    # One feature channel that is bright in one cell, passed straight through to class 1.
    module = teacher()
    layer = module.view_embedding
    nn.init.zeros_(layer.linear.weight)
    layer.linear.weight.data[0, 0] = 1
    nn.init.zeros_(module.classifier.weight)
    module.classifier.weight.data[1, 0] = 1
    layer.norm.reset_running_stats()
    nn.init.ones_(layer.norm.weight)
    nn.init.zeros_(layer.norm.bias)
    maps = torch.zeros(1, 1, 128, 6, 6)
    maps[0, 0, 0, 2, 4] = 36
    features = layer(maps.mean(dim=(3, 4)))
    output = module(images(views=1))._replace(maps=maps, view_features=features)
    heat = module.heat_maps(output, torch.tensor([1]))[0, 0]
    assert heat[2, 4].item() == pytest.approx(1, abs=1e-4)
    assert heat.sum().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", ["paper", "cpu"])
def test_heat_maps_have_at_least_six_by_six_cells_at_the_recipes_size(name: str) -> None:
    recipe = RECIPES["teacher", name]
    module = teacher(backbone=recipe.backbone, input_size=recipe.input_size)
    with torch.inference_mode():
        maps = module(images(views=1, size=224)).maps
    assert min(maps.shape[-2:]) >= 6


def test_every_output_has_its_documented_size() -> None:
    with torch.inference_mode():
        output = teacher()(images())
    assert output.view_features.shape == (2, 3, 512)
    assert output.shape_feature.shape == (2, 512)
    assert output.view_logits.shape == (2, 3, 5)
    assert output.logits.shape == (2, 5)
    assert output.maps.shape == (2, 3, 128, 6, 6)
    assert (output.view_features >= 0).all()


def test_the_order_of_the_views_does_not_matter_to_the_shape() -> None:
    module, given = teacher(), images()
    order = torch.tensor([2, 0, 1])
    with torch.inference_mode():
        before, after = module(given), module(given[:, order])
    torch.testing.assert_close(after.logits, before.logits)
    torch.testing.assert_close(after.view_features, before.view_features[:, order])


def test_mobilenet_has_the_key_names_under_which_its_weights_are_published() -> None:
    keys = json.loads((GOLDEN / "official_keys.json").read_text())["Teacher_Cls"]
    released = {
        key.removeprefix("cnn_backbone."): tuple(shape) for key, shape in keys if key.startswith("cnn_backbone.")
    }
    backbone, channels = BACKBONES["mobilenet_v2"]()
    assert {key: tuple(value.shape) for key, value in backbone.state_dict().items()} == released
    assert channels == 1280


def test_images_of_another_size_are_resized_first() -> None:
    module, large = teacher(), images(size=224)
    small = to_input_size(large.flatten(0, 1), 96).unflatten(0, (2, 3))
    assert small.shape[-2:] == (96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(module(large).logits, module(small).logits)


def test_downsampling_averages_and_does_not_skip_pixels() -> None:
    stripes = torch.zeros(1, 1, 64, 64)
    stripes[..., ::2] = 1.0
    assert (to_input_size(stripes, 16)[..., 2:-2] - 0.5).abs().max() < 0.1


def test_stored_and_live_renders_are_resized_alike() -> None:
    whole = torch.randint(0, 256, (2, 1, 224, 224), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    stored = to_input_size(whole, 96).float()
    assert (stored - to_input_size(whole.float(), 96)).abs().max() <= 1  # one grey level of 255: the rounding


def test_an_image_of_the_right_size_is_left_alone() -> None:
    given = images().flatten(0, 1)
    assert to_input_size(given, 96) is given


def test_folding_a_batch_norm_changes_nothing() -> None:
    torch.manual_seed(0)
    for biased in (True, False):
        layer = DenseNorm(7, 4, bias=biased)
        for _ in range(3):
            layer(torch.randn(20, 7) * 3 + 1)
        nn.init.normal_(layer.norm.weight)
        layer.eval()
        x = torch.randn(5, 7)
        weight, bias = layer.folded()
        torch.testing.assert_close(torch.relu(x @ weight.T + bias), layer(x))


def test_the_slim_teacher_has_about_a_million_weights() -> None:
    count = sum(p.numel() for p in ClassificationTeacher(backbone="slim_resnet18", input_size=96).parameters())
    assert 0.9e6 < count < 1.2e6


def test_an_unknown_backbone_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no backbone 'vgg'; there are: mobilenet_v2, slim_resnet18\."):
        ClassificationTeacher(backbone="vgg")
