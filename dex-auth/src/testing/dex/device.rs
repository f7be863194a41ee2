//! The device flow: a program without a browser gets a code that its user enters on a page.

use http::Method;
use serde_json::{Value, json};

use super::super::jwt::ISSUER;
use super::super::message::{Incoming, Params, Reply, query};
use super::super::pages;
use super::super::sealed::random_bytes;
use super::token::{Redemption, Refusal, check_verifier};
use super::{Challenge, Dex};

/// What clients have to list as a redirect URI.
pub(super) const CALLBACK: &str = "/device/callback";
/// Where Dex then really sends the user.
pub(super) const CALLBACK_AT_ISSUER: &str = "/dex/device/callback";
/// Dex's default for requests of devices.
const DEVICE_SECONDS: i64 = 5 * 60;
const POLL_SECONDS: i64 = 5;

/// A device that asked for tokens.
pub(super) struct Device {
    user_code: String,
    client: String,
    secret: String,
    scopes: String,
    challenge: Option<Challenge>,
    /// Given out again and again.
    tokens: Option<Value>,
    pub(super) ends: i64,
    last_poll: Option<i64>,
    interval: i64,
}

impl Dex {
    /// Answers a request for a path below `/dex/device`.
    pub(super) fn device(&self, request: Incoming<'_>, rest: &[&str]) -> Reply {
        match (rest, request.method()) {
            ([], &Method::GET) => {
                let code = request.query().text("user_code").to_owned();
                Reply::html(200, pages::dex_device(&code, false))
            }
            (["code"], &Method::POST) => self.begin_device(&request.form()),
            (["auth", "verify_code"], &Method::POST) => self.verify_code(request),
            (["callback"], &Method::GET) => self.device_callback(request),
            (["token"], &Method::POST) if !self.version.is_head() => {
                let answer = self.poll(&request.form());
                answer.map_or_else(Reply::from, |tokens| Reply::json(200, &tokens))
            }
            ([] | ["code" | "callback"] | ["auth", "verify_code"], _) => {
                Self::error(400, "Requested resource does not exist.")
            }
            _ => Reply::text(404, "404 page not found\n"),
        }
    }

    /// Whichever client is named gets a code: who he is matters only when the user has agreed.
    fn begin_device(&self, fields: &Params) -> Reply {
        let method = fields.get("code_challenge_method").filter(|method| !method.is_empty());
        let method = method.unwrap_or("plain");
        if !matches!(method, "S256" | "plain") {
            let text = format!("Unsupported PKCE challenge method ({method:?}).");
            return Refusal::new("invalid_request", text).into();
        }
        let challenge = fields.get("code_challenge").filter(|value| !value.is_empty());
        let user_code = user_code();
        let device_code = letters::<51>(b"abcdefghijklmnopqrstuvwxyz234567");
        let device = Device {
            user_code: user_code.clone(),
            client: fields.text("client_id").to_owned(),
            secret: fields.text("client_secret").to_owned(),
            scopes: fields.text("scope").split_whitespace().collect::<Vec<_>>().join(" "),
            challenge: challenge.map(|value| Challenge {
                value: value.to_owned(),
                hashed: method == "S256",
            }),
            tokens: None,
            ends: self.clock.seconds().saturating_add(DEVICE_SECONDS),
            last_poll: None,
            interval: POLL_SECONDS,
        };
        self.lock().devices.insert(device_code.clone(), device);
        Reply::json(
            200,
            &json!({
                "device_code": device_code,
                "user_code": user_code,
                "verification_uri": format!("{ISSUER}/device"),
                "verification_uri_complete": format!("{ISSUER}/device?{}", query([("user_code", user_code.as_str())])),
                "expires_in": DEVICE_SECONDS,
                "interval": POLL_SECONDS,
            }),
        )
    }

