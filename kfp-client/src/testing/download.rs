//! Pipelines that the server fetches itself from a URL.

use std::time::Duration;

use url::Url;

use super::answer::{Answer, Refusal};
use super::archive;
use super::call::Json;
use super::context::Context;
use super::messages::{PIPELINE_AND_VERSION, V1_PIPELINE, V1_VERSION, VERSION};
use super::pipelines::{Naming, check_tags, tags_of};
use super::references::{namespace_of, referred};
use super::template::{Template, Unfit};

/// How long a download may take: the server answers nobody meanwhile.
const LIMIT: Duration = Duration::from_secs(10);

/// Largest file.
const MOST: usize = 32 << 20;

/// From where servers since 2.17 fetch, unless their administrator allows more.
const ALLOWED: &[&str] = &[
    "storage.googleapis.com",
    "s3.amazonaws.com",
    "github.com",
    "raw.githubusercontent.com",
];

/// Why there is no file.
enum Failed {
    /// No answer.
    Unreachable(String),
    /// Another status than 200.
    Status(String),
}

/// Fetches a file, on a thread of its own since the caller must not wait inside a runtime.
fn fetch(url: &Url) -> Result<Vec<u8>, Failed> {
    let url = url.clone();
    let fetch = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failed::Unreachable(error.to_string()))?;
        runtime.block_on(async {
            let unreachable = |error: reqwest::Error| Failed::Unreachable(format!("Get {:?}: {error}", url.as_str()));
            let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build();
            let response = client.map_err(unreachable)?.get(url.clone()).send().await;
            let response = response.map_err(unreachable)?;
            if response.status() != http::StatusCode::OK {
                return Err(Failed::Status(response.status().to_string()));
            }
            response.bytes().await.map(|bytes| bytes.to_vec()).map_err(unreachable)
        })
    };
    let lost = || Err(Failed::Unreachable("the download ended early".to_owned()));
    std::thread::spawn(fetch).join().unwrap_or_else(|_| lost())
}

/// Whether servers since 2.17 would fetch from this address.
fn allowed(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_lowercase();
    url.scheme() == "https" && url.port().is_none() && ALLOWED.contains(&host.as_str())
}

/// The wording around a download, which each operation has of its own.
struct Words {
    malformed: fn(&str) -> String,
    unreachable: fn(&str) -> String,
    status: fn(&str, &str) -> String,
}

const PIPELINE: Words = Words {
    malformed: |url| format!("invalid pipeline spec URL: {url}"),
    unreachable: |url| format!("error downloading the pipeline spec from {url}"),
    status: |url, status| format!("error fetching pipeline spec from {url} - request returned {status}"),
};

const PIPELINE_VERSION: Words = Words {
    malformed: |url| {
        format!(
            "Failed to create a pipeline version due to invalid pipeline spec URI. PipelineSpecURI: {url}. Please \
             specify a valid URL"
        )
    },
    unreachable: |url| {
        format!("Failed to create a pipeline version due error downloading the pipeline spec from {url}")
    },
    status: |url, status| format!("Failed to fetch pipeline spec with url: {url}. Request returned {status}"),
};

