"""What stands behind the gateways: a server that answers everything with the identity that it was told."""

import http.server
import json
import threading


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        told = json.dumps({
            "method": self.command, "path": self.path, "body": body.decode("utf-8", "replace"),
            **{name: self.headers.get(name) for name in ("kubeflow-userid", "kubeflow-groups", "x-auth-request-email")},
        }).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


def start(host, port):
    server = http.server.ThreadingHTTPServer((host, port), Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
