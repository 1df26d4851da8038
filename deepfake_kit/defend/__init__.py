"""Protecting a face: small editors, and perturbations that break them."""
