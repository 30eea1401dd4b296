"""`slmkit serve`: the cascade behind an OpenAI-compatible endpoint, and what its log says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from slmkit.console import save, show
from slmkit.errors import InputError


def serve(
    routing: Annotated[Path | None, typer.Argument(help="The routing file, such as notebook 04 writes.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on.")] = 8_080,
    key_env: Annotated[str, typer.Option(help="Environment variable with the key that clients must send.")] = "",
    log: Annotated[Path | None, typer.Option(help="Log of the calls; else outputs/serve/calls.jsonl.")] = None,
    shadow: Annotated[float, typer.Option(help="Share of small answers on which the large model is asked too.")] = 0.0,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Seconds that a model on a server may take.")] = 60.0,
    report: Annotated[Path | None, typer.Option(help="Do not serve: tell the agreement that this log shows.")] = None,
    floor: Annotated[float, typer.Option(help="With --report: exit 1 if the last window lies surely below.")] = 0.0,
    json: Annotated[Path | None, typer.Option("--json", help="With --report: also write it to this file.")] = None,
) -> None:
    """Serve small and large model as one OpenAI-compatible endpoint, or report on its log.

    Example: slmkit serve routing.json --port 8080 --shadow 0.02
    """
    if report is not None:
        from slmkit.agent.serving.log import report as agreement

        rows = agreement(report)
        show(rows)
        save(rows, json)
        *_, last, _over_all = rows
        if last["high"] < floor:
            typer.echo(f"agreement of the last window lies below {floor:.0%}")
            raise typer.Exit(1)
        return
    if routing is None:
        raise InputError("name a routing file to serve, or a log with --report")
    from slmkit import config
    from slmkit.agent.routing.routing import read
    from slmkit.agent.serving import app

    key = os.environ.get(key_env, "")
    if key_env and not key:
        raise InputError(f"--key-env {key_env}: that environment variable is empty; put the key there")
    app.check_address(host, key)
    found = read(routing)
    where = log or config.outputs() / "serve" / "calls.jsonl"
    made = app.build(app.cascade(found, timeout_s), key=key, log=where, shadow=shadow)
    import uvicorn

    typer.echo(f"http://{host}:{port}/v1  small {found.small}, large {found.large}; log {where}")
    uvicorn.run(made, host=host, port=port, log_level="warning", access_log=False)
