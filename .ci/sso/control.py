"""What a test may ask while the programs run, and do to them. Needs the key that the setup names.

    GET  /KEY/logins/NAME            {"accepted": 2, "refused": 1}: how often somebody's password or code was judged
    GET  /KEY/requests/GATEWAY       [["GET", "/oauth2/start", 302], …]: what a gateway has answered
    POST /KEY/stop/PROGRAM           ends a program, as a crash would
    POST /KEY/start/PROGRAM          starts it again
"""

import http.server
import json
import re
import secrets
import threading
import time

import children as processes


class Control:
    def __init__(self, children, people, gateways, envoy, ready):
        """`ready` holds, for each program that may be stopped, where it listens."""
        self.children, self.people, self.envoy, self.ready = children, people, envoy, ready
        self.gateways = {gateway.name: gateway for gateway in gateways}
        self.key = secrets.token_urlsafe(16)

    def logins(self, name):
        lines = self.lines(self.children.log("keycloak"))
        provider = self.lines(self.children.log("oidc-provider"))
        # Keycloak names whoever was refused as they were typed, and by the id alone when a code was wrong.
        known = [f'username="{name}"', f'userId="{self.people[name].uuid}"'] if name in self.people else [f'username="{name}"']
        ours = [line for line in lines if any(re.search(rf"\b{re.escape(mark)}", line) for mark in known)]
        return {
            "accepted": sum('type="LOGIN"' in line for line in ours) + provider.count(f"accepted {name}"),
            "refused": sum('type="LOGIN_ERROR"' in line for line in ours) + provider.count(f"refused {name}"),
        }

    def requests(self, name):
        found = []
        for line in self.lines(self.envoy.log(self.gateways[name])):
            method, path, status = line.split()
            found.append([method, path, int(status)])
        return found

    @staticmethod
    def lines(path):
        try:
            with open(path, encoding="utf-8", errors="replace") as log:
                return log.read().splitlines()
        except FileNotFoundError:
            return []

    def stop(self, program):
        self.children.stop(program)
        return {}

    def start(self, program):
        self.children.again(program)
        host, port = self.ready[program]
        self.children.until(program, lambda: processes.listens(host, port), 30)
        return {}

    def serve(self, host, port):
        control = self
        lock = threading.Lock()

        class Answer(http.server.BaseHTTPRequestHandler):
            timeout = 60

            def answer(self, allowed):
                parts = self.path.strip("/").split("/")
                if len(parts) != 3 or not secrets.compare_digest(parts[0], control.key) or parts[1] not in allowed:
                    return self.tell(404, {})
                try:
                    with lock:
                        self.tell(200, allowed[parts[1]](parts[2]))
                except (KeyError, OSError, processes.Failed) as error:
                    self.tell(500, {"error": str(error)})

            def do_GET(self):
                # The gateways and Keycloak write their logs a moment after they have answered.
                time.sleep(0.2)
                self.answer({"logins": control.logins, "requests": control.requests})

            def do_POST(self):
                self.answer({"stop": control.stop, "start": control.start})

            def tell(self, status, what):
                text = json.dumps(what).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer((host, port), Answer)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://{host}:{port}/{self.key}"
