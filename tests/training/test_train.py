"""Does training use the train split alone, go on where it stopped, and end in weights that are judged as saved?"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pointmcd.__main__ import main
from pointmcd.data.augmentation import move_images
from pointmcd.data.point_set import PointSet
from pointmcd.evaluation.teacher import teacher_predict
from pointmcd.networks.student import Student
from pointmcd.networks.teachers.classification import ClassificationTeacher
from pointmcd.records import CheckpointError, ShapeError
from pointmcd.tasks import classification
from pointmcd.training import experiment, loop, steps
from pointmcd.training.loop import Run, fit, learning_rate
from pointmcd.training.recipes import RECIPES, StudentRecipe, get_recipe
from pointmcd.training.steps import train_student, train_teacher
from pointmcd.weights.manifest import read_manifest
from tests.conftest import write_point_set

# docs/method.md, "Losses and schedules" and "Teachers": the released code's numbers.
PAPER = {
    "teacher": {
        "optimizer": "adam", "learning_rate": 1e-4, "final_learning_rate": 1e-6, "weight_decay": 1e-5, "epochs": 128,
        "batch_size": 48, "smoothing": 0.2, "views_per_step": 12, "backbone": "mobilenet_v2", "input_size": 224,
        "scale": (1.0, 1.0), "shift": 0.0,
    },
    "pointnet": {
        "optimizer": "sgd", "learning_rate": 0.1, "final_learning_rate": 0.001, "weight_decay": 5e-4, "epochs": 500,
        "batch_size": 64, "smoothing": 0.2, "views_per_step": 12, "points_per_step": 1024, "task_weight": 0.1,
        "penalty_weight": 0.001, "distil_weight": 1.0, "scale": (2 / 3, 3 / 2), "shift": 0.2,
    },
    "dgcnn": {
        "optimizer": "sgd", "learning_rate": 0.1, "final_learning_rate": 0.001, "weight_decay": 5e-4, "epochs": 350,
        "batch_size": 24, "smoothing": 0.2, "views_per_step": 12, "points_per_step": 1024, "task_weight": 0.1,
        "penalty_weight": 0.0, "distil_weight": 1.0, "scale": (2 / 3, 3 / 2), "shift": 0.2,
    },
}  # fmt: skip


@pytest.mark.parametrize("network", list(PAPER))
def test_the_paper_recipe_has_the_papers_numbers(network: str) -> None:
    recipe = get_recipe(network, "paper")
    assert {key: getattr(recipe, key) for key in PAPER[network]} == PAPER[network]
    assert recipe.warmup == 0


def test_every_network_has_both_recipes_and_each_says_its_source() -> None:
    networks = {*PAPER, "pointnet2", "curvenet"}
    assert set(RECIPES) == {(network, name) for network in networks for name in ("paper", "cpu")}
    assert all(recipe.source and recipe.name == name for (_, name), recipe in RECIPES.items())


def test_a_new_field_with_a_default_keeps_the_key_of_a_run_and_another_number_changes_it(tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Grown(StudentRecipe):
        momentum: float = 0.9

    run = Run(tmp_path, 0, torch.device("cpu"), identity={"data": "x"})
    grown = Grown(**vars(TINY))
    assert loop._run_key(grown, run) == loop._run_key(TINY, run)
    assert loop._run_key(replace(TINY, source="elsewhere"), run) == loop._run_key(TINY, run)
    for other in (replace(grown, momentum=0.8), replace(TINY, shift=0.1), replace(TINY, epochs=4)):
        assert loop._run_key(other, run) != loop._run_key(TINY, run)
    assert loop._run_key(TINY, replace(run, seed=1)) != loop._run_key(TINY, run)
    assert loop._run_key(TINY, replace(run, identity={"data": "y"})) != loop._run_key(TINY, run)


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no recipe 'fast' for 'pointnet'; there are: teacher/paper, "):
        get_recipe("pointnet", "fast")


def test_the_rate_falls_along_half_a_cosine() -> None:
    recipe = get_recipe("pointnet", "paper")
    assert learning_rate(recipe, 0.0) == pytest.approx(0.1)
    assert learning_rate(recipe, 0.5) == pytest.approx((0.1 + 0.001) / 2)
    assert learning_rate(recipe, 1.0) == pytest.approx(0.001)


def test_the_rate_rises_to_its_peak_while_warming_up() -> None:
    recipe = replace(get_recipe("pointnet", "paper"), warmup=0.2)
    rates = [learning_rate(recipe, step / 100) for step in range(101)]
    assert rates[0] < 0.01
    assert np.argmax(rates) == 20
    assert rates[20] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0.001)


def test_visibility_is_unpacked_as_it_was_packed() -> None:
    seen = np.random.default_rng(0).random((3, 4, 37)) < 0.5
    packed = torch.from_numpy(np.packbits(seen, axis=-1))
    assert np.array_equal(steps._unpack(packed, 37).numpy(), seen)


def test_random_views_are_distinct_and_all_of_them_come_in_order() -> None:
    generator = torch.Generator().manual_seed(0)
    few = steps._random_views(200, 12, 4, generator)
    assert few.shape == (200, 4)
    assert all(len(set(row)) == 4 for row in few.tolist())
    assert set(few.flatten().tolist()) == set(range(12))
    assert steps._random_views(2, 12, 12, generator).tolist() == [list(range(12))] * 2


def test_moved_images_keep_their_size_and_let_black_in() -> None:
    generator = torch.Generator().manual_seed(0)
    white = torch.ones(4, 3, 32, 32)
    moved = move_images(white, scale=(0.5, 0.5), shift=0.0, generator=generator)
    assert moved.shape == white.shape
    assert moved.mean().item() == pytest.approx(0.25, abs=0.05)  # half as wide and half as high
    assert torch.equal(move_images(white, scale=(1.0, 1.0), shift=0.0, generator=generator), white)


def test_images_are_moved_each_in_its_own_way() -> None:
    image = torch.rand(1, 1, 16, 16).expand(2, 5, 16, 16)
    moved = move_images(image, scale=(0.8, 1.25), shift=0.1, generator=torch.Generator().manual_seed(0)).flatten(0, 1)
    assert len({tuple(one.flatten().tolist()) for one in moved}) == 10


def test_the_teacher_learns_from_every_copy_of_a_shape_under_that_shapes_label(tmp_path: Path) -> None:
    """Bright and dark images, twice as bright in the second copy; were a row's label wrong, half of them would be."""
    labels = np.array([0, 1, 1, 0, 1, 0, 0, 0])
    base = np.where(labels == 1, 120, 10).astype(np.uint8)
    renders = np.concatenate([base, 2 * base])[:, None, None, None] * np.ones((1, 2, 32, 32), dtype=np.uint8)
    recipe = replace(
        RECIPES["teacher", "cpu"], epochs=40, batch_size=8, views_per_step=2, input_size=32, rendered_copies=2
    )
    model = train_teacher(
        labels, renders, labels, renders[:8], recipe, Run(tmp_path, 0, torch.device("cpu")), classes=2
    )
    assert teacher_predict(model, renders).tolist() == [*labels, *labels]


