"""LangChain content, in any of its forms, as the content chunks that Mistral takes.

Knows LangChain's v1 and v0 blocks, OpenAI's and Anthropic's blocks and Mistral's own
chunks. Only keys that Mistral's schema names come out: foreign ones, `cache_control`
among them, stay behind. Pure: never changes what it is given. Knows no messages, no
roles and no tool calls; `_messages` does.

Chunks: `ContentChunk` of https://docs.mistral.ai/openapi.yaml
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from langchain_mistral_stream import _media
from langchain_mistral_stream._media import Block, UnsendableError
from langchain_mistral_stream._wire import (
    ContentJSON,
    ReferenceJSON,
    TextJSON,
    ThinkingJSON,
    ToolReferenceJSON,
)

_Thought = TextJSON | ReferenceJSON | ToolReferenceJSON

_REASONING_TYPES = ("reasoning", "thinking")


def content_chunks(
    content: str | Iterable[str | Block],
    *,
    keeps_reasoning: bool = True,
    drops_unknown: bool = False,
) -> list[ContentJSON]:
    """Return the content of one message as Mistral's chunks, without empty ones.

    Args:
        content: `content` of a LangChain message.
        keeps_reasoning: Whether thoughts are sent; other providers' must not be.
        drops_unknown: Whether blocks of an unknown type are left out, as tool calls
            and other providers' server tools must be, in place of raising.

    Raises:
        UnsendableError: A block cannot be sent. Its place is the position and the type.
    """
    blocks = [content] if isinstance(content, str) else content
    chunks: list[ContentJSON] = []
    for position, block in enumerate(blocks):
        plain = _plain_block(block)
        kind = plain.get("type")
        if kind in _REASONING_TYPES and not keeps_reasoning:
            continue
        chunks_of = _CHUNKS_OF.get(kind) if isinstance(kind, str) else None
        if chunks_of is None and drops_unknown:
            continue
        try:
            chunks += (chunks_of or _unknown)(plain)
        except UnsendableError as error:
            place = f", block {position} of type {kind!r:.40}{error.place}"
            raise UnsendableError(str(error), place) from None
    return chunks


def _plain_block(block: str | Block) -> Block:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    if "type" not in block and isinstance(block.get("text"), str):
        # Bedrock's text, which `content_blocks` of a message reads as well.
        return {**block, "type": "text"}
    value = block.get("value")
    if block.get("type") == "non_standard" and isinstance(value, Mapping):
        return value
    return block


def _unknown(_block: Block) -> list[ContentJSON]:
    reason = "Mistral takes no such block"
    raise UnsendableError(reason)


def _text_chunks(text: str) -> list[ContentJSON]:
    return [{"type": "text", "text": text}] if text else []


def _text(block: Block) -> list[ContentJSON]:
    return _text_chunks(_media.string(block, "text"))


def _refusal(block: Block) -> list[ContentJSON]:
    return _text_chunks(_media.string(block, "refusal"))


def _file(block: Block) -> list[ContentJSON]:
    held = block.get("file")
    if isinstance(held, Mapping):
        return [_media.file_chunk(_media.openai_file(held))]
    source = _media.source(block)
    return _text_chunks(source.text) or [_media.file_chunk(source)]


def _document(block: Block) -> list[ContentJSON]:
    source = block.get("source")
    if isinstance(source, Mapping) and source.get("type") == "content":
        return content_chunks(_nested(source))
    return _plain_text(block)


def _plain_text(block: Block) -> list[ContentJSON]:
    source = _media.source(block)
    if not source.text:
        return [_media.file_chunk(source)]
    parts = (block.get("title"), block.get("context"), source.text)
    return _text_chunks("\n\n".join(part for part in parts if isinstance(part, str)))


def _tool_result(block: Block) -> list[ContentJSON]:
    return content_chunks(_nested(block))


def _nested(block: Block) -> str | list[str | Block]:
    content = block.get("content") or ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(b, str | Mapping) for b in content):
        return content
    reason = "its 'content' must be a string or a list of blocks"
    raise UnsendableError(reason)


def _reference(block: Block) -> list[ContentJSON]:
    text = block.get("text")
    chunks = _text_chunks(text) if isinstance(text, str) else []
    reference = _reference_chunk(block)
    return [*chunks, reference] if reference else chunks


def _reference_chunk(block: Block) -> ReferenceJSON | None:
    ids = block.get("reference_ids")
    known = (
        [i for i in ids if isinstance(i, int | str)] if isinstance(ids, list) else []
    )
    return {"type": "reference", "reference_ids": known} if known else None


def _reasoning(block: Block) -> list[ContentJSON]:
    extras = _media.extras(block)
    references = extras.get("references")
    others = references if isinstance(references, list) else []
    return _thinking({**extras, "thinking": [block.get("reasoning"), *others]})


def _thinking(block: Block) -> list[ContentJSON]:
    thoughts = list(_thoughts(block.get("thinking")))
    if not thoughts:
        return []
    chunk: ThinkingJSON = {"type": "thinking", "thinking": thoughts}
    if isinstance(signature := block.get("signature"), str):
        chunk["signature"] = signature
    if isinstance(closed := block.get("closed"), bool):
        chunk["closed"] = closed
    return [chunk]


def _thoughts(thinking: object) -> Iterator[_Thought]:
    for item in thinking if isinstance(thinking, list) else [thinking]:
        if isinstance(item, str | Mapping):
            block = _plain_block(item)
            thought_of = _THOUGHT_OF.get(str(block.get("type")), _no_thought)
            if thought := thought_of(block):
                yield thought


def _no_thought(_block: Block) -> None:
    return None


def _text_thought(block: Block) -> TextJSON | None:
    text = block.get("text")
    if isinstance(text, str) and text:
        return {"type": "text", "text": text}
    return None


def _tool_reference(block: Block) -> ToolReferenceJSON | None:
    tool, title = block.get("tool"), block.get("title")
    if not isinstance(tool, str) or not isinstance(title, str):
        return None
    chunk: ToolReferenceJSON = {"type": "tool_reference", "tool": tool, "title": title}
    if isinstance(url := block.get("url"), str):
        chunk["url"] = url
    if isinstance(favicon := block.get("favicon"), str):
        chunk["favicon"] = favicon
    if isinstance(description := block.get("description"), str):
        chunk["description"] = description
    return chunk


def _one(
    chunk_of: Callable[[Block], ContentJSON],
) -> Callable[[Block], list[ContentJSON]]:
    return lambda block: [chunk_of(block)]


_THOUGHT_OF: dict[str, Callable[[Block], _Thought | None]] = {
    "text": _text_thought,
    "reference": _reference_chunk,
    "tool_reference": _tool_reference,
}

_CHUNKS_OF: dict[str, Callable[[Block], list[ContentJSON]]] = {
    "audio": _one(_media.audio),
    "document": _document,
    "document_url": _one(_media.document_url),
    "file": _file,
    "image": _one(_media.image),
    "image_url": _one(_media.image_url),
    "input_audio": _one(_media.input_audio),
    "output_text": _text,
    "reasoning": _reasoning,
    "reference": _reference,
    "refusal": _refusal,
    "text": _text,
    "text-plain": _plain_text,
    "thinking": _thinking,
    "tool_result": _tool_result,
    "video": _one(_media.no_video),
}
