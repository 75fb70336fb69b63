"""Tokens are counted as Mistral counts them, offline."""

import base64
import io
import json
import subprocess
import sys
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from PIL import Image

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream._tokens import message_tokens, text_tokens

SMALL = "mistral-small-latest"
MINISTRAL = "ministral-3b-latest"
NEMO = "open-mistral-nemo"

CALL_ID = "abcDEF123"


def user(content: Any) -> Any:
    """A user message on the wire."""
    return {"role": "user", "content": content}


def system(text: str) -> Any:
    """A system message on the wire."""
    return {"role": "system", "content": text}


def calls(*functions: tuple[str, str], content: Any = "") -> Any:
    """An assistant message on the wire that calls functions."""
    return {
        "role": "assistant",
        "content": content,
        "tool_calls": [
            {
                "id": f"abcDEF12{number}",
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
            for number, (name, arguments) in enumerate(functions)
        ],
    }


def result(text: Any, number: int = 0) -> Any:
    """A tool message on the wire that answers the call of that number."""
    return {"role": "tool", "tool_call_id": f"abcDEF12{number}", "content": text}


def thinking(text: str) -> Any:
    """A thought on the wire."""
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def function(name: str, description: str, parameters: dict[str, Any]) -> Any:
    """A tool on the wire, with its keys in the order of the recordings."""
    about = {"description": description, "name": name, "parameters": parameters}
    return {"function": about, "type": "function"}


def objects(required: list[str], **properties: Any) -> dict[str, Any]:
    """The schema of an object, with its keys in the order of the recordings."""
    return {"properties": properties, "required": required, "type": "object"}


def picture(width: int, height: int) -> Any:
    """An image on the wire."""
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


INTEGER = {"type": "integer"}
STRING = {"type": "string"}
ADD = function("add", "Add two integers", objects(["x", "y"], x=INTEGER, y=INTEGER))
ADD_AB = function("add", "Add two integers", objects(["a", "b"], a=INTEGER, b=INTEGER))
RECORD = function(
    "record_colour",
    "Record the dominant colour of an image the user attached.",
    objects(["colour"], colour=STRING),
)
INSPECT = function(
    "inspect_manifest",
    "Validate a nested deployment manifest.",
    objects(
        ["project", "flags", "steps", "note"],
        flags=objects(
            ["critical", "retries"], critical={"type": "boolean"}, retries=INTEGER
        ),
        note=STRING,
        project=STRING,
        steps={
            "items": objects(["name", "weight"], name=STRING, weight=INTEGER),
            "type": "array",
        },
    ),
)
LABELS = [
    function("lookup_harbor_label", "Return the alpha signal marker.", objects([])),
    function("lookup_orchard_label", "Return the beta signal marker.", objects([])),
]

COBALT = user("Reply with exactly: cobalt")
SIX_TIMES_SEVEN = user("What is 6*7? Answer with just the number.")
PRODUCT = (
    "The user is asking for the product of 6 and 7. "
    "I know that 6 multiplied by 7 equals 42."
)
SUM = (
    "The user wants me to add 2 and 3 using a tool. I can see there's a function "
    'called "add" available that takes two integers as parameters. I should call this '
    "function with a=2 and b=3 to perform the addition."
)
MARKER = [
    calls(("lookup_marker", '{"key":"argument-not-answer"}')),
    result("ZXQ9281"),
    user(
        "The lookup_marker argument is not the answer. Copy exactly the content of its "
        "following tool-role result; it is the nonce ZXQ9281."
    ),
]
SQUARE = picture(64, 64)
COLOUR = [
    system("Call record_colour with the dominant colour of the attached image."),
    user([{"type": "text", "text": "Record this image's colour."}, SQUARE]),
]

# What api.mistral.ai answered in `usage.prompt_tokens`, as recorded by
# 0xPlaygrounds/rig in 2026-08 (`tests/cassettes/mistral`) and, "hello" alone, by
# pydantic/pydantic-ai in 2026-06 (`test_mistral_forwards_penalties.yaml`).
RECORDED = {
    "text": ("mistral-large-latest", [user("hello")], [], 4),
    "text, small": (
        SMALL,
        [
            user("Unicode context: café 東京. The marker is exactly: lantern-42."),
            {"role": "assistant", "content": "lantern-42"},
            user("Reply with exactly the marker from the prior conversation."),
        ],
        [],
        49,
    ),
    "text, ministral": (MINISTRAL, [COBALT], [], 8),
    "tool, ministral": (MINISTRAL, [COBALT], [ADD], 76),
    "tool, small": (SMALL, [COBALT], [ADD], 88),
    "nested tool": (
        SMALL,
        [
            system("Use the requested tool call and no prose before it."),
            user(
                "Call inspect_manifest exactly once for project rig-mistral with "
                "critical=true, retries=2, steps [{name: plan, weight: 1}, {name: "
                "verify, weight: 2}], and note `streamed nested JSON`. Do not write "
                "normal text before the tool call."
            ),
        ],
        [INSPECT],
        261,
    ),
    "result, ministral": (MINISTRAL, MARKER, [], 60),
    "result, small": (SMALL, MARKER, [], 72),
    "parallel results": (
        MINISTRAL,
        [
            calls(("alpha", '{"slot":1}'), ("beta", '{"slot":2}')),
            result("red", 0),
            result("blue", 1),
            user(
                "Reply with exactly the alpha and beta tool results joined by one "
                "hyphen, in call order."
            ),
        ],
        [],
        47,
    ),
    "two tools": (
        SMALL,
        [
            system(
                "You are a precise assistant. When tools are available, you must use "
                "them instead of guessing. Call both `lookup_harbor_label` and "
                "`lookup_orchard_label` before writing any normal text. Never call the "
                "same tool twice once you already have its result."
            ),
            user(
                "Call `lookup_harbor_label` and `lookup_orchard_label` exactly once "
                "each before answering. After both tool results are available, stop "
                "calling tools and respond in one short sentence that includes both "
                "exact tool outputs."
            ),
            calls(("lookup_harbor_label", "{}"), ("lookup_orchard_label", "{}")),
            result("crimson-harbor", 0),
            result("silver-orchard", 1),
        ],
        LABELS,
        243,
    ),
    "thought": (
        SMALL,
        [
            SIX_TIMES_SEVEN,
            {
                "role": "assistant",
                "content": [thinking(PRODUCT), {"type": "text", "text": "42"}],
            },
            user("Now multiply that by 2. Answer with just the number."),
        ],
        [],
        76,
    ),
    "thought and call": (
        SMALL,
        [
            user("Add 2 and 3 using the tool."),
            calls(("add", '{"a":2,"b":3}'), content=[thinking(SUM)]),
            result("5"),
            user("Answer the original question."),
        ],
        [ADD_AB],
        173,
    ),
    "images": (
        SMALL,
        [
            system("Answer in one short sentence."),
            user(
                [
                    {
                        "type": "text",
                        "text": "How many images did I attach, "
                        "and what colour are they?",
                    },
                    SQUARE,
                    SQUARE,
                ]
            ),
        ],
        [],
        60,
    ),
    "image and tool": (SMALL, COLOUR, [RECORD], 115),
    "image and result": (
        SMALL,
        [
            *COLOUR,
            calls(("record_colour", '{"colour":"red"}')),
            result("recorded red"),
        ],
        [RECORD],
        133,
    ),
}


def model_named(name: str, **fields: Any) -> ChatMistralStream:
    """A model that nothing is asked of."""
    return ChatMistralStream(model=name, api_key="key", **fields)


@pytest.mark.parametrize(
    ("model", "messages", "tools", "expected"), RECORDED.values(), ids=RECORDED
)
def test_count_is_what_the_api_said(
    model: str, messages: list[Any], tools: list[Any], expected: int
) -> None:
    """Numbers are those of recorded answers, to the token."""
    assert message_tokens(messages, tools, model) == expected


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        (NEMO, MistralTokenizer.v3(is_tekken=True)),
        ("codestral-2405", MistralTokenizer.v3()),
        ("mistral-large-2411", MistralTokenizer.v7()),
    ],
    ids=["tekken v3", "sentencepiece v3", "sentencepiece v7"],
)
@pytest.mark.parametrize(
    "messages",
    [
        [HumanMessage("Tell me of a space hamster.")],
        [SystemMessage("Be brief."), HumanMessage("Hi")],
        [HumanMessage("Hi"), AIMessage("Hello!"), HumanMessage("Bye")],
        [
            HumanMessage("Add."),
            AIMessage("", tool_calls=[{"name": "add", "args": {}, "id": CALL_ID}]),
            ToolMessage("5", tool_call_id=CALL_ID),
        ],
    ],
    ids=["text", "system", "turns", "tools"],
)
def test_count_is_mistral_commons_own(
    name: str, reference: Any, messages: list[BaseMessage]
) -> None:
    """Where the wheel has a model's whole tokenizer, both count alike."""
    tool = {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Add.",
            "parameters": {"type": "object", "properties": {}},
        },
    }
    roles = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
    plain: list[dict[str, Any]] = []
    for message in messages:
        wired: dict[str, Any] = {
            "role": roles[message.type],
            "content": message.content,
        }
        if isinstance(message, AIMessage) and message.tool_calls:
            call = {"id": CALL_ID, "function": {"name": "add", "arguments": "{}"}}
            wired["tool_calls"] = [call]
        if isinstance(message, ToolMessage):
            wired["tool_call_id"] = CALL_ID
        plain.append(wired)
    request: ChatCompletionRequest[Any] = ChatCompletionRequest.model_validate(
        {"messages": plain, "tools": [tool]}
    )

    counted = model_named(name).get_num_tokens_from_messages(messages, tools=[tool])

    assert counted == len(reference.encode_chat_completion(request).tokens)


