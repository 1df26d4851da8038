"""Distances between images and between sets of images, spectra, and the scores of detectors."""
