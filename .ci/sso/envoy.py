"""Envoy as the gateway: the filters that Istio makes of Kubeflow 1.11's manifests, in their order.

It also lends the company's provider a host of its own, by passing connections through to Keycloak.
"""

import json
import os
import urllib.parse

TYPES = "type.googleapis.com/envoy.extensions"
# What needs no session: Dex's own pages, and oauth2-proxy's.
OPEN = ("/dex/", "/oauth2/")


def typed(name, kind, **config):
    return {"name": name, "typed_config": {"@type": f"{TYPES}.{kind}", **config}}


def exact(*names):
    return {"patterns": [{"exact": name} for name in names]}


def cluster(name, host, port, ca=None):
    made = {
        "name": name, "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{
            "endpoint": {"address": address(host, port)},
        }]}]},
    }
    if ca:
        made["transport_socket"] = typed(
            "tls", "transport_sockets.tls.v3.UpstreamTlsContext",
            common_tls_context={"validation_context": {"trusted_ca": {"filename": ca}}},
        )
    return made


def address(host, port):
    return {"socket_address": {"address": host, "port_value": port}}


def not_open():
    return [{"not_rule": {"or_rules": {"rules": [{"url_path": {"path": {"prefix": prefix}}} for prefix in OPEN]}}}]


def listener(name, host, port, filters, tls=None):
    chain = {"filters": filters}
    if tls:
        certificate, key = tls
        chain["transport_socket"] = typed(
            "tls", "transport_sockets.tls.v3.DownstreamTlsContext",
            common_tls_context={"tls_certificates": [
                {"certificate_chain": {"filename": certificate}, "private_key": {"filename": key}},
            ]},
        )
    return {"name": name, "address": address(host, port), "filter_chains": [chain]}


def gateway_filters(gateway, log, kfp):
    auth, keys = f"auth-{gateway.name}", f"keys-{gateway.name}"
    rbac = "filters.http.rbac.v3.RBAC"
    # Marks what the check below is for: requests without a token.
    to_check = typed(
        "envoy.filters.http.rbac", rbac, shadow_rules_stat_prefix="istio_ext_authz_", shadow_rules={
            "action": "DENY", "policies": {"istio-ext-authz-p": {
                "permissions": not_open(),
                "principals": [{"not_id": {"header": {"name": "authorization", "present_match": True}}}],
            }},
        },
    )
    check = typed(
        "envoy.filters.http.ext_authz", "filters.http.ext_authz.v3.ExtAuthz",
        transport_api_version="V3", status_on_error={"code": "Forbidden"},
        allowed_headers=exact("authorization", "cookie"),
        http_service={
            "server_uri": {"uri": "http://auth", "cluster": auth, "timeout": "10s"},
            "authorization_response": {
                "allowed_upstream_headers": exact(
                    "authorization", "path", "x-auth-request-email", "x-auth-request-groups", "x-auth-request-user"
                ),
                "allowed_client_headers": exact("content-type", "set-cookie"),
            },
        },
        filter_enabled_metadata={
            "filter": "envoy.filters.http.rbac", "path": [{"key": "istio_ext_authz_shadow_effective_policy_id"}],
            "value": {"string_match": {"prefix": "istio-ext-authz"}},
        },
    )
    token = typed(
        "envoy.filters.http.jwt_authn", "filters.http.jwt_authn.v3.JwtAuthentication",
        providers={"dex": {
            "issuer": gateway.issuer, "forward": True, "payload_in_metadata": "dex",
            "claim_to_headers": [
                {"header_name": "kubeflow-userid", "claim_name": "email"},
                {"header_name": "kubeflow-groups", "claim_name": "groups"},
            ],
            "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
            "remote_jwks": {
                "http_uri": {"uri": gateway.keys, "cluster": keys, "timeout": "5s"}, "cache_duration": "60s",
            },
            # Kubeflow leaves it at a minute, which no test can wait for.
            **({"clock_skew_seconds": 1} if gateway.token_seconds else {}),
        }},
        rules=[{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": [
            {"provider_name": "dex"}, {"allow_missing": {}},
        ]}}}],
    )
    identity = {"filter": "envoy.filters.http.jwt_authn", "path": [{"key": "dex"}, {"key": "iss"}],
                "value": {"string_match": {"safe_regex": {"regex": ".+"}}}}
    require_token = typed("envoy.filters.http.rbac2", rbac, rules={
        "action": "DENY", "policies": {"require-jwt": {
            "permissions": not_open(), "principals": [{"not_id": {"metadata": identity}}],
        }},
    })
    return [typed(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=gateway.name, server_name="istio-envoy", normalize_path=True, use_remote_address=True,
        # The path without its query, which may hold a code.
        access_log=[typed("log", "access_loggers.file.v3.FileAccessLog", path=log, log_format={
            "text_format_source": {"inline_string": "%REQ(:METHOD)% %PATH(NQ)% %RESPONSE_CODE%\n"},
        })],
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/oauth2/"}, "route": {"cluster": auth}},
            # In a cluster the web server of KFP is between, and hands on what is below its own path.
            *([{"match": {"prefix": "/pipeline/apis/"}, "route": {"cluster": "kfp", "prefix_rewrite": "/apis/"}}] if kfp else []),
            {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}},
        ]}]},
        http_filters=[
            to_check, check, token, require_token,
            typed("envoy.filters.http.router", "filters.http.router.v3.Router"),
        ],
    )]


def passed_through(name, to):
    return [typed(
        "envoy.filters.network.tcp_proxy", "filters.network.tcp_proxy.v3.TcpProxy", stat_prefix=name, cluster=to
    )]


class Envoy:
    def __init__(self, binary, folder, ca):
        self.binary, self.folder, self.ca = binary, folder, ca
        self.listeners, self.clusters, self.has_kfp = [], [], False

    def log(self, gateway):
        return os.path.join(self.folder, f"{gateway.name}.requests")

    def upstream(self, host, port):
        self.clusters.append(cluster("upstream", host, port))

    def kfp(self, host, port):
        """An API server of Kubeflow Pipelines; to be named before the gateways."""
        self.clusters.append(cluster("kfp", host, port))
        self.has_kfp = True

    def gateway(self, gateway, tls):
        keys = urllib.parse.urlsplit(gateway.keys)
        self.clusters.append(cluster(f"auth-{gateway.name}", "127.0.0.1", gateway.proxy_port))
        self.clusters.append(
            cluster(f"keys-{gateway.name}", keys.hostname, keys.port, self.ca if keys.scheme == "https" else None)
        )
        self.listeners.append(listener(
            gateway.name, gateway.host, gateway.port, gateway_filters(gateway, self.log(gateway), self.has_kfp),
            tls if gateway.tls else None,
        ))

    def passed_through(self, name, host, port, to_host, to_port):
        self.clusters.append(cluster(name, to_host, to_port))
        self.listeners.append(listener(name, host, port, passed_through(name, name)))

    def start(self, children):
        path = os.path.join(self.folder, "envoy.json")
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"static_resources": {"listeners": self.listeners, "clusters": self.clusters}}, out, indent=1)
        children.start("envoy", [
            self.binary, "--config-path", path, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning",
            # So that a test can ask for what it has just done.
            "--file-flush-interval-msec", "50",
        ])
