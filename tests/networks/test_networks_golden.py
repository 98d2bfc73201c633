"""Do our part networks and image teachers compute what the released ones compute?

Stored outputs hold DGCNN's part network. The other three have stored keys only: here the wiring that method and keys
tell is written a second time, plainly and straight on the released tensors, and outputs must agree.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointmcd.records import CheckpointError
from pointmcd.weights.official import OFFICIAL, load_official
from tests.networks.test_golden import KEYS, SEEDS, assert_agrees, released_state

State = dict[str, Tensor]
CATEGORIES = (3, 7)


def load(network: str, folder: Path) -> nn.Module:
    torch.save(released_state(network), folder / "weights.pth")
    return load_official(folder / "weights.pth", network=network)


def assert_equals(ours: Tensor, twin: Tensor) -> None:
    assert ours.shape == twin.shape
    assert float((ours - twin).abs().max() / twin.abs().mean()) < 1e-4


def cloud(network: str, *, points: int, views: int) -> tuple[Tensor, Tensor]:
    seed = SEEDS[network]
    cloud = np.random.default_rng(100 + seed).uniform(-1, 1, (2, points, 3)).astype(np.float32)
    seen = np.random.default_rng(200 + seed).random((2, points, views)) < 0.4
    return torch.from_numpy(cloud), torch.from_numpy(seen).transpose(1, 2)


def norm(state: State, key: str, x: Tensor) -> Tensor:
    """Batch norm with running statistics, over the second dimension."""
    statistics = (state[f"{key}.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *statistics)


def dense(state: State, key: str, x: Tensor) -> Tensor:
    """Product over the last dimension, batch norm, ReLU."""
    weight = state[f"{key}.linear.weight"] if f"{key}.linear.weight" in state else state[f"{key}.conv.weight"]
    product = F.linear(x, weight.flatten(1))
    return F.relu(norm(state, f"{key}.bn", product.flatten(0, -2))).view(product.shape)


@pytest.mark.parametrize("network", list(KEYS))
def test_every_key_of_a_released_network_is_used_once(network: str, tmp_path: Path) -> None:
    ours = load(network, tmp_path).state_dict()
    state = released_state(network)
    assert len(ours) == len(state) == len(KEYS[network])
    assert sum(value.numel() for value in ours.values()) == sum(value.numel() for value in state.values())
    assert set(OFFICIAL) == set(KEYS)


@pytest.mark.parametrize("network", ["DGCNN_Seg_Distiller", "Teacher_Seg", "CNN_Backbone_Pretrainer"])
def test_a_checkpoint_with_a_turned_matrix_is_refused(network: str, tmp_path: Path) -> None:
    state = released_state(network)
    key = next(k for k, v in state.items() if v.ndim >= 2 and v.shape[0] != v.shape[1] and v.numel() > 600)
    state[key] = state[key].transpose(0, 1).contiguous()
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=", not "):
        load_official(tmp_path / "weights.pth", network=network)


def test_dgcnn_names_parts_as_the_released_one_does(tmp_path: Path) -> None:
    module = load("DGCNN_Seg_Distiller", tmp_path)
    points, seen = cloud("DGCNN_Seg_Distiller", points=2048, views=16)
    with torch.inference_mode():
        output = module(points, seen, category=torch.tensor(CATEGORIES))
    assert_agrees(output.view_features, "DGCNN_Seg_Distiller/view_features")
    assert_agrees(output.part_logits[:, ::16].contiguous(), "DGCNN_Seg_Distiller/part_logits")


def t_net(state: State, key: str, x: Tensor) -> Tensor:
    h = x
    for i in (1, 2, 3):
        h = F.conv1d(h, state[f"{key}.conv{i}.weight"], state[f"{key}.conv{i}.bias"])
        h = F.relu(norm(state, f"{key}.bn{i}", h))
    h = h.amax(2)
    for i in (1, 2):
        h = F.relu(
            norm(state, f"{key}.bn{i + 3}", F.linear(h, state[f"{key}.fc{i}.weight"], state[f"{key}.fc{i}.bias"]))
        )
    offset = F.linear(h, state[f"{key}.fc3.weight"], state[f"{key}.fc3.bias"])
    return offset.view(-1, x.shape[1], x.shape[1]) + torch.eye(x.shape[1])


def test_pointnet_names_parts_as_the_wiring_of_the_released_keys_does(tmp_path: Path) -> None:
    module = load("PointNet_Seg_Distiller", tmp_path)
    state, e = released_state("PointNet_Seg_Distiller"), "encoder.encoder"
    points, seen = cloud("PointNet_Seg_Distiller", points=256, views=3)

    x = points.transpose(1, 2)
    for i, transform in ((1, "stn"), (2, "fstn"), (3, None)):
        if transform is not None:
            x = (x.transpose(1, 2) @ t_net(state, f"{e}.{transform}", x)).transpose(1, 2)
        x = F.conv1d(x, state[f"{e}.conv{i}.weight"], state[f"{e}.conv{i}.bias"])
        x = F.relu(norm(state, f"{e}.bn{i}", x))
    x = x.transpose(1, 2)
    one_hot = F.one_hot(torch.tensor(CATEGORIES), 16).float()
    context = torch.cat([x.amax(1), one_hot], 1)[:, None].expand(-1, x.shape[1], -1)
    h = torch.cat([x, context], -1)
    for i in (1, 2, 3):
        h = dense(state, f"dec_mlp_{i}", h)
    logits = F.linear(h, state["dec_mlp_4.conv.weight"].flatten(1))
    views = dense(state, "mv_cdw_alignment", (x[:, None] * seen[..., None]).amax(2))

    with torch.inference_mode():
        output = module(points, seen, category=torch.tensor(CATEGORIES))
    assert_equals(output.part_logits, logits)
    assert_equals(output.view_features, views)


def backbone(state: State, prefix: str, x: Tensor) -> list[Tensor]:
    """Maps of the four stages, from torchvision's layer numbers and the two kinds of attention."""
    maps = []
    for stage in (1, 2, 3, 4):
        key = f"{prefix}conv_{stage}"
        pools, convolutions = ({3}, (0, 4)) if stage == 1 else ({0}, (1, 4))
        for layer in range(7):
            if layer in pools:
                x = F.max_pool2d(x, 2, 2)
            if layer in convolutions:
                x = F.conv2d(x, state[f"{key}.0.{layer}.weight"], state[f"{key}.0.{layer}.bias"], padding=1)
                x = F.relu(norm(state, f"{key}.0.{layer + 1}", x))
        if stage <= 2:
            weight = state[f"{key}.1.conv.conv.weight"]
            both = torch.stack([x.mean(1), x.amax(1)], 1)
            attention = F.conv2d(both, weight, padding=weight.shape[-1] // 2).sigmoid()
        else:
            squeeze, excite = (state[f"{key}.1.fc.{i}.linear.weight"] for i in (0, 1))
            scores = [F.relu(pooled @ squeeze.T) @ excite.T for pooled in (x.mean((2, 3)), x.amax((2, 3)))]
            attention = (scores[0] + scores[1]).sigmoid()[:, :, None, None]
        x = x * attention + x
        maps.append(x)
    return maps


def image_layer(state: State, key: str, x: Tensor) -> Tensor:
    weight = state[f"{key}.conv.weight"]
    return F.relu(norm(state, f"{key}.bn", F.conv2d(x, weight, padding=weight.shape[-1] // 2)))


def doubled(x: Tensor) -> Tensor:
    return nn.UpsamplingBilinear2d(scale_factor=2)(x)


def test_the_segmentation_teacher_computes_what_the_wiring_of_the_released_keys_does(tmp_path: Path) -> None:
    module, state = load("Teacher_Seg", tmp_path), released_state("Teacher_Seg")
    images = torch.from_numpy(np.random.default_rng(106).random((2, 3, 64, 64)).astype(np.float32))
    category = torch.tensor(CATEGORIES)

    with torch.inference_mode():
        f1, f2, f3, f4 = backbone(state, "", images)
        views = f4.mean((2, 3))
        lifted = dense(state, "lift", F.one_hot(category, 16).float())
        fused = dense(state, "fuse", torch.cat([views, lifted], 1))
        x = image_layer(state, "dec_1", torch.cat([f4, fused[:, :, None, None].expand(-1, -1, 4, 4)], 1))
        for i, skip in ((2, f3), (3, f2), (4, f1)):
            x = image_layer(state, f"dec_{i}", torch.cat([skip, doubled(x)], 1))
        x = image_layer(state, "dec_5", doubled(x))
        logits = F.conv2d(x, state["output.conv.weight"], padding=1)
        output = module(images, category=category)
    assert output.pixel_logits.shape == (2, 51, 64, 64)
    assert_equals(output.pixel_logits, logits)
    assert_equals(output.view_features, views)


def test_the_autoencoder_computes_what_the_wiring_of_the_released_keys_does(tmp_path: Path) -> None:
    module, state = load("CNN_Backbone_Pretrainer", tmp_path), released_state("CNN_Backbone_Pretrainer")
    images = torch.from_numpy(np.random.default_rng(107).random((1, 3, 64, 64)).astype(np.float32))
    with torch.inference_mode():
        views = backbone(state, "cnn_backbone.", images)[-1].mean((2, 3))
        x = doubled(dense(state, "lifting", views).view(1, 256, 7, 7))
        for i in (1, 2, 3, 4):
            x = doubled(image_layer(state, f"deconv_{i}", x))
        redrawn = F.conv2d(x, state["output.conv.weight"], padding=1)
        output = module(images)
    assert output.images.shape == (1, 3, 224, 224)
    assert_equals(output.images, redrawn)
    assert_equals(output.view_features, views)