SHAPES, POINTS, VIEWS = 24, 32, 3
TINY = replace(RECIPES["pointnet", "cpu"], epochs=3, batch_size=8, points_per_step=24, views_per_step=2)


@dataclass(frozen=True)
class Task:
    """Arguments of a training that takes a blink."""

    data: PointSet
    visibility: np.ndarray
    teacher_views: np.ndarray

    def run(
        self,
        folder: Path,
        *,
        seed: int = 0,
        plain: bool = False,
        recipe: StudentRecipe = TINY,
        encoder: str = "pointnet",
    ) -> dict[str, Tensor]:
        model = train_student(
            self.data, self.visibility, self.teacher_views, self.data.subset(np.arange(4)), recipe,
            Run(folder, seed, torch.device("cpu")), encoder=encoder, plain=plain,
        )  # fmt: skip
        assert isinstance(model, Student)
        return model.state_dict()


@pytest.fixture(scope="module")
def task() -> Task:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (SHAPES, POINTS, 3)).astype(np.float32)
    seen = rng.random((SHAPES, VIEWS, POINTS)) < 0.5
    data = PointSet(points, rng.integers(0, 3, SHAPES), ("a", "b", "c"))
    return Task(data, np.packbits(seen, axis=-1), rng.random((SHAPES, VIEWS, 512)).astype(np.float16))