@pytest.mark.parametrize("name", [SMALL, NEMO])
def test_tokens_of_a_text_are_mistral_commons_own(name: str) -> None:
    """Today's models and Nemo share one vocabulary, so they share the ids too."""
    text = "The café in 東京 is open. [INST] 🐹"
    tekken = MistralTokenizer.v3(is_tekken=True).instruct_tokenizer.tokenizer

    expected = tekken.encode(text, bos=False, eos=False)

    assert model_named(name).get_token_ids(text) == expected
    assert model_named(name).get_num_tokens(text) == len(expected)


@pytest.mark.parametrize(
    "name", ["", "gpt-5", "mistral-huge", "mistralai/Ministral-3-3B-Instruct-2512"]
)
def test_any_name_counts_as_a_newest_model(name: str) -> None:
    """An unknown name is no error."""
    assert message_tokens([COBALT], [], name) == 8


@pytest.mark.parametrize(
    ("name", "vendor"),
    [
        ("mistralai/Mistral-Nemo-Instruct-2407", NEMO),
        ("mistralai/Mistral-Small-Instruct-2409", "mistral-small-2409"),
        ("mistralai/Mistral-Small-24B-Instruct-2501", "mistral-small-2501"),
        ("mistralai/Mistral-Small-3.1-24B-Instruct-2503", "mistral-small-2503"),
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", "mistral-small-2506"),
        ("RedHatAI/Mistral-Small-3.2-24B-Instruct-2506-FP8", "mistral-small-2506"),
        ("mistralai/Ministral-8B-Instruct-2410", "ministral-8b-2410"),
        ("mistralai/Mistral-Large-Instruct-2407", "mistral-large-2407"),
        ("mistralai/Mistral-Large-Instruct-2411", "mistral-large-2411"),
        ("mistralai/Devstral-Small-2-24B-Instruct-2512", "devstral-2512"),
    ],
)
def test_names_of_other_servers_are_understood(name: str, vendor: str) -> None:
    """A server of one's own names models as Hugging Face does."""

    def counts(model: str) -> list[int]:
        return [
            message_tokens(*said, model) for said in ((MARKER, []), ([COBALT], [ADD]))
        ]

    counted = counts(name)

    assert counted == counts(vendor)
    assert counted != counts(SMALL)


