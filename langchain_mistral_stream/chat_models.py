"""`ChatMistralStream`: its fields, and LangChain's entry points.

What travels over the wire, and how, is not known here.
"""

import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from functools import cache, partial
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import urlsplit

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import LanguageModelInput, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils import from_env, get_pydantic_field_names, secret_from_env
from langchain_core.utils.utils import _build_model_kwargs
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from langchain_mistral_stream._call import Answer, Terms
from langchain_mistral_stream._chunks import ChunkReader, chat_result
from langchain_mistral_stream._connection import Connection
from langchain_mistral_stream._limits import TimeLimits
from langchain_mistral_stream._messages import answer_prefix, wire_messages
from langchain_mistral_stream._profiles import model_profile
from langchain_mistral_stream._request import (
    PARAMETERS,
    Schema,
    Tool,
    ToolChoice,
    answer_tool,
    json_object_format,
    json_schema_format,
    request_body,
    request_parameters,
    tool_names,
    wire_tool_choice,
    wire_tools,
)
from langchain_mistral_stream._sessions import Settings
from langchain_mistral_stream._tokens import message_tokens, text_tokens
from langchain_mistral_stream._usage import added_usage
from langchain_mistral_stream._version import __version__

_MISTRAL = "https://api.mistral.ai/v1"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# What a call may say besides the parameters of its request.
_TERMS = (
    "connect_timeout",
    "timeout",
    "first_token_timeout",
    "total_timeout",
    "max_retries",
)
_OWN = (*_TERMS, "keep_prefix", "model_kwargs")

_opening = threading.Lock()


