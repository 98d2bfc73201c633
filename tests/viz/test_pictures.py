"""Can the comparison of two pictures fail, and for each of its reasons?"""

from __future__ import annotations

import numpy as np

from tests.pictures import difference


def disc(*, at: tuple[int, int] = (60, 40), colour: tuple[int, int, int] = (0, 150, 110)) -> np.ndarray:
    """A picture by hand: one disc of radius 20 on light ground."""
    rows, columns = np.mgrid[:80, :120]
    picture = np.full((80, 120, 3), 240, dtype=np.int16)
    picture[(columns - at[0]) ** 2 + (rows - at[1]) ** 2 <= 400] = colour
    return picture


def test_a_picture_shows_the_same_as_itself() -> None:
    assert difference(disc(), disc()) == ""


def test_pictures_differ_by_place_by_colour_by_ground_and_by_size() -> None:
    assert difference(disc(), disc(at=(62, 40))).startswith("what is drawn overlaps by 0.8")
    assert difference(disc(), disc(colour=(150, 0, 110))) == "0.000 of what is drawn has one colour"
    assert "ground" in difference(disc(), 255 - disc())
    assert "pixels" in difference(disc(), disc()[1:])


def test_two_stages_without_a_cloud_are_not_alike() -> None:
    empty = np.full((80, 120, 3), 240, dtype=np.int16)
    assert difference(empty, empty).startswith("only 0.00% is drawn")


def test_a_strip_of_another_colour_along_the_edge_does_not_hide_a_difference() -> None:
    first, second = disc(), disc(at=(40, 40))
    for picture in (first, second):
        picture[0] = 200
    assert difference(first, second).startswith("what is drawn overlaps by 0.288")
