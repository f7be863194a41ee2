//! Keycloak's cookies, as it sets them on plain HTTP: none is `Secure`, and `SameSite` is `Lax`.

use super::super::super::message::Reply;
use super::super::super::sealed::random_text;

pub(super) const AUTH_SESSION: &str = "AUTH_SESSION_ID";
pub(super) const RESTART: &str = "KC_RESTART";
pub(super) const IDENTITY: &str = "KEYCLOAK_IDENTITY";

/// How long a session lasts, in the cookies.
pub(super) const SESSION_SECONDS: i64 = 36_000;
const REMEMBERED_SECONDS: i64 = 31_536_000;

/// Sets cookies for the path of one realm.
pub(super) struct Cookies<'a> {
    pub(super) realm: &'a str,
}

impl Cookies<'_> {
    fn line(&self, name: &str, value: &str, max_age: Option<i64>, http_only: bool) -> String {
        let age = max_age.map_or_else(String::new, |seconds| format!("Max-Age={seconds};"));
        let scripts = if http_only { "HttpOnly;" } else { "" };
        format!(
            "{name}={value};Version=1;Path=/realms/{}/;{age}{scripts}SameSite=Lax",
            self.realm
        )
    }

    /// What holds a login that is under way.
    pub(super) fn login(&self, reply: Reply, root: &str) -> Reply {
        // For the page's script alone. Its value has characters that only quotes allow.
        let hash = format!("\"{}+/=\"", random_text::<30>());
        reply
            .set_cookie(&self.line(AUTH_SESSION, root, None, true))
            .set_cookie(&self.line("KC_AUTH_SESSION_HASH", &hash, Some(60), false))
    }

    /// What a login can be begun again from.
    pub(super) fn restart(&self, reply: Reply, value: &str) -> Reply {
        reply.set_cookie(&self.line(RESTART, value, None, true))
    }

    /// The line has no attributes that a deletion does not need.
    pub(super) fn no_restart(&self, reply: Reply) -> Reply {
        reply.set_cookie(&format!("{RESTART}=;Version=1;Path=/realms/{}/;Max-Age=0", self.realm))
    }

    pub(super) fn session(&self, reply: Reply, id: &str, remembered: Option<&str>) -> Reply {
        let age = remembered.map(|_| SESSION_SECONDS);
        let reply = reply
            .set_cookie(&self.line(IDENTITY, id, age, true))
            .set_cookie(&self.line("KEYCLOAK_SESSION", &random_text::<48>(), Some(SESSION_SECONDS), false));
        match remembered {
            Some(name) => {
                let value = format!("\"username:{name}\"");
                reply.set_cookie(&self.line("KEYCLOAK_REMEMBER_ME", &value, Some(REMEMBERED_SECONDS), true))
            }
            None => reply,
        }
    }

    /// Comes with pages that stand outside of a login.
    pub(super) fn detached(&self, reply: Reply) -> Reply {
        let line = format!(
            "KC_STATE_CHECKER={};Version=1;Path=/realms/{}/;Max-Age=300;HttpOnly;SameSite=Strict",
            random_text::<48>(),
            self.realm
        );
        reply.set_cookie(&line)
    }
}
