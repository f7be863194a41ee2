//! Log in to a single-sign-on Kubeflow without a browser, and stay logged in.
