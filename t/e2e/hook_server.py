"""A receiver of webhooks on loopback that does as a test wants, and checks
signatures by the specification's own library."""

import http.server
import json
import ssl
import sys
import threading

from conftest import ROOT

LIBRARY = ROOT / "build" / "webhook" / "lib"


def webhook(secret):
    """The library's verifier."""
    places = list(LIBRARY.glob("python*/site-packages"))
    assert places, "missing; run: stack/packages.sh test"
    sys.path.append(str(places[0]))
    try:
        import standardwebhooks
    finally:
        sys.path.remove(str(places[0]))
    return standardwebhooks.Webhook(secret)


class Call:
    def __init__(self, path, headers, body):
        self.path = path
        self.headers = headers
        self.body = body
        self.id = headers["webhook-id"]

    @property
    def event(self):
        return json.loads(self.body)

    def verify(self, secret):
        return webhook(secret).verify(self.body, dict(self.headers))


class HookServer:
    """answer(CALL) is a status, or (STATUS, HEADERS), or (STATUS, HEADERS,
    BODY), or "hang": no answer until the server is closed."""

    def __init__(self, answer=lambda call: 204, port=0, tls=None):
        self.answer = answer
        self.calls = []
        self.gets = 0
        self._closing = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                call = Call(self.path, self.headers, self.rfile.read(length))
                outer.calls.append(call)
                outer.respond(self, outer.answer(call))

            def do_GET(self):
                outer.gets += 1
                outer.respond(self, 200)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port),
                                                      Handler)
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket,
                                                 server_side=True)
        self.server.daemon_threads = True
        self.server.handle_error = self._handle_error
        self.port = self.server.server_address[1]
        scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
        self.url = f"{scheme}://{host}:{self.port}/hook?key=s3cret"
        self._thread = threading.Thread(target=self.server.serve_forever,
                                        kwargs={"poll_interval": 0.05})
        self._thread.start()

    def respond(self, handler, answer):
        if answer == "hang":
            self._closing.wait(60)
            handler.close_connection = True
            return
        if not isinstance(answer, tuple):
            answer = (answer, {})
        status, headers = answer[:2]
        body = answer[2] if len(answer) > 2 else b""
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if status != 204:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    @staticmethod
    def _handle_error(request, address):
        """A client that went away is what some tests want."""
        if not isinstance(sys.exc_info()[1], (OSError, ssl.SSLError)):
            raise sys.exc_info()[1]

    def close(self):
        self._closing.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()
