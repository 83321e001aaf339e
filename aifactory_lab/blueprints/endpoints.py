"""Keep serving what a run made: the endpoints of those lines whose blueprint says ``keep: true``.

They serve the models of this run, whatever the registry's champion is. This module waits for nobody.

    with blueprints.serving(run) as servers:
        print(servers[0].url)
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from aifactory_lab import line, serve
from aifactory_lab.blueprints.running import Run
from aifactory_lab.serve.processes import Server


@contextmanager
def serving(run: Run) -> Iterator[tuple[Server, ...]]:
    """Start the endpoints that are to be kept; they end with the block.

    Parameters
    ----------
    run
        A finished run.

    Raises
    ------
    FactoryError
        If an address cannot be bound, or a model is refused; those that were started end.
    """
    with ExitStack() as open_ones:
        yield tuple(open_ones.enter_context(server) for server in _started(run))


def _started(run: Run) -> Iterator[Server]:
    for made in run.lines:
        described = run.blueprint.decisions if isinstance(made, line.Run) else run.blueprint.tokens
        assert described is not None
        wanted = described.endpoint
        if wanted.keep and isinstance(made, line.Run):
            model, engines = made.artefacts["train"].folder / "bundle", made.settings.engines
            yield serve.start(model, host=wanted.host, port=wanted.port, engines=engines)
        elif wanted.keep and isinstance(made, line.tokens.Run):
            yield line.tokens.endpoint(made.artefacts, made.settings, host=wanted.host, port=wanted.port)
