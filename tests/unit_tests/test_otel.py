"""OpenTelemetry gets the metrics of the conventions for generative AI."""

import asyncio
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any
from urllib.parse import urlsplit

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from langchain_mistral_stream import ChatMistralStream
from langchain_mistral_stream._rows import LatencyRow
from langchain_mistral_stream.latency import LatencyRecorder
from langchain_mistral_stream.otel import LatencyMetrics
from langchain_mistral_stream.testing import Answer, Drop, MistralEmulator, Stall
from tests.conftest import Calls

NewModel = Callable[..., ChatMistralStream]

DURATION = "gen_ai.client.operation.duration"
FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
NEXT_CHUNK = "gen_ai.client.operation.time_per_output_chunk"
USAGE = "gen_ai.client.token.usage"


class Metrics:
    """A handler, a recorder beside it, and what OpenTelemetry was told."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self.reader])
        self.handler = LatencyMetrics(self.provider)
        self.recorder = LatencyRecorder()

    @property
    def config(self) -> Any:
        """The config of a call that is watched."""
        return {"callbacks": [self.handler, self.recorder]}

    @property
    def row(self) -> LatencyRow:
        """What the recorder saw of the only call."""
        (row,) = self.recorder.rows()
        return row

    def collected(self) -> dict[str, Any]:
        """The metrics so far, by name."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[HistogramDataPoint]:
        """The points of one metric: one for each set of attributes."""
        return list(self.collected()[name].data.data_points)

    def point(self, name: str) -> HistogramDataPoint:
        """The only point of a metric."""
        (point,) = self.points(name)
        return point


@pytest.fixture
def metrics() -> Metrics:
    """A handler that has seen nothing."""
    return Metrics()


def test_stream_has_all_metrics(
    calls: Calls, model: ChatMistralStream, metrics: Metrics
) -> None:
    """The whole call, its first chunk, and each of the others."""
    chunks = calls.stream(model, "One two three", config=metrics.config)

    total = chunks[-1].response_metadata["latency"]["total_ns"] / 1e9
    duration, first = metrics.point(DURATION), metrics.point(FIRST_CHUNK)
    following = metrics.point(NEXT_CHUNK)
    assert (duration.count, duration.sum) == (1, total)
    assert first.count == 1
    assert 0 < first.sum < total
    assert following.count == len(chunks) - 1 > 0
    assert first.sum + following.sum == pytest.approx(total)


def test_answer_that_came_at_once_has_no_metrics_of_chunks(
    calls: Calls, model: ChatMistralStream, metrics: Metrics
) -> None:
    """They are for streams only."""
    calls.invoke(model, "Hi", config=metrics.config)

    assert set(metrics.collected()) == {DURATION, USAGE}


def test_tokens_are_counted_by_type(
    calls: Calls, model: ChatMistralStream, metrics: Metrics
) -> None:
    """Those that went in and those that came out."""
    calls.invoke(model, "One two three", config=metrics.config)

    counts = {
        (point.attributes or {})["gen_ai.token.type"]: point.sum
        for point in metrics.points(USAGE)
    }

    row = metrics.row
    assert counts == {"input": row.input_tokens, "output": row.output_tokens}


def test_tokens_that_no_server_told_are_not_counted(
    calls: Calls, model: ChatMistralStream, metrics: Metrics, emulator: MistralEmulator
) -> None:
    """Not as zero either."""
    emulator.reply(Answer(text="One", usage=None))

    calls.invoke(model, "Hi", config=metrics.config)

    assert set(metrics.collected()) == {DURATION}


def test_attributes_say_what_answered(
    calls: Calls, new_model: NewModel, metrics: Metrics, emulator: MistralEmulator
) -> None:
    """Operation, provider, both names of the model, and the server."""
    emulator.reply(Answer(text="One two", model="mistral-small-2603"))

    calls.stream(new_model(model="small"), "Hi", config=metrics.config)

    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "mistral_ai",
        "gen_ai.request.model": "small",
        "gen_ai.response.model": "mistral-small-2603",
        "server.address": "127.0.0.1",
        "server.port": urlsplit(emulator.base_url).port,
    }
    for name in (DURATION, FIRST_CHUNK, NEXT_CHUNK):
        assert metrics.point(name).attributes == expected
    for point in metrics.points(USAGE):
        kind = (point.attributes or {})["gen_ai.token.type"]
        assert point.attributes == {**expected, "gen_ai.token.type": kind}


def test_another_provider_is_named_as_langchain_names_it(
    calls: Calls, metrics: Metrics
) -> None:
    """What is not known of it is left out."""
    model = GenericFakeChatModel(messages=iter([AIMessage("Hello")]))

    calls.invoke(model, "Hi", config=metrics.config)

    assert metrics.point(DURATION).attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "genericfakechatmodel",
    }


