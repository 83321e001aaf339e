"""Inputs that once broke a reader: the target, what was wrong with it, and the bytes that showed it."""

import struct

DEEP = b"[" * 1_500
LONG = b"9" * 5_000
GGUF = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"a"

FOUND: dict[str, tuple[tuple[str, bytes], ...]] = {
    "corpus, JSON lines": (
        ("a nest without an end", b'{"text": ' + DEEP + b"\n"),
        ("half a character", b'{"text": "\\ud800"}\n'),
    ),
    "Prometheus text": (
        ("a GPU whose number has 5,000 digits", b'DCGM_FI_DEV_GPU_UTIL{gpu="%b"} 5\n' % LONG),
        ("a sum beyond all floats", b'vllm:num_requests_running 1e308\nvllm:num_requests_running{a="b"} 1e308\n'),
        ("a GPU numbered by a superscript", 'DCGM_FI_DEV_GPU_UTIL{gpu="²"} 5\n'.encode()),
    ),
    "production.jsonl": (
        ("a nest without an end", DEEP + b"\n"),
        ("time that is text", b'{"kind": "begin", "station": "etl", "run": "7.1", "time": "soon"}\n'),
        ("a run that is a list", b'{"kind": "begin", "station": "etl", "run": [], "time": 1}\n'),
        ("a pid that is a superscript", '{"kind": "begin", "station": "etl", "run": "².1", "time": 1}\n'.encode()),
        ("half a character", b'{"kind": "begin", "station": "\\ud800", "run": "7.1", "time": 1}\n'),
    ),
    "training.jsonl": (
        ("an infinite step", b'{"k": "step", "step": 1e999, "steps": 1, "tokens": 1, "loss": 1, "learning_rate": 1}\n'),
        ("a nest without an end", b'{"k": "begun", "title": ' + DEEP + b"\n"),
        ("facts that are a number", b'{"k": "begun", "title": "a", "facts": 5, "path": "", "pid": 7, "time": 1}\n'),
        ("more tokens than a column holds", b'{"k": "begun", "title": "a", "facts": {"tokens": %b}}\n' % (b"9" * 30)),
        ("no time", b'{"k": "begun", "title": "a", "time": null}\n'),
    ),
    "recording's head": (
        ("nothing", b""),
        ("no layouts", b'{"format": 1, "layouts": [], "chunks": [], "bands": []}'),
        ("a format that is text", b'{"format": "x"}'),
    ),
    "ring's head": (
        ("a ring of no samples", b'{"key": "fuzz", "boot": "", "capacity": 0, "period": 1, "layout": {}}'),
    ),
    "layout": (
        (
            "a MIG instance without its GPU",
            b'{"entities": [[["x"], "mig", "", ""]], "metrics": ["busy"], "origin": "measured", "label": ""}',
        ),
        ("an entity nowhere", b'{"entities": [[[], "gpu", "", ""]], "metrics": [], "origin": "measured", "label": ""}'),
        ("a metric of a later version", b'{"entities": [], "metrics": ["aura"], "origin": "measured", "label": ""}'),
    ),
    "facts": (("processes that are text", b'{"gpu 0": {"processes": "python", "health": [], "details": {}}}'),),
    "announcement": (
        ("an infinite pid", b'{"url": "http://a", "pid": 1e999, "since": 1}'),
        ("a pid below 0", b'{"url": "http://a", "pid": -1, "since": 1}'),
    ),
    "bundle.json": (
        ("a kind that is a list", b'{"format": 1, "kind": [], "sha256": ""}'),
        ("a hash that is a number", b'{"format": 1, "kind": "xgboost", "sha256": 5}'),
        ("half a character in a hash", b'{"format": 1, "kind": "xgboost", "sha256": "\\ud800"}'),
        ("no features", b'{"format": 1, "kind": "xgboost", "sha256": "e3b0c44298fc1c14"}'),
    ),
    "features.json": (
        ("groups that are a list", b'{"target": "a", "time": "b", "split": "c", "groups": [], "leaks": []}'),
    ),
    "calibration": (
        ("a rate that is text", b'{"cells": [{"engine": "a", "threads": 1, "batch": 1, "rows_per_second": "fast"}]}'),
    ),
    "GGUF header": (
        ("arrays of arrays without an end", GGUF + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 1_500),
        ("an array beyond all files", GGUF + struct.pack("<IIQ", 9, 4, 2**62)),
    ),
    "card.json": (
        ("a hash that is a number", b'{"format": 1, "sha256": {"config.json": 5}}'),
        ("a file outside the folder", b'{"format": 1, "sha256": {"../../etc/passwd": "0"}}'),
        ("a name without an end", b'{"format": 1, "sha256": {"%b": "0"}}' % (b"A" * 70_000)),
    ),
    "tokenizer.json": (
        (
            "ids with gaps",
            b'{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null, '
            b'"pre_tokenizer": null, "post_processor": null, "decoder": null, "model": {"type": "BPE", '
            b'"dropout": null, "unk_token": null, "continuing_subword_prefix": null, '
            b'"end_of_word_suffix": null, "fuse_unk": false, '
            b'"byte_fallback": false, "ignore_merges": false, "vocab": {"<|endoftext|>": 7}, "merges": []}}',
        ),
    ),
    "config.json": (
        ("a model larger than its weights", b'{"hidden_size": 1000000, "num_hidden_layers": 1000000}'),
        ("a shape that is text", b'{"hidden_size": "x"}'),
    ),
    "shards.json": (("no splits", b'{"format": 1, "vocabulary": 257}'),),
    "trace of requests": (
        (
            "numbers beyond 64 bits",
            b'{"timestamp": %b, "input_length": 1, "output_length": 1, "hash_ids": []}\n' % LONG[:30],
        ),
        ("tokens that are text", b'{"timestamp": 1, "input_length": "x", "output_length": 1, "hash_ids": []}\n'),
        ("blocks that are nothing", b'{"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": null}\n'),
    ),
    "hardware file": (
        ("sources that are a number", b"sources = 5\n"),
        ("a GPU that is text", b'[gpu]\nmine = "fast"\n'),
        ("a source that is a list", b'[gpu.mine]\ntdp_watts = { is = "7 W", by = [] }\n'),
        ("a nest without an end", b"a = " + DEEP),
    ),
    "model's config": (
        ("a context that is text", b'{"max_position_embeddings": "x"}'),
        ("a nest without an end", DEEP),
    ),
    "fitted parameters": (("a nest without an end", DEEP),),
    "table of runs": (("a loss that is text", b"parameters,tokens,loss\n1,1,x\n"),),
    "squeue": (
        ("nodes without an end", b"|".join([b"n[1-999999999999]"] * 18)),
        ("a count that is text", b"|".join([b"x"] * 18)),
        ("a type of GPU without an end", b"|".join([b"gpu:" + b"A" * 70_000] * 18)),
    ),
    "sacctmgr show qos": (("a grace without an end", b"a|1|||a|%b:00:00\n" % LONG),),
    "sshare": (("a factor that is text", b"a|b|c\n"),),
    "order": (
        ("GPUs without an end", b'{"name": "a", "gpus": 1%b, "nodes": 7, "after": []}' % (b"0" * 400)),
        ("a nest without an end", b'{"name": ' + DEEP),
    ),
    "attempts.jsonl": (("a number", b"5\n"), ("no devices", b'{"node": "n1", "rank": 0}\n')),
    "gang's address": (("a list", b"[]"), ("half a line", b'{"address": "tc')),
    "predictions, JSON": (
        ("half a character in a field's name", b'{"\\ud800": 1}'),
        ("a nest without an end", DEEP),
        ("a number of 5,000 digits", b"[[%b, 1]]" % LONG),
    ),
    "engine's stream": (
        ("choices that are numbers", b'data: {"choices": [5]}\n\n'),
        ("a usage that is a list", b'data: {"choices": [], "usage": [1]}\n\n'),
        ("tokens below 0", b'data: {"choices": [], "usage": {"completion_tokens": -5, "prompt_tokens": "x"}}\n\n'),
        ("text where there was an object", b'data: {"a": {"b": 1}}\n\ndata: {"a": 5}\n\n'),
    ),
    "stream of a load test": (
        ("a chunk that is a number", b"data: 5\n\n"),
        ("choices that are numbers", b'data: {"choices": [5], "usage": 7}\n\n'),
    ),
    "engine's refusal": (
        ("a context that is text", b'{"type": "exceed_context_size_error", "n_prompt_tokens": "many"}'),
        ("a field that is a list", b'{"error": {"message": "no", "param": ["a"]}}'),
    ),
}
