"""The app that Flower starts. Flower looks for both names in this file's text before it runs it."""

from diffusion_app import client_app, server_app

__all__ = ["client_app", "server_app"]
