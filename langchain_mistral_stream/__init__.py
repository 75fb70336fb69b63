"""A LangChain chat model for Mistral whose centre is the stream.

```python
from langchain_mistral_stream import ChatMistralStream

model = ChatMistralStream(model="mistral-small-latest")  # reads MISTRAL_API_KEY
for chunk in model.stream("Tell me a long story about a space hamster"):
    print(chunk.text, end="", flush=True)
```
"""

# First of all: in any other order langchain-core takes a tenth longer to import.
import langchain_core.language_models.chat_models  # noqa: F401

from langchain_mistral_stream._version import __version__
from langchain_mistral_stream.chat_models import ChatMistralStream
from langchain_mistral_stream.errors import (
    MistralAPIError,
    MistralAuthenticationError,
    MistralConnectionError,
    MistralContextOverflowError,
    MistralError,
    MistralInvalidRequestError,
    MistralNotFoundError,
    MistralPermissionDeniedError,
    MistralRateLimitError,
    MistralStreamInterruptedError,
    MistralStreamTimeoutError,
    MistralTimeoutError,
    MistralToolCallTruncatedError,
)

__all__ = [
    "ChatMistralStream",
    "MistralAPIError",
    "MistralAuthenticationError",
    "MistralConnectionError",
    "MistralContextOverflowError",
    "MistralError",
    "MistralInvalidRequestError",
    "MistralNotFoundError",
    "MistralPermissionDeniedError",
    "MistralRateLimitError",
    "MistralStreamInterruptedError",
    "MistralStreamTimeoutError",
    "MistralTimeoutError",
    "MistralToolCallTruncatedError",
    "__version__",
]
