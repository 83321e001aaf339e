"""What servers of models call their metrics: our own endpoint, vLLM, NVIDIA NIM and Triton, a table each.

A product is recognised by its names. Counters are written without ``_total``: some versions have it, some do not.
A metric that has no entry is one the product does not expose. Nothing here reads anything.

>>> [product.name for product in PRODUCTS if "vllm:num_requests_running" in product.signs]
['vLLM']
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Term:
    """Where one number comes from.

    Attributes
    ----------
    names
        Names for the same thing, the present one first; the first that is exposed counts.
    scale
        What to multiply with to get our unit.
    label, keep
        Count only the series whose `label` is one of `keep`, or none of them with a leading ``"!"``.
    mean
        Take the mean over the series (a share of each engine) instead of their sum.
    """

    names: tuple[str, ...]
    scale: float = 1.0
    label: str = ""
    keep: tuple[str, ...] = ()
    mean: bool = False

    def passes(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a series counts."""
        if not self.label:
            return True
        value = labels.get(self.label, "")
        kept = any(value.startswith(start.lstrip("!")) for start in self.keep)
        return kept != self.keep[0].startswith("!")


@dataclass(frozen=True)
class Product:
    """One kind of server.

    Attributes
    ----------
    source
        Where the names come from.
    signs
        Names of which any tells the product.
    model
        The label that names the model, empty if there is none.
    gauges, rates
        Our metric → what it is now, or what to take the rate of; several terms are added up.
    histograms, summaries
        ``"latency"``, ``"ttft"``, ``"itl"`` → a histogram, or a summary whose quantiles the server computes itself.
    errors_in_latency
        Whether refused and failed requests are in the latency histogram too.
    """

    name: str
    source: str
    signs: tuple[str, ...]
    model: str = ""
    gauges: Mapping[str, Term] = field(default_factory=dict)
    rates: Mapping[str, tuple[Term, ...]] = field(default_factory=dict)
    histograms: Mapping[str, Term] = field(default_factory=dict)
    summaries: Mapping[str, Term] = field(default_factory=dict)
    errors_in_latency: bool = False


OURS = Product(
    name="aifactory",
    source="aifactory_lab.serve.meters",
    signs=("aifactory_requests", "aifactory_request_seconds_bucket"),
    gauges={
        "running": Term(("aifactory_requests_in_flight",)),
        "waiting": Term(("aifactory_queue_rows",)),
    },
    rates={
        "requests_rate": (Term(("aifactory_requests",)),),
        "errors_rate": (Term(("aifactory_requests",), label="status", keep=("!2",)),),
        "rows_rate": (Term(("aifactory_rows",)), Term(("aifactory_rows_refused",))),
        "predictions_rate": (Term(("aifactory_rows",)),),
    },
    histograms={"latency": Term(("aifactory_request_seconds",))},
    errors_in_latency=True,
)


def _llm(name: str, prefix: str, source: str, requests: tuple[Term, ...], errors: Term) -> Product:
    """Return the table of a server of language models; NIM took vLLM's names and left the prefix out."""

    def of(*names: str) -> Term:
        return Term(tuple(prefix + each for each in names))

    cache = of("kv_cache_usage_perc", "gpu_cache_usage_perc")  # 0 to 1, one per engine
    return Product(
        name=name,
        source=source,
        signs=(f"{prefix}num_requests_running", f"{prefix}generation_tokens"),
        model="model_name",
        gauges={
            "running": of("num_requests_running"),
            "waiting": of("num_requests_waiting"),
            "cache_used": replace(cache, scale=100.0, mean=True),
        },
        rates={
            "requests_rate": requests,
            "errors_rate": (errors,),
            "prompt_tokens_rate": (of("prompt_tokens"),),
            "tokens_rate": (of("generation_tokens"),),
        },
        histograms={
            "latency": of("e2e_request_latency_seconds"),
            "ttft": of("time_to_first_token_seconds"),
            "itl": of("inter_token_latency_seconds", "time_per_output_token_seconds"),
        },
    )


VLLM = _llm(
    "vLLM",
    "vllm:",
    "vLLM, vllm/v1/metrics/loggers.py, and FINISH_REASON_STRINGS in vllm/v1/engine/__init__.py",
    # All that finished, for whatever reason. An abort is the client's own wish; older versions tell no errors.
    requests=(Term(("vllm:request_success",)),),
    errors=Term(("vllm:request_success",), label="finished_reason", keep=("error",)),
)
NIM = _llm(
    "NIM",
    "",
    "NVIDIA NIM for LLMs, docs.nvidia.com/nim/large-language-models/latest/observability.html",
    requests=(Term(("request_success",)), Term(("request_failure",))),
    errors=Term(("request_failure",)),
)

TRITON = Product(
    name="Triton",
    source="Triton Inference Server, docs/user_guide/metrics.md",
    signs=("nv_inference_request_success", "nv_inference_count"),
    model="model",
    gauges={"waiting": Term(("nv_inference_pending_request_count",))},
    rates={
        "requests_rate": (Term(("nv_inference_request_success",)), Term(("nv_inference_request_failure",))),
        "errors_rate": (Term(("nv_inference_request_failure",)),),
        "predictions_rate": (Term(("nv_inference_count",)),),  # a batch of n counts n
    },
    histograms={"ttft": Term(("nv_inference_first_response_histogram_ms",), scale=1e-3)},
    summaries={"latency": Term(("nv_inference_request_summary_us",), scale=1e-6)},
)

PRODUCTS = (OURS, VLLM, NIM, TRITON)
# No metrics of ours, but told in words: the model that serves, and the microseconds of all requests together.
MODEL_INFO, TRITON_MICROSECONDS = "aifactory_model_info", "nv_inference_request_duration_us"
LLM_INFO = "aifactory_llm_info"  # who takes vLLM's names for an engine that is not vLLM says so here


def known() -> dict[str, str]:
    """Return every name an endpoint may use → the name in the tables."""
    names = {MODEL_INFO: MODEL_INFO, LLM_INFO: LLM_INFO, TRITON_MICROSECONDS: TRITON_MICROSECONDS}
    for product in PRODUCTS:
        terms = [*product.gauges.values(), *(term for terms in product.rates.values() for term in terms)]
        names |= {name + end: name for term in terms for name in term.names for end in ("", "_total")}
        names |= {f"{name}_bucket": f"{name}_bucket" for term in product.histograms.values() for name in term.names}
        names |= {name: name for term in product.summaries.values() for name in term.names}
    # Asked for OpenMetrics, newer versions of prometheus_client (seen in 0.26) write "vllm_" for "vllm:".
    return names | {told.replace(":", "_"): name for told, name in names.items() if ":" in told}