    fn verify_code(&self, request: Incoming<'_>) -> Reply {
        let given = request.form().text("user_code").to_uppercase();
        let now = self.clock.seconds();
        let state = self.lock();
        let device = state
            .devices
            .values()
            .find(|device| device.user_code == given && now < device.ends);
        let Some(device) = device else {
            return Reply::html(400, pages::dex_device(&given, true));
        };
        let location = if self.version.is_head() {
            let pairs = [
                ("client_id", device.client.as_str()),
                ("redirect_uri", CALLBACK_AT_ISSUER),
                ("response_type", "code"),
                ("scope", &device.scopes),
                ("state", &device.user_code),
            ];
            format!("{ISSUER}/auth?{}", query(pairs))
        } else {
            let pairs = [
                ("client_id", device.client.as_str()),
                ("client_secret", &device.secret),
                ("redirect_uri", CALLBACK),
                ("response_type", "code"),
                ("scope", &device.scopes),
                ("state", &device.user_code),
            ];
            format!("/dex/auth?{}", query(pairs))
        };
        Reply::redirect(302, &location, request)
    }

    /// The user has logged in; the device finds its tokens at the next poll.
    fn device_callback(&self, request: Incoming<'_>) -> Reply {
        let params = request.query();
        let error = params.text("error");
        if !error.is_empty() {
            return Self::error(400, &format!("{error}: {}", params.text("error_description")));
        }
        let (code, user_code) = (params.text("code"), params.text("state"));
        if code.is_empty() || user_code.is_empty() {
            return Self::error(400, "Failed to get necessary device details.");
        }
        let now = self.clock.seconds();
        let found = self
            .lock()
            .devices
            .iter()
            .find(|(_, device)| device.user_code == user_code && now < device.ends)
            .map(|(device_code, device)| (device_code.clone(), device.client.clone(), device.secret.clone()));
        let Some((device_code, client, secret)) = found else {
            return Self::error(400, "Invalid or expired device code.");
        };
        let Some(client) = self.client(&client).filter(|client| client.secret == secret) else {
            return Self::error(401, "Unauthorized.");
        };
        let redemption = Redemption {
            code,
            redirect_uri: CALLBACK_AT_ISSUER,
            verifier: "",
        };
        let Ok(tokens) = self.redeem_for(client, &redemption) else {
            return Self::error(400, "Invalid or expired auth code.");
        };
        if let Some(device) = self.lock().devices.get_mut(&device_code) {
            device.tokens = Some(tokens.json());
        }
        Reply::html(200, pages::dex_device_done(&client.id))
    }

    /// The grant of the device: no authentication of the client, and the same tokens at every later poll.
    pub(super) fn poll(&self, fields: &Params) -> Result<Value, Refusal> {
        let device_code = fields.text("device_code");
        if device_code.is_empty() {
            return Err(Refusal::new("invalid_request", "No device code received"));
        }
        let now = self.clock.seconds();
        let mut state = self.lock();
        let Some(device) = state.devices.get_mut(device_code) else {
            return Err(Refusal::new("invalid_request", "Invalid Device code."));
        };
        if now >= device.ends {
            return Err(Refusal::new("expired_token", ""));
        }
        if let Some(tokens) = &device.tokens {
            check_verifier(device.challenge.as_ref(), fields.text("code_verifier"))?;
            return Ok(tokens.clone());
        }
        let too_early = device
            .last_poll
            .is_some_and(|last| now < last.saturating_add(device.interval));
        device.last_poll = Some(now);
        if too_early {
            device.interval = device.interval.saturating_add(POLL_SECONDS);
            return Err(Refusal::new("slow_down", ""));
        }
        Err(Refusal::new("authorization_pending", ""))
    }
}

/// Eight consonants, so that no word comes out.
fn user_code() -> String {
    let text = letters::<8>(b"BCDFGHJKLMNPQRSTVWXZ");
    match text.split_at_checked(4) {
        Some((first, second)) => format!("{first}-{second}"),
        None => text,
    }
}

fn letters<const N: usize>(alphabet: &[u8]) -> String {
    random_bytes::<N>()
        .iter()
        .filter_map(|byte| alphabet.get(usize::from(*byte) % alphabet.len().max(1)))
        .map(|byte| char::from(*byte))
        .collect()
}
