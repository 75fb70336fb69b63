"""Run the notebooks on this machine and keep their outputs: `python -m notebooks`.

Names of notebooks may follow, such as `latency`, whose cell `timeline` also becomes
`docs/timeline.png`.
"""

import sys
from base64 import b64decode
from pathlib import Path

import nbformat

from notebooks import PATHS
from notebooks.execution import executed

_PICTURE = Path(__file__).parent.parent / "docs" / "timeline.png"


def main(names: list[str]) -> None:
    """Run notebooks one after another, each in place; all, if none is named."""
    for path in PATHS:
        if names and path.stem not in names:
            continue
        notebook = executed(path)
        nbformat.write(notebook, path)
        for cell in notebook.cells:
            if cell.id == "timeline":
                _PICTURE.write_bytes(b64decode(cell.outputs[0].data["image/png"]))


if __name__ == "__main__":
    main(sys.argv[1:])
