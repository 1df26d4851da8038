"""Detectors: a vision transformer with adapters, contrastive learning, networks for the edge, their losses."""
