"""Which networks does an analysis ask? Those of one folder, on one device."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch

from pointmcd.data.labels import MODELNET40
from pointmcd.networks.student import Student
from pointmcd.networks.teachers.classification import ClassificationTeacher
from pointmcd.records import CheckpointError, Role
from pointmcd.weights.manifest import WEIGHTS, find_default, load_weights, read_manifest


@dataclass(frozen=True)
class PointNetwork:
    """A point network as its answers will name it; two with the same weights and names count as the same.

    Attributes:
        module: The network itself.
        name: Of its encoder.
        role: As `pointmcd.records.Answer` has it.
        weights: SHA-256 of its file.
        run: Which of several trainings.
    """

    module: Student = field(compare=False, repr=False)
    name: str
    role: Role
    weights: str
    run: str = ""


@dataclass(frozen=True, eq=False)
class Models:
    """The networks of one analysis, on one device.

    Attributes:
        teacher: The image network.
        students: Distilled students by encoder name, in the manifest's order: the first is the default.
        plains: The same students trained without distillation, where there are such weights.
        weights: SHA-256 of each network's file by its short name: "teacher", an encoder's name, or that with "_plain".
        device: Where they compute.
        class_names: Label of each logit, the same for all of them.
        others: Point networks besides those: controls, further runs, the user's own.
    """

    teacher: ClassificationTeacher
    students: dict[str, Student]
    plains: dict[str, Student]
    weights: dict[str, str]
    device: torch.device
    class_names: tuple[str, ...] = MODELNET40
    others: tuple[PointNetwork, ...] = ()

    def point_networks(self, name: str) -> tuple[PointNetwork, ...]:
        """All networks with this encoder, in the order to show: distilled, plain, the others.

        Raises:
            CheckpointError: That student has no weights.
        """
        if name not in self.students:
            have = ", ".join(self.students) or "none"
            raise CheckpointError(f"There are no weights for {name!r}; there are some for: {have}.")
        found = [PointNetwork(self.students[name], name, "distilled", self.weights[name])]
        if name in self.plains:
            found.append(PointNetwork(self.plains[name], name, "plain", self.weights[f"{name}_plain"]))
        return (*found, *(network for network in self.others if network.name == name))

    @property
    def student_names(self) -> tuple[str, ...]:
        """The students that have weights."""
        return tuple(self.students)


def load_models(*, folder: str | Path = WEIGHTS, device: str = "auto") -> Models:
    """Load every network for classification that a weights folder lists.

    Args:
        folder: Holds `manifest.json` and its files; the shipped weights by default.
        device: "auto" (CUDA where there is one), "cpu" or "cuda".

    Raises:
        CheckpointError: The folder lacks a teacher or a student, a file is damaged, or the networks name different
            classes.
    """
    target = pick_device(device)
    entries = {name: entry for name, entry in read_manifest(folder).items() if entry.task == "classification"}
    teacher_entry = find_default(entries, role="teacher")
    if teacher_entry is None or all(entry.role == "teacher" for entry in entries.values()):
        raise CheckpointError(f"{folder} holds no teacher with a student; train them, or restore the files.")
    names = {entry.class_names for entry in entries.values()}
    if len(names) > 1 or {entry.settings.get("classes", 40) for entry in entries.values()} != {
        len(name) for name in names
    }:
        raise CheckpointError(f"The networks in {folder} name different classes; train them on one data set.")
    teacher = load_weights(teacher_entry, folder).to(target)
    assert isinstance(teacher, ClassificationTeacher)
    students: dict[str, Student] = {}
    plains: dict[str, Student] = {}
    others: list[PointNetwork] = []
    for entry in entries.values():
        if entry.role == "teacher":
            continue
        module = load_weights(entry, folder).to(target)
        assert isinstance(module, Student)
        table = {"distilled": students, "plain": plains}.get(entry.role)
        if table is not None and entry.network not in table:
            table[entry.network] = module
        else:
            others.append(PointNetwork(module, entry.network, cast(Role, entry.role), entry.sha256, entry.run))
    return Models(
        teacher=teacher,
        students=students,
        plains=plains,
        weights={name: entry.sha256 for name, entry in entries.items()},
        device=target,
        class_names=names.pop(),
        others=tuple(others),
    )


def pick_device(name: str) -> torch.device:
    """Turn "auto" into CUDA where there is one, else CPU.

    Raises:
        CheckpointError: No such device, or CUDA was asked for and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if re.fullmatch(r"cpu|cuda(:\d+)?", name) is None:
        raise CheckpointError(f"There is no device {name!r}; choose auto, cpu or cuda.")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise CheckpointError("This machine has no CUDA device that torch can use; choose --device cpu or auto.")
    return torch.device(name)
