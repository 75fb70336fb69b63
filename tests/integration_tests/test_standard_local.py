"""LangChain's standard integration tests against a real, small language model."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream.testing.local_model import LocalModel


@pytest.fixture(scope="module")
def local_model_with_tools() -> Iterator[LocalModel]:
    """The local model with a chat template that shows it the tools."""
    with LocalModel(tools=True) as local:
        yield local


class TestChatMistralStream(ChatModelIntegrationTests):
    local: LocalModel

    @pytest.fixture(autouse=True)
    def _use(self, local_model_with_tools: LocalModel) -> None:
        """Talk to the local model."""
        self.local = local_model_with_tools

    @property
    def chat_model_class(self) -> type[ChatMistralStream]:
        return ChatMistralStream

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "base_url": self.local.base_url,
            "model": self.local.model,
            "temperature": 0,
            "max_tokens": 60,
            # The first sentence of an answer is enough.
            "stop": ["."],
            # llama.cpp tells the usage of a stream only when asked for it.
            "stream_options": {"include_usage": True},
        }

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        # So small a model repeats itself without end inside a JSON string.
        return {"frequency_penalty": 2, "max_tokens": 100, "stop": []}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "smollm2"

    @pytest.mark.xfail(
        reason="the 135M model nests the keys that it is asked for",
        raises=OutputParserException,
        strict=True,
    )
    def test_json_mode(self, model: BaseChatModel) -> None:
        super().test_json_mode(model)

    @pytest.mark.xfail(
        reason="llama.cpp reads only words as `tool_choice`: a tool that is named in "
        "Mistral's form counts as 'auto', and the model picks the other one",
        raises=AssertionError,
        strict=True,
    )
    def test_tool_choice(self, model: BaseChatModel) -> None:
        super().test_tool_choice(model)
