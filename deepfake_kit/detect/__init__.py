"""Detectors: a vision transformer with adapters, contrastive learning, networks for the edge, their losses.

:func:`load` opens a trained one, which the command ``deepfake-kit detect`` uses.
"""

from deepfake_kit.detect.detector import Detector, load, names

__all__ = ["Detector", "load", "names"]
