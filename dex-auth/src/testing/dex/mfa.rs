//! `/dex/mfa`: the second factor of the Dex after 2.45.

use std::fmt;

use http::Method;
use serde_json::json;
use totp_rs::{Builder, Secret, Totp};

use super::super::message::{Incoming, Params, Reply, query};
use super::super::pages;
use super::super::sealed::random_text;
use super::Dex;

/// Seconds for which a code is made.
const STEP: u64 = 30;

/// What Dex asks of every user after the password, see
/// [`GatewayBuilder::second_factor`](super::super::GatewayBuilder::second_factor).
#[derive(Clone)]
pub struct SecondFactor(Factor);

#[derive(Clone)]
enum Factor {
    Totp { codes: Totp, enrols: bool },
    SecurityKey,
}

impl SecondFactor {
    /// Codes of an authenticator app that was enrolled with this secret, base32 as `JBSWY3DPEHPK3PXP`.
    ///
    /// # Panics
    ///
    /// If it is no base32 text.
    #[must_use]
    pub fn totp(secret: &str) -> Self {
        Self::codes(secret, false)
    }

    /// Codes of an authenticator app that nobody enrolled yet: the page shows its secret as a picture.
    #[must_use]
    pub fn enrolment() -> Self {
        Self::codes("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", true)
    }

    /// A security key, which a page of script alone asks for.
    #[must_use]
    pub fn security_key() -> Self {
        Self(Factor::SecurityKey)
    }

    #[expect(clippy::expect_used, reason = "a test with a wrong secret is wrong")]
    fn codes(secret: &str, enrols: bool) -> Self {
        let secret = Secret::try_from_base32(secret).expect("a secret in base32");
        let codes = Builder::new().with_secret(secret).build_noncompliant();
        Self(Factor::Totp { codes, enrols })
    }

    fn path(&self) -> &'static str {
        match self.0 {
            Factor::Totp { .. } => "totp",
            Factor::SecurityKey => "webauthn",
        }
    }
}

impl fmt::Debug for SecondFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecondFactor").field(&self.path()).finish()
    }
}

impl Dex {
    /// `/dex/mfa`: on to the only factor there is.
    pub(super) fn choose_factor(&self, request: Incoming<'_>) -> Reply {
        let params = request.query();
        let id = params.text("req");
        if let Err(refusal) = self.check_factor_step(&params, "mfa") {
            return refusal;
        }
        let path = self.second_factor.as_ref().map_or("totp", SecondFactor::path);
        let mac = self.step_mac(id, path);
        let location = format!(
            "/dex/mfa/{path}?{}",
            query([("authenticator", path), ("hmac", mac.as_str()), ("req", id)])
        );
        Reply::redirect(303, &location, request)
    }

    pub(super) fn second_factor_page(&self, request: Incoming<'_>, rest: &[&str]) -> Reply {
        let Some(SecondFactor(factor)) = &self.second_factor else {
            return Reply::text(404, "404 page not found\n");
        };
        let params = request.query();
        let step = if matches!(factor, Factor::SecurityKey) {
            "webauthn"
        } else {
            "totp"
        };
        if rest.first() != Some(&step) {
            return Reply::text(404, "404 page not found\n");
        }
        if let Err(refusal) = self.check_factor_step(&params, step) {
            return refusal;
        }
        match (factor, rest, request.method()) {
            (Factor::Totp { enrols, .. }, ["totp"], &Method::GET) => {
                Reply::html(200, pages::dex_totp(&request.path_and_query(), *enrols, false))
            }
            (Factor::Totp { codes, enrols }, ["totp"], &Method::POST) => self.code(request, &params, codes, *enrols),
            (Factor::SecurityKey, ["webauthn"], &Method::GET) => {
                Reply::html(200, pages::dex_security_key(&request.path_and_query()))
            }
            (Factor::SecurityKey, ["webauthn", "login", "begin"], &Method::POST) => Reply::json(
                200,
                &json!({ "publicKey": { "challenge": random_text::<32>(), "rpId": "localhost", "timeout": 60000 } }),
            ),
            // Nobody here has the key.
            (Factor::SecurityKey, ["webauthn", "login", "finish"], &Method::POST) => {
                Reply::json(401, &json!({ "status": "error", "message": "Verification failed." }))
            }
            _ => Self::error(400, "Unsupported request method."),
        }
    }

    fn check_factor_step(&self, params: &Params, step: &str) -> Result<(), Reply> {
        let (id, mac) = (params.text("req"), params.text("hmac"));
        if mac.is_empty() {
            return Err(Self::error(401, "Unauthorized request"));
        }
        if self.finished_form(id).is_none() {
            return Err(Self::error(400, "User session error."));
        }
        if !self.proves(id, mac, &[step]) {
            return Err(Self::error(401, "Unauthorized request"));
        }
        Ok(())
    }

    fn code(&self, request: Incoming<'_>, params: &Params, codes: &Totp, enrols: bool) -> Reply {
        let given = request.form().text("totp").to_owned();
        let id = params.text("req");
        let now = u64::try_from(self.clock.seconds()).unwrap_or_default() / STEP;
        let fits = [now, now.saturating_sub(1), now.saturating_add(1)]
            .into_iter()
            .find(|step| codes.generate(step.saturating_mul(STEP)).to_string() == given);
        let accepted = fits.is_some_and(|step| {
            let mut state = self.lock();
            let subject = state.requests.get(id).and_then(|begun| begun.identity.clone());
            let subject = subject.map(|identity| identity.subject).unwrap_or_default();
            // Each code works once, and none that is older than the last one.
            let is_new = state.code_steps.get(&subject).is_none_or(|last| *last < step);
            if is_new {
                state.code_steps.insert(subject, step);
                if let Some(begun) = state.requests.get_mut(id) {
                    begun.factor_given = true;
                }
            }
            is_new
        });
        if !accepted {
            return Reply::html(401, pages::dex_totp(&request.path_and_query(), enrols, true));
        }
        self.note_factor(request);
        Reply::redirect(303, &self.sealed_step("/dex/auth", id, "factor given"), request)
    }
}
