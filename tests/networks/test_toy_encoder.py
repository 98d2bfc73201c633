"""Does a new encoder need more than its file and one table entry to be analysed?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pointmcd.__main__ import main
from pointmcd.networks.encoders import ENCODERS
from pointmcd.projection import PointFeatures
from pointmcd.weights.manifest import build_network, save_weights


class Toy(nn.Module):
    """Five waves of each coordinate, of every second point: anchors, and features of any sign."""

    feature_dim = 15

    def __init__(self) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.arange(1.0, 6.0))

    def forward(self, points: Tensor) -> PointFeatures:
        index = torch.arange(0, points.shape[1], 2, device=points.device).expand(len(points), -1)
        waves = torch.sin(points[:, ::2, :, None] * self.frequencies)
        return PointFeatures(waves.flatten(2), index)


@pytest.fixture
def with_toy(random_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The random weights with a toy student, known by one table entry."""
    monkeypatch.setitem(ENCODERS, "toy", Toy)
    folder = Path(shutil.copytree(random_weights, tmp_path / "weights"))
    settings = {"kind": "student", "encoder": "toy"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student = build_network(settings)
    save_weights(
        student, folder, network="toy", role="distilled", settings=settings, training={}, metrics={}, licence="CC0"
    )
    return folder


def test_a_toy_encoder_is_analysed_by_the_command_line(
    with_toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "ball.npy", np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32))
    given = ["--weights", str(with_toy), "--views", "3", "--points", "100", "--json"]
    assert main(["analyze", str(tmp_path / "ball.npy"), "--student", "toy", *given]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["settings"]["student"] == "toy"
    assert len(answer["student"]["top5"]) == 5
    assert len(answer["alignment"]["cosine"]) == 3


def test_a_toy_encoder_is_listed_among_the_weights(with_toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "--weights", str(with_toy)]) == 0
    printed = capsys.readouterr().out
    assert "toy: toy.safetensors " in printed
    assert "classification, toy, distilled, seed0" in printed
