//! Telling how far a transfer is.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::options::{Callback, TransferOptions, TransferProgress};

/// Of one file. Cheap to clone; clones count together.
#[derive(Clone)]
pub(super) struct Report {
    path: Arc<str>,
    size: Option<u64>,
    bytes: Arc<AtomicU64>,
    /// Of the file, if this counts a part of it.
    whole: Option<Arc<AtomicU64>>,
    callback: Option<Callback>,
}

impl Report {
    pub(super) fn new(options: &TransferOptions, path: &str, size: Option<u64>) -> Self {
        Self {
            path: path.into(),
            size,
            bytes: Arc::default(),
            whole: None,
            callback: options.progress.clone(),
        }
    }

    /// The size, once it is known.
    pub(super) fn sized(mut self, size: Option<u64>) -> Self {
        self.size = size.or(self.size);
        self
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A part, which can begin again by itself.
    pub(super) fn part(&self) -> Self {
        Self {
            bytes: Arc::default(),
            whole: Some(Arc::clone(&self.bytes)),
            ..self.clone()
        }
    }

    pub(super) fn moved(&self, bytes: u64) {
        let add = |count: &AtomicU64| count.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let own = add(&self.bytes);
        self.tell(self.whole.as_deref().map_or(own, add));
    }

    /// It begins again.
    pub(super) fn reset(&self) {
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        if bytes == 0 {
            return;
        }
        let left = self.whole.as_deref().map_or(0, |whole| {
            let before = whole.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |all| {
                Some(all.saturating_sub(bytes))
            });
            before.unwrap_or(0).saturating_sub(bytes)
        });
        self.tell(left);
    }

    fn tell(&self, bytes: u64) {
        if let Some(callback) = &self.callback {
            callback(TransferProgress {
                path: &self.path,
                bytes,
                size: self.size,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn what_is_sent_again_is_taken_back() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&told);
        let options = TransferOptions::new().on_progress(move |at| {
            into.lock().unwrap().push((at.path.to_owned(), at.bytes, at.size));
        });
        let report = Report::new(&options, "f", Some(9));
        report.moved(4);
        let part = report.part();
        part.clone().moved(5);
        part.reset();
        part.reset();
        report.reset();
        let told = told.lock().unwrap();
        assert_eq!(
            told.iter().map(|(_, bytes, _)| *bytes).collect::<Vec<_>>(),
            [4, 9, 4, 0]
        );
        assert_eq!(told[0], ("f".to_owned(), 4, Some(9)));
    }
}
