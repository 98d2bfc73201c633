"""What did VAFP make of the points? Shares of the cosine, colours of the features."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from pointmcd.evaluation.alignment import cosine_matrix, diagonal_dominance, retrieval_at_1
from pointmcd.networks.pooling import point_features
from pointmcd.networks.student import Student, StudentOutput
from pointmcd.records import Analysis, Answer, CheckpointError, Comparison, ShapeError
from pointmcd.weights.models import Models

BLOCK = 4096  # points whose features are worked on at once; more take no longer together, but more memory


def feature_colors_of(
    students: list[Student], outputs: list[StudentOutput], points: Float[Tensor, "N 3"]
) -> list[Float32[np.ndarray, "N 3"]]:
    """Colour the points by their features, by one map for all networks.

    Where an encoder keeps anchors only, a point has the colour of the nearest one.
    """
    features = [
        torch.cat(list(point_features(student.encoder, output.encoded, block=BLOCK)))
        for student, output in zip(students, outputs, strict=True)
    ]
    colors = principal_colors(torch.cat(features)).split([len(values) for values in features])
    return [
        as_numpy(own[nearest_anchor(points, output.encoded.index)]) for output, own in zip(outputs, colors, strict=True)
    ]


def nearest_anchor(points: Float[Tensor, "N 3"], index: Int[Tensor, "1 M"] | None) -> Int[Tensor, " N"]:
    """Find for each point the row of the nearest one that the encoder keeps; its own where it keeps every point."""
    if index is None:
        return torch.arange(len(points), device=points.device)
    anchors = points[index[0]]
    return torch.cat([torch.cdist(block, anchors).argmin(dim=1) for block in points.split(BLOCK)])


def compare(student: Student, answer: Answer, teacher: Answer) -> Comparison:
    """Lay the view descriptors of a student beside the teacher's, and split each view's cosine over the points."""
    assert answer.pooling is not None
    device = next(student.parameters()).device
    views, pools, taught = (
        torch.from_numpy(array).to(device)[None]
        for array in (answer.view_features, answer.pooling.pools, teacher.view_features)
    )
    winners = torch.from_numpy(answer.pooling.winners).to(device)[None]
    similarity = cosine_matrix(views, taught)[0]
    shares, bias = alignment_shares(student, views, pools, winners, taught, points=len(answer.pooling.feature_colors))
    return Comparison(
        prediction=answer,
        similarity=as_numpy(similarity),
        alignment=as_numpy(shares[0]),
        alignment_bias=as_numpy(bias[0]),
        diagonal_dominance=diagonal_dominance(similarity).item(),
        retrieval_at_1=retrieval_at_1(similarity).item(),
    )


@torch.inference_mode()
def cell_shares(
    analysis: Analysis, models: Models, *, row: int, column: int, plain: bool = False, key: str | None = None
) -> tuple[Float32[np.ndarray, " N"], float]:
    """Split a cell of the similarity matrix, `cos(g_row, v_column)`, as `alignment_shares` splits the diagonal.

    Args:
        analysis: As `analyze` gives it.
        models: The networks that it was made with.
        row: View of the student, from 0.
        column: View of the teacher, from 0.
        plain: Whether to explain the plain student's matrix.
        key: Whose matrix to explain instead: one of `analysis.keys`.

    Returns:
        Share of each point, and the bias's share.

    Raises:
        ShapeError: There is no such view.
        CheckpointError: There is no such answer, or the analysis was made with other weights.
    """
    views = len(analysis.teacher.view_features)
    if not (0 <= row < views and 0 <= column < views):
        raise ShapeError(f"A row and a column are 0 to {views - 1}, not {row} and {column}.")
    key = key or ("plain" if plain else "distilled")
    answer = dict(zip(analysis.keys, analysis.answers, strict=True)).get(key)
    if answer is None or answer.pooling is None:
        raise CheckpointError(f"The analysis has no student {key!r}.")
    networks = models.point_networks(analysis.student_name)
    network = next((network for network in networks if network.weights == answer.weights), None)
    if network is None:
        raise CheckpointError("The analysis was made with other weights; analyse the shape again.")
    rows = (answer.view_features, answer.pooling.pools, answer.pooling.winners)
    view, pool, winners = (torch.from_numpy(array[None, [row]]).to(models.device) for array in rows)
    teacher_view = torch.from_numpy(analysis.teacher.view_features[None, [column]]).to(models.device)
    shares, bias = alignment_shares(
        network.module, view, pool, winners, teacher_view, points=len(analysis.cloud.points)
    )
    return as_numpy(shares[0, 0]), bias.item()


def alignment_shares(
    student: Student,
    views: Float[Tensor, "B V T"],
    pools: Float[Tensor, "B V D"],
    winners: Int[Tensor, "B V D"],
    teacher_views: Float[Tensor, "B V T"],
    *,
    points: int,
) -> tuple[Float[Tensor, "B V N"], Float[Tensor, "B V"]]:
    """Split the cosine of each view with the teacher's beside it over the points that made it (evaluation mode).

    `g_k = relu(A p_k + b)` with the batch norm folded into A and b; channel c of `p_k` comes from one winning point.
    With the ReLU's gate known, the cosine is linear in `p_k`: each channel's term goes to its winner, and the rest is
    the bias's. Shares and bias of a view sum to its cosine exactly; a share is negative where the point pulls away.

    Args:
        student: Whose alignment layer made the views.
        views: `g_k`.
        pools: `p_k`.
        winners: Of each channel of `p_k`.
        teacher_views: `v_k`.
        points: Of the cloud.

    Returns:
        Share of each point in each view, and the bias's share.
    """
    weight, bias = student.alignment.folded()
    lengths = (views.norm(dim=-1) * teacher_views.norm(dim=-1)).clamp(min=1e-12)[..., None]
    pull = (views > 0) * teacher_views / lengths  # d cos / d g at fixed lengths, behind the ReLU's gate
    terms = (pull @ weight) * pools  # 0 where the view sees nothing
    shares = terms.new_zeros(*views.shape[:2], points)
    return shares.scatter_add_(2, winners.clamp(min=0), terms), pull @ bias


def principal_colors(values: Float[Tensor, "N D"], *, iterations: int = 5) -> Float[Tensor, "N 3"]:
    """Map point features to colours: their first three principal components, each stretched to 0..1.

    By subspace iteration from a fixed start, so that the same features always get the same colours. Of more than
    `BLOCK` points an even sample decides the components (of 10,000 points, colours move by 0.02 of their range).
    """
    sample = values[:: -(-len(values) // BLOCK)].float()
    mean = sample.mean(dim=0)
    centred: Tensor = sample - mean
    basis = torch.randn(values.shape[1], 16, generator=torch.Generator().manual_seed(0)).to(centred)
    for _ in range(iterations):
        basis, _ = torch.linalg.qr(((centred @ basis).T @ centred).T)
    _, _, rotation = torch.linalg.svd(centred @ basis, full_matrices=False)
    directions = basis @ rotation[:3].T
    components = torch.cat([(block.float() - mean) @ directions for block in values.split(BLOCK)])
    # A component's sign is free: let its heavier tail be bright.
    components = components * torch.where((components**3).sum(dim=0) < 0, -1.0, 1.0)
    low, high = torch.quantile(components, torch.tensor([0.02, 0.98]).to(components), dim=0)
    stretched: Tensor = (components - low) / (high - low).clamp(min=1e-9)
    return stretched.clamp(0, 1)


def as_numpy(tensor: Tensor) -> Float32[np.ndarray, ...]:
    return tensor.float().cpu().numpy()
