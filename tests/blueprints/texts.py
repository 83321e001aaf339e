"""Texts that the tests break: one with every word that a blueprint knows, one setting a line."""

FULL = """\
version: 1
name: plant
title: A plant of two lines
decisions:
  title: Will a trip be late?
  data:
    files: trips.csv
    copies: 1
  table:
    of: rows
    label:
      column: delay
      above: 15
    time:
      column: start
      format: "%Y-%m-%d %H:%M"
    numbers: [km, seats]
    categories: [driver]
    key: [id]
    test_share: 0.25
    test_from: 2024-03-01
  model:
    name: trips-late
    estimator: xgboost
    parameters:
      max_depth: 4
      learning_rate: 0.2
    groups: [numbers]
    validation: 0.2
    costs:
      false_alarm: 1
      miss: 2.5
  endpoint:
    engine: xgboost
    concurrency: 8
    seconds: 2
    host: 127.0.0.1
    port: 0
    keep: false
  slo:
    p99_ms: 60
    goodput: 10
tokens:
  title: What does it make of notes?
  corpus:
    files: notes/*.md
    every: 2
  curation:
    redact: [email]
    quality: false
    overlap: 0.2
  model:
    name: notes-llama
    depth: 2
    tokens: 50_000
    vocabulary: 512
    context: 64
    seed: 3
  tuning:
    name: docs
    steps: 5
    pairs: library
  endpoint:
    engine: llama.cpp
    users: [1, 4]
    answer_tokens: 16
    seconds: 1
    slots: 4
    context: 128
    host: 127.0.0.1
    port: 0
    keep: false
  slo:
    ttft_ms: 500
    itl_ms: 50
    goodput: 0.5
    tokens_per_second: 10
    users: 4
"""