impl Context<'_> {
    /// The document at a URL.
    fn downloaded(&self, url: &str, words: &Words) -> Result<String, Refusal> {
        let old = !self.generation().has_v2();
        let parsed = Url::parse(url).map_err(|_| {
            Refusal::invalid(if old {
                format!("Invalid Pipeline URL {url}. Please specify a valid URL")
            } else {
                (words.malformed)(url)
            })
        })?;
        if self.generation().new_gateway() && self.core.settings.validate_urls && !allowed(&parsed) {
            return Err(Refusal::invalid("Pipeline URL validation failed"));
        }
        let hint = "Please double check the URL is valid and can be accessed by the pipeline system.";
        let bytes = fetch(&parsed).map_err(|failed| match (failed, old) {
            (Failed::Unreachable(cause), true) => {
                Refusal::internal(format!("Failed to download the pipeline from {url} {hint}: {cause}"))
            }
            (Failed::Status(_), true) => {
                Refusal::internal(format!("Failed to download the pipeline from {url} {hint}"))
            }
            (Failed::Unreachable(cause), false) => Refusal::internal(format!("{}: {cause}", (words.unreachable)(url))),
            (Failed::Status(status), false) => Refusal::invalid((words.status)(url, &status)),
        })?;
        if bytes.len() > MOST {
            let text = format!(
                "File size too large ({} bytes). Maximum supported size: {MOST}. Consider moving large embedded \
                 artifacts or notebooks or Python code into a container image or object store.",
                bytes.len()
            );
            return Err(Refusal::invalid(text));
        }
        archive::document(file_name(url), &bytes).map_err(|cause| {
            let refusal = Refusal::invalid(cause);
            if old {
                refusal.context("The URL is valid but pipeline system failed to read the file.")
            } else {
                refusal
            }
        })
    }

    /// The document as a pipeline.
    fn downloaded_template(&self, document: &str) -> Result<Template, Refusal> {
        match Template::parse(document, self.generation()) {
            Ok(template) => {
                let stored = template.check_stored(self.generation());
                stored.map(|()| template).map_err(Refusal::invalid)
            }
            // A 2.x server loops for ever on such a text.
            Err(Unfit::Broken(_)) if self.generation().has_v2() => Err(Refusal::hang()),
            Err(Unfit::Broken(text) | Unfit::Refused(text)) => Err(Refusal::invalid(text)),
        }
    }

    fn add_downloaded(&mut self, naming: &Naming, url: &str, code: &str) -> Result<String, Refusal> {
        let document = self.downloaded(url, &PIPELINE)?;
        let template = self.downloaded_template(&document)?;
        let id = self.add_pipeline(naming)?;
        let version = (!self.generation().has_v2()).then_some(id.as_str());
        match self.add_version(&id, version, naming, template, document) {
            Ok(version) => {
                self.note_origin(&version, url, code);
                Ok(id)
            }
            Err(refusal) => {
                self.state.pipelines.remove(&id);
                Err(refusal)
            }
        }
    }

    fn note_origin(&mut self, version: &str, url: &str, code: &str) {
        if let Some(row) = self.state.versions.get_mut(version) {
            url.clone_into(&mut row.package_url);
            code.clone_into(&mut row.code_source_url);
        }
    }

    /// v1: a pipeline with its first version.
    pub(super) fn create_pipeline_v1(&mut self) -> Result<Answer, Refusal> {
        let body = self.body(&V1_PIPELINE)?;
        let old = !self.generation().has_v2();
        let outer = |refusal: Refusal| {
            if old {
                refusal
            } else {
                refusal.context("Failed to create a pipeline (v1beta1)")
            }
        };
        let url = body.get("url").map(|url| url.text("pipeline_url")).unwrap_or_default();
        if url.is_empty() && old {
            return Err(Refusal::invalid("Pipeline URL is empty. Please specify a valid URL."));
        }
        let mut naming = Naming::read(&body);
        namespace_of(&body).clone_into(&mut naming.namespace);
        naming.name_after(file_name(url));
        self.may_create_pipeline(&naming).map_err(outer)?;
        let id = self.add_downloaded(&naming, url, "").map_err(outer)?;
        Ok(Answer::Json(self.render_pipeline(self.pipeline(&id)?, true)))
    }

    /// v2: a pipeline and its first version.
    pub(super) fn create_pipeline_and_version(&mut self) -> Result<Answer, Refusal> {
        let body = self.body(&PIPELINE_AND_VERSION)?;
        let outer = |refusal: Refusal| refusal.context("Failed to create a pipeline");
        let mut naming = body.get("pipeline").map(Naming::read).unwrap_or_default();
        let version = body.get("pipeline_version").cloned().unwrap_or_default();
        let url = version.get("package_url").map(|url| url.text("pipeline_url"));
        let url = url.unwrap_or_default();
        naming.name_after(file_name(url));
        self.may_create_pipeline(&naming).map_err(outer)?;
        let tags = tags_of(&version);
        for tags in [&naming.tags, &tags] {
            check_tags(tags).map_err(|text| outer(Refusal::invalid(text)))?;
        }
        let code = version.text("code_source_url");
        let id = self.add_downloaded(&naming, url, code).map_err(outer)?;
        let first = self.state.versions.values_mut().find(|row| row.pipeline_id == id);
        if let Some(first) = first {
            first.tags = tags;
        }
        Ok(Answer::Json(self.render_pipeline(self.pipeline(&id)?, false)))
    }

    /// A further version.
    pub(super) fn create_version(&mut self, v1: bool) -> Result<Answer, Refusal> {
        let body = self.body(if v1 { &V1_VERSION } else { &VERSION })?;
        let url = body.get("package_url").map(|url| url.text("pipeline_url"));
        let old = !self.generation().has_v2();
        let missing = |text: &str| Refusal::invalid(format!("Failed to create a pipeline version. {text}"));
        let (pipeline, url, outer) = if v1 {
            let url = url.unwrap_or_default();
            if url.is_empty() {
                return Err(Refusal::invalid(if old {
                    "Pipeline URL is empty. Please specify a valid URL."
                } else {
                    "Failed to create a pipeline version (v1beta1). Pipeline version is nil or pipeline's URL is empty"
                }));
            }
            let outer = if old {
                "Failed to create a version."
            } else {
                "Failed to create a pipeline version (v1beta1) due to internal server error"
            };
            (referred(&body, "PIPELINE"), url, outer)
        } else {
            let pipeline = body.text("pipeline_id");
            let url = match url {
                None => return Err(missing("Package URL is nil")),
                Some("") => return Err(missing("Package URL is empty")),
                Some(_) if pipeline.is_empty() => return Err(missing("Parent pipeline id is empty")),
                Some(url) => url,
            };
            (pipeline, url, "Failed to create a pipeline version. Check error stack")
        };
        let refuse = |refusal: Refusal| refusal.context(outer);
        let mut naming = Naming::read(&body);
        naming.name_after(file_name(url));
        self.pipeline(pipeline)
            .map(|_| ())
            .and_then(|()| self.may_pipeline("create", pipeline))
            .map_err(refuse)?;
        check_tags(&naming.tags).map_err(|text| refuse(Refusal::invalid(text)))?;
        let document = self.downloaded(url, &PIPELINE_VERSION).map_err(refuse)?;
        let template = self.downloaded_template(&document).map_err(refuse)?;
        let id = self
            .add_version(pipeline, None, &naming, template, document)
            .map_err(refuse)?;
        self.note_origin(&id, url, body.text("code_source_url"));
        if let Some(row) = self.state.versions.get_mut(&id) {
            row.tags = naming.tags;
        }
        Ok(Answer::Json(self.render_version(self.version(&id)?, v1)))
    }
}

/// The last part of a URL's path, after which an unnamed pipeline is called.
fn file_name(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    url.rsplit('/').next().unwrap_or(url)
}
