"""Starts the second OpenID provider: npm's oidc-provider, by the script beside this file."""

import json
import os
import secrets
import subprocess

import gateways


class OtherProvider:
    def __init__(self, installed, folder, host, port):
        self.installed, self.folder, self.host, self.port = installed, folder, host, port
        self.issuer = f"http://{host}:{port}"

    def gateway(self, name, host, ports, **more):
        return gateways.Gateway(
            name, host, ports.free(host), ports.free("127.0.0.1"), self.issuer, f"{self.issuer}/auth",
            f"{self.issuer}/token", f"{self.issuer}/jwks", **more,
        )

    def start(self, children, people, served, asks_consent):
        path = os.path.join(self.folder, "provider.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump({
                "issuer": self.issuer, "host": self.host, "port": self.port, "cookie_key": secrets.token_urlsafe(24),
                "key": self.signing_key(),
                "people": {person.name: {"password": person.password, "email": person.email} for person in people},
                "clients": [
                    {"id": gateway.name, "secret": gateway.client_secret, "redirect_uri": gateway.callback}
                    for gateway in served
                ],
                "asks_consent": asks_consent,
            }, out)
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "provider.mjs")
        children.start("oidc-provider", ["node", script, path, self.installed])

    @staticmethod
    def signing_key():
        script = """
            const { privateKey } = require('crypto').generateKeyPairSync('rsa', { modulusLength: 2048 });
            console.log(JSON.stringify({ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: 'one' }));
        """
        done = subprocess.run(
            ["node", "-e", script], capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL
        )
        return json.loads(done.stdout)