HISTORY: list[BaseMessage] = [
    SystemMessage("Be brief."),
    HumanMessage("Add 2 and 3."),
    AIMessage(
        "I will.", tool_calls=[{"name": "add", "args": {"a": 2}, "id": "call_1"}]
    ),
    ToolMessage("5", tool_call_id="call_1"),
    AIMessage("It is 5."),
    HumanMessage("Thanks. " * 20),
    AIMessage("You are welcome."),
]


@pytest.mark.parametrize("name", [SMALL, MINISTRAL, "mistral-small-2506", "voxtral"])
def test_any_part_of_a_history_counts(name: str) -> None:
    """A part may begin and end with any message; a longer one never counts less."""
    model = model_named(name)

    for start in range(len(HISTORY)):
        counts = [
            model.get_num_tokens_from_messages(HISTORY[start:end])
            for end in range(start, len(HISTORY) + 1)
        ]

        assert counts[0] == 0
        assert counts == sorted(counts)


def test_trim_messages_takes_the_model_as_counter() -> None:
    """What is left fits; LangChain counts the system message for itself."""
    model = model_named(SMALL)
    limit = sum(
        model.get_num_tokens_from_messages(part) for part in (HISTORY[:1], HISTORY[-3:])
    )

    trimmed = trim_messages(
        HISTORY,
        token_counter=model,
        max_tokens=limit,
        include_system=True,
        strategy="last",
    )

    assert trimmed == [HISTORY[0], *HISTORY[-3:]]
    assert model.get_num_tokens_from_messages(trimmed) <= limit


