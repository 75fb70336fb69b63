"""An emulated Mistral API for tests and demos: no key, no network.

```python
from langchain_mistral_stream.testing import Answer, MistralEmulator

with MistralEmulator() as emulator:
    emulator.reply(Answer(text="Hello there"))
```
"""

from langchain_mistral_stream.testing._answers import chunk
from langchain_mistral_stream.testing._emulator import MistralEmulator
from langchain_mistral_stream.testing._fault_mix import FaultMix
from langchain_mistral_stream.testing._ledger import RecordedRequest
from langchain_mistral_stream.testing._script import (
    Answer,
    Drop,
    End,
    ErrorEvent,
    Stall,
    ToolCall,
)

__all__ = [
    "Answer",
    "Drop",
    "End",
    "ErrorEvent",
    "FaultMix",
    "MistralEmulator",
    "RecordedRequest",
    "Stall",
    "ToolCall",
    "chunk",
]
