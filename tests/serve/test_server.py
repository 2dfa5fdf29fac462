"""What clients do that a server must outlive."""

from __future__ import annotations

import gc
import io
import os
import socket
import threading
import time
import warnings

import pytest
from PIL import Image

from cmsa.data.untrusted import read_untrusted
from cmsa.serve.form import read_form
from cmsa.serve.limits import Limits
from cmsa.serve.refusal import Refusal
from cmsa.serve.server import address_of, listen, make_server, serve
from cmsa.serve.service import Service

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"


@pytest.fixture(scope="module")
def hasty(predictors, running):
    """A server with little patience, and few places."""
    limits = Limits(body_seconds=0.3, connections=20)
    with running(Service(predictors["head-pose"], limits=limits)) as server:
        yield server


def received(connection: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def whole(picture: bytes) -> bytes:
    return HEAD + f"Content-Length: {len(picture)}\r\n\r\n".encode() + picture


def test_a_port_that_is_taken_is_told():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port} cannot be listened on, another program does so"):
            listen("127.0.0.1", port)
    with pytest.raises(ValueError, match="a port is 0 to 65535, got 70000"):
        listen("127.0.0.1", 70_000)


def test_addresses():
    with listen("localhost", 0) as listening:
        assert address_of(listening).endswith(f":{listening.getsockname()[1]}")
    if socket.has_ipv6:
        try:
            listening = listen("::1", 0)
        except OSError:
            return
        with listening:
            assert address_of(listening).startswith("http://[::1]:")


@pytest.mark.parametrize("sent", [b"", b"GET /hea", HEAD, HEAD[:-1]])
def test_a_head_that_does_not_come_ends_the_connection(hasty, sent):
    with hasty.connect() as slow:
        slow.sendall(sent)
        assert received(slow) == b""


def test_letter_by_letter_is_no_life_either(hasty):
    began = time.monotonic()
    with hasty.connect() as slow:

        def trickle() -> None:
            for letter in HEAD * 10:
                slow.sendall(bytes([letter]))
                time.sleep(0.02)

        with pytest.raises(ConnectionError):
            trickle()
    assert time.monotonic() - began < 10


def test_a_second_head_has_no_more_time_than_the_first(hasty, made):
    with hasty.connect() as slow:
        slow.sendall(whole(made()) + b"POST /pre")
        answer = received(slow)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_body_that_does_not_come_is_given_up(hasty):
    with hasty.connect() as slow:
        slow.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
        answer = received(slow)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'{"error":"3 bytes in 0.3 s: the rest did not come","where":"body"}' in answer
    assert b"cmsa_held_bytes 0.0" in hasty.ask("GET", "/metrics").content


def test_a_body_that_is_refused_may_not_be_sent_for_ever(hasty):
    with hasty.connect() as stubborn:
        stubborn.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")

        def pour() -> None:
            for _ in range(50_000):
                stubborn.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")

        with pytest.raises(ConnectionError):
            pour()
    assert hasty.ask("GET", "/health").status == 200


def test_who_is_refused_early_reads_why_and_may_ask_again(hasty, made):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", hasty.port, timeout=30)
    connection.request("POST", "/predict", b"x" * 11_000_000, {"Content-Type": "image/png"})
    assert (
        connection.getresponse().read()
        == b'{"error":"11 MB or more are more than the 10 MB taken here","where":"body"}'
    )
    connection.request("POST", "/predict", made(), {"Content-Type": "image/png"})
    assert connection.getresponse().status == 200
    connection.close()


def unread(server, wait_until) -> socket.socket:
    """A client that asks for much at a time and reads none of it, once the server cannot write any more."""
    (listening,) = server.server.servers[0].sockets
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # connections have it from there
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", server.port))
    client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
    wait_until(lambda: any(connection.flow.write_paused for connection in server.server.server_state.connections))
    return client


def test_who_does_not_read_keeps_neither_a_connection_nor_a_server(predictors, running, wait_until):
    with running(Service(predictors["head-pose"], limits=Limits(body_seconds=1))) as server:
        with unread(server, wait_until):
            wait_until(lambda: not server.server.server_state.connections)
        client = unread(server, wait_until)
        began = time.monotonic()
    assert time.monotonic() - began < 20
    client.close()


def test_who_reads_on_is_answered_on(hasty, wait_until):
    with hasty.connect():
        wait_until(lambda: hasty.server.server_state.connections)
        (connection,) = hasty.server.server_state.connections
        for act in (connection.pause_writing, connection.resume_writing):
            connection.loop.call_soon_threadsafe(act)
        wait_until(lambda: connection._unread is not None and connection._unread.cancelled())


