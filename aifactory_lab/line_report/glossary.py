"""A line for each term of the report.

>>> "AUC" in TERMS
True
"""

from aifactory_lab.report import TextTable

TERMS = {
    "adapter": "A few small matrices that teach a finished model one thing and leave the model as it is.",
    "artefact": "The folder that a station leaves, named by a hash of all that went into it.",
    "AUC": "The chance that a case that happened is ranked above one that did not: 0.5 is a coin, 1 is an oracle.",
    "bits per byte": "How many bits a model needs for a byte of text it never saw; compressors are measured alike.",
    "CPU-seconds": "Time in which a core worked for the station; on a busy machine less than the time that passed.",
    "endpoint": "The server that answers requests for predictions or tokens.",
    "floor": "The least time that a station's bytes need at the bandwidth that was measured on this machine.",
    "interval": "The 95 % interval: other test days or files of the same kind would rarely lead out of it.",
    "matmul peak": "The most multiplications a second that this processor was seen to do in products of matrices.",
    "objective (SLO)": "A limit that the endpoint is to keep under load, as 99 % of the answers within 50 ms.",
    "p99": "The time within which 99 of 100 requests were answered.",
    "reused": "Nothing was computed: the artefact of an earlier run was found whole, and its figures are shown.",
    "token": "A piece of a word, as a language model reads and writes; here about three bytes.",
}


def table() -> TextTable:
    """Return the terms in alphabetical order."""
    rows = [[term, meaning] for term, meaning in sorted(TERMS.items(), key=lambda pair: pair[0].lower())]
    return TextTable(["term", "meaning"], rows, words=["meaning"], caption="What the words mean")
