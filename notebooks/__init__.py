"""Notebooks that show the package at work, with the outputs of a real run."""

from pathlib import Path

PATHS = sorted(Path(__file__).parent.glob("*.ipynb"))