def test_trim_messages_from_the_start_takes_the_model_too() -> None:
    """The other strategy counts beginnings of the history."""
    model = model_named(SMALL)
    limit = model.get_num_tokens_from_messages(HISTORY[:4])

    trimmed = trim_messages(
        HISTORY, token_counter=model, max_tokens=limit, strategy="first"
    )

    assert trimmed == HISTORY[:4]


def test_prefix_counts_without_an_end() -> None:
    """A message that the answer continues is not closed by a token."""
    model = model_named(SMALL)
    begun = AIMessage("Once", additional_kwargs={"prefix": True})

    closed = model.get_num_tokens_from_messages([HumanMessage("Hi"), AIMessage("Once")])

    assert model.get_num_tokens_from_messages([HumanMessage("Hi"), begun]) == closed - 1


def test_tools_count_without_messages() -> None:
    """What the tools take can be asked for alone."""
    model = model_named(MINISTRAL)

    def add(a: int, b: int) -> int:
        """Add two integers."""
        return a + b

    assert model.get_num_tokens_from_messages([], tools=[add]) > 50


@pytest.mark.parametrize(
    ("name", "size", "tokens"),
    [
        (SMALL, (28, 28), 2),
        (SMALL, (29, 28), 3),
        (SMALL, (3080, 1540), 55 * 28 + 28),
        ("pixtral-12b-2409", (1024, 1024), 64 * 65),
        ("pixtral-large-latest", (32, 16), 3),
    ],
)
def test_image_counts_by_its_size(
    name: str, size: tuple[int, int], tokens: int
) -> None:
    """A token a patch and one a row, of the image as the model sees it."""
    text = {"type": "text", "text": "See."}

    plain = message_tokens([user([text])], [], name)

    assert message_tokens([user([text, picture(*size)])], [], name) == plain + tokens


