"""Drawn faces: every attribute and region known exactly, nobody shown, no licence needed."""

from __future__ import annotations

from deepfake_kit.faces.attributes import ATTRIBUTES, IDENTITY_NAMES
from deepfake_kit.faces.drawing import Counterfactual, Faces, counterfactual, draw, render
from deepfake_kit.faces.features import REGIONS
