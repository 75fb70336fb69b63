"""What is measured: each client, sync and async, behind the same two methods.

A client imports its library when it is made, so that a process pays for no other.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

PROMPT = "Tell me a long story about a space hamster"
MODEL = "mistral-small-latest"
KEY = "no-key-is-checked"


class Client(ABC):
    """One library.

    Args:
        url: Of the canned server, without `/v1`.
    """

    name: ClassVar[str]
    imports: ClassVar[str]
    """The module that a user imports."""
    is_slow: ClassVar[bool] = False
    """Whether a turn is long enough with few streams."""
    reads: ClassVar[bool] = True
    """Whether it asks a server at all."""
    pool_limit: ClassVar[int | None] = None
    """Most streams that are open at once, with the settings that it comes with."""

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def stream(self) -> Iterator[Any]:
        """Stream an answer."""

    @abstractmethod
    def astream(self) -> AsyncIterator[Any]:
        """Stream an answer."""

    @abstractmethod
    def text(self, chunk: Any) -> str:
        """Return the text of what a stream yields."""

    async def aclose(self) -> None:  # noqa: B027  # few have anything to close
        """Close what the running event loop holds."""


class ChatModel(Client):
    """A LangChain chat model, used as its users do."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.model = self.new_model()

    @abstractmethod
    def new_model(self) -> "BaseChatModel":
        """Make the model."""

    def stream(self) -> Iterator[Any]:
        """Stream an answer."""
        return self.model.stream(PROMPT)

    def astream(self) -> AsyncIterator[Any]:
        """Stream an answer."""
        return self.model.astream(PROMPT)

    def text(self, chunk: Any) -> str:
        """Return the text of a message chunk."""
        text: str = chunk.text
        return text


class MistralStream(ChatModel):
    """This package."""

    name = "langchain-mistral-stream"
    imports = "langchain_mistral_stream"

    def new_model(self) -> "BaseChatModel":
        """Make the model."""
        from langchain_mistral_stream import ChatMistralStream  # noqa: PLC0415

        model: BaseChatModel = ChatMistralStream(
            model=MODEL, api_key=KEY, base_url=f"{self.url}/v1", max_retries=0
        )
        return model

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        await self.model.aclose()  # type: ignore[attr-defined]


class MistralAI(ChatModel):
    """LangChain's own package for Mistral."""

    name = "langchain-mistralai"
    imports = "langchain_mistralai"
    pool_limit = 100

    def new_model(self) -> "BaseChatModel":
        """Make the model."""
        from langchain_mistralai import ChatMistralAI  # noqa: PLC0415

        model: BaseChatModel = ChatMistralAI(
            model_name=MODEL, api_key=KEY, base_url=f"{self.url}/v1"
        )
        return model


class OpenAI(ChatModel):
    """LangChain's package for OpenAI, whose API has the same events."""

    name = "langchain-openai"
    imports = "langchain_openai"
    is_slow = True
    pool_limit = 1000

    def new_model(self) -> "BaseChatModel":
        """Make the model."""
        from langchain_openai import ChatOpenAI  # noqa: PLC0415

        model: BaseChatModel = ChatOpenAI(
            model=MODEL, api_key=KEY, base_url=f"{self.url}/v1"
        )
        return model


class MistralSDK(Client):
    """Mistral's own SDK, without LangChain."""

    name = "mistralai"
    imports = "mistralai.client"
    is_slow = True
    pool_limit = 100

    def __init__(self, url: str) -> None:
        super().__init__(url)
        from mistralai.client import Mistral  # noqa: PLC0415

        self._sdk = Mistral(api_key=KEY, server_url=url)
        self._request: dict[str, Any] = {
            "model": MODEL,
            "messages": [{"role": "user", "content": PROMPT}],
        }

    def stream(self) -> Iterator[Any]:
        """Stream an answer."""
        with self._sdk.chat.stream(**self._request) as events:
            yield from events

    async def astream(self) -> AsyncIterator[Any]:
        """Stream an answer."""
        async with await self._sdk.chat.stream_async(**self._request) as events:
            async for event in events:
                yield event

    def text(self, chunk: Any) -> str:
        """Return the text of an event."""
        return chunk.data.choices[0].delta.content or ""


class BareTransport(Client):
    """The libraries below this package, without LangChain and without care.

    Sync: requests and sseclient-py. Async: aiohttp, events split by hand.
    """

    name = "bare transport"
    imports = "requests, aiohttp, sseclient, orjson"

    def __init__(self, url: str) -> None:
        super().__init__(url)
        import requests  # noqa: PLC0415

        self._session = requests.Session()
        self._asession: Any = None
        self._url = f"{url}/v1/chat/completions"
        message = {"role": "user", "content": PROMPT}
        self._body = {"model": MODEL, "messages": [message], "stream": True}

    def stream(self) -> Iterator[Any]:
        """Stream an answer."""
        import orjson  # noqa: PLC0415
        from sseclient import SSEClient  # noqa: PLC0415

        with self._session.post(self._url, json=self._body, stream=True) as response:
            for event in SSEClient(response.iter_content(None)).events():
                if event.data != "[DONE]":
                    yield orjson.loads(event.data)

    async def astream(self) -> AsyncIterator[Any]:
        """Stream an answer."""
        import aiohttp  # noqa: PLC0415
        import orjson  # noqa: PLC0415

        if self._asession is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._asession = aiohttp.ClientSession(connector=connector)
        left = b""
        async with self._asession.post(self._url, json=self._body) as response:
            async for read in response.content.iter_any():
                *events, left = (left + read).split(b"\n\n")
                for event in events:
                    if event != b"data: [DONE]":
                        yield orjson.loads(event.removeprefix(b"data: "))

    def text(self, chunk: Any) -> str:
        """Return the text of a decoded event."""
        text: str = chunk["choices"][0]["delta"]["content"]
        return text

    async def aclose(self) -> None:
        """Close the session."""
        if self._asession is not None:
            await self._asession.close()
            self._asession = None


class Floor(ChatModel):
    """What langchain-core costs on its own: a model that yields ready-made chunks."""

    name = "langchain-core"
    reads = False
    is_fresh = False
    imports = "langchain_core.language_models.chat_models"

    def new_model(self) -> "BaseChatModel":
        """Make a model that reads nothing."""
        from benchmarks.floor import ReadyMade  # noqa: PLC0415

        count = int(self.url.rpartition("/")[2])
        return ReadyMade(count=count, is_fresh=self.is_fresh)


class FreshFloor(Floor):
    """The same with chunks that are made one by one, by the validating constructor."""

    name = "langchain-core, new chunks"
    is_fresh = True


CLIENTS: tuple[type[Client], ...] = (
    MistralStream,
    MistralAI,
    OpenAI,
    MistralSDK,
    BareTransport,
    Floor,
    FreshFloor,
)
