//! Where a URL points, compared and shown: the checks every request of a login passes.

use url::{Host, Url};

use crate::error::{Error, UnsafeReason};
use crate::identity_provider::Providers;

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
    let origin = origin(url);
    match url.scheme() {
        "http" | "https" => origin + url.path(),
        // What is the path of these may be a whole script or page.
        _ => origin,
    }
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

/// What a request takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cargo {
    /// Nothing, or what the page before it gave: hidden fields, a user name.
    Open,
    /// A password or a one-time code.
    Secret,
}

/// Refuses every target that is neither the gateway nor a named provider, and of these the ones that must not be given
/// what the request carries. `from` is where the login stands.
pub(crate) fn check_target(
    from: &Url,
    target: &Url,
    gateway: &Url,
    providers: &Providers,
    cargo: Cargo,
) -> Result<(), Error> {
    let refuse = |reason| {
        Err(Error::UnsafeTarget {
            origin: origin(target),
            reason,
        })
    };
    match target.scheme() {
        // The builder takes such a gateway on loopback only.
        "http" if from.scheme() != "https" && same_origin(target, gateway) => {}
        "http" if from.scheme() == "https" || gateway.scheme() == "https" || !is_loopback(target) => {
            return refuse(if from.scheme() == "https" || gateway.scheme() == "https" {
                UnsafeReason::Downgrade
            } else {
                UnsafeReason::OtherOrigin
            });
        }
        "http" | "https" => {}
        _ => return refuse(UnsafeReason::Scheme),
    }
    if !target.username().is_empty() || target.password().is_some() {
        return refuse(UnsafeReason::OtherOrigin);
    }
    if same_origin(target, gateway) {
        return Ok(());
    }
    match cargo {
        _ if !providers.knows(target) => refuse(UnsafeReason::OtherOrigin),
        Cargo::Secret if !providers.takes_password(target) => refuse(UnsafeReason::NoPassword),
        Cargo::Open | Cargo::Secret => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IdentityProvider;

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

    fn reason(from: &str, target: &str, cargo: Cargo) -> Option<UnsafeReason> {
        let gateway = url("https://kubeflow.example.com/");
        let mut providers = Providers::default();
        providers.add(IdentityProvider::at("https://idp.example.com").unwrap());
        providers.add(IdentityProvider::at("https://broker.example.com").unwrap().broker("x"));
        match check_target(&url(from), &url(target), &gateway, &providers, cargo) {
            Ok(()) => None,
            Err(Error::UnsafeTarget { reason, .. }) => Some(reason),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn each_unsafe_target_has_its_reason() {
        let from = "https://kubeflow.example.com/";
        for cargo in [Cargo::Open, Cargo::Secret] {
            let reason = |target| reason(from, target, cargo);
            assert_eq!(reason("https://kubeflow.example.com/dex/auth"), None);
            assert_eq!(reason("https://idp.example.com/"), None);
            assert_eq!(
                reason("http://kubeflow.example.com/dex/auth"),
                Some(UnsafeReason::Downgrade)
            );
            assert_eq!(reason("http://127.0.0.1/"), Some(UnsafeReason::Downgrade));
            assert_eq!(reason("https://other.example.com/"), Some(UnsafeReason::OtherOrigin));
            assert_eq!(
                reason("https://me:pw@kubeflow.example.com/"),
                Some(UnsafeReason::OtherOrigin)
            );
            assert_eq!(reason("javascript:alert(1)"), Some(UnsafeReason::Scheme));
            assert_eq!(reason("data:text/html,x"), Some(UnsafeReason::Scheme));
        }
    }

    #[test]
    fn a_broker_is_visited_but_gets_no_password() {
        let to = "https://broker.example.com/login";
        assert_eq!(reason("https://kubeflow.example.com/", to, Cargo::Open), None);
        assert_eq!(
            reason("https://kubeflow.example.com/", to, Cargo::Secret),
            Some(UnsafeReason::NoPassword)
        );
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
        assert_eq!(shown(&url("javascript:alert('secret')")), "javascript:");
    }
}
