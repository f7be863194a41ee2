//! Where a URL points, compared and shown: the checks every request of a login passes.

use url::{Host, Url};

use crate::error::{Error, UnsafeReason};

/// Same scheme, host and port.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// True for hosts that never leave this machine; only these may be spoken to without TLS.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// True for names that only resolve inside a Kubernetes cluster, such as the stock issuer
/// `dex.auth.svc.cluster.local`: Dex and its identity providers redirect there, the gateway serves the same paths.
pub(crate) fn is_in_cluster(url: &Url) -> bool {
    let labels: Vec<_> = url.domain().unwrap_or_default().rsplit('.').collect();
    matches!(labels.as_slice(), ["svc", ..] | ["local", "cluster", "svc", ..])
}

/// Scheme, host, port and path: the query of a login URL holds codes and states that act as secrets.
pub(crate) fn shown(url: &Url) -> String {
    format!("{}{}", origin(url), url.path())
}

/// Scheme, host and port as text.
pub(crate) fn origin(url: &Url) -> String {
    match url.scheme() {
        "http" | "https" => url.origin().ascii_serialization(),
        // A `data:` or `javascript:` URL may hold anything, so only its scheme is shown.
        other => format!("{other}:"),
    }
}

/// Puts the gateway's origin in place of an in-cluster one.
pub(crate) fn outside_the_cluster(url: Url, gateway: &Url) -> Url {
    if !is_in_cluster(&url) || same_origin(&url, gateway) {
        return url;
    }
    let mut moved = gateway.clone();
    moved.set_path(url.path());
    moved.set_query(url.query());
    moved.set_fragment(None);
    moved
}

/// Refuses every target that is not the gateway itself.
pub(crate) fn check_target(target: &Url, gateway: &Url) -> Result<(), Error> {
    if same_origin(target, gateway) {
        return Ok(());
    }
    let reason = match (target.scheme(), gateway.scheme()) {
        ("http", "https") => UnsafeReason::Downgrade,
        ("http" | "https", _) => UnsafeReason::OtherOrigin,
        _ => UnsafeReason::Scheme,
    };
    Err(Error::UnsafeTarget {
        origin: origin(target),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn origins_compare_scheme_host_and_port() {
        assert!(same_origin(&url("https://a.test/x"), &url("https://a.test:443/y?z")));
        assert!(!same_origin(&url("https://a.test/"), &url("http://a.test/")));
        assert!(!same_origin(&url("https://a.test/"), &url("https://a.test:8443/")));
        assert!(!same_origin(&url("https://a.test/"), &url("https://a.test.evil.test/")));
    }

    #[test]
    fn in_cluster_targets_move_to_the_gateway_with_path_and_query() {
        let gateway = url("https://kubeflow.example.com/");
        let moved = outside_the_cluster(
            url("http://dex.auth.svc.cluster.local:5556/dex/callback?code=a&state=b"),
            &gateway,
        );
        assert_eq!(
            moved.as_str(),
            "https://kubeflow.example.com/dex/callback?code=a&state=b"
        );
        let stays = url("https://svc.cluster.local.evil.test/dex");
        assert_eq!(outside_the_cluster(stays.clone(), &gateway), stays);
    }

    #[test]
    fn each_unsafe_target_has_its_reason() {
        let gateway = url("https://kubeflow.example.com/");
        let reason = |target: &str| match check_target(&url(target), &gateway) {
            Err(Error::UnsafeTarget { reason, .. }) => Some(reason),
            _ => None,
        };
        assert_eq!(reason("https://kubeflow.example.com/dex/auth"), None);
        assert_eq!(
            reason("http://kubeflow.example.com/dex/auth"),
            Some(UnsafeReason::Downgrade)
        );
        assert_eq!(reason("https://idp.example.com/"), Some(UnsafeReason::OtherOrigin));
        assert_eq!(reason("javascript:alert(1)"), Some(UnsafeReason::Scheme));
        assert_eq!(reason("data:text/html,x"), Some(UnsafeReason::Scheme));
    }

    #[test]
    fn loopback_is_loopback_only() {
        for inside in [
            "http://localhost:1",
            "http://127.3.2.1",
            "http://[::1]:9",
            "http://kubeflow.localhost",
        ] {
            assert!(is_loopback(&url(inside)), "{inside}");
        }
        for outside in ["http://localhost.evil.test", "http://10.0.0.1", "http://128.0.0.1"] {
            assert!(!is_loopback(&url(outside)), "{outside}");
        }
    }

    #[test]
    fn shown_urls_carry_no_query() {
        assert_eq!(
            shown(&url("https://a.test/oauth2/callback?code=secret")),
            "https://a.test/oauth2/callback"
        );
        assert_eq!(origin(&url("data:text/html,secret")), "data:");
    }
}
