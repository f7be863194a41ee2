//! What the example programs share: flags, connections, progress and summary. Each program itself shows how the
//! crates are used; this package is not published.

pub mod bundled;
pub mod check;
pub mod connect;
pub mod exit;
pub mod flags;
pub mod job;
pub mod progress;
pub mod requests;
pub mod sign_in;
pub mod summary;