def test_failed_call_has_its_error(
    calls: Calls, model: ChatMistralStream, metrics: Metrics, emulator: MistralEmulator
) -> None:
    """It took time, and no tokens are known."""
    emulator.reply(Answer(status=429))

    calls.collect(model, "Hi", config=metrics.config)

    point = metrics.point(DURATION)
    assert (point.attributes or {})["error.type"] == "MistralRateLimitError"
    assert point.sum > 0
    assert set(metrics.collected()) == {DURATION}


def test_interrupted_stream_has_the_metrics_of_its_chunks(
    calls: Calls, model: ChatMistralStream, metrics: Metrics, emulator: MistralEmulator
) -> None:
    """The error is told of the operation."""
    emulator.reply(Answer(text="One two three", faults=Drop(after_events=3)))

    calls.collect(model, "Hi", config=metrics.config)

    attributes = metrics.point(DURATION).attributes or {}
    assert attributes["error.type"] == "MistralStreamInterruptedError"
    assert metrics.point(FIRST_CHUNK).count == 1
    assert "error.type" not in (metrics.point(FIRST_CHUNK).attributes or {})


def test_stream_that_was_left_is_no_error(
    calls: Calls, model: ChatMistralStream, metrics: Metrics
) -> None:
    """The caller had enough."""
    calls.take(1, model, "One two three", config=metrics.config)

    assert "error.type" not in (metrics.point(DURATION).attributes or {})


async def test_stream_whose_task_was_cancelled_is_no_error(
    model: ChatMistralStream, emulator: MistralEmulator, metrics: Metrics
) -> None:
    """That is how async code leaves."""
    emulator.reply(Answer(text="One two", faults=Stall(after_events=2)))
    began = asyncio.Event()

    async def read() -> None:
        async for _ in model.astream("One two", config=metrics.config):
            began.set()

    task = asyncio.create_task(read())
    await began.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

    assert "error.type" not in (metrics.point(DURATION).attributes or {})


def test_cached_answer_is_no_operation(
    calls: Calls, new_model: NewModel, metrics: Metrics
) -> None:
    """Nothing was asked, and no tokens were spent."""
    model = new_model(cache=InMemoryCache())

    for _ in range(2):
        calls.invoke(model, "Hi", config=metrics.config)

    assert len(metrics.recorder.rows()) == 2
    assert metrics.point(DURATION).count == 1
    assert all(point.count == 1 for point in metrics.points(USAGE))


def test_block_is_watched(model: ChatMistralStream, metrics: Metrics) -> None:
    """As with the recorder."""
    with metrics.handler:
        model.invoke("Hi")

    assert metrics.point(DURATION).count == 1


def test_names_and_units_are_the_conventions(
    model: ChatMistralStream, metrics: Metrics
) -> None:
    """Those that OpenTelemetry's own package has."""
    meter = MeterProvider(metric_readers=[reader := InMemoryMetricReader()])
    create = [
        gen_ai_metrics.create_gen_ai_client_operation_duration,
        gen_ai_metrics.create_gen_ai_client_operation_time_to_first_chunk,
        gen_ai_metrics.create_gen_ai_client_operation_time_per_output_chunk,
        gen_ai_metrics.create_gen_ai_client_token_usage,
    ]
    for new in create:
        new(meter.get_meter("theirs")).record(1)
    data = reader.get_metrics_data()
    assert data is not None

    for _ in model.stream("One two", config=metrics.config):
        pass

    theirs = data.resource_metrics[0].scope_metrics[0].metrics
    assert {(m.name, m.unit, m.description) for m in theirs} == {
        (m.name, m.unit, m.description) for m in metrics.collected().values()
    }
    known = {provider.value for provider in gen_ai_attributes.GenAiProviderNameValues}
    assert "mistral_ai" in known


def test_buckets_are_the_conventions(
    model: ChatMistralStream, metrics: Metrics
) -> None:
    """Seconds double from a hundredth, tokens are powers of four."""
    for _ in model.stream("One two", config=metrics.config):
        pass

    seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64]
    seconds += [1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
    tokens = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536]
    tokens += [262144, 1048576, 4194304, 16777216, 67108864]
    for name in (DURATION, FIRST_CHUNK, NEXT_CHUNK):
        assert list(metrics.point(name).explicit_bounds) == seconds
    assert list(metrics.points(USAGE)[0].explicit_bounds) == tokens


def test_handler_travels_with_a_model(new_model: NewModel, metrics: Metrics) -> None:
    """A copy reports to the same place; what was pickled, to the global provider."""
    model = new_model(callbacks=[metrics.handler])

    deepcopy(model).invoke("Hi")
    pickle.loads(pickle.dumps(model)).invoke("Hi")

    assert metrics.point(DURATION).count == 1


def test_nothing_fails_without_an_sdk(model: ChatMistralStream) -> None:
    """The global provider drops what it is told."""
    with LatencyMetrics():
        answer = model.invoke("Hi")

    assert answer.text


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)

    with pytest.raises(ImportError, match=r"langchain-mistral-stream\[otel\]"):
        LatencyMetrics()
