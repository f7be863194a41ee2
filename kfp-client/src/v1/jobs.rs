//! Jobs: what the newer API calls recurring runs.

use futures_core::Stream;
use futures_util::TryStreamExt;
use http::Method;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{
    ROOT, list_query,
    references::{ResourceKey, ResourceReference, ResourceType, referred},
    source::{PipelineSpec, Plan, Source},
};
use crate::{
    client::Client,
    endpoint::{Call, path_id},
    error::{Error, Result},
    filter::Filter,
    ids::{ExperimentId, JobId, PipelineVersionId},
    list::list_request,
    message::message,
    page::{self, Listed, Page},
    status::Status,
    submit::{self, Claim, Made, Resource, Submitted},
    v2::{experiments::optional, storable, stored_text},
    version::{Feature, ServerVersion},
    wire::wire_enum,
};

wire_enum! {
    /// Whether a job shall start runs.
    pub enum JobMode {
        /// Not said.
        Unspecified = "UNKNOWN_MODE",
        /// It shall.
        Enabled = "ENABLED",
        /// It shall not.
        Disabled = "DISABLED",
    }
}

wire_enum! {
    /// How a job stands. Servers rarely say; [`Job::enabled`] is right.
    pub enum JobStatus {
        /// Not said (from KFP 2.0 on).
        Unspecified = "STATUS_UNSPECIFIED",
        /// Its controller has not reported yet (KFP 1.8).
        NoStatus = "NO_STATUS",
        /// It starts runs.
        Enabled = "ENABLED",
        /// It does not.
        Disabled = "DISABLED",
    }
}

message! {
    /// Starts runs by the clock.
    pub struct Job {
        /// Id: the UID of its Kubernetes resource.
        id: JobId,
        /// Name; not unique.
        name: String,
        /// Free text.
        description: String,
        /// What its runs execute.
        pipeline_spec: Option<PipelineSpec>,
        /// The experiment and namespace that own it, and the pipeline and version it was made from.
        resource_references: Vec<ResourceReference>,
        /// Kubernetes service account of the pods.
        service_account: String,
        /// How many of its runs may be in progress at once: 1 to 10.
        max_concurrency: Option<i64>,
        /// When it starts runs; one without a schedule never does.
        trigger: Option<Trigger>,
        /// Whether it shall start runs; only in requests.
        mode: Option<JobMode>,
        /// When it was made.
        created_at: Option<Timestamp>,
        /// When it was last changed.
        updated_at: Option<Timestamp>,
        /// How it stands.
        status: Option<JobStatus>,
        /// Why the server cannot read it.
        error: String,
        /// Whether it starts runs.
        enabled: bool,
        /// Whether of the runs it missed only the latest is made up for.
        no_catchup: bool,
    }
}

message! {
    /// When a job starts runs: by one of the two.
    pub struct Trigger {
        /// At times of the calendar.
        cron_schedule: Option<CronSchedule>,
        /// At equal distances.
        periodic_schedule: Option<PeriodicSchedule>,
    }
}

message! {
    /// Times of the calendar.
    pub struct CronSchedule {
        /// Before this it starts nothing.
        start_time: Option<Timestamp>,
        /// After this it starts nothing.
        end_time: Option<Timestamp>,
        /// Six fields, **seconds first** (`0 30 4 * * *` is half past four each day), or `@hourly`, `@every 1h30m`
        /// and the like. In the server's time zone, UTC unless it was configured.
        cron: String,
    }
}

message! {
    /// Equal distances.
    pub struct PeriodicSchedule {
        /// Before this it starts nothing.
        start_time: Option<Timestamp>,
        /// After this it starts nothing.
        end_time: Option<Timestamp>,
        /// Seconds from one start to the next, at least 1.
        interval_second: Option<i64>,
    }
}

impl Trigger {
    /// At times of the calendar: six fields, seconds first, or `@hourly` and the like.
    pub fn cron(cron: impl Into<String>) -> Self {
        let schedule = CronSchedule {
            cron: cron.into(),
            ..CronSchedule::default()
        };
        Self {
            cron_schedule: Some(schedule),
            ..Self::default()
        }
    }

    /// Every so many seconds.
    pub fn every(seconds: i64) -> Self {
        let schedule = PeriodicSchedule {
            interval_second: Some(seconds),
            ..PeriodicSchedule::default()
        };
        Self {
            periodic_schedule: Some(schedule),
            ..Self::default()
        }
    }

