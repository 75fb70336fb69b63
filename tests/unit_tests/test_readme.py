"""What the README says can be found where it says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINKS = re.findall(r"\[(test_\w+)\]\((\S+\.py)\)", (ROOT / "README.md").read_text())


@pytest.mark.parametrize(("name", "file"), LINKS)
def test_a_linked_test_exists(name: str, file: str) -> None:
    """Each row of the comparison names a test of ours, in the file it links to."""
    source = (ROOT / file).read_text("utf-8")

    assert f"def {name}(" in source


def test_the_comparison_has_links() -> None:
    """The pattern above has found them."""
    assert len(LINKS) > 10
