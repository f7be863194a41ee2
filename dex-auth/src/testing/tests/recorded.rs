//! What the real Dex answered, asked of the fake. Ids differ from run to run, so each recorded one is known by the fake's
//! own in its place; steps that were left out of a recording are walked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use http::Method;
use scraper::{Html, Selector};
use serde_json::Value;
use url::Url;

use super::{Answer, BASE, Browser};
use crate::testing::{Connector, DexVersion, GatewayBuilder, Release, SecondFactor};

/// What can be seen of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    status: u16,
    location: Option<(String, BTreeMap<String, String>)>,
    cookies: BTreeSet<String>,
    json: BTreeMap<String, String>,
    page: BTreeSet<String>,
}

/// Query values that are the same at each run.
const FIXED: [&str; 7] = [
    "client_id",
    "error",
    "error_description",
    "redirect_uri",
    "response_type",
    "scope",
    "prompt",
];

fn facts(status: u16, location: Option<&str>, cookies: &[String], is_json: bool, body: &str) -> Facts {
    let location = location.map(|location| {
        let url = Url::parse(BASE).unwrap().join(location).unwrap();
        let pairs = url.query_pairs().into_owned().map(|(name, value)| {
            let fixed = FIXED.contains(&name.as_str());
            (name, if fixed { value } else { String::new() })
        });
        (format!("{}{}", url.host_str().unwrap(), url.path()), pairs.collect())
    });
    let document: Value = serde_json::from_str(if is_json { body } else { "null" }).unwrap_or_default();
    let members = document.as_object().into_iter().flatten().map(|(name, value)| {
        let is_telling = [
            "error",
            "error_description",
            "token_type",
            "issued_token_type",
            "expires_in",
        ];
        let is_telling = is_telling.contains(&name.as_str()) || name.ends_with("_supported") || name == "interval";
        (name.clone(), if is_telling { value.to_string() } else { String::new() })
    });
    let mut page = BTreeSet::new();
    if body.contains("theme-heading") && location.is_none() {
        let html = Html::parse_document(body);
        let all = |selector: &str| html.select(&Selector::parse(selector).unwrap()).collect::<Vec<_>>();
        let is_error = status >= 400 && all("form").is_empty();
        for element in all("h2, #login-error")
            .into_iter()
            .chain(all("p").into_iter().filter(|_| is_error))
        {
            let text: Vec<_> = element.text().flat_map(str::split_whitespace).collect();
            // The name of a client follows.
            page.insert(text.join(" ").split(" for ").next().unwrap().to_owned());
        }
        for field in all("input[name], form[method], img[src^='data:'], a.theme-btn-provider") {
            let attribute = |name| field.attr(name).unwrap_or_default();
            page.insert(format!(
                "{} {} {} {}",
                field.value().name(),
                attribute("name"),
                attribute("type"),
                attribute("id")
            ));
        }
    }
    Facts {
        status,
        location,
        cookies: cookies
            .iter()
            .map(|line| {
                let (name, rest) = line.split_once('=').unwrap();
                let (_, attributes) = rest.split_once(';').unwrap();
                let mut attributes: Vec<_> = attributes.split("; ").map(str::trim).collect();
                attributes.sort_unstable();
                format!("{name} {}", attributes.join(" "))
            })
            .collect(),
        json: members.collect(),
        page,
    }
}

struct Exchange {
    flow: String,
    step: u64,
    method: Method,
    url: Url,
    body: String,
    authorization: Option<String>,
    answer: Facts,
    location: Option<String>,
    json: Value,
}

