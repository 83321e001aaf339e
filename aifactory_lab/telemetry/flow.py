"""The ways through the factory: two lines, their stations in order, the words on their signs.

Stations that are in no line stand after the one that began before them. This module knows stations by name only.

>>> [line for line in LINES]
['decisions', 'tokens']
>>> floor = placed({"train": 1.0, "prune": 2.0})
>>> floor["prune"], list(floor)[:4]
('decisions', ['ingest', 'etl', 'train', 'prune'])
"""

from collections.abc import Mapping

LINES = {
    "decisions": {
        "ingest": "raw material",
        "etl": "ETL",
        "train": "train",
        "ladder": "ladder",
        "score": "score",
        "serve": "serve",
    },
    "tokens": {
        "corpus": "corpus",
        "curate": "curate",
        "tokenize": "tokenize",
        "pretrain": "pretrain",
        "tune": "tune",
        "serve_tokens": "serve",
    },
}
OTHERS = "others"
FLOW = {station: label for stations in LINES.values() for station, label in stations.items()}
SERVES = {"decisions": "serve", "tokens": "serve_tokens"}  # whose readings are those of the endpoints that answer


def placed(began: Mapping[str, float]) -> dict[str, str]:
    """Return every station in the order of the floor, with its line.

    Parameters
    ----------
    began
        When each station that worked began first, seconds since the epoch. One that is in no line stands after the
        one that began last before it, in that one's line; where none did, among the others at the end.
    """
    order = [(station, line) for line, stations in LINES.items() for station in stations]
    for station in sorted(began.keys() - FLOW.keys(), key=lambda name: began[name]):
        times = [began.get(name, float("inf")) for name, _ in order]
        before = [place for place, time in enumerate(times) if time <= began[station]]
        if before:
            place = max(before, key=lambda place: times[place])
            order.insert(place + 1, (station, order[place][1]))
        else:
            order.append((station, OTHERS))
    return dict(order)