class ChatMistralStream(BaseChatModel):
    """Chat with Mistral's models, or with any server that speaks their API.

    ```python
    model = ChatMistralStream(model="mistral-small-latest")
    for chunk in model.stream("Tell me a long story about a space hamster"):
        print(chunk.text, end="", flush=True)
    ```

    Each request parameter is a field, and can be given per call or through `bind`
    too, and so can time limits and retries. What is `None` is not sent: the server's
    default counts. With `n` above 1 a stream follows the first choice only; `generate`
    returns them all.
    """

    model: str = Field(default="mistral-small-latest", alias="model_name", min_length=1)
    """Name of the model."""

    api_key: SecretStr | None = Field(
        default_factory=secret_from_env("MISTRAL_API_KEY", default=None),
        alias="mistral_api_key",
        validate_default=True,
    )
    """Key of the API, from `MISTRAL_API_KEY` by default. Servers other than Mistral's
    may need none; then no `Authorization` header is sent."""

    base_url: str = Field(
        default_factory=from_env("MISTRAL_BASE_URL", default=_MISTRAL),
        alias="endpoint",
        validate_default=True,
    )
    """Where the API is, such as `http://localhost:8080/v1`; from `MISTRAL_BASE_URL` by
    default, else Mistral's own. A URL without a path gets `/v1`."""

    temperature: float | None = Field(default=None, ge=0, le=1.5)
    """How freely tokens are chosen, 0 to 1.5."""

    top_p: float | None = Field(default=None, ge=0, le=1)
    """Choose among the likeliest tokens that make up this share, 0 to 1."""

    max_tokens: int | None = Field(default=None, ge=0)
    """Most tokens of an answer."""

    min_tokens: int | None = Field(default=None, ge=0)
    """Fewest tokens of an answer."""

    top_k: int | None = Field(default=None)
    """Choose among so many of the likeliest tokens."""

    stop: list[str] | str | None = None
    """Text at which an answer ends; a call's own `stop` replaces it."""

    random_seed: int | None = Field(default=None, ge=0)
    """Seed that makes answers repeatable."""

    safe_prompt: bool | None = Field(default=None, alias="safe_mode")
    """Whether Mistral adds its safety prompt."""

    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    """Penalty for tokens that have appeared, -2 to 2."""

    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    """Penalty for tokens by how often they have appeared, -2 to 2."""

    repetition_penalty: float | None = None
    """Factor against repetition."""

    n: int | None = Field(default=None, ge=1)
    """How many answers to make."""

    logprobs: bool | None = None
    """Whether to return log probabilities, in `response_metadata["logprobs"]`."""

    top_logprobs: int | None = Field(default=None, ge=0)
    """How many alternatives to return for each token."""

    prompt_logprobs: bool | None = None
    """Whether to return log probabilities of the prompt."""

    top_prompt_logprobs: int | None = Field(default=None, ge=0)
    """How many alternatives to return for each token of the prompt."""

    tool_choice: str | bool | dict[str, Any] | None = None
    """Which tools may or must be called; see `bind_tools`."""

    parallel_tool_calls: bool | None = None
    """Whether an answer may call several tools."""

    response_format: dict[str, Any] | None = None
    """Form of the answer; `with_structured_output` sets it."""

    prediction: dict[str, Any] | None = None
    """Text that the answer will mostly repeat, to speed it up."""

    reasoning_effort: str | None = None
    """How much the model thinks, such as `"high"` or `"none"`."""

    prompt_mode: str | None = None
    """`"reasoning"` for Mistral's own reasoning prompt."""

    prompt_cache_key: str | None = None
    """Name under which Mistral caches the beginning of prompts."""

    service_tier: str | None = None
    """`"auto"` or `"standard_only"`."""

    guardrails: list[dict[str, Any]] | None = None
    """Moderation that Mistral applies."""

    request_metadata: dict[str, Any] | None = None
    """`metadata` of the request; LangChain's own `metadata` field is not sent."""

    stream_options: dict[str, Any] | None = None
    """Options of a stream, such as `{"include_usage": True}`: Mistral sends the usage
    without being asked, llama.cpp and vLLM do not. Sent with streams only."""

    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further parameters, sent as they are."""

    keep_prefix: bool = False
    """Whether the echo of a prefix stays in the answer. A prefix is the last message
    of a request, an `AIMessage` with `additional_kwargs={"prefix": True}`."""

    streaming: bool | None = None
    """Whether `invoke` streams too. An explicit `False` makes `stream` a plain request
    as well: the answer comes in one piece."""

    max_retries: int = Field(default=3, ge=0)
    """Requests after the first one, as long as no answer has begun.

    One whose pooled connection turns out dead is sent once more, uncounted.
    """

    connect_timeout: float | None = Field(default=10, gt=0)
    """Seconds in which a connection must open; `None` is no limit."""

    timeout: float | None = Field(default=120, gt=0)
    """Longest silence in seconds: from the request sent to the first event, and
    between events. Comments such as `: ping` do not end it."""

    first_token_timeout: float | None = Field(default=None, gt=0)
    """Seconds from the request sent to the first token; as `timeout` by default."""

    total_timeout: float | None = Field(default=None, gt=0)
    """Seconds for a whole call, retries included; no limit by default."""

    max_concurrent_requests: int | None = Field(default=None, ge=1)
    """Most connections open at once, in sync and in async code each; no limit by
    default."""

    default_headers: dict[str, str] = Field(
        default_factory=dict, exclude=True, repr=False
    )
    """Headers sent with every request. They may hold secrets: not serialised."""

    verify: bool | str = True
    """Whether certificates are checked, or a file of authorities to trust."""

    session: Any = Field(default=None, exclude=True, repr=False)
    """A `requests.Session` to use in sync code, with its proxies; never closed here."""

    async_session: Any = Field(default=None, exclude=True, repr=False)
    """An `aiohttp.ClientSession` to use in async code, with its proxies; never closed
    here. It belongs to one event loop and does not survive `pickle`."""

    _open: Connection | None = PrivateAttr(default=None)

    model_config = ConfigDict(
        populate_by_name=True,
        # A wrong argument may be the key.
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _move_unknown_arguments(cls, values: dict[str, Any]) -> Any:
        values = dict(values)
        for name in ("base_url", "endpoint"):
            if values.get(name) in {None, ""}:
                values.pop(name, None)
        further = values.get("model_kwargs") or {}
        if not isinstance(further, Mapping):
            # For pydantic to say so, with the name of the field.
            return values
        values["model_kwargs"] = dict(further)
        return _build_model_kwargs(values, get_pydantic_field_names(cls))

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        text = key.get_secret_value().strip() if key else ""
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("the key has characters that no key has")
        return SecretStr(text) if text else None

    @field_validator("default_headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name) or not value.isprintable():
                raise ValueError("a header has characters that no header has")
            value.encode("latin-1")
        return {name: value.strip() for name, value in headers.items()}

    @field_validator("base_url")
    @classmethod
    def _complete_url(cls, url: str) -> str:
        parts = urlsplit(url.strip().rstrip("/") or _MISTRAL)
        has_more = parts.username is not None or parts.query or parts.fragment
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or has_more
            or re.search(r"\s", parts.geturl())
        ):
            raise ValueError(
                "give a URL such as https://api.mistral.ai/v1, "
                "without a user, a query or a fragment"
            )
        parts.hostname.encode("idna")
        # Raises for one that is no number, or too large.
        _ = parts.port
        return parts._replace(path=parts.path or "/v1").geturl()

    @model_validator(mode="after")
    def _require_key(self) -> Self:
        host = urlsplit(self.base_url).hostname or ""
        if self.api_key is None and f".{host}".endswith(".mistral.ai"):
            raise ValueError(
                "Mistral needs a key: set MISTRAL_API_KEY or pass api_key=…, "
                "or set base_url to a server that needs none"
            )
        self._add_version("langchain-mistral-stream", __version__)
        return self

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Arguments that are serialised by the name of a variable."""
        return {"api_key": "MISTRAL_API_KEY"}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Serialise as a constructor call, without secrets."""
        return True

    @property
    def _llm_type(self) -> str:
        return "mistral-stream-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**self._parameters(), "base_url": self.base_url}

    def _get_ls_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self._stops(), **kwargs)
        params["ls_provider"] = "mistral"
        return params

    def _combine_llm_outputs(
        self, llm_outputs: list[dict[str, Any] | None], /
    ) -> dict[str, Any]:
        usage: dict[str, Any] = {}
        for output in llm_outputs:
            usage = added_usage(usage, (output or {}).get("token_usage") or {})
        return {"model_name": self.model, "token_usage": usage}

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        asked = self._prepared(messages, stop, kwargs, stream=True)
        with closing(self._connection.stream(*asked)) as chunks:
            for chunk in chunks:
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        asked = self._prepared(messages, stop, kwargs, stream=True)
        async with aclosing(self._connection.astream(*asked)) as chunks:
            async for chunk in chunks:
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002  # LangChain's signature
        **kwargs: Any,
    ) -> ChatResult:
        body, new_reader, terms = self._prepared(messages, stop, kwargs, stream=False)
        return _result(self._connection.fetch(body, terms), new_reader)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002  # likewise
        **kwargs: Any,
    ) -> ChatResult:
        body, new_reader, terms = self._prepared(messages, stop, kwargs, stream=False)
        return _result(await self._connection.afetch(body, terms), new_reader)

    def bind_tools(
        self,
        tools: Sequence[Tool],
        *,
        tool_choice: ToolChoice = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model.

        Args:
            tools: Functions, pydantic classes, LangChain tools, JSON schemas, or
                tools in the wire's own form.
            tool_choice: `"auto"`, `"none"`, `"any"` or `"required"` or `True` (some
                tool must be called), the name of a tool, or its dict.
            strict: Whether arguments must follow the schema exactly.
            **kwargs: Further parameters of the request.

        Raises:
            ValueError: `tool_choice` names no tool.
        """
        offered = wire_tools(tools, strict=strict)
        choice = wire_tool_choice(tool_choice, tool_names(offered))
        if choice is not None:
            kwargs["tool_choice"] = choice
        return self.bind(tools=offered, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Return a runnable whose output follows a schema.

        Args:
            schema: A pydantic class (the output is an instance), or a `TypedDict`
                class or JSON schema (the output is a dict, which grows as it streams).
                May be left out with `"json_mode"`.
            method: `"json_schema"`: the server holds the answer to the schema.
                `"function_calling"`: the answer is the call of a tool.
                `"json_mode"`: the answer is JSON; the prompt must describe it.
            include_raw: Whether the output is a dict of `raw`, `parsed` and
                `parsing_error` instead.
            strict: Whether the server holds the answer to the schema exactly; by
                default it does for `"json_schema"`.
            **kwargs: Further parameters of the request.

        An answer that the token limit cut raises LangChain's `OutputParserException`,
        or `MistralToolCallTruncatedError` where it cut the call: half an answer is
        never handed out as a whole one. An answer that ends without its JSON or its
        call raises an `OutputParserException` too. In a stream the error comes with
        the last chunk; with `include_raw` the exception is the `parsing_error`.

        Raises:
            ValueError: The method is unknown, or needs a schema.
        """
        from langchain_mistral_stream._structured import (  # noqa: PLC0415  # parsers are slow to import
            answer_parser,
            call_parser,
            with_raw,
        )

        if schema is None and method != "json_mode":
            raise ValueError(f"method {method!r} needs a schema")
        format_used = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
        if schema is not None:
            kwargs["ls_structured_output_format"] = format_used
        if method == "function_calling":
            tool = answer_tool(cast("Schema", schema), strict=strict)
            name = tool["function"]["name"]
            llm = self.bind_tools([tool], tool_choice=name, **kwargs)
            parser = call_parser(cast("Schema", schema), name)
        elif method in {"json_schema", "json_mode"}:
            response_format = (
                json_schema_format(cast("Schema", schema), strict=strict)
                if method == "json_schema"
                else json_object_format()
            )
            # JSON that a prefix begins is whole with the prefix alone.
            kwargs = {"keep_prefix": True, **kwargs}
            llm = self.bind(response_format=response_format, **kwargs)
            parser = answer_parser(schema)
        else:
            raise ValueError(
                f"method {method!r} is none of json_schema, function_calling, json_mode"
            )
        return with_raw(llm, parser) if include_raw else llm | parser

    def get_token_ids(self, text: str) -> list[int]:
        """Return the ids of a text's tokens; needs the extra `tokens`."""
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        return text_tokens(text, self.model)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Tool] | None = None
    ) -> int:
        """Return how many tokens a request has; needs the extra `tokens`.

        The number is Mistral's own, for the messages as they are sent, and nothing is
        asked of a server. A part of a history counts too, so that `trim_messages` can
        take the model as its `token_counter`.

        Raises:
            ImportError: The extra is not installed.
            ValueError: Something cannot be sent, or the server alone can count it: an
                image behind a web address, a document, audio, a hosted tool.
        """
        if self.custom_get_token_ids is not None:
            return super().get_num_tokens_from_messages(messages, tools)
        wired = wire_messages(messages)
        return message_tokens(wired, wire_tools(tools or []), self.model)

    def _resolve_model_profile(self) -> ModelProfile | None:
        return model_profile(self.model)

    def close(self) -> None:
        """Close the connections of sync code; the next call opens new ones."""
        if self._open:
            self._open.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop, and those of sync code."""
        if self._open:
            await self._open.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle without the user's async session, which belongs to a loop."""
        state = super().__getstate__()
        return {**state, "__dict__": {**state["__dict__"], "async_session": None}}

    def __copy__(self) -> Self:
        """Copy with connections of its own, so that each is closed for itself."""
        copied = super().__copy__()
        copied._open = None  # noqa: SLF001  # of this class
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy all but the user's own sessions, which are shared."""
        memo = {} if memo is None else memo
        for session in (self.session, self.async_session):
            memo[id(session)] = session
        return super().__deepcopy__(memo)

    @property
    def _connection(self) -> Connection:
        """The connection for the fields as they are now."""
        settings = self._settings()
        opened = self._open
        if opened is None or opened.settings != settings:
            with _opening:
                opened = self._open
                if opened is None or opened.settings != settings:
                    self._open = opened = Connection(settings)
        return opened

    def _settings(self) -> Settings:
        return Settings(
            url=f"{self.base_url}/chat/completions",
            api_key=self.api_key,
            headers=self.default_headers,
            verify=self.verify,
            max_concurrent=self.max_concurrent_requests,
            session=self.session,
            async_session=self.async_session,
        )

    def _prepared(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        call: Mapping[str, Any],
        *,
        stream: bool,
    ) -> tuple[bytes, Callable[..., ChunkReader], Terms]:
        """Return the request, what makes the reader of its answer, and the terms."""
        checked = self._checked(call)
        own = {name: checked.pop(name) for name in _OWN if name in checked}
        further = own.get("model_kwargs", {})
        parameters = self._parameters(stop, {**further, **checked})
        if not stream:
            parameters.pop("stream_options", None)
        wired = wire_messages(messages)
        body = request_body(parameters, wired, stream=stream)
        keeps_prefix = own.get("keep_prefix", self.keep_prefix)
        prefix = "" if keeps_prefix else answer_prefix(wired)
        new_reader = partial(
            ChunkReader,
            model=parameters["model"],
            prefix=prefix,
            in_blocks=self.output_version == "v1",
        )
        return body, new_reader, self._terms(own)

    def _terms(self, own: Mapping[str, Any]) -> Terms:
        """Return what a call may take: fields, or what the call says instead."""
        said = {name: own.get(name, getattr(self, name)) for name in _TERMS}
        limits = TimeLimits(
            connect=said["connect_timeout"],
            silence=said["timeout"],
            first_token=said["first_token_timeout"] or said["timeout"],
            total=said["total_timeout"],
        )
        return Terms(limits=limits, max_retries=said["max_retries"])

    def _parameters(
        self, stop: list[str] | None = None, call: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the request's parameters: fields, then what the call says."""
        fields = {name: getattr(self, name) for name in PARAMETERS}
        called = {"stop": stop} if stop is not None else {}
        return request_parameters(
            fields, {**self.model_kwargs, **(call or {}), **called}
        )

    def _checked(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """Check what a call says of fields, as the constructor checks it.

        Raises:
            ValueError: A value is none for its field, or a field is not for one call.
        """
        names = _own_fields(type(self))
        return {
            said: _valid(type(self), names[said], value) if said in names else value
            for said, value in call.items()
        }

    def _stops(self) -> list[str] | None:
        return [self.stop] if isinstance(self.stop, str) else self.stop


@cache
def _own_fields(model: type[BaseModel]) -> dict[str, str]:
    """Return the names of the fields that are not every chat model's, by all names."""
    return {
        alias: name
        for name, field in model.model_fields.items()
        if name not in BaseChatModel.model_fields
        for alias in (name, field.alias or name)
    }


@cache
def _field_type(model: type[BaseModel], name: str) -> TypeAdapter[Any]:
    field = model.model_fields[name]
    kind: Any = field.annotation
    for constraint in field.metadata:
        kind = Annotated[kind, constraint]
    return TypeAdapter(kind)


def _valid(model: type[BaseModel], name: str, value: Any) -> Any:
    """Return the value of a field as pydantic makes it."""
    if name not in (*PARAMETERS, *_OWN):
        raise ValueError(f"`{name}` cannot be given per call: it is the whole model's")
    if value is None and name in PARAMETERS:
        return None
    try:
        return _field_type(model, name).validate_python(value)
    except ValidationError as error:
        reasons = "; ".join(detail["msg"] for detail in error.errors())
        raise ValueError(f"`{name}`: {reasons}") from None


def _result(answer: Answer, new_reader: Callable[..., ChunkReader]) -> ChatResult:
    def reader() -> ChunkReader:
        reader = new_reader(answer.stopwatch)
        reader.opened(attempts=answer.attempts, request_id=answer.request_id)
        return reader

    return chat_result(answer.payload, reader)
