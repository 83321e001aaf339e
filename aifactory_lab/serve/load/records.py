"""One request of a token load test: its times, its tokens, and the figures that follow from them.

The definitions are AIPerf's (NVIDIA, aiperf/metrics/types/*.py of 0.13, described in its metrics reference) and the
names are its tags. vLLM's benchmark (vllm/benchmarks/serve.py) has the same figures under other names: its TPOT is
AIPerf's inter-token latency, and its ITL, the gaps between chunks, is AIPerf's inter-chunk latency.

Times count from the moment of sending, as they do there. `wait_ms`, how long after its scheduled arrival a request was
sent, must be added where a user would have waited from then. This module does not know other requests.

>>> record = Record(0, start=0, end=5_000_000, outcome="200", output_tokens=3, chunks=(1_000_000, 2_000_000, 4_000_000))
>>> record.ttft_ms, record.itl_ms, record.gaps_ms, record.latency_ms
(1.0, 1.5, [1.0, 2.0], 4.0)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from aifactory_lab.serve.load.token_clients import OK

MILLI = 1e6  # nanoseconds
UNITS = {
    "time_to_first_token": "ms",
    "time_to_second_token": "ms",
    "request_latency": "ms",
    "inter_token_latency": "ms",
    "inter_chunk_latency": "ms",
    "output_token_throughput_per_user": "tokens/sec/user",
    "e2e_output_token_throughput": "tokens/sec/user",
    "prefill_throughput_per_user": "tokens/sec/user",
    "input_sequence_length": "tokens",
    "output_sequence_length": "tokens",
}


@dataclass(frozen=True)
class Record:
    """One request.

    Attributes
    ----------
    number, prompt
        Which request, and which of the prompts it carried.
    start, end
        When it was sent and when its answer ended, in nanoseconds since the start of the test.
    outcome
        ``"200"``: answered whole. Otherwise the HTTP status; ``"refused"`` (no connection), ``"lost"`` (the connection
        broke before an answer), ``"cut"`` (it broke within the stream), ``"timeout"``, ``"error"`` (reported within the
        stream), ``"no usage"`` (tokens cannot be counted), ``"empty"`` (no content came).
    finish
        Why the model stopped: ``"length"``, ``"stop"``, …
    input_tokens, output_tokens
        As the server's usage says.
    chunks
        When content came, in nanoseconds since the start of the test.
    scheduled
        When it was to be sent (open loop), in nanoseconds since the start; `None` in a closed loop.
    requested
        The most tokens that it asked for.
    error
        The server's words.
    """

    number: int
    start: int
    end: int
    outcome: str
    prompt: int = 0
    finish: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    chunks: tuple[int, ...] = ()
    scheduled: int | None = None
    requested: int | None = None
    error: str = ""

    @classmethod
    def of(cls, line: Mapping[str, Any], requested: int | None = None) -> Self:
        """Read a line of `aifactory_lab.serve.load.token_clients`."""
        return cls(
            number=line["number"],
            prompt=line["prompt"],
            start=line["start"],
            end=line["end"],
            outcome=line["outcome"],
            finish=line["finish"],
            input_tokens=line["input"],
            output_tokens=line["output"],
            chunks=tuple(line["chunks"]),
            scheduled=line["scheduled"],
            requested=requested,
            error=line["error"],
        )

    @property
    def ok(self) -> bool:
        """Whether it was answered whole; only such requests count in percentiles and rates."""
        return self.outcome == OK

    @property
    def short(self) -> bool:
        """Whether fewer tokens came than were asked for."""
        return self.output_tokens is not None and self.requested is not None and self.output_tokens < self.requested

    @property
    def ttft_ms(self) -> float | None:
        """Time to first token: first content − sending."""
        return (self.chunks[0] - self.start) / MILLI if self.chunks else None

    @property
    def ttst_ms(self) -> float | None:
        """Time to second token: second content − first."""
        return (self.chunks[1] - self.chunks[0]) / MILLI if len(self.chunks) > 1 else None

    @property
    def latency_ms(self) -> float | None:
        """Request latency: last content − sending; the usage and the end of the stream that follow do not count."""
        return (self.chunks[-1] - self.start) / MILLI if self.chunks else None

    @property
    def itl_ms(self) -> float | None:
        """Inter-token latency: (latency − TTFT) ÷ (output tokens − 1); none for fewer than two tokens."""
        if not self.chunks or self.output_tokens is None or self.output_tokens < 2:
            return None
        return (self.chunks[-1] - self.chunks[0]) / MILLI / (self.output_tokens - 1)

    @property
    def gaps_ms(self) -> list[float]:
        """Inter-chunk latencies: the gaps between one content and the next."""
        return [(after - before) / MILLI for before, after in zip(self.chunks, self.chunks[1:], strict=False)]

    @property
    def wait_ms(self) -> float:
        """How long after its scheduled arrival it was sent; 0 in a closed loop."""
        return 0.0 if self.scheduled is None else (self.start - self.scheduled) / MILLI

    def figures(self) -> dict[str, float | list[float]]:
        """Return AIPerf's figures of this request by its tags, without those that are not defined for it."""
        itl, ttft, latency = self.itl_ms, self.ttft_ms, self.latency_ms
        found: dict[str, float | list[float] | None] = {
            "time_to_first_token": ttft,
            "time_to_second_token": self.ttst_ms,
            "request_latency": latency,
            "inter_token_latency": itl,
            "inter_chunk_latency": self.gaps_ms or None,
            "output_token_throughput_per_user": 1e3 / itl if itl else None,
            "e2e_output_token_throughput": 1e3 * (self.output_tokens or 0) / latency if latency else None,
            "prefill_throughput_per_user": 1e3 * self.input_tokens / ttft if ttft and self.input_tokens else None,
            "input_sequence_length": self.input_tokens,
            "output_sequence_length": self.output_tokens,
        }
        return {tag: value for tag, value in found.items() if value is not None}

    def exported(self, origin_ns: int, name: str) -> dict[str, Any]:
        """Return the record as one line of AIPerf's ``profile_export.jsonl``.

        Parameters
        ----------
        origin_ns
            The start of the test on the wall clock, `time.time_ns`.
        name
            What made the record.
        """
        scheduled = {} if self.scheduled is None else {"credit_issued_ns": origin_ns + self.scheduled}
        metadata = {
            "session_num": self.number,
            "conversation_id": f"prompt_{self.prompt}",
            **scheduled,
            "request_start_ns": origin_ns + self.start,
            "request_end_ns": origin_ns + self.end,
            "worker_id": name,
            "record_processor_id": name,
            "benchmark_phase": "profiling",
        }
        figures = self.figures() if self.ok else {}
        metrics = {tag: {"value": value, "unit": UNITS[tag]} for tag, value in figures.items()}
        code = int(self.outcome) if self.outcome.isdigit() else None
        error = None if self.ok else {"code": code, "type": self.outcome, "message": self.error or self.outcome}
        return {"metadata": metadata, "metrics": metrics, "error": error}
