"""The app that Flower starts: all of it lives in the kit."""

from deepfake_kit.federated.flower_app import client_app, server_app

__all__ = ["client_app", "server_app"]
