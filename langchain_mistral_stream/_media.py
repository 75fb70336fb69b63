"""Images, audio and documents of any provider's form as Mistral's content chunks.

A `Source` says where the bytes of a block are; the functions below it write the chunk
that holds or names them. Pure: nothing is read, fetched or decoded.

Forms of an image, for one:

- LangChain v1: `{"type": "image", "base64": ..., "mime_type": ...}`, or with `url` or
  `file_id`;
- LangChain v0: `{"type": "image", "source_type": "base64", "data": ...}`;
- Anthropic: `{"type": "image", "source": {"type": "base64", "data": ...}}`;
- OpenAI: `{"type": "image_url", "image_url": {"url": "data:image/png;base64,..."}}`;
- Mistral: the same, or with a string as `image_url`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_mistral_stream._wire import (
    AudioJSON,
    DocumentJSON,
    FileJSON,
    ImageJSON,
    ImageURLJSON,
)

Block = Mapping[str, Any]
MediaJSON = ImageJSON | AudioJSON | DocumentJSON | FileJSON

# What holds the content, by `source_type` (LangChain v0) or `source.type` (Anthropic).
_SOURCE_KEYS = {
    "url": ("url", ("url",)),
    "base64": ("base64", ("data",)),
    "id": ("file_id", ("id",)),
    "file": ("file_id", ("file_id",)),
    "text": ("text", ("url", "data")),
}
_DETAILS = ("auto", "high", "low")
_NAME_KEYS = ("document_name", "filename", "name", "title")

_EMPTY = "it has no url, base64 data or file id that is a string"


class UnsendableError(ValueError):
    """Content that Mistral does not take.

    Args:
        reason: Why; never what the content is.
        place: Where in the message, such as `, block 1 of type 'video'`.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason)
        self.place = place


class Source(NamedTuple):
    """Where the bytes or the text of a block are, whatever form the block has."""

    url: str = ""
    base64: str = ""
    file_id: str = ""
    text: str = ""
    mime_type: str = ""
    name: str = ""

    @property
    def address(self) -> str:
        """A web address or a `data:` URL."""
        if self.url or self.base64.startswith("data:"):
            return self.url or self.base64
        if not self.base64:
            raise UnsendableError(_EMPTY)
        if not self.mime_type:
            reason = "base64 data needs a mime_type"
            raise UnsendableError(reason)
        return f"data:{self.mime_type};base64,{self.base64}"

    @property
    def kind(self) -> str:
        """The first half of the media type: `image`, `audio`, `video`, ..."""
        held = self.base64 or self.url
        stated = held[len("data:") :] if held.startswith("data:") else self.mime_type
        return stated.partition("/")[0]


def source(block: Block) -> Source:
    """Return where the content of a block is."""
    inner = block.get("source")
    holder = inner if isinstance(inner, Mapping) else block
    form = holder.get("type") if holder is inner else block.get("source_type")
    if form is None:
        held = {key: block.get(key) for key in ("url", "base64", "file_id", "text")}
    else:
        held = _held(holder, form)
    texts = {key: text for key, text in held.items() if isinstance(text, str) and text}
    if not texts:
        raise UnsendableError(_EMPTY)
    mime_type = holder.get("mime_type") or holder.get("media_type") or ""
    return Source(**texts, mime_type=str(mime_type), name=_name(block))


def _held(holder: Block, form: object) -> dict[str, object]:
    if not isinstance(form, str) or form not in _SOURCE_KEYS:
        reason = "its source is of a type that Mistral does not take"
        raise UnsendableError(reason)
    field, keys = _SOURCE_KEYS[form]
    return {field: next((holder[key] for key in keys if key in holder), None)}


def _name(block: Block) -> str:
    names = (held.get(key) for held in (block, extras(block)) for key in _NAME_KEYS)
    return next((name for name in names if isinstance(name, str)), "")


def extras(block: Block) -> Block:
    """Return what a LangChain v1 block holds beside its standard keys."""
    held = block.get("extras")
    return held if isinstance(held, Mapping) else {}


def string(block: Block, key: str) -> str:
    """Return the value under `key`, which must be a string."""
    value = block.get(key)
    if isinstance(value, str):
        return value
    reason = f"its {key!r} must be a string"
    raise UnsendableError(reason)


def no_video(_video: object) -> MediaJSON:
    """Refuse a video."""
    reason = "Mistral takes no video; send single pictures as image blocks"
    raise UnsendableError(reason)


def image(block: Block) -> MediaJSON:
    """Return the chunk of an `image` block."""
    return _image(source(block), extras(block).get("detail"))


def _image(held: Source, detail: object = None) -> MediaJSON:
    if held.file_id:
        return _uploaded(held)
    return _image_at(held.address, detail)


def _image_at(url: str, detail: object) -> ImageJSON:
    # An object, since llama.cpp and OpenAI do not take the bare string that Mistral
    # takes as well.
    image_url: ImageURLJSON = {"url": url}
    if isinstance(detail, str) and detail in _DETAILS:
        image_url["detail"] = detail
    return {"type": "image_url", "image_url": image_url}


def image_url(block: Block) -> MediaJSON:
    """Return the chunk of an `image_url` block: OpenAI's object or Mistral's string."""
    held = block.get("image_url")
    if isinstance(held, Mapping):
        return _image_at(string(held, "url"), held.get("detail"))
    return _image_at(string(block, "image_url"), None)


def audio(block: Block) -> MediaJSON:
    """Return the chunk of an `audio` block."""
    return _audio(source(block))


def _audio(held: Source) -> MediaJSON:
    if held.file_id:
        return _uploaded(held)
    if not held.base64 and not held.url:
        raise UnsendableError(_EMPTY)
    return _audio_in(held.base64 or held.url)


def _audio_in(data: str) -> AudioJSON:
    # One string of bare base64 or an address, without OpenAI's format beside it:
    # https://docs.mistral.ai/capabilities/audio_transcription
    bare = data.partition(",")[2] if data.startswith("data:") else data
    return {"type": "input_audio", "input_audio": bare}


def input_audio(block: Block) -> MediaJSON:
    """Return the chunk of an `input_audio` block: OpenAI's object, Mistral's string."""
    held = block.get("input_audio")
    if isinstance(held, Mapping):
        return _audio_in(string(held, "data"))
    return _audio_in(string(block, "input_audio"))


def openai_file(held: Block) -> Source:
    """Return where the file of OpenAI's `{"type": "file", "file": ...}` is."""
    block = {
        "base64": held.get("file_data"),
        "file_id": held.get("file_id"),
        "filename": held.get("filename"),
        # OpenAI takes PDF alone, so its form need not say so.
        "mime_type": "application/pdf",
    }
    return source(block)


def file_chunk(held: Source) -> MediaJSON:
    """Return the chunk of a file of any kind, by its media type."""
    if held.file_id:
        return _uploaded(held)
    return _CHUNK_OF_KIND.get(held.kind, _document)(held)


def _uploaded(held: Source) -> FileJSON:
    return {"type": "file", "file_id": held.file_id}


def _document(held: Source) -> MediaJSON:
    return _document_at(held.address, held.name)


def _document_at(url: str, name: str) -> DocumentJSON:
    if name:
        return {"type": "document_url", "document_url": url, "document_name": name}
    return {"type": "document_url", "document_url": url}


_CHUNK_OF_KIND = {"image": _image, "audio": _audio, "video": no_video}


def document_url(block: Block) -> MediaJSON:
    """Return the chunk of Mistral's own `document_url` block."""
    return _document_at(string(block, "document_url"), _name(block))