/// `None`, with a line that says so, where the recordings are not there.
fn read(name: &str) -> Option<Vec<Exchange>> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/reference/recordings")
        .join(format!("{name}.jsonl"));
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: no recording at {}", file.display());
        return None;
    };
    let mut bodies: HashMap<String, String> = HashMap::new();
    let exchanges = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let (request, response) = (&line["request"], &line["response"]);
        let (flow, step) = (
            line["flow"].as_str().unwrap().to_owned(),
            line["step"].as_u64().unwrap(),
        );
        let mut body = response["body"].as_str().unwrap_or_default().to_owned();
        if let Some(earlier) = body.strip_prefix("<same as ") {
            let earlier = earlier.trim_end_matches('>').trim_end_matches(" except for ids");
            body = bodies
                .get(earlier)
                .cloned()
                .unwrap_or_else(|| panic!("{flow}/{step}: {earlier}"));
        }
        bodies.insert(format!("{flow}/{step}"), body.clone());
        let header = |name: &str| response["headers"][name].as_str();
        let cookies: Vec<String> = response["headers"]["set-cookie"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|line| line.as_str().unwrap().to_owned())
            .collect();
        let is_json = header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
        let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
        Exchange {
            flow,
            step,
            method: request["method"].as_str().unwrap().parse().unwrap(),
            url: Url::parse(request["url"].as_str().unwrap()).unwrap(),
            body: request["body"].as_str().unwrap_or_default().to_owned(),
            authorization: request["headers"]["authorization"].as_str().map(str::to_owned),
            answer: facts(
                status,
                header("location")
                    .map(|to| to.replace("http://kubeflow.example.test", ""))
                    .as_deref(),
                &cookies,
                is_json,
                &body,
            ),
            location: header("location").map(str::to_owned),
            json: serde_json::from_str(&body).unwrap_or_default(),
        }
    });
    Some(exchanges.collect())
}

/// Plays recorded requests to the fake.
struct Player {
    browser: Browser,
    /// Recorded ids, with the fake's in their place.
    known: HashMap<String, String>,
    /// Where the fake's last answer leads, or where it was given.
    place: Option<Url>,
    /// The header that the recorded gateway identified itself with.
    own_basic: String,
}

impl Player {
    fn new(version: DexVersion, own_basic: &str, set_up: impl FnOnce(GatewayBuilder) -> GatewayBuilder) -> Self {
        let browser = Browser::with(Release::Kubeflow1_11, |builder| {
            let builder = builder
                .dex(version)
                .user("user@example.com", "12341234")
                .user("a+b&c@example.com", "pä+ss&wö=rd %41")
                .client("kubeflow-pipelines-sdk", "", Vec::<String>::new())
                .client("other-app", "other-secret", ["http://localhost:9999/cb"]);
            set_up(builder)
        });
        Self {
            browser,
            known: HashMap::new(),
            place: None,
            own_basic: own_basic.to_owned(),
        }
    }

    fn substituted(&self, pairs: &[(String, String)]) -> String {
        crate::testing::message::query(pairs.iter().map(|(name, value)| {
            let value = self.known.get(value).unwrap_or(value);
            (name.as_str(), value.as_str())
        }))
    }

    /// Walks the steps that were left out, until the ids that the request names are known.
    fn reach(&mut self, exchange: &Exchange, body: &[(String, String)]) {
        if exchange.url.path().ends_with("/login") && self.place.as_ref().is_some_and(|place| !leads_on(place)) {
            self.place = None;
        }
        let ids: Vec<(String, String)> = exchange
            .url
            .query_pairs()
            .into_owned()
            .chain(body.iter().cloned())
            .filter(|(_, value)| is_id(value) && !self.known.contains_key(value))
            .collect();
        if ids.is_empty() {
            return;
        }
        let is_code = exchange.url.path().ends_with("/token");
        let is_form = exchange.url.path().ends_with("/login");
        for _ in 0..8 {
            let place = self.place.clone().unwrap_or_else(|| self.beginning(exchange));
            let is_there = if is_code {
                place.query_pairs().any(|(name, _)| name == "code")
            } else if is_form {
                place.path().ends_with("/login")
            } else {
                place.path() == exchange.url.path()
            };
            if is_there {
                let here: HashMap<_, _> = place.query_pairs().into_owned().collect();
                for (name, value) in ids {
                    if let Some(own) = here.get(&name) {
                        self.known.insert(value, own.clone());
                    }
                }
                return;
            }
            let answer = self.browser.get(place.as_str());
            let next = next_place(&answer);
            // Not on the way there: a new login begins.
            self.place = Some(next).filter(|next| *next != place);
        }
        panic!("{}/{}: {ids:?} are not reached", exchange.flow, exchange.step);
    }

    /// Where the login began that led to this request.
    fn beginning(&self, exchange: &Exchange) -> Url {
        let base = Url::parse(BASE).unwrap();
        let back = exchange
            .url
            .query_pairs()
            .find(|(name, value)| name == "back" && !value.is_empty());
        if let Some((_, back)) = back {
            let connector = exchange.url.path().split('/').nth(3).unwrap();
            let mut back = base.join(&back).unwrap();
            let pairs: Vec<_> = back.query_pairs().into_owned().collect();
            back.set_query(Some(&format!("{}&connector_id={connector}", self.substituted(&pairs))));
            return back;
        }
        base.join(if exchange.flow.starts_with("sessions-") {
            "/dex/auth?client_id=kubeflow-oidc-authservice&redirect_uri=%2Foauth2%2Fcallback&response_type=code\
             &scope=openid+email&state=abc"
        } else {
            "/oauth2/start?rd=%2F"
        })
        .unwrap()
    }