    /// Starts nothing before this time.
    #[must_use]
    pub fn from(mut self, time: Timestamp) -> Self {
        if let Some(cron) = &mut self.cron_schedule {
            cron.start_time = Some(time);
        }
        if let Some(periodic) = &mut self.periodic_schedule {
            periodic.start_time = Some(time);
        }
        self
    }

    /// Starts nothing after this time.
    #[must_use]
    pub fn until(mut self, time: Timestamp) -> Self {
        if let Some(cron) = &mut self.cron_schedule {
            cron.end_time = Some(time);
        }
        if let Some(periodic) = &mut self.periodic_schedule {
            periodic.end_time = Some(time);
        }
        self
    }

    fn validate(&self) -> Result<()> {
        let (start, end) = match (&self.cron_schedule, &self.periodic_schedule) {
            (Some(_), Some(_)) => return Err(Error::invalid("trigger", "one schedule, not two")),
            (None, None) => return Ok(()),
            (Some(cron), None) => {
                // The server takes five fields too, as if the day of the week were missing: `0 * * * *` then means
                // every minute.
                if !cron.cron.starts_with('@') && cron.cron.split_whitespace().count() != 6 {
                    return Err(Error::invalid(
                        "trigger.cron_schedule.cron",
                        "six fields, seconds first, or `@hourly`, `@every 1h30m` and the like",
                    ));
                }
                (cron.start_time, cron.end_time)
            }
            (None, Some(periodic)) => {
                if periodic.interval_second.is_none_or(|seconds| seconds < 1) {
                    return Err(Error::invalid(
                        "trigger.periodic_schedule.interval_second",
                        "at least 1",
                    ));
                }
                (periodic.start_time, periodic.end_time)
            }
        };
        match (start, end) {
            (Some(start), Some(end)) if end <= start => {
                Err(Error::invalid("trigger: end_time", "later than start_time"))
            }
            _ => Ok(()),
        }
    }
}

impl Job {
    /// The experiment that its runs belong to.
    pub fn experiment_id(&self) -> Option<ExperimentId> {
        referred(&self.resource_references, &ResourceType::Experiment).map(ExperimentId::new)
    }

    /// Its namespace.
    pub fn namespace(&self) -> Option<String> {
        referred(&self.resource_references, &ResourceType::Namespace)
    }

    /// The version of a stored pipeline that its runs execute.
    pub fn pipeline_version_id(&self) -> Option<PipelineVersionId> {
        referred(&self.resource_references, &ResourceType::PipelineVersion).map(PipelineVersionId::new)
    }
}

impl Made for Job {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }
}

impl Listed for Job {
    fn broken(&self) -> Option<(&str, &Status)> {
        None
    }

    fn broken_text(&self) -> Option<(&str, &str)> {
        let stub = self.name.is_empty() && self.created_at.is_none() && !self.error.is_empty();
        stub.then_some((self.id.as_str(), self.error.as_str()))
    }
}

/// A job to be made.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CreateJob {
    /// Name: 1 to 255 characters, not unique for the server.
    pub name: String,
    /// Whether no other job has the name, so that it can be told by it if the answer to its creation is lost.
    pub name_is_unique: bool,
    /// When it starts runs.
    pub trigger: Trigger,
    /// How many of its runs may be in progress at once: 1 to 10.
    pub max_concurrency: i64,
    /// Whether it starts runs from the beginning.
    pub enabled: bool,
    /// Whether of the runs it missed only the latest is made up for.
    pub no_catchup: bool,
    /// Experiment its runs belong to; the default one if left out, which a multi-user server refuses.
    pub experiment_id: Option<ExperimentId>,
    /// Free text, at most 255 characters.
    pub description: String,
    /// Kubernetes service account of the pods; empty for the server's default.
    pub service_account: String,
    plan: Plan,
}

#[derive(Serialize)]
struct Body {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline_spec: Option<PipelineSpec>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource_references: Vec<ResourceReference>,
    #[serde(skip_serializing_if = "String::is_empty")]
    service_account: String,
    max_concurrency: String,
    trigger: Trigger,
    mode: JobMode,
    enabled: bool,
    no_catchup: bool,
}

impl CreateJob {
    /// A job of this name that runs `source` when the trigger says so: enabled, one run at a time.
    pub fn new(name: impl Into<String>, source: impl Into<Source>, trigger: Trigger) -> Self {
        Self {
            name: name.into(),
            name_is_unique: false,
            trigger,
            max_concurrency: 1,
            enabled: true,
            no_catchup: false,
            experiment_id: None,
            description: String::new(),
            service_account: String::new(),
            plan: Plan::new(source.into()),
        }
    }

