//! Train, evaluate and deploy.
