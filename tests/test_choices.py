"""Does every choice that is offered exist, and is it offered everywhere?"""

from __future__ import annotations

import inspect

from pointmcd import choices
from pointmcd.analysis.analyze import analyze
from pointmcd.networks.encoders import ENCODERS
from pointmcd.scene.visibility import METHODS
from pointmcd.shapes.load import load_shape
from pointmcd.training.recipes import RECIPES
from viz.page.options import POINTS, UP_TITLES, VIEWS, VISIBILITY_TITLES, Options


def test_every_student_has_an_encoder_and_a_recipe() -> None:
    assert set(choices.STUDENTS) <= set(ENCODERS)
    assert set(choices.STUDENTS) <= {network for network, _ in RECIPES}
    assert choices.STUDENT in choices.STUDENTS


def test_the_page_offers_every_visibility_method_and_every_axis() -> None:
    assert list(METHODS) == list(choices.VISIBILITY_METHODS)
    assert set(VISIBILITY_TITLES) == {choices.AUTO, *METHODS}
    assert set(UP_TITLES) == {choices.AUTO, *choices.UP_AXES}


def test_the_page_starts_with_the_defaults_of_an_analysis() -> None:
    defaults = inspect.signature(analyze).parameters
    assert vars(Options()) == {name: defaults[name].default for name in vars(Options())}
    assert inspect.signature(load_shape).parameters["up"].default == choices.AUTO


def test_an_analysis_takes_what_the_page_allows() -> None:
    assert VIEWS[0] >= 1
    assert VIEWS[1] <= choices.MOST_VIEWS
    assert POINTS[1] <= choices.MOST_POINTS