@pytest.mark.parametrize("sent", [b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x00" * 70_000])
def test_what_is_no_http_is_told_so(hasty, sent):
    with hasty.connect() as garbage:
        garbage.sendall(sent)
        answer = received(garbage)
    assert not answer or answer.startswith(b"HTTP/1.1 400 Bad Request")
    assert hasty.ask("GET", "/health").status == 200


def test_an_answer_does_not_wait_for_its_head_to_be_acknowledged(hasty, wait_until):
    with hasty.connect():
        wait_until(lambda: hasty.server.server_state.connections)
        (connection,) = hasty.server.server_state.connections
        assert connection.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_connections_are_bounded(hasty, wait_until):
    held = [hasty.connect() for _ in range(20)]
    try:
        with hasty.connect() as more:
            answer = received(more)
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable")
        assert b"20 connections are open already" in answer
    finally:
        for connection in held:
            connection.close()
    wait_until(lambda: not hasty.server.server_state.connections)
    assert hasty.ask("GET", "/health").status == 200


def test_who_goes_away_is_not_worked_for(predictors, running, made, wait_until):
    service = Service(predictors["head-pose"])
    with running(service) as server:
        compute, may, computed = service._batcher.compute, threading.Event(), []

        def slowly(cuts):
            computed.append(len(cuts))
            assert may.wait(20)
            return compute(cuts)

        service._batcher.compute = slowly
        clients = [server.connect() for _ in range(6)]
        clients[0].sendall(whole(made()))
        wait_until(lambda: computed)
        for client in clients[1:]:
            client.sendall(whole(made()))
        wait_until(lambda: len(service._batcher._waiting) == 5)
        for client in clients:
            client.close()
        wait_until(lambda: b"cmsa_waiting_requests 0.0" in server.ask("GET", "/metrics").content)
        may.set()
        wait_until(lambda: not service._batcher._waiting)
        assert computed == [1]
        assert b'cmsa_requests_total{status="499"} 6.0' in server.ask("GET", "/metrics").content


def test_disconnects_leave_nothing_behind(hasty, made, wait_until):
    def open_files() -> int:
        return len(os.listdir("/dev/fd"))

    hasty.predict(made())
    wait_until(lambda: not hasty.server.server_state.connections)
    before, threads = open_files(), threading.active_count()
    for place in range(60):
        with hasty.connect() as client:
            client.sendall(whole(made())[: place * 300])
    wait_until(lambda: not hasty.server.server_state.connections and not hasty.server.server_state.tasks)
    gc.collect()
    assert open_files() <= before + 1
    # Threads that decode come when they are first needed.
    assert threading.active_count() <= threads + hasty.service.batching.workers
    assert b"cmsa_held_bytes 0.0" in hasty.ask("GET", "/metrics").content
    assert b"cmsa_waiting_requests 0.0" in hasty.ask("GET", "/metrics").content


def test_what_was_accepted_is_finished(predictors, running, made, wait_until):
    service = Service(predictors["head-pose"])
    replies = []
    with running(service) as server:
        compute, may = service._batcher.compute, threading.Event()
        service._batcher.compute = lambda cuts: compute(cuts) if may.wait(20) else None
        clients = [threading.Thread(target=lambda: replies.append(server.predict(made()))) for _ in range(5)]
        for client in clients:
            client.start()
        wait_until(lambda: b"cmsa_waiting_requests 5.0" in server.ask("GET", "/metrics").content)
        server.server.should_exit = True
        wait_until(lambda: not _answers(server.port))
        assert not replies
        may.set()
    for client in clients:
        client.join()
    assert [reply.status for reply in replies] == [200] * 5


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionError:
        return False
    return True


def test_a_network_that_cannot_run_ends_the_server(predictors, monkeypatch):
    service = Service(predictors["head-pose"])
    monkeypatch.setattr(service, "_compute", lambda cuts: 1 / 0)
    told = []
    with pytest.raises(RuntimeError, match="the network cannot run: division by zero"):
        serve(service, port=0, tell=told.append)
    assert len(told) == 1
    assert told[0].startswith("http://127.0.0.1:")


def test_it_says_when_the_network_is_ready(predictors, wait_until):
    service, told = Service(predictors["head-pose"]), []
    server = make_server(service, tell=lambda text: told.append((text, service.ready)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listen("127.0.0.1", 0)]})
    thread.start()
    wait_until(lambda: told)
    server.should_exit = True
    thread.join()
    assert told == [("The network is ready.", True)]


def test_what_is_sent_fills_no_log(predictors, form, made, monkeypatch, caplog):
    """Readers that warn of each damaged file would let a stranger fill a disk, and Python's memory of warnings."""
    exif = Image.Exif()
    exif[0x010E] = "a description"
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "JPEG", exif=exif.tobytes()[:-6])

    def run(self, sockets):
        read_untrusted(picture.getvalue(), 1)
        with pytest.raises(Refusal):
            read_form(form(picture=made())[0], "multipart/form-data; boundary=another", ("picture",))
        for entry in sockets:
            entry.close()

    monkeypatch.setattr("uvicorn.Server.run", run)
    service = Service(predictors["head-pose"])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        serve(service, port=0, tell=lambda text: None)
    service.close()
    assert [str(one.message) for one in warned] == []
    assert caplog.text == ""


def test_an_open_server_without_a_token_says_so(predictors, monkeypatch):
    told = []
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: [entry.close() for entry in sockets])
    service = Service(predictors["head-pose"])
    serve(service, "0.0.0.0", 0, tell=told.append)
    assert told[1] == "Everybody who reaches this machine can ask: no token is set."
    serve(service, "0.0.0.0", 0, "a-token-of-twenty-letters", told.append)
    assert len(told) == 3
    service.close()
