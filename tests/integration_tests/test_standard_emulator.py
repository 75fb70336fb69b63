"""LangChain's standard integration tests against the emulated API.

Its default answers call the tool that must be called and obey schemas. What a test
wants to be understood from its prompt is scripted in `ANSWERS`.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream.testing import Answer, MistralEmulator, ToolCall

MAGIC = Answer(tool_calls=[ToolCall("magic_function", {"input": 3})])
JOKE = Answer(text='{"setup": "Why do cats purr?", "punchline": "They can."}')
ANSWERS: Mapping[str, Sequence[Answer]] = {
    "test_tool_calling": [MAGIC, MAGIC],
    "test_tool_calling_async": [MAGIC, MAGIC],
    "test_json_mode": [JOKE] * 4,
    "test_agent_loop": [
        Answer(tool_calls=[ToolCall("get_weather", {"location": "San Francisco, CA"})]),
        Answer(text="It is sunny in San Francisco."),
    ],
    "test_unicode_tool_call_integration": [
        Answer(
            tool_calls=[
                ToolCall("unicode_customer", {"customer_name": name, "description": ""})
            ]
        )
        for name in ("你好啊集团", "こんにちは株式会社")
    ],
}


@pytest.fixture
def vcr() -> SimpleNamespace:
    """Take the place of a recording, which `test_stream_time` asks for."""
    return SimpleNamespace(responses=["the emulator's"])


class TestChatMistralStream(ChatModelIntegrationTests):
    emulator: MistralEmulator

    @pytest.fixture(autouse=True)
    def _use(
        self,
        emulator: MistralEmulator,
        monkeypatch: pytest.MonkeyPatch,
        request: pytest.FixtureRequest,
    ) -> None:
        """Talk to the emulator; download nothing, it looks into no file."""
        self.emulator = emulator
        emulator.reply(*ANSWERS.get(request.function.__name__, ()))
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "tests")
        monkeypatch.setattr(
            httpx, "get", lambda *_, **__: httpx.Response(200, content=b"a file")
        )

    @property
    def chat_model_class(self) -> type[ChatMistralStream]:
        return ChatMistralStream

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": self.emulator.base_url}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "mistral-large-latest"

    @property
    def enable_vcr_tests(self) -> bool:
        return True
