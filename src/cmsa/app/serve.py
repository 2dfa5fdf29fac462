"""The server of the page: on this machine alone unless told, with limits, and without a word to other hosts."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

from cmsa.app.page import Settings, build, import_gradio
from cmsa.app.private import PageOnly
from cmsa.app.uploads import Limits

LOOPBACK = "127.0.0.1"

_MOST_SESSIONS = 20
_CSS = """
.gradio-container {max-width: 1500px !important}
.title {margin-bottom: -10px; overflow: visible !important}
.title p {margin: 0; font-size: 13px; opacity: 0.75; white-space: nowrap}
footer {display: none !important}
"""


def serve(settings: Settings, host: str = LOOPBACK, port: int = 7860) -> None:
    """Show the page until it is interrupted.

    Args:
        settings: what it offers.
        host: the address to listen on; others than loopback show it to the network.
        port: to listen on.

    Raises:
        ModuleNotFoundError: Gradio is not installed.
        OSError: the port is taken.
    """
    page = build(settings)
    print(f"{launch(page, settings.limits, host, port)}  (Ctrl-C ends it)", flush=True)
    if not ip_address(socket.getaddrinfo(host, None)[0][4][0]).is_loopback:
        print("Everybody who reaches this machine can use the page.", flush=True)
    page.block_thread()


def launch(page: Any, limits: Limits, host: str = LOOPBACK, port: int = 7860) -> str:
    """Start the server of a built page, and return its address.

    Raises:
        OSError: the port is taken.
    """
    gradio = import_gradio()
    from starlette.middleware import Middleware

    # Names of fonts that machines have: Gradio's own themes load theirs from the network.
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            show_error=False,
            prevent_thread_lock=True,
            max_file_size=int(limits.megabytes * 1e6),
            state_session_capacity=_MOST_SESSIONS,
            ssr_mode=False,
            enable_monitoring=False,
            app_kwargs={"middleware": [Middleware(PageOnly)]},
            footer_links=[],
            theme=theme,
            css=_CSS,
        )
    except OSError as error:
        raise OSError(f"{host}:{port} cannot be listened on, another program may do so: choose another port") from error
    return str(address)
