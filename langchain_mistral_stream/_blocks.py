"""The content of deltas to LangChain's content: text, or standard blocks. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from langchain_core.messages.tool import ToolCallChunk
from langchain_core.utils._merge import merge_lists

from langchain_mistral_stream._wire import DeltaJSON

Block = dict[str, Any]
Content = str | list[str | Block]


class BlockReader:
    """Turn the content of one answer, delta by delta, into LangChain's.

    Text stays a string until something else comes: thinking becomes `reasoning`
    blocks, references `citation` annotations of the text, and what LangChain has no
    name for `non_standard` blocks. From then on text is blocks too. Each block has
    an index of its own, which tool calls share, so that adding chunks joins what
    belongs together.

    Args:
        prefix: Text whose echo at the start of the answer is removed.
        in_blocks: Whether text is blocks from the beginning.
    """

    def __init__(self, prefix: str = "", *, in_blocks: bool = False) -> None:
        self.next_index = 0
        """Index for the next block or tool call that begins."""
        self.only_blocks = in_blocks
        """Whether all content has been blocks: it is in LangChain's v1 form."""
        self._in_blocks = in_blocks
        self._type = ""
        self._echo = prefix
        self._held = ""
        self._length = 0

    @property
    def nothing(self) -> Content:
        """Content that says nothing, in the form of this answer."""
        return [] if self.only_blocks else ""

    def content(self, delta: DeltaJSON, *, is_last: bool = False) -> Content:
        """Return the content of a delta; `""` or `[]` if it has none.

        Args:
            delta: As decoded.
            is_last: Whether no further delta comes, so that text held back as a
                possible echo of the prefix is due.
        """
        text = delta.get("content")
        thought = thought_beside(delta)
        if self._echo or self._in_blocks or thought or not isinstance(text, str):
            return self._parts([*_thought(thought), *_parts(text)], is_last=is_last)
        if text:
            self.add_text(text)
        return text

    @property
    def is_plain(self) -> bool:
        """Whether text is a string still, with no echo of a prefix to look for."""
        return not (self._in_blocks or self._echo)

    def add_text(self, text: str) -> None:
        """Note text that is handed out as it is."""
        self._begin("text")
        self._length += len(text)

    def calls(self, calls: list[ToolCallChunk]) -> Content:
        """Return the content that goes with tool calls: v1 content repeats them."""
        self._type = "tool_call"
        self.next_index = max(
            self.next_index, *((call["index"] or 0) + 1 for call in calls)
        )
        return [dict(call) for call in calls] if self.only_blocks else ""

    def _parts(self, parts: Iterable[Block], *, is_last: bool) -> Content:
        said = list(self._without_echo(parts, is_last=is_last))
        if not self._in_blocks and any(p.keys() != {"type", "text"} for p in said):
            self._in_blocks = True
            self.only_blocks = self.next_index == 0
        for part in said:
            self._begin(part["type"])
            part["index"] = self.next_index - 1
            if part["type"] == "text":
                self._locate(part)
        if self._in_blocks:
            return merge_lists([], said) or self.nothing
        return "".join(part["text"] for part in said)

    def _begin(self, kind: str) -> None:
        """Take a new index where another kind of block begins."""
        if kind != self._type or kind == "non_standard":
            self._type = kind
            self.next_index += 1

    def _locate(self, part: Block) -> None:
        """Say which part of the answer's text a citation stands for."""
        start = self._length
        self._length += len(part["text"])
        for citation in part.get("annotations", ()):
            if part["text"]:
                citation["start_index"] = start
            citation["end_index"] = self._length

    def _without_echo(
        self, parts: Iterable[Block], *, is_last: bool
    ) -> Iterator[Block]:
        """Take the prefix off the first text, which may come in pieces."""
        for part in parts:
            if self._echo and part["type"] == "text":
                part["text"] = self._after_echo(part["text"])
            if part["type"] != "text" or part["text"] or "annotations" in part:
                yield part
        if is_last and self._held:
            held, self._held, self._echo = self._held, "", ""
            yield {"type": "text", "text": held}

    def _after_echo(self, text: str) -> str:
        text = self._held + text
        if self._echo.startswith(text) and text != self._echo:
            self._held = text
            return ""
        echo, self._echo, self._held = self._echo, "", ""
        return text.removeprefix(echo)


def without_indexes(entries: Iterable[Any]) -> list[Any]:
    """Return entries of a list without the key by which LangChain would merge them."""
    return [
        {key: value for key, value in entry.items() if key != "index"}
        if isinstance(entry, dict)
        else entry
        for entry in entries
    ]


def thought_beside(delta: DeltaJSON) -> str:
    """Return the `reasoning_content` or `reasoning` of other servers, if any."""
    thought: Any = delta.get("reasoning_content") or delta.get("reasoning")
    return thought if isinstance(thought, str) else ""


def _thought(text: str) -> Iterator[Block]:
    if text:
        yield {"type": "reasoning", "reasoning": text}


def _parts(content: Any) -> Iterator[Block]:
    """Yield LangChain's blocks for what a delta says, empty ones left out."""
    if isinstance(content, (str, dict)):
        content = [content]
    for part in content or ():
        if isinstance(part, str):
            yield from _text(part)
        elif part.get("type") == "text":
            yield from _text(part.get("text"))
        elif part.get("type") == "thinking":
            yield from _reasoning(part)
        elif part.get("type") == "reference":
            yield _citation(part)
        else:
            yield {"type": "non_standard", "value": part}


def _text(text: Any) -> Iterator[Block]:
    if text is not None and not isinstance(text, str):
        msg = "The text of a block is no text"
        raise TypeError(msg)
    if text:
        yield {"type": "text", "text": text}


def _reasoning(part: Block) -> Iterator[Block]:
    """A thinking block; `closed` says nothing that the next block does not say."""
    thoughts = part.get("thinking") or []
    if isinstance(thoughts, str):
        thoughts = [{"type": "text", "text": thoughts}]
    text = "".join(t["text"] for t in thoughts if t.get("type") == "text")
    extras: Block = {}
    if others := [t for t in thoughts if t.get("type") != "text"]:
        extras["references"] = without_indexes(others)
    if signature := part.get("signature"):
        extras["signature"] = signature
    if text or extras:
        block = {"type": "reasoning", "reasoning": text}
        yield block | {"extras": extras} if extras else block


def _citation(part: Block) -> Block:
    """A reference; its `text`, if it has any, is part of the answer."""
    extras = {key: value for key, value in part.items() if key not in {"type", "text"}}
    return {
        "type": "text",
        "text": "".join(block["text"] for block in _text(part.get("text"))),
        "annotations": [{"type": "citation", "extras": extras}],
    }