    fn play(&mut self, exchange: &Exchange) -> Facts {
        let body: Vec<(String, String)> = url::form_urlencoded::parse(exchange.body.as_bytes())
            .into_owned()
            .collect();
        self.reach(exchange, &body);
        let mut url = format!("{BASE}{}", exchange.url.path());
        let pairs: Vec<_> = exchange.url.query_pairs().into_owned().collect();
        if !pairs.is_empty() {
            url = format!("{url}?{}", self.substituted(&pairs));
        }
        let body = self.substituted(&body);
        let form: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let form: Vec<(&str, &str)> = form
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut headers = Vec::new();
        let own = "Basic a3ViZWZsb3ctb2lkYy1hdXRoc2VydmljZTpzdG9jay1jbGllbnQtc2VjcmV0";
        if let Some(value) = &exchange.authorization {
            headers.push(("authorization", if *value == self.own_basic { own } else { value }));
        }
        let is_json = exchange.body.starts_with('{');
        let form = if is_json { &[] } else { form.as_slice() };
        let answer = self.browser.request(exchange.method.clone(), &url, &headers, form);
        self.learn(exchange, &answer);
        self.place = Some(next_place(&answer));
        let reply = answer.reply();
        let cookies: Vec<String> = reply.header_texts("set-cookie").map(str::to_owned).collect();
        let text = reply.body_text();
        facts(
            reply.status,
            reply.header_text("location"),
            &cookies,
            serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_object()),
            &text,
        )
    }

    fn learn(&mut self, exchange: &Exchange, answer: &Answer) {
        let Some(reply) = &answer.reply else { return };
        if let (Some(recorded), Some(own)) = (&exchange.location, reply.header_text("location")) {
            let base = Url::parse(BASE).unwrap();
            let own: HashMap<_, _> = base.join(own).unwrap().query_pairs().into_owned().collect();
            for (name, value) in base.join(recorded).unwrap().query_pairs() {
                if let Some(own) = own.get(&*name) {
                    self.known.insert(value.into_owned(), own.clone());
                }
            }
        }
        let own: Value = serde_json::from_str(&reply.body_text()).unwrap_or_default();
        for name in ["device_code", "user_code", "refresh_token"] {
            if let (Some(recorded), Some(own)) = (exchange.json[name].as_str(), own[name].as_str()) {
                self.known.insert(recorded.to_owned(), own.to_owned());
            }
        }
    }
}

/// Whether a login is on its way to its form there.
fn leads_on(place: &Url) -> bool {
    ["/oauth2/start", "/dex/auth"]
        .iter()
        .any(|path| place.path().starts_with(path))
}

fn next_place(answer: &Answer) -> Url {
    let location = answer.reply.as_ref().and_then(|reply| reply.header_text("location"));
    let mut url = answer.url.join(location.unwrap_or(answer.url.as_str())).unwrap();
    let path_and_query = url[url::Position::BeforePath..].to_owned();
    url = Url::parse(BASE).unwrap().join(&path_and_query).unwrap();
    url
}

/// An id of Dex's, a proof, or a refresh token.
fn is_id(value: &str) -> bool {
    let is_plain = value
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_base64 = value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    (value.len() == 25 && is_plain)
        || (value.len() == 43 && is_base64)
        || (value.len() > 60 && value.starts_with("Chl"))
}

