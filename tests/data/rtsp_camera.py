"""An RTSP camera (RFC 2326) on this machine's loopback that sends JPEG (RFC 2435) through its one connection."""

from __future__ import annotations

import base64
import socketserver
import struct
import threading
import time

import cv2

SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\n"
SDP += "a=control:one\r\n"


def segments(jpeg):
    """The marker segments (marker, content) of a JPEG up to its scan, and the scan."""
    place, found = 2, []
    while True:
        marker, length = jpeg[place + 1], int.from_bytes(jpeg[place + 2 : place + 4], "big")
        found.append((marker, jpeg[place + 4 : place + 2 + length]))
        place += 2 + length
        if marker == 0xDA:
            return found, jpeg[place:-2]


def payload(frame):
    """A frame (BGR) as one RTP payload: quantisation tables in it, Huffman's the usual ones."""
    done, jpeg = cv2.imencode(".jpg", frame)
    assert done
    found, scan = segments(jpeg.tobytes())
    tables = b"".join(content for marker, content in found if marker == 0xDB)
    # Each table has a number before its 64 entries.
    entries = b"".join(tables[start + 1 : start + 65] for start in range(0, len(tables), 65))
    height, width = frame.shape[:2]
    halved = next(content for marker, content in found if marker == 0xC0)[7] == 0x22
    return bytes([0, 0, 0, 0, int(halved), 255, width // 8, height // 8, 0, 0, 0, len(entries)]) + entries + scan


class RtspCamera:
    """Sends ``frame_of(number)`` to who knows the password; can be pulled out and put back."""

    def __init__(self, frame_of, credentials=None):
        self.frame_of, self.credentials = frame_of, credentials
        self.port, self.server = 0, None
        self.start()

    def start(self):
        camera = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while request := self.rfile.readline().decode():
                    head = {}
                    while line := self.rfile.readline().decode().strip():
                        name, _, value = line.partition(": ")
                        head[name.lower()] = value
                    if not self.answer(request.split(" ")[0], head):
                        return

            def answer(self, method, head):
                expected = camera.credentials and f"Basic {base64.b64encode(camera.credentials).decode()}"
                given = {"CSeq": head.get("cseq", "0"), "Session": "1"}
                if expected and head.get("authorization") != expected:
                    self.say("401 Unauthorized", given | {"WWW-Authenticate": 'Basic realm="camera"'})
                    return True
                if method == "DESCRIBE":
                    given |= {"Content-Type": "application/sdp", "Content-Length": str(len(SDP))}
                elif method == "SETUP":
                    given |= {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
                elif method == "OPTIONS":
                    given |= {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"}
                self.say("200 OK", given, SDP if method == "DESCRIBE" else "")
                if method == "PLAY":
                    self.play()
                return method not in ("PLAY", "TEARDOWN")

            def say(self, status, head, body=""):
                lines = [f"RTSP/1.0 {status}", *(f"{name}: {value}" for name, value in head.items()), "", body]
                self.wfile.write("\r\n".join(lines).encode())

            def play(self):
                number = 0
                try:
                    while camera.server is self.server:
                        sent = payload(camera.frame_of(number))
                        packet = struct.pack(">BBHII", 0x80, 0x80 | 26, number % 65536, 900 * number, 7) + sent
                        self.wfile.write(b"$\0" + len(packet).to_bytes(2, "big") + packet)
                        number += 1
                        time.sleep(0.01)
                except OSError:
                    pass

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self):
        server, self.server = self.server, None
        if server is not None:
            server.shutdown()
            server.server_close()
