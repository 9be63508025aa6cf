"""`python -m tallystick.sandbox SYSTEM`: one sandbox server in this process, until it is told to stop."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from pydantic import ValidationError

from tallystick.sandbox.options import SECRET_VARIABLE, SYSTEMS, TOKEN_VARIABLE, Options
from tallystick.sandbox.process import listen, serve


def create_app(system: str, options: Options) -> FastAPI:
    """The app of one of SYSTEMS."""
    app: FastAPI = import_module(f"tallystick.sandbox.{system}.app").create_app(options)
    return app


def main() -> int:
    """Start the server named on the command line; 2 when an option is wrong, 1 when the port is taken."""
    arguments = _parser().parse_args()
    token = os.environ.get(TOKEN_VARIABLE)
    try:
        options = Options.model_validate(
            {
                "name": arguments.name or arguments.system,
                "token": token or secrets.token_urlsafe(24),
                "seed": arguments.seed,
                "state_file": arguments.state_file,
                "hub_url": arguments.hub_url,
                "event_secret": os.environ.get(SECRET_VARIABLE),
                "settings": _parse_settings(arguments.settings),
            }
        )
        app = create_app(arguments.system, options)
        listener = listen(arguments.host, arguments.port)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        sys.stderr.write(f"tallystick.sandbox {arguments.system}: {error.title}.{where}: {first['msg']}\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"tallystick.sandbox {arguments.system}: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"tallystick.sandbox: cannot listen on {arguments.host}:{arguments.port}: {error}\n")
        return 1
    host, port = listener.getsockname()[:2]
    announced = {"name": options.name, "url": f"http://{host}:{port}", "pid": os.getpid()}
    if token is None:  # a person started it by hand: nobody else can tell them
        announced["token"] = options.token.get_secret_value()
    serve(app, listener, stop_with_parent=arguments.stop_with_parent, announce=orjson.dumps(announced).decode())
    return 0


def _parse_settings(text: str) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"--settings is not JSON: {error}") from None
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tallystick.sandbox",
        description=f"Run one sandbox server. Its token is taken from {TOKEN_VARIABLE}, or made and printed; "
        f"the secret that signs its events is taken from {SECRET_VARIABLE}.",
    )
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one, and says which (default)")
    parser.add_argument("--name", help="its name towards the hub (default: the system)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state-file", type=Path, help="journal that outlives the process")
    parser.add_argument("--hub-url", help="where its events go")
    parser.add_argument("--settings", default="{}", help="the system's own settings as JSON (see its /docs)")
    parser.add_argument("--stop-with-parent", action="store_true", help="stop when stdin closes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
