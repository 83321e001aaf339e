"""The studio's figure and its button: what the page asks for comes, and fits what Jupyter's server lets through."""

import gzip
import json

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from aifactory_lab.errors import TwinError
from aifactory_lab.widgets.studiofile import Download
from aifactory_lab.widgets.studioplot import Plot

# bytes a second over three seconds: ServerApp.iopub_data_rate_limit drops what comes faster
WINDOW = 3 * 1_000_000


def test_plotly_travels_once_it_is_asked_for_and_below_the_servers_limit(comms):
    plot = Plot(go.Figure(go.Bar(y=[1])))
    assert comms[-1].messages("library") == []
    comms[-1].say(k="library")
    ((packed,),) = comms[-1].buffers("library")
    assert gzip.decompress(packed).decode() == get_plotlyjs()
    assert len(packed) < 0.6 * WINDOW, "other messages need room beside it"
    plot.close()


def test_a_point_that_is_clicked_is_told_with_what_it_stands_for(comms):
    told = []
    plot = Plot(picked=told.append)
    comms[-1].say(k="pick", trace=1, point=3, customdata=["a"])
    assert [(one["trace"], one["point"], one["customdata"]) for one in told] == [(1, 3, ["a"])]
    plot.close()


def test_a_figure_takes_the_place_of_another():
    plot = Plot()
    assert plot.figure == ""
    plot.show(go.Figure(go.Bar(y=[7])))
    assert json.loads(plot.figure)["data"][0]["y"] == [7]
    plot.close()


def test_a_file_is_made_when_it_is_asked_for(comms):
    made = []
    button = Download("Table", "table.csv", lambda: made.append(1) or b"a,b\n1,2\n")
    assert made == []
    comms[-1].say(k="ask")
    assert comms[-1].messages("file") == [{"k": "file", "name": "table.csv", "type": "text/csv", "packed": False}]
    assert comms[-1].buffers("file") == [[b"a,b\n1,2\n"]]
    button.close()


def test_a_large_file_is_packed_on_its_way(comms):
    large = b"<p>words</p>" * 100_000
    button = Download("Report", "report.html", lambda: large)
    comms[-1].say(k="ask")
    assert comms[-1].messages("file")[0]["packed"]
    ((packed,),) = comms[-1].buffers("file")
    assert gzip.decompress(packed) == large
    button.close()


def test_why_there_is_no_file_is_said_beside_the_button(comms):
    def make() -> bytes:
        msg = "no plant"
        raise TwinError(msg, mend="gpus=8")

    button = Download("Report", "report.html", make)
    comms[-1].say(k="ask")
    assert comms[-1].messages("refused") == [{"k": "refused", "words": "no plant\n  mend: gpus=8"}]
    assert comms[-1].messages("file") == []
    button.close()