    /// The same with a name that is `title` (at most 218 characters) with a new UUID behind it.
    pub fn with_unique_name(title: &str, source: impl Into<Source>, trigger: Trigger) -> Self {
        Self::new(format!("{title} {}", crate::random::uuid()), source, trigger).name_is_unique(true)
    }

    /// Says that no other job has the name, nor ever will. Record the name before the call, and a crash during the
    /// call loses nothing: [`Jobs::find_by_name`] finds the job.
    #[must_use]
    pub fn name_is_unique(mut self, name_is_unique: bool) -> Self {
        self.name_is_unique = name_is_unique;
        self
    }

    /// How many of its runs may be in progress at once: 1 to 10.
    #[must_use]
    pub fn max_concurrency(mut self, max_concurrency: i64) -> Self {
        self.max_concurrency = max_concurrency;
        self
    }

    /// Whether it starts runs from the beginning.
    #[must_use]
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Whether of the runs it missed only the latest is made up for.
    #[must_use]
    pub fn no_catchup(mut self, no_catchup: bool) -> Self {
        self.no_catchup = no_catchup;
        self
    }

    /// Experiment its runs belong to; a multi-user server requires one.
    #[must_use]
    pub fn experiment(mut self, experiment_id: impl Into<ExperimentId>) -> Self {
        self.experiment_id = Some(experiment_id.into());
        self
    }

    /// Free text, at most 255 characters.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Kubernetes service account of the pods.
    #[must_use]
    pub fn service_account(mut self, service_account: impl Into<String>) -> Self {
        self.service_account = service_account.into();
        self
    }

    /// Value of a parameter of an Argo workflow, which is text whatever it stands for. The server fills in
    /// `[[ScheduledTime]]`, `[[CurrentTime]]`, `[[Index]]` and `[[RunUUID]]` for each run.
    ///
    /// All of them together may have 10,000 bytes as JSON. More is refused, by the client as long as the server is not
    /// known to be 2.16 or newer, where administrators can set another limit (`MAX_PARAMETER_BYTES`).
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.plan.parameters.insert(name.into(), value.into());
        self
    }

    /// Value of a parameter of a pipeline in the newer format (from KFP 2.0 on).
    #[must_use]
    pub fn runtime_parameter(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.plan.runtime_config.parameters.insert(name.into(), value.into());
        self
    }

    /// Where the artifacts of a pipeline in the newer format are kept (from KFP 2.0 on).
    #[must_use]
    pub fn pipeline_root(mut self, pipeline_root: impl Into<String>) -> Self {
        self.plan.runtime_config.pipeline_root = pipeline_root.into();
        self
    }

    fn body(self, server: Option<ServerVersion>) -> Result<Body> {
        stored_text("name", &self.name, 255, true)?;
        stored_text("description", &self.description, 255, false)?;
        if !(1..=10).contains(&self.max_concurrency) {
            return Err(Error::invalid("max_concurrency", "1 to 10"));
        }
        self.trigger.validate()?;
        self.plan.check_size(server)?;
        let (pipeline_spec, version) = self.plan.build()?;
        let experiment = self.experiment_id.map(ResourceReference::experiment);
        Ok(Body {
            name: self.name,
            description: self.description,
            pipeline_spec,
            resource_references: experiment.into_iter().chain(version).collect(),
            service_account: self.service_account,
            max_concurrency: self.max_concurrency.to_string(),
            trigger: self.trigger,
            // KFP 1.8 looks at `enabled` alone.
            mode: if self.enabled {
                JobMode::Enabled
            } else {
                JobMode::Disabled
            },
            enabled: self.enabled,
            no_catchup: self.no_catchup,
        })
    }
}

list_request! {
    /// Which jobs to list. A multi-user server requires a namespace or an experiment.
    ListJobs {
        /// Whose jobs: an experiment's or a namespace's.
        reference: ResourceKey,
    }
}

impl ListJobs {
    /// The jobs of this experiment.
    #[must_use]
    pub fn experiment(self, id: impl Into<ExperimentId>) -> Self {
        self.reference(ResourceKey::new(ResourceType::Experiment, id.into()))
    }

    /// The jobs of this namespace.
    #[must_use]
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        self.reference(ResourceKey::new(ResourceType::Namespace, namespace))
    }
}

/// Operations on jobs; made by [`V1::jobs`](super::V1::jobs).
#[derive(Debug, Clone)]
pub struct Jobs {
    client: Client,
}

impl Jobs {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    fn call(&self, operation: &'static str, method: Method, rest: &[&str]) -> Result<Call> {
        let mut path = vec![ROOT[0], ROOT[1], "jobs"];
        path.extend(rest);
        Call::new(operation, method, &self.client.inner.base, &path)
    }

