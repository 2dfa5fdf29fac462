"""Small videos whose frames say their own number, and an MJPEG camera on this machine's loopback."""

from __future__ import annotations

import base64
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

HEIGHT, WIDTH, FPS = 48, 64, 25


def numbered(number):
    """A frame (BGR) that is as bright as its number, with a blue column at the left."""
    frame = np.full((HEIGHT, WIDTH, 3), 4 * (number % 60), np.uint8)
    frame[:, :8] = 255, 0, 0
    return frame


@pytest.fixture
def make_video():
    """Writes a video of so many frames at 25 frames a second, and gives its path."""

    def make(path, count=50, code="mp4v"):
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), FPS, (WIDTH, HEIGHT))
        assert writer.isOpened()
        for number in range(count):
            writer.write(numbered(number))
        writer.release()
        return path

    return make


class Camera:
    """A camera that sends MJPEG over HTTP to who knows the password; it can be pulled out and put back."""

    def __init__(self, credentials=None):
        self.credentials = credentials
        self.asked_with = []
        self.port = 0
        self.server = None
        self.start()

    def start(self):
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                given = self.headers.get("Authorization")
                camera.asked_with.append(given)
                if camera.credentials and given != "Basic " + base64.b64encode(camera.credentials).decode():
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    number = 0
                    while camera.server is self.server:
                        _, jpeg = cv2.imencode(".jpg", numbered(number))
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                        self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")
                        number += 1
                        time.sleep(0.01)
                except OSError:
                    pass

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self):
        server, self.server = self.server, None
        if server is not None:
            server.shutdown()
            server.server_close()


@pytest.fixture
def camera():
    """Makes cameras, and takes them away at the end."""
    made = []

    def make(credentials=None):
        made.append(Camera(credentials))
        return made[-1]

    yield make
    for one in made:
        one.stop()
