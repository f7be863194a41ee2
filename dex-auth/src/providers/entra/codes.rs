//! Entra ID's error codes (`AADSTS` and a number), of which Microsoft says that they may change.

use crate::error::{Error, one_line};
use crate::handler::Progress;
use crate::page::Page;
use crate::providers::second_factor::lost;

use super::config::Config;

/// What the page's error code says; `None` without one.
pub(super) fn error(page: &Page, config: &Config, progress: &Progress) -> Option<Error> {
    let code = match config.number("sErrorCode") {
        number if number.is_empty() => in_words(&config.message())?,
        number => number,
    };
    let origin = page.origin();
    let message = || config.message();
    let coded = || one_line(&format!("AADSTS{code}: {}", config.message()));
    Some(match code.as_str() {
        // No session yet, which is why the page is there.
        "0" | "50058" => return None,
        "50126" => Error::WrongPassword { origin },
        "50034" => Error::UnknownUser { origin },
        "50053" => Error::AccountLocked { origin },
        "50055" => Error::PasswordChangeRequired { origin },
        "50056" => Error::ActionRequired {
            origin,
            action: "set a password, since the directory holds none (AADSTS50056)".to_owned(),
        },
        "50057" => Error::AccountDisabled { origin },
        "50072" | "50079" => Error::EnrolmentRequired { origin },
        "50074" | "50076" => Error::SecondFactorRequired {
            origin,
            methods: Vec::new(),
        },
        "500121" => Error::SecondFactorRefused { origin },
        // The token of the page ran out, or belongs to another login than the cookies.
        "50089" | "165000" => lost(page, progress, coded()),
        "50005" | "50105" | "50158" | "53000" | "53001" | "53002" | "53003" | "53004" => Error::AccessDenied {
            origin,
            code: Some(format!("AADSTS{code}")),
            message: message(),
        },
        "65001" | "90094" => Error::ConsentRequired {
            origin,
            message: coded(),
        },
        "50011" | "700016" => Error::Misconfigured {
            origin,
            message: coded(),
        },
        _ => Error::LoginRefused {
            status: page.status(),
            message: coded(),
        },
    })
}

/// The error page may give the code in its text alone: `AADSTS700016: Application ...`.
fn in_words(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("AADSTS")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}
