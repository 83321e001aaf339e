"""What the gateway counts, under the names that vLLM's dashboards know.

Every dashboard for language models reads vLLM's names (vllm/v1/metrics/loggers.py), so the figures of the other engines
bear them too; `aifactory_llm_info` says which engine it really is. Times to the first token and between tokens come
from streams: an engine that sends its answer whole does not show them. The buckets are finer than vLLM's at their lower
end, because a small model makes a token in less than a millisecond.

>>> meters = Meters("tiny", engine="llama.cpp")
>>> meters.finished("stop", seconds=0.2, prompt_tokens=63, tokens=64)
>>> 'vllm:generation_tokens_total{model_name="tiny"} 64.0' in meters.text().decode()
True
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

FINE = (0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25)
COARSE = (0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0)
SECONDS = FINE + COARSE
REASONS = ("stop", "length", "abort", "error")  # FINISH_REASON_STRINGS of vLLM


class Meters:
    """Counters, gauges and histograms of one gateway.

    Parameters
    ----------
    model
        The label `model_name` of every series: the base model, as vLLM has it.
    engine
        What computes the tokens.
    """

    def __init__(self, model: str, *, engine: str) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._label = {"model_name": model}
        self._running = self._gauge("vllm:num_requests_running", "Requests that the engine works on")
        self._waiting = self._gauge("vllm:num_requests_waiting", "Requests that wait for a slot")
        self._prompt = self._counter("vllm:prompt_tokens", "Tokens of prompts, those from the cache included")
        self._tokens = self._counter("vllm:generation_tokens", "Tokens generated")
        self._first = self._histogram("vllm:time_to_first_token_seconds", "From the request to its first token")
        self._between = self._histogram("vllm:inter_token_latency_seconds", "Between two tokens of a stream")
        self._whole = self._histogram("vllm:e2e_request_latency_seconds", "From the request to its last token")
        names = ["model_name", "finished_reason"]
        finished = Counter("vllm:request_success", "Requests by how they ended", names, registry=self._registry)
        self._finished = {reason: finished.labels(model, reason) for reason in REASONS}
        self._refused = Counter("aifactory_llm_refusals", "Refused, by status", ["status"], registry=self._registry)
        info = Gauge(
            "aifactory_llm_info", "What computes the tokens", ["engine", "model_name"], registry=self._registry
        )
        info.labels(engine, model).set(1)

    def watch(self, *, running: Callable[[], float], waiting: Callable[[], float]) -> None:
        """Ask for the number of requests inside whenever the text is read."""
        self._running.set_function(running)
        self._waiting.set_function(waiting)

    def first(self, seconds: float) -> None:
        """Count the first token of a stream."""
        self._first.observe(seconds)
        self._tokens.inc()

    def next(self, seconds: float) -> None:
        """Count a token of a stream, so long after the one before."""
        self._between.observe(seconds)
        self._tokens.inc()

    def finished(self, reason: str, *, seconds: float, prompt_tokens: int = 0, tokens: int = 0) -> None:
        """Count a request.

        Parameters
        ----------
        reason
            One of `REASONS`; what an engine says besides is a stop.
        tokens
            Those that were not counted while they came.
        """
        self._finished[reason if reason in self._finished else "stop"].inc()
        if reason not in ("abort", "error"):
            self._whole.observe(seconds)
        self._prompt.inc(prompt_tokens)
        self._tokens.inc(max(0, tokens))

    def refused(self, status: int) -> None:
        """Count a request that got no tokens."""
        self._refused.labels(str(status)).inc()

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, words: str) -> Gauge:
        return Gauge(name, words, ["model_name"], registry=self._registry).labels(**self._label)

    def _counter(self, name: str, words: str) -> Counter:
        return Counter(name, words, ["model_name"], registry=self._registry).labels(**self._label)

    def _histogram(self, name: str, words: str) -> Histogram:
        whole = Histogram(name, words, ["model_name"], buckets=SECONDS, registry=self._registry)
        return whole.labels(**self._label)