    /// Makes a job. A stored pipeline without a version is pinned to its default version of this moment.
    ///
    /// The request is sent once and never broken off: the server makes a Kubernetes resource before its own record. If
    /// the answer is lost, the job is looked for by its name, if that is [unique](CreateJob::name_is_unique): names may
    /// repeat, and the id is the server's.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] if there is a job of the name that was said to be unique; nothing was submitted then.
    /// [`Error::NamedOutcomeUnknown`] if the answer was lost and the job was not found.
    pub async fn create(&self, request: CreateJob) -> Result<Job> {
        let submitted = Submitted {
            name_is_unique: request.name_is_unique,
            ..Submitted::new(Resource::RecurringRun, &request.name)
        };
        let within = request.experiment_id.clone();
        let within = within.map(|id| ResourceKey::new(ResourceType::Experiment, id));
        let newer = request.plan.is_newer_format();
        let body = request.body(self.client.server_version())?;
        let call = self.call("v1.jobs.create", Method::POST, &[])?.json(&body)?;
        let call = call.needs(Feature::NEWER_FORMAT, newer);
        if let Some((_, bytes)) = &call.body {
            storable("pipeline or parameters", &String::from_utf8_lossy(bytes))?;
        }
        let name = submitted.name.clone();
        let find = || async { Ok(self.find_by_name(&name, within.as_ref()).await?.into_iter().next()) };
        let mut claim = None;
        if submitted.name_is_unique {
            let place = within.as_ref().map_or("", |key| &*key.id);
            let key = format!("recurring {place}/{name}");
            claim = Some(Claim::new(&self.client.inner, &call, "name", key)?);
            if find().await?.is_some() {
                return Err(submit::taken(&call, &submitted));
            }
        }
        submit::named(&self.client.inner, &call, claim, submitted, find).await
    }

    /// All jobs of exactly this name, oldest first. A multi-user server requires `within`: an experiment or a
    /// namespace.
    ///
    /// With a name that no other job has, this finds the one whose creation was not answered, also after a crash.
    pub async fn find_by_name(&self, name: &str, within: Option<&ResourceKey>) -> Result<Vec<Job>> {
        let mut request = ListJobs::new().filter(Filter::new().equals("name", name));
        request.reference = within.cloned();
        let found: Vec<Job> = self.list_all(request).try_collect().await?;
        // The database compares without regard to case.
        Ok(found.into_iter().filter(|found| found.name == name).collect())
    }

    /// Gets a job. [`Error::NotFound`] if there is none of that id.
    pub async fn get(&self, id: &JobId) -> Result<Job> {
        let id = path_id("id", id.as_str())?;
        let call = self.call("v1.jobs.get", Method::GET, &[id])?;
        self.client.inner.json(&call).await
    }

    /// Gets a job, or `None` if there is none of that id.
    pub async fn get_opt(&self, id: &JobId) -> Result<Option<Job>> {
        optional(self.get(id).await)
    }

    /// Lists one page. Filter keys of every release: `id`, `name`, `created_at`, `updated_at`, `description`.
    pub async fn list(&self, request: &ListJobs) -> Result<Page<Job>> {
        let call = self.call("v1.jobs.list", Method::GET, &[])?;
        let key = request.reference.as_ref();
        self.client
            .page(&list_query(call, "resource_reference_key", key, request)?)
            .await
    }

    /// Lists all pages, fetched as they are needed.
    pub fn list_all(&self, request: ListJobs) -> impl Stream<Item = Result<Job>> + Send + 'static {
        page::all(self.clone(), request, |this, request| async move {
            this.list(&request).await
        })
    }

    /// Lets a job start runs.
    pub async fn enable(&self, id: &JobId) -> Result<()> {
        let id = path_id("id", id.as_str())?;
        let call = self.call("v1.jobs.enable", Method::POST, &[id, "enable"])?;
        self.client.inner.done(&call).await
    }

    /// Lets a job start no more runs; those in progress go on.
    pub async fn disable(&self, id: &JobId) -> Result<()> {
        let id = path_id("id", id.as_str())?;
        let call = self.call("v1.jobs.disable", Method::POST, &[id, "disable"])?;
        self.client.inner.done(&call).await
    }

    /// Deletes a job; its runs stay.
    pub async fn delete(&self, id: &JobId) -> Result<()> {
        let id = path_id("id", id.as_str())?;
        let call = self.call("v1.jobs.delete", Method::DELETE, &[id])?;
        self.client.inner.done(&call).await
    }
}
