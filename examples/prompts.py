"""Prompts from a file of JSON lines.

```json
{"id": "moon", "prompt": "Why does the Moon have phases?"}
{"prompt": [{"role": "system", "content": "Be brief."}, …]}
"A line may be a string alone"
```

A line without an id is known by its number, so add new lines at the end only.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What is asked, and the name under which its answer is kept."""

    id: str
    asked: str | list[dict[str, Any]]


def prompts_of(path: Path) -> Iterator[Prompt]:
    """Read prompts one by one; the file may be larger than the memory.

    Raises:
        ValueError: A line is no prompt, or its id stands on an earlier line too.
    """
    seen: set[str] = set()
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                prompt = _prompt(json.loads(line), number)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: no prompt") from error
            if prompt.id in seen:
                raise ValueError(f"{path}, line {number}: {prompt.id!r} comes twice")
            seen.add(prompt.id)
            yield prompt


def _prompt(said: Any, number: int) -> Prompt:
    if isinstance(said, str):
        said = {"prompt": said}
    asked = said["prompt"]
    if not isinstance(asked, str | list):
        raise TypeError("a prompt is a string or a list of messages")
    return Prompt(id=str(said.get("id", number)), asked=asked)