def test_thoughts_count_as_text_where_a_template_has_none() -> None:
    """Older templates have no marks of thoughts, nor has v15 in a system message."""
    thought = [thinking("Hm.")]
    ids = text_tokens("Hm.", SMALL)

    older = message_tokens([{"role": "assistant", "content": thought}], [], "voxtral")
    marked = message_tokens([{"role": "assistant", "content": thought}], [], MINISTRAL)
    ruled = message_tokens([{"role": "system", "content": thought}], [], SMALL)
    marked_rule = message_tokens(
        [{"role": "system", "content": thought}], [], MINISTRAL
    )

    assert marked == older + 2
    assert marked_rule == ruled + 2
    assert ruled == len(ids) + 3


def test_citations_count_nothing() -> None:
    """Their numbers are for the reader."""
    text = {"type": "text", "text": "Yes"}
    cited = [text, {"type": "reference", "reference_ids": [1]}]

    assert message_tokens([user(cited)], [], SMALL) == message_tokens(
        [user([text])], [], SMALL
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"type": "image_url", "image_url": "https://example.org/it.png"},
            "an image behind an address cannot be counted",
        ),
        (
            {"type": "image_url", "image_url": "file:///etc/hostname"},
            "an image behind an address cannot be counted",
        ),
        (
            {"type": "document_url", "document_url": "data:application/pdf;base64,AA"},
            "'document_url' cannot be counted offline",
        ),
        (
            {"type": "input_audio", "input_audio": "UklGRg=="},
            "'input_audio' cannot be counted offline",
        ),
    ],
)
def test_what_only_the_server_knows_is_an_error(content: Any, message: str) -> None:
    """A number that would be too small is not given."""
    with pytest.raises(ValueError, match=message):
        message_tokens([user([content])], [], SMALL)


def test_hosted_tool_is_an_error() -> None:
    """What Mistral tells the model of its own tools is not known."""
    tool = {"type": "image_generation"}

    with pytest.raises(ValueError, match="'image_generation' cannot be counted"):
        model_named(SMALL).get_num_tokens_from_messages([], tools=[tool])


def test_what_a_template_has_no_place_for_is_an_error() -> None:
    """An image means nothing to a model of text."""
    with pytest.raises(ValueError, match="template of codestral-2405 cannot count"):
        message_tokens([user([picture(16, 16)])], [], "codestral-2405")


def test_tokens_of_the_users_own_come_first() -> None:
    """LangChain's `custom_get_token_ids` replaces Mistral's tokenizers."""
    model = model_named(SMALL, custom_get_token_ids=lambda text: [7] * len(text))

    assert model.get_num_tokens("four") == 4
    assert model.get_num_tokens_from_messages([HumanMessage("x")]) == len("Human: x")


@pytest.mark.parametrize(
    "count",
    [
        lambda model: model.get_num_tokens("Hi"),
        lambda model: model.get_token_ids("Hi"),
        lambda model: model.get_num_tokens_from_messages([HumanMessage("Hi")]),
        lambda model: model.get_num_tokens_from_messages([]),
    ],
    ids=["number", "ids", "messages", "nothing"],
)
def test_missing_extra_is_named(count: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install, also after something was counted."""
    model = model_named(SMALL)
    model.get_num_tokens("Hi")
    monkeypatch.setitem(sys.modules, "mistral_common", None)

    with pytest.raises(ImportError, match=r"langchain-mistral-stream\[tokens\]"):
        count(model)


def test_counting_reaches_no_network_and_importing_counts_nothing() -> None:
    """A process without sockets counts, and imports mistral-common only then."""
    program = """
import json, socket, sys
from langchain_mistral_stream import ChatMistralStream

def refuse(*_, **__):
    raise AssertionError("a socket was opened")

socket.socket.connect = socket.getaddrinfo = refuse
model = ChatMistralStream(model="mistral-small-latest", api_key="key")
before = "mistral_common" in sys.modules
counts = []
for name in ("mistral-small-latest", "mistral-large-2411", "unknown"):
    model.model = name
    counts.append(model.get_num_tokens("Hi"))
print(json.dumps([before, counts]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout) == [False, [1, 1, 1]]
