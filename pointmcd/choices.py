"""What can an analysis be asked for, and what are the defaults?

The command line's help and the page's first paint read this, so it imports nothing.
"""

from __future__ import annotations

STUDENTS = ("pointnet", "dgcnn")  # have a recipe
STUDENT = "pointnet"

AUTO = "auto"  # lets the file or the shape decide
VISIBILITY_METHODS = ("raycast", "hpr", "zbuffer")
UP_AXES = ("x", "y", "z")

VIEWS = 12  # paper, Sec. IV-A
MOST_VIEWS = 64
ELEVATION_DEG = 30.0
POINTS = 1024  # paper, Sec. IV-A
MOST_POINTS = 50_000  # their features take 0.2 GB a student, and as much again for each step of working on them
LARGEST_SEED = 2**31 - 1
