//! How a dataset is divided into a training part and a test part.

use std::fmt;

/// The share of rows used for training, and the seed that decides which rows those are.
///
/// The same dataset version, share and seed give the same two parts, on every engine. The test part has
/// `ceil((1 - train) · rows)` rows; each part must have at least one row, which the split step checks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainSplit {
    train: f64,
    seed: u32,
}

impl TrainSplit {
    /// A split with `train` strictly between 0 and 1.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
    ///
    /// ```
    /// use orchestrator_core::TrainSplit;
    ///
    /// assert_eq!(TrainSplit::new(0.8, 0)?.train(), 0.8);
    /// assert!(TrainSplit::new(1.2, 0).is_err());
    /// # Ok::<(), String>(())
    /// ```
    pub fn new(train: f64, seed: u32) -> Result<Self, String> {
        if train > 0.0 && train < 1.0 {
            Ok(Self { train, seed })
        } else {
            Err(format!(
                "is {train}: give the training share strictly between 0 and 1, for instance 0.8"
            ))
        }
    }

    /// Share of rows for training.
    pub fn train(self) -> f64 {
        self.train
    }

    /// Seed of the shuffle.
    pub fn seed(self) -> u32 {
        self.seed
    }
}

impl fmt::Display for TrainSplit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.train)
    }
}
