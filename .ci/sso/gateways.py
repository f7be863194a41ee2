"""The gateways: Envoy with the filters of Kubeflow 1.11 and, for each, an oauth2-proxy that it asks."""

import dataclasses
import os
import secrets


@dataclasses.dataclass
class Gateway:
    name: str
    host: str
    port: int
    proxy_port: int
    # The issuer of its tokens, and where the pages and keys of it are.
    issuer: str
    authorize: str
    token: str
    keys: str
    tls: bool = False
    cookie_expire: str = "24h"
    # How long an ID token lives, if not longer than any test.
    token_seconds: int = 0
    # Without an oauth2-proxy: what is asked does not answer.
    broken: bool = False
    client_secret: str = dataclasses.field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}"

    @property
    def callback(self):
        return f"{self.url}/oauth2/callback"


def keycloak(name, host, ports, realm, **more):
    """A gateway in front of which Keycloak stands. `realm` is its address."""
    paths = f"{realm}/protocol/openid-connect"
    return Gateway(
        name, host, ports.free(host), ports.free("127.0.0.1"), realm, f"{paths}/auth", f"{paths}/token", f"{paths}/certs",
        tls=realm.startswith("https:"), **more,
    )


def start_oauth2_proxy(children, installed, folder, gateway, ca):
    """As Kubeflow 1.11 configures it, but for three things that Dex would do.

    The callback is absolute, since Dex alone accepts a relative one. `prompt` is unset: Kubeflow sends `none`, which Dex
    ignores and everybody else obeys. `groups` is no scope of these providers, and an unknown one is refused.
    """
    settings = {
        "http_address": f"127.0.0.1:{gateway.proxy_port}",
        "provider": "oidc",
        "oidc_issuer_url": gateway.issuer,
        "scope": "profile email openid",
        "email_domains": ["*"],
        "upstreams": ["static://200"],
        "skip_oidc_discovery": True,
        "login_url": gateway.authorize,
        "redeem_url": gateway.token,
        "oidc_jwks_url": gateway.keys,
        "client_id": gateway.name,
        "client_secret": gateway.client_secret,
        "set_authorization_header": True,
        "set_xauthrequest": True,
        "cookie_name": "oauth2_proxy_kubeflow",
        "cookie_secret": secrets.token_hex(16),
        "cookie_expire": gateway.cookie_expire,
        "cookie_refresh": "0s",
        "cookie_secure": gateway.tls,
        "code_challenge_method": "S256",
        "redirect_url": gateway.callback,
        "skip_auth_routes": ["^/dex/"],
        "api_routes": ["/api/", "/apis/", "^/ml_metadata"],
        "skip_provider_button": False,
        "provider_display_name": "Dex",
        "banner": "-",
        "footer": "-",
    }
    if gateway.tls:
        settings["provider_ca_files"] = [ca]
    path = os.path.join(folder, f"{gateway.name}.cfg")
    with open(path, "w", encoding="utf-8") as out:
        for name, value in settings.items():
            out.write(f"{name} = {toml(value)}\n")
    env = {name: value for name, value in os.environ.items() if not name.startswith("OAUTH2_PROXY_")}
    children.start(program(gateway), [os.path.join(installed, "oauth2-proxy"), f"--config={path}"], env)


def program(gateway):
    return f"oauth2-proxy-{gateway.name}"


def toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
