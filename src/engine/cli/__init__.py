"""The command `sesmailengine`."""

from engine.cli.main import app, main

__all__ = ["app", "main"]
