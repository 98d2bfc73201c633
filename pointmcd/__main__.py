"""What can be done from the command line? Analyse shapes, prepare data, train, evaluate, list and import weights."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from pointmcd import choices
from pointmcd.records import CheckpointError, SettingError, UserError
from pointmcd.scene.cameras import DISTANCE, FIELD_OF_VIEW_DEG, IMAGE_SIZE, RIGS

SMALLEST_IMAGE = 8
FOLDER_OF_NEW_WEIGHTS = "runs/weights"
ANSWERED_BY = {
    "teacher": "Teacher", "distilled": "Distilled student", "plain": "Plain student", "control": "Control",
    "own": "Own weights",
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success, 2 with one sentence on stderr where the input cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        print(f"pointmcd: {name}{error.strerror or error}.", file=sys.stderr)
        return 2
    except UserError as error:  # any other ValueError is a mistake of ours, and its traceback is wanted
        print(f"pointmcd: {error}", file=sys.stderr)
        return 2
    return 0


def _analyze(options: argparse.Namespace) -> None:
    # torch loads in seconds: only the commands that compute import it, so that --help answers at once.
    from pointmcd.analysis.analyze import analyze
    from pointmcd.analysis.export import save_arrays, summary
    from pointmcd.shapes.load import load_shape
    from pointmcd.weights.models import load_models

    if options.out is not None:
        _check_out(options.out)
    shape = load_shape(options.file, up=options.up)
    models = (
        load_models(folder=options.weights, device=options.device)
        if options.weights
        else load_models(device=options.device)
    )
    analysis = analyze(
        shape, models, student=options.student, visibility=options.visibility, views=options.views,
        points=options.points, seed=options.seed, elevation_deg=options.elevation, distance=options.distance,
        fov_deg=options.fov,
    )  # fmt: skip
    if options.out is not None:
        save_arrays(analysis, options.out)
    result = summary(analysis)
    print(json.dumps(result) if options.json else _as_text(result))
    if options.out is not None:
        megabytes = Path(options.out).stat().st_size / 1e6
        print(f"Wrote {options.out}, {megabytes:,.1f} MB.", file=sys.stderr if options.json else sys.stdout)


def _check_out(out: str) -> None:
    """Refuse, before the work, a name that no file can be written under."""
    path = Path(out)
    separators = tuple(filter(None, (os.sep, os.altsep)))
    if not out or out.endswith(separators) or path.is_dir():
        raise SettingError(f"{out or 'An empty name'} is a folder; name a file for --out.")
    if path.exists() and not path.is_file():
        raise SettingError(f"{out} is no plain file; choose another --out.")
    if not path.parent.is_dir():
        raise SettingError(f"{out}: its folder does not exist; make it, or choose another --out.")


def _as_text(result: dict[str, Any]) -> str:
    lines = [result["name"], *(f"  {note}" for note in result["notes"])]
    seen = result["visibility"]
    share = sum(seen["seen_fraction"]) / len(seen["seen_fraction"])
    lines.append(
        f"{result['points']:,} points, {result['views']} views ({seen['method']}): a view sees {share:.0%} of the "
        f"points on average, {seen['unseen_points']} points are seen by none."
    )
    for answer in result["answers"]:
        best = ", ".join(f"{label} {100 * probability:.1f} %" for label, probability in answer["top5"])
        lines.append(f"{ANSWERED_BY[answer['role']]}{' ' + answer['run'] if answer['run'] else ''}: {best}")
    if result["domain"]["note"]:
        lines.append(result["domain"]["note"])
    alignment = result["alignment"]
    lines.append(
        f"Alignment: mean cosine {sum(alignment['cosine']) / len(alignment['cosine']):.3f}, diagonal dominance "
        f"{alignment['diagonal_dominance']:.3f}, retrieval@1 {alignment['retrieval_at_1']:.0%}"
    )
    return "\n".join(lines)


def _prepare(options: argparse.Namespace) -> None:
    from pointmcd.data.point_set import load_point_set
    from pointmcd.data.view_cache import prepare_views
    from pointmcd.weights.models import pick_device

    if not SMALLEST_IMAGE <= options.image_size <= IMAGE_SIZE:
        raise SettingError(
            f"Renders are drawn at {IMAGE_SIZE} pixels and kept at {SMALLEST_IMAGE} to {IMAGE_SIZE} a side, not at "
            f"{options.image_size}."
        )
    device = pick_device(options.device)
    data = load_point_set(options.data, normalise=options.normalise)
    started = time.perf_counter()
    try:
        cache = prepare_views(
            data.points, options.cache, image_size=options.image_size, views=options.views,
            rig=RIGS[options.rig] if options.rig else None, workers=options.workers or 0, device=device,
        )  # fmt: skip
    except KeyboardInterrupt:
        print("pointmcd: stopped; the same command goes on where it stopped.", file=sys.stderr)
        sys.exit(130)  # what shells expect after Ctrl-C
    megabytes = (cache.images.nbytes + cache.visibility.nbytes) / 1e6
    done = f"Prepared {cache.prepared:,} of" if cache.prepared else "Nothing left to do for"
    print(
        f"{done} {len(data):,} clouds in {time.perf_counter() - started:.1f} s: renders at {options.image_size} px and "
        f"visibility from {cache.images.shape[1]} views, {megabytes:,.1f} MB in {cache.folder}."
    )


def _train_teacher(options: argparse.Namespace) -> None:
    from pointmcd.training.experiment import choose_teacher_recipe, run_teacher

    recipe = choose_teacher_recipe(options.recipe, epochs=options.epochs, backbone=options.backbone)
    _set_threads(options.threads)
    entry = run_teacher(
        data=options.data, test=options.test, recipe=recipe, seed=options.seed, out=options.out or "runs/teacher",
        weights=options.weights, cache=options.cache, device=options.device, normalise=options.normalise,
    )  # fmt: skip
    print(json.dumps(entry.metrics, indent=2))


def _distill(options: argparse.Namespace) -> None:
    from pointmcd.training.experiment import choose_recipe, run_student

    recipe = choose_recipe(options.student, options.recipe, epochs=options.epochs)
    _set_threads(options.threads)
    kind = "plain" if options.plain else "distilled"
    entry = run_student(
        encoder=options.student, plain=options.plain, data=options.data, test=options.test, recipe=recipe,
        seed=options.seed, out=options.out or f"runs/{options.student}_{kind}", weights=options.weights,
        cache=options.cache, device=options.device, normalise=options.normalise,
    )  # fmt: skip
    print(json.dumps(entry.metrics, indent=2))


def _evaluate(options: argparse.Namespace) -> None:
    from pointmcd.data.point_set import load_point_set
    from pointmcd.training.experiment import judge_alignment, judge_student, judge_teacher
    from pointmcd.weights.models import load_models

    models = (
        load_models(folder=options.weights, device=options.device)
        if options.weights
        else load_models(device=options.device)
    )
    data = load_point_set(options.data, normalise=options.normalise).labelled_by(
        models.class_names, source=options.data
    )
    if options.student == "teacher":
        if options.plain or options.alignment:
            raise SettingError("--plain and --alignment are for students; leave them out for the teacher.")
        result, weights = judge_teacher(models.teacher, data, options.cache), models.weights["teacher"]
    else:
        table = models.plains if options.plain else models.students
        if options.student not in table:
            raise CheckpointError(
                f"There are no such weights for {options.student!r}; there are: {', '.join(table) or 'none'}."
            )
        student = table[options.student]
        result = judge_student(student, data)
        weights = models.weights[options.student + ("_plain" if options.plain else "")]
    answer: dict[str, Any] = {
        "overall_accuracy": round(result.overall, 6),
        "mean_class_accuracy": round(result.mean_class, 6),
        "shapes": result.shapes,
        "weights": weights,
    }
    if options.alignment:
        alignment = judge_alignment(student, models.teacher, models.weights["teacher"], data, options.cache)
        answer |= {key: round(value, 6) for key, value in asdict(alignment).items()}
    if options.json:
        print(json.dumps(answer))
    else:
        print("\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in answer.items()))


def _weights(options: argparse.Namespace) -> None:
    from pointmcd.weights.manifest import WEIGHTS, read_manifest

    folder = options.weights or WEIGHTS
    entries = read_manifest(folder)
    if not entries:
        raise CheckpointError(f"{folder} holds no weights: there is no manifest.json.")
    for name, entry in entries.items():
        metrics = ", ".join(f"{key} {value}" for key, value in entry.metrics.items())
        print(f"{name}: {entry.file} {entry.sha256[:16]}\n  {', '.join(entry.key)}")
        print(f"  {entry.training.get('command', '')}\n  {metrics}")


def _import_official(options: argparse.Namespace) -> None:
    from pointmcd.weights.official import import_official

    entry = import_official(options.file, options.out)
    path = Path(options.out) / entry.file
    print(f"Wrote {path.stem} to {path}: {entry.training['source']}, {entry.sha256[:16]}.")


def _set_threads(count: int | None) -> None:
    if count is not None:
        import torch

        torch.set_num_threads(count)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with an option in one line, as with every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="pointmcd", description="Multi-view cross-modal distillation, analysed.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    analyze = commands.add_parser("analyze", help="analyse one shape file")
    analyze.set_defaults(run=_analyze)
    analyze.add_argument("file", metavar="FILE", help="a point cloud or mesh")
    analyze.add_argument(
        "--student", default=choices.STUDENT, help="a network that `weights` lists (default %(default)s)"
    )
    analyze.add_argument("--visibility", choices=(choices.AUTO, *choices.VISIBILITY_METHODS), default=choices.AUTO)
    _add_views(analyze)
    analyze.add_argument("--points", type=int, default=choices.POINTS, help="points to sample (default %(default)s)")
    analyze.add_argument(
        "--elevation", type=float, default=choices.ELEVATION_DEG, help="of the ring, in degrees (default %(default)g)"
    )
    analyze.add_argument(
        "--distance", type=float, default=DISTANCE, help="of the cameras, in radii (default %(default)g)"
    )
    analyze.add_argument(
        "--fov", type=float, default=FIELD_OF_VIEW_DEG, help="field of view, in degrees (default %(default)g)"
    )
    analyze.add_argument(
        "--up", type=str.lower, choices=(choices.AUTO, *choices.UP_AXES), default=choices.AUTO,
        help="the file's axis that points up",
    )  # fmt: skip
    analyze.add_argument("--seed", type=int, default=0, help="of the sampling")
    analyze.add_argument("--json", action="store_true", help="print one JSON object")
    analyze.add_argument("--out", metavar="FILE.npz", help="write every array")
    _add_weights(analyze, default=None)

    prepare = commands.add_parser(
        "prepare", help="render a data set and test visibility, once for distilling and judging"
    )
    prepare.set_defaults(run=_prepare)
    prepare.add_argument("--data", required=True, metavar="FILE.npz", help="points, labels, class_names")
    _add_normalise(prepare)
    prepare.add_argument("--cache", default="cache", metavar="FOLDER", help="of renders and visibility")
    prepare.add_argument("--image-size", type=int, default=96, help="the teacher's input, in pixels (default 96)")
    cameras = prepare.add_mutually_exclusive_group()
    _add_views(cameras)
    cameras.add_argument("--rig", choices=RIGS, help="a rig of the paper instead")
    prepare.add_argument("--workers", type=_positive, help="processes on a CPU (default: one per core)")
    _add_device(prepare)

    teacher = commands.add_parser("train-teacher", help="train the image network on point renders")
    teacher.set_defaults(run=_train_teacher)
    teacher.add_argument("--backbone", choices=("mobilenet_v2", "slim_resnet18"), help="instead of the recipe's")
    _add_training(teacher)

    distill = commands.add_parser("distill", help="train a student, distilled or plain")
    distill.set_defaults(run=_distill)
    distill.add_argument("--student", required=True, help="an encoder that has a recipe: pointnet, dgcnn, ...")
    distill.add_argument(
        "--plain", action="store_true", help="the matched baseline: the teacher never reaches the encoder"
    )
    _add_training(distill)

    evaluate = commands.add_parser("evaluate", help="judge shipped or new weights on a data set")
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument("--data", required=True, metavar="FILE.npz", help="points, labels, class_names")
    _add_normalise(evaluate)
    evaluate.add_argument(
        "--student", default=choices.STUDENT, help="a network that `weights` lists, or teacher (default %(default)s)"
    )
    evaluate.add_argument("--plain", action="store_true")
    evaluate.add_argument("--alignment", action="store_true", help="also compare student views with teacher views")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    evaluate.add_argument("--cache", default="cache", metavar="FOLDER", help="of renders and visibility")
    _add_weights(evaluate, default=None)

    weights = commands.add_parser("weights", help="list weights and what was measured with them")
    weights.set_defaults(run=_weights)
    weights.add_argument("--weights", metavar="FOLDER", help="default: the shipped ones")

    importing = commands.add_parser("import-official", help="enter a checkpoint of the released code into a folder")
    importing.set_defaults(run=_import_official)
    importing.add_argument(
        "file", metavar="FILE.pth", help="of PointNet_Cls_Distiller, DGCNN_Cls_Distiller, Teacher_Cls"
    )
    importing.add_argument(
        "--out", required=True, metavar="FOLDER", help="weights and manifest; --weights uses it, with a teacher in it"
    )
    return parser


def _positive(text: str) -> int:
    return _whole_number(text, least=1)


def _seed(text: str) -> int:
    return _whole_number(text, least=0, most=choices.LARGEST_SEED)


def _whole_number(text: str, *, least: int, most: int | None = None) -> int:
    allowed = f"{least} or more" if most is None else f"{least} to {most}"
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a whole number is needed, {allowed}, not {text!r}") from None
    if number < least or (most is not None and number > most):
        raise argparse.ArgumentTypeError(f"a number is needed of {allowed}, not {number}")
    return number


def _add_views(command: argparse._ActionsContainer) -> None:
    command.add_argument("--views", type=int, default=choices.VIEWS, help="cameras on the ring (default %(default)s)")


def _add_normalise(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--normalise", action="store_true", help="centre every cloud on its mean and scale it to radius 1 first"
    )


def _add_training(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", required=True, metavar="TRAIN.npz", help="points, labels, class_names")
    command.add_argument("--test", required=True, metavar="TEST.npz", help="checked first, judged once, at the end")
    _add_normalise(command)
    command.add_argument("--recipe", choices=("paper", "cpu"), default="cpu")
    command.add_argument("--epochs", type=int, help="instead of the recipe's")
    command.add_argument("--seed", type=_seed, default=0)
    command.add_argument("--out", metavar="FOLDER", help="resumable state and log (default runs/NAME)")
    command.add_argument("--cache", default="cache", metavar="FOLDER", help="of renders, visibility, teacher features")
    command.add_argument("--threads", type=_positive, help="CPU threads (default: torch's)")
    _add_weights(command, default=FOLDER_OF_NEW_WEIGHTS)


def _add_weights(command: argparse.ArgumentParser, *, default: str | None) -> None:
    shown = default or "the shipped ones"
    command.add_argument(
        "--weights", default=default, metavar="FOLDER", help=f"weights and manifest (default: {shown})"
    )
    _add_device(command)


def _add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto", help="auto, cpu or cuda")


if __name__ == "__main__":
    sys.exit(main())