@pytest.fixture(scope="module")
def whole_run(task: Task, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("run")
    return folder, task.run(folder)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_same_seed_gives_the_same_weights(
    task: Task, whole_run: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    assert same(task.run(tmp_path), whole_run[1])


def test_another_seed_gives_other_weights(
    task: Task, whole_run: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    assert not same(task.run(tmp_path, seed=1), whole_run[1])


def test_the_plain_student_ends_with_another_encoder(
    task: Task, whole_run: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    plain, key = task.run(tmp_path, plain=True), "encoder.layer1.linear.weight"
    assert not torch.equal(plain[key], whole_run[1][key])


def test_without_a_distillation_term_a_distilled_and_a_plain_encoder_are_the_same(task: Task, tmp_path: Path) -> None:
    recipe = replace(TINY, epochs=1, distil_weight=0.0)
    distilled = task.run(tmp_path / "a", recipe=recipe)
    plain = task.run(tmp_path / "b", recipe=recipe, plain=True)
    for key in distilled:
        if key.startswith(("encoder.", "head.embedding.", "head.classifier.")) and distilled[key].is_floating_point():
            torch.testing.assert_close(distilled[key], plain[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder", ["pointnet", "dgcnn"])
def test_training_lowers_the_distance_to_the_teachers_views(task: Task, tmp_path: Path, encoder: str) -> None:
    steady = replace(task, teacher_views=np.ones_like(task.teacher_views))  # something that can be learnt in a moment
    recipe = replace(TINY, optimizer="adamw", learning_rate=0.1, task_weight=0.0, epochs=4)
    weights = steady.run(tmp_path, recipe=recipe, encoder=encoder)
    losses = [float(row["distil_loss"]) for row in rows_of(tmp_path)]
    assert losses[-1] < 0.9 * losses[0]
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_every_epoch_takes_every_shape_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    model, taken = torch.nn.Linear(1, 1), []

    def loss(rows: Tensor, _: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        taken.append(rows.tolist())
        return model(torch.ones(1, 1)).sum(), {}

    recipe = replace(TINY, epochs=3, batch_size=5)
    fit(model, recipe, Run(tmp_path, 0, torch.device("cpu")), shapes=17, loss=loss, validate=dict)
    epochs = [taken[start : start + 3] for start in range(0, 9, 3)]
    assert len(taken) == 9
    for batches in epochs:
        assert [len(batch) for batch in batches] == [5, 5, 5]  # two of seventeen wait for another epoch
        assert len({row for batch in batches for row in batch}) == 15
    assert epochs[0] != epochs[1] != epochs[2]


class Killed(BaseException):
    """What a kill signal would be."""


def killed_after(calls: int, function: Callable[..., Any]) -> Callable[..., Any]:
    count = 0

    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        nonlocal count
        count += 1
        if count > calls:
            raise Killed
        return function(*arguments, **keywords)

    return wrapped


@pytest.mark.parametrize(
    ("where", "name", "calls"),
    [
        (steps, "distillation_loss", 1),
        (steps, "distillation_loss", 4),
        (steps, "distillation_loss", 6),
        (loop, "_log", 1),
        (classification, "predict", 1),
    ],
)
def test_a_killed_run_goes_on_to_the_weights_of_an_uninterrupted_one(
    task: Task, whole_run: tuple[Path, dict[str, Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    where: Any, name: str, calls: int,
) -> None:  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(where, name, killed_after(calls, getattr(where, name)))
        with pytest.raises(Killed):
            task.run(tmp_path)
    assert same(task.run(tmp_path), whole_run[1])
    assert [row["epoch"] for row in rows_of(tmp_path)] == ["1", "2", "3"]


def test_a_run_killed_between_log_and_checkpoint_logs_each_epoch_once(
    task: Task, whole_run: tuple[Path, dict[str, Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", killed_after(1, torch.save))
        with pytest.raises(Killed):
            task.run(tmp_path)
    assert len(rows_of(tmp_path)) == 2
    assert same(task.run(tmp_path), whole_run[1])
    assert [row["epoch"] for row in rows_of(tmp_path)] == ["1", "2", "3"]


def test_a_finished_run_is_not_trained_again(
    task: Task, whole_run: tuple[Path, dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "distillation_loss", killed_after(0, steps.distillation_loss))
    assert same(task.run(whole_run[0]), whole_run[1])


def test_the_log_has_one_row_of_numbers_per_epoch(whole_run: tuple[Path, dict[str, Tensor]]) -> None:
    rows = rows_of(whole_run[0])
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    wanted = {"learning_rate", "seconds", "task_loss", "distil_loss", "train_accuracy", "validation_accuracy"}
    assert wanted < set(rows[0])
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())


@pytest.mark.parametrize("change", [{"seed": 1}, {"recipe": replace(TINY, epochs=4)}])
def test_a_folder_with_another_run_is_refused(
    task: Task, whole_run: tuple[Path, dict[str, Tensor]], change: dict[str, Any]
) -> None:
    with pytest.raises(CheckpointError, match="another recipe, seed, network or data; choose another --out"):
        task.run(whole_run[0], **change)


def test_a_checkpoint_of_another_network_is_refused(task: Task, whole_run: tuple[Path, dict[str, Tensor]]) -> None:
    fewer = replace(task, data=replace(task.data, class_names=("a", "b", "c", "d")))
    with pytest.raises(CheckpointError, match="is of another network; choose another --out"):
        fewer.run(whole_run[0])


@pytest.mark.parametrize("content", [b"damaged", None, "other names"])
def test_a_damaged_checkpoint_is_refused_with_a_sentence(
    task: Task, whole_run: tuple[Path, dict[str, Tensor]], tmp_path: Path, content: bytes | str | None
) -> None:
    whole = (whole_run[0] / "checkpoint.pt").read_bytes()
    if content == "other names":
        loop._write_state(tmp_path / "checkpoint.pt", {"state": [1]})
    else:
        (tmp_path / "checkpoint.pt").write_bytes(content if isinstance(content, bytes) else whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"is damaged; remove it to train from the start\.$"):
        task.run(tmp_path)


def test_fewer_shapes_than_a_batch_are_refused(task: Task, tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"at least one batch of 32 shapes, and there are 24"):
        task.run(tmp_path, recipe=replace(TINY, batch_size=32))


def train_with_dropout(folder: Path, *, calls: int | None = None) -> dict[str, Tensor]:
    """Fit a small network that drops half of its features at random; killed at a step where `calls` is given."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Dropout(), torch.nn.Linear(16, 1))
    inputs = torch.rand(16, 4, generator=torch.Generator().manual_seed(0))

    def loss(rows: Tensor, _: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        value = (model(inputs[rows]) - 1).square().mean()
        return value, {"loss": value}

    step = loss if calls is None else killed_after(calls, loss)
    recipe = replace(TINY, epochs=4)
    fit(model, recipe, Run(folder, 0, torch.device("cpu")), shapes=16, loss=step, validate=dict)
    return model.state_dict()


@pytest.mark.parametrize("calls", [3, 4, 7])
def test_a_killed_run_with_dropout_goes_on_to_the_weights_of_an_uninterrupted_one(calls: int, tmp_path: Path) -> None:
    whole = train_with_dropout(tmp_path / "whole")
    with pytest.raises(Killed):
        train_with_dropout(tmp_path / "killed", calls=calls)
    torch.rand(7)  # what else the process draws does not matter
    assert same(train_with_dropout(tmp_path / "killed"), whole)


def test_training_leaves_the_callers_random_numbers_as_they_were_and_does_not_ask_them(
    task: Task, whole_run: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    torch.rand(3)
    before = torch.get_rng_state()
    weights = task.run(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert same(weights, whole_run[1])


def test_a_step_of_the_teacher_uploads_its_own_renders_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded: list[tuple[int, ...]] = []

    def noted(tensor: Tensor, device: torch.device) -> Tensor:
        uploaded.append(tuple(tensor.shape))
        return tensor

    monkeypatch.setattr(steps, "upload", noted)
    recipe = replace(RECIPES["teacher", "cpu"], views_per_step=2, input_size=32)
    model = ClassificationTeacher(backbone="slim_resnet18", input_size=32, classes=2)
    renders = np.zeros((40, 3, 32, 32), dtype=np.uint8)
    loss = steps.teacher_loss(model, np.zeros(40, dtype=np.int64), renders, recipe)
    loss(torch.arange(4), torch.Generator().manual_seed(0))
    assert [shape for shape in uploaded if shape[2:] == (32, 32)] == [(4, 2, 32, 32)]


@dataclass(frozen=True)
class Trained:
    """What the commands left behind."""

    data: Path
    test: Path
    weights: Path
    cache: Path
    runs: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Teacher, distilled and plain student of one tiny data set, by the commands a user types."""
    home = tmp_path_factory.mktemp("project")
    done = Trained(
        write_point_set(home / "train.npz", per_class=9),
        write_point_set(home / "test.npz", per_class=3, seed=1),
        home / "weights", home / "cache", home / "runs",
    )  # fmt: skip
    given = ["--data", done.data, "--test", done.test, "--cache", done.cache, "--weights", done.weights]
    with pytest.MonkeyPatch.context() as patched:
        for key, recipe in RECIPES.items():
            patched.setitem(RECIPES, key, replace(recipe, batch_size=8))
        for command, out in (
            (["train-teacher"], "teacher"),
            (["distill", "--student", "pointnet"], "distilled"),
            (["distill", "--student", "pointnet", "--plain"], "plain"),
        ):
            assert run(*command, *given, "--out", done.runs / out, "--epochs", 2, "--device", "cpu") == 0
    return done


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_the_commands_leave_a_teacher_and_a_matched_pair(trained: Trained) -> None:
    entries = read_manifest(trained.weights)
    assert list(entries) == ["teacher", "pointnet", "pointnet_plain"]
    assert entries["pointnet_plain"].key == ("classification", "pointnet", "plain", "seed0")
    distilled, plain = entries["pointnet"], entries["pointnet_plain"]
    differs = {key for key in distilled.training if distilled.training[key] != plain.training[key]}
    assert differs <= {"command", "hours"}
    assert distilled.training["teacher"] == entries["teacher"].sha256
    assert distilled.settings | {"isolate_views": True} == plain.settings
    assert distilled.training["shapes"] == 18 - 2
    assert distilled.training["class_names"] == ["box", "rod"]
    for entry in entries.values():
        assert 0 <= entry.metrics["test_mean_class_accuracy"] <= 1
        assert entry.metrics["test_shapes"] == 6
        assert entry.metrics["validation_shapes"] == 2
        assert entry.training["epochs"] == 2
        assert "ModelNet40" not in entry.licence


def test_a_plain_run_never_goes_on_from_a_distilled_one(
    trained: Trained, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, ("pointnet", "cpu"), replace(RECIPES["pointnet", "cpu"], batch_size=8))
    before = (trained.runs / "distilled/checkpoint.pt").read_bytes()
    given = ["--data", trained.data, "--test", trained.test, "--cache", trained.cache, "--weights", trained.weights]
    again = ["distill", "--student", "pointnet", *given, "--out", trained.runs / "distilled", "--epochs", 2]
    assert run(*again, "--plain", "--device", "cpu") == 2
    message = capsys.readouterr().err
    assert "was trained with another recipe, seed, network or data" in message
    assert message.count("\n") == 1
    assert (trained.runs / "distilled/checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "options"),
    [("teacher", ["--student", "teacher"]), ("pointnet", []), ("pointnet_plain", ["--plain"])],
)
def test_evaluate_finds_the_accuracy_that_the_manifest_states(
    trained: Trained, capsys: pytest.CaptureFixture[str], name: str, options: list[str]
) -> None:
    given = ["--data", trained.test, "--weights", trained.weights, "--cache", trained.cache]
    assert run("evaluate", *given, *options, "--json", "--device", "cpu") == 0
    answer = json.loads(capsys.readouterr().out)
    entry = read_manifest(trained.weights)[name]
    assert answer == {
        "overall_accuracy": entry.metrics["test_overall_accuracy"],
        "mean_class_accuracy": entry.metrics["test_mean_class_accuracy"],
        "shapes": 6,
        "weights": entry.sha256,
    }


def test_evaluate_compares_views_where_asked_to(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--data", trained.test, "--weights", trained.weights, "--cache", trained.cache, "--device", "cpu"]
    assert run("evaluate", *given, "--alignment", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer)[4:] == ["mean_cosine", "diagonal_dominance", "retrieval_at_1"]
    assert -1 <= answer["mean_cosine"] <= 1
    assert 0 <= answer["retrieval_at_1"] <= 1


def test_classes_in_another_order_are_matched_by_name(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(trained.test) as arrays:
        np.savez(
            tmp_path / "turned.npz", points=arrays["points"], labels=2 - arrays["labels"],
            class_names=np.array(["moon", "rod", "box"]),
        )  # fmt: skip
    assert run("evaluate", "--data", tmp_path / "turned.npz", "--weights", trained.weights, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["overall_accuracy"] == read_manifest(trained.weights)["pointnet"].metrics["test_overall_accuracy"]


def test_a_class_that_the_weights_do_not_know_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_point_set(tmp_path / "more.npz", per_class=1, classes=3)
    assert run("evaluate", "--data", data, "--weights", trained.weights) == 2
    assert capsys.readouterr().err == f"pointmcd: {data}: the networks know no class 'plate'; they know: box, rod.\n"


def test_a_shape_is_named_with_the_classes_of_the_training_data(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(trained.test) as arrays:
        np.save(tmp_path / "rod.npy", arrays["points"][-1])
    assert run("analyze", tmp_path / "rod.npy", "--weights", trained.weights, "--views", 2, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    for who in ("teacher", "student", "plain"):
        assert sorted(label for label, _ in answer[who]["top5"]) == ["box", "rod"]


def test_the_test_split_is_checked_before_training_and_judged_once_after_it(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def noted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **keywords: Any) -> Any:
            order.append(f"{name} {arguments[0]}" if name == "load" else name)
            return function(*arguments, **keywords)

        return wrapped

    monkeypatch.setattr(experiment, "load_point_set", noted("load", experiment.load_point_set))
    for name in ("train_teacher", "train_student", "judge_teacher", "judge_student"):
        monkeypatch.setattr(experiment, name, noted(name, getattr(experiment, name)))
    for key, recipe in RECIPES.items():
        monkeypatch.setitem(RECIPES, key, replace(recipe, batch_size=8))
    given = ["--data", trained.data, "--test", trained.test, "--cache", trained.cache, "--weights", tmp_path / "w"]
    for command in (["train-teacher"], ["distill", "--student", "pointnet"]):
        assert run(*command, *given, "--out", tmp_path / command[0], "--epochs", 1, "--device", "cpu") == 0
    expected = [
        [f"load {trained.data}", f"load {trained.test}", f"train_{who}", f"judge_{who}"]
        for who in ("teacher", "student")
    ]
    assert order == expected[0] + expected[1]


def test_a_student_taught_by_the_shipped_teacher_leaves_a_folder_that_can_be_used(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "WEIGHTS", trained.weights)
    monkeypatch.setitem(RECIPES, ("pointnet", "cpu"), replace(RECIPES["pointnet", "cpu"], batch_size=8))
    given = ["--data", trained.data, "--test", trained.test, "--cache", trained.cache, "--weights", tmp_path / "w"]
    arguments = ["--student", "pointnet", "--plain", *given, "--out", tmp_path / "run", "--epochs", 1]
    assert run("distill", *arguments, "--device", "cpu") == 0
    assert read_manifest(tmp_path / "w")["teacher"].sha256 == read_manifest(trained.weights)["teacher"].sha256
    assert run("evaluate", "--data", trained.test, "--weights", tmp_path / "w", "--plain") == 0


@pytest.mark.parametrize("command", [["train-teacher"], ["distill", "--student", "pointnet"]])
@pytest.mark.parametrize("kind", ["damaged", "of other classes", "not normalised"])
def test_a_test_split_that_cannot_be_judged_is_refused_before_the_training(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    kind: str, command: list[str],
) -> None:  # fmt: skip
    for key, recipe in RECIPES.items():
        monkeypatch.setitem(RECIPES, key, replace(recipe, batch_size=8))
    test = write_point_set(tmp_path / "test.npz", per_class=1, classes=3)
    with np.load(test) as arrays:
        content = dict(arrays)
    if kind == "damaged":
        test.write_bytes(test.read_bytes()[:200])
    elif kind == "not normalised":
        np.savez(test, **content | {"points": content["points"] * 971 + 498})
    given = ["--data", trained.data, "--test", test, "--cache", tmp_path / "cache", "--weights", trained.weights]
    assert run(*command, *given, "--out", tmp_path / "run", "--device", "cpu") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"pointmcd: {test}: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("with_own_networks", [False, True])
def test_data_of_other_classes_than_the_teachers_are_refused_before_the_training(
    trained: Trained, random_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, with_own_networks: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(experiment, "WEIGHTS", random_weights)
    monkeypatch.setitem(RECIPES, ("pointnet", "cpu"), replace(RECIPES["pointnet", "cpu"], batch_size=8))
    weights = random_weights if with_own_networks else tmp_path / "new"
    given = ["--data", trained.data, "--test", trained.test, "--cache", tmp_path / "cache", "--weights", weights]
    assert run("distill", "--student", "pointnet", *given, "--out", tmp_path / "run", "--device", "cpu") == 2
    error = capsys.readouterr().err
    wanted = "choose another --weights." if with_own_networks else "run train-teacher on it first."
    assert error.endswith(f"{wanted}\n")
    assert "2 classes (box, rod)" in error or "2 (box, rod)" in error
    assert not (tmp_path / "cache").exists()


def test_a_set_of_one_class_is_not_trained_on(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_point_set(tmp_path / "one.npz", per_class=40, classes=1)
    given = ["--data", data, "--test", data, "--cache", tmp_path / "cache", "--weights", tmp_path / "weights"]
    assert run("train-teacher", *given, "--out", tmp_path / "run") == 2
    assert capsys.readouterr().err == (
        f"pointmcd: {data}: training needs shapes of at least 2 classes, and there are 1.\n"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--seed", "-1"], "distill: argument --seed: a number is needed of 0 to 2147483647, not -1;"),
        (["--seed", str(10**30)], "distill: argument --seed: a number is needed of 0 to 2147483647, not 1000"),
        (["--threads", "0"], "distill: argument --threads: a number is needed of 1 or more, not 0;"),
    ],
)
def test_an_option_of_a_training_out_of_its_range_is_one_line(
    trained: Trained, capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("distill", "--student", "pointnet", "--data", trained.data, "--test", trained.test, *change)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--test", "gone.npz"], "gone.npz: there is no such file."),
        (["--data", "gone.npz"], "gone.npz: there is no such file."),
        (["--epochs", "0"], "Training takes at least 1 epoch, not 0."),
        (["--device", "abacus"], "There is no device 'abacus'; choose auto, cpu or cuda."),
    ],
)
def test_what_cannot_be_trained_is_said_before_the_training(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    given = ["--data", trained.data, "--test", trained.test, "--cache", trained.cache, "--weights", trained.weights]
    assert run("distill", "--student", "pointnet", *given, "--out", tmp_path, *change) == 2
    assert capsys.readouterr().err.startswith(f"pointmcd: {message}")


def test_a_student_without_a_teacher_is_not_trained(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "WEIGHTS", tmp_path / "none")
    given = ["--data", trained.data, "--test", trained.test, "--cache", trained.cache, "--weights", tmp_path / "w"]
    assert run("distill", "--student", "pointnet", *given, "--out", tmp_path) == 2
    assert "holds no teacher; run train-teacher first." in capsys.readouterr().err
