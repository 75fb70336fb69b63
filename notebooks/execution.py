"""Running a notebook, in a kernel of its own. Needs what `make notebooks` installs."""

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

_SECONDS_PER_CELL = 120


def executed(path: Path) -> NotebookNode:
    """Return a notebook with the outputs of a run on this machine.

    It runs without a key, in an empty folder, without the user's settings of IPython.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
        nbclient.exceptions.CellTimeoutError: A cell did not end.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=_SECONDS_PER_CELL,
            coalesce_streams=True,
            record_timing=False,
            resources={"metadata": {"path": folder}},
            # Without encryption, where it is known, a kernel prints a warning.
            config=Config(KernelManager={"transport_encryption": "auto"}),
        )
        client.execute(env={**_without_mistral(), "IPYTHONDIR": folder})
    # The version of Python and such, which differ from machine to machine.
    notebook.metadata.pop("language_info", None)
    return notebook


def _without_mistral() -> dict[str, str]:
    """The environment, less a key and an address of Mistral."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MISTRAL_")
    }