/// Plays flows of a recording; each answer of Dex's must be the recorded one.
fn play_all(
    name: &str,
    flows: &[&str],
    version: impl Fn(&str) -> DexVersion,
    set_up: impl Fn(&str, GatewayBuilder) -> GatewayBuilder,
    except: &[&str],
) -> usize {
    let Some(exchanges) = read(name) else { return usize::MAX };
    let own_basic = exchanges
        .iter()
        .find_map(|exchange| {
            exchange
                .authorization
                .clone()
                .filter(|value| value.starts_with("Basic"))
        })
        .unwrap_or_default();
    let mut played = 0;
    let mut differences = Vec::new();
    for flow in flows {
        let mut client = Player::new(version(flow), &own_basic, |builder| set_up(flow, builder));
        let mut count = 0;
        for exchange in exchanges.iter().filter(|exchange| exchange.flow == *flow) {
            count += 1;
            let told = format!("{flow}/{}", exchange.step);
            let is_dex = exchange.url.path().starts_with("/dex/");
            if !is_dex && !exchange.url.path().starts_with("/oauth2/") {
                continue;
            }
            if except.contains(&told.as_str()) {
                continue;
            }
            let answer = client.play(exchange);
            let mut answer = answer;
            if exchange.method == Method::HEAD {
                answer.page.clear();
            }
            if is_dex && answer != exchange.answer {
                differences.push(format!("{told}:\n  real {:?}\n  fake {answer:?}", exchange.answer));
            }
            played += 1;
        }
        assert!(count > 0, "{flow} is not recorded");
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    played
}

#[test]
fn grants_are_answered_as_the_real_ones() {
    let mut flows = Vec::new();
    for dex in ["dex2.45", "dexHEAD"] {
        for flow in [
            "stock-discovery",
            "stock-grant-password",
            "stock-grant-client-credentials",
            "stock-grant-unknown",
            "stock-grant-authorization-code",
            "stock-grant-authorization-code-of-another-client",
            "stock-grant-authorization-code-pkce",
            "stock-grant-code-of-stock-client-redeemed-by-hand",
            "stock-out-of-band-redirect",
            "stock-grant-refresh-token",
            "stock-second-login-invalidates-refresh-token",
            "stock-grant-device-stock-client",
            "stock-grant-device",
            "enabled-discovery",
            "enabled-grant-password",
            "enabled-grant-client-credentials",
            "enabled-grant-unknown",
        ] {
            flows.push(format!("{dex}/{flow}"));
        }
    }
    for dex in ["dex2.39", "dex2.36"] {
        for flow in [
            "enabled-discovery",
            "enabled-grant-password",
            "enabled-grant-client-credentials",
        ] {
            flows.push(format!("{dex}/{flow}"));
        }
    }
    let flows: Vec<&str> = flows.iter().map(String::as_str).collect();
    let version = |flow: &str| match flow.split('/').next().unwrap() {
        "dex2.36" => DexVersion::V2_36,
        "dex2.39" => DexVersion::V2_39,
        "dex2.45" => DexVersion::V2_45,
        _ => DexVersion::Head,
    };
    let set_up = |flow: &str, builder: GatewayBuilder| {
        let builder = builder.connector(Connector::local());
        if flow.contains("enabled-") {
            return builder.password_connector("local").client_credentials(true);
        }
        // A second one, as where it was recorded.
        builder.connector(Connector::ldap("outer", "Outer IdP"))
    };
    // The recorded program hung there: a fault of its storage in memory.
    let hung = ["dexHEAD/stock-grant-refresh-token/7"];
    let played = play_all("dex-grants", &flows, version, set_up, &hung);
    assert!(played >= 150, "{played}");
}

#[test]
fn the_dex_to_come_answers_as_the_real_one() {
    let flows = [
        "login-from-root",
        "wrong-password",
        "login-form-posted-twice",
        "post-to-connector-url-old-scripts",
        "login-url-with-other-connector",
        "head-requests",
        "dex-errors",
        "chooser-two-connectors",
        "approval-needed-but-prompt-none",
        "sessions-on-kubeflow-prompt-none",
        "sessions-auth-req-bogus",
        "sessions-wrong-password",
        "sessions-prompt-none-removed-by-client",
        "sessions-jar-lost-between-steps",
        "mfa-totp-enrolment-page",
    ];
    let set_up = |flow: &str, mut builder: GatewayBuilder| {
        if flow == "chooser-two-connectors" {
            let ldap = Connector::ldap("ldap", "Company LDAP").prompt("Company user");
            builder = builder.connector(Connector::local()).connector(ldap);
        }
        if flow == "mfa-totp-enrolment-page" {
            builder = builder.second_factor(SecondFactor::enrolment());
        }
        let with_sessions = flow.starts_with("sessions-") || flow.starts_with("mfa-");
        builder
            .skip_approval(!flow.starts_with("approval-"))
            .dex_sessions(with_sessions)
    };
    // The visit before this one is not recorded.
    let second = ["login-form-posted-twice/11"];
    let played = play_all("login-dex-head", &flows, |_| DexVersion::Head, set_up, &second);
    assert!(played >= 80, "{played}");
}
