"""`LatencyMetrics`: OpenTelemetry's metrics of generative AI clients.

```python
from langchain_mistral_stream.otel import LatencyMetrics

model = ChatMistralStream(callbacks=[LatencyMetrics()])
```

Names, units, attributes and buckets are those of the semantic conventions for
generative AI: <https://github.com/open-telemetry/semantic-conventions-genai>
(`docs/gen-ai/gen-ai-metrics.md`). They are in development there, and what
`opentelemetry-semantic-conventions` has of them is deprecated, so they stand here.
Needs the extra `otel`; without an SDK nothing is recorded and nothing fails.
"""

# ruff: noqa: PLC0415  # the extra may be missing

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from langchain_mistral_stream._observer import CallObserver
from langchain_mistral_stream._rows import LatencyRow
from langchain_mistral_stream._version import __version__

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter, MeterProvider

__all__ = ["LatencyMetrics"]

_SECONDS = [0.01 * 2**power for power in range(14)]
_TOKENS = [4**power for power in range(14)]

# LangChain's names for providers to those of the conventions, where they differ.
_PROVIDERS = {
    "amazon_bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "ibm": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "moonshot": "moonshot_ai",
    "xai": "x_ai",
}


class LatencyMetrics(CallObserver):
    """A callback handler that records metrics of each call of a model.

    - `gen_ai.client.operation.duration`: the whole call, failed ones too.
    - `gen_ai.client.token.usage`: tokens, by `gen_ai.token.type`.
    - `gen_ai.client.operation.time_to_first_chunk`: of streams.
    - `gen_ai.client.operation.time_per_output_chunk`: of streams, the time from each
      chunk to the next, with what the caller did in between.

    They are recorded when the call ends. An answer from LangChain's cache is none, and
    a stream that the caller leaves has no `error.type`. The handler can be pickled with
    the model it is on; where it is unpickled it uses the global provider.

    Args:
        meter_provider: Default: OpenTelemetry's global one.

    Raises:
        ImportError: OpenTelemetry is not installed.
    """

    def __init__(self, meter_provider: "MeterProvider | None" = None) -> None:
        super().__init__()
        try:
            from opentelemetry.metrics import get_meter
        except ImportError:
            message = (
                "metrics need opentelemetry-api: "
                'pip install "langchain-mistral-stream[otel]"'
            )
            raise ImportError(message, name="opentelemetry") from None
        meter = get_meter(
            "langchain_mistral_stream", __version__, meter_provider=meter_provider
        )
        self._duration = _seconds(meter, "duration", "GenAI operation duration.")
        self._first_chunk = _seconds(
            meter,
            "time_to_first_chunk",
            "Time to receive the first chunk, measured from when the client issues "
            "the generation request to when the first chunk is received in the "
            "response stream.",
        )
        self._next_chunk = _seconds(
            meter,
            "time_per_output_chunk",
            "Time per output chunk, recorded for each chunk received after the first "
            "one, measured as the time elapsed from the end of the previous chunk to "
            "the end of the current chunk.",
        )
        self._usage = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )

    def __reduce__(self) -> tuple[type["LatencyMetrics"], tuple[()]]:
        """Pickle without the instruments, which belong to a process."""
        return LatencyMetrics, ()

    def _record(self, row: LatencyRow) -> None:
        if row.from_cache:
            return
        about = _attributes(row)
        ended = {**about, "error.type": row.error} if row.failed else about
        self._duration.record(row.total_seconds, ended)
        for offset in row.chunk_offsets[:1]:
            self._first_chunk.record(offset, about)
        for before, after in pairwise(row.chunk_offsets):
            self._next_chunk.record(after - before, about)
        counts = {"input": row.input_tokens, "output": row.output_tokens}
        for kind, count in counts.items():
            if count is not None:
                self._usage.record(count, {**about, "gen_ai.token.type": kind})


def _seconds(meter: "Meter", name: str, description: str) -> "Histogram":
    return meter.create_histogram(
        f"gen_ai.client.operation.{name}",
        unit="s",
        description=description,
        explicit_bucket_boundaries_advisory=_SECONDS,
    )


def _attributes(row: LatencyRow) -> dict[str, Any]:
    """Return what all metrics of a call have in common, as far as it is known."""
    about = {
        "gen_ai.operation.name": row.operation,
        "gen_ai.provider.name": _PROVIDERS.get(row.provider or "", row.provider),
        "gen_ai.request.model": row.model,
        "gen_ai.response.model": row.response_model,
        "server.address": row.server_address,
        "server.port": row.server_port,
    }
    return {key: value for key, value in about.items() if value is not None}
