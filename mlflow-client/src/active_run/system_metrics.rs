//! The load of the machine, logged while a run lasts, by the names that MLflow gives to it.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    client::Client,
    error::{Error, Result},
    ids::RunId,
    limits,
    metric::Metric,
    runs::{LogBatch, Run},
};

const PREFIX: &str = "system/";
/// How long the end of a run waits for the last values.
const STOP: Duration = Duration::from_secs(5);

/// Logs the load of the machine while a run lasts: `system/cpu_utilization_percentage`,
/// `system/system_memory_usage_megabytes`, `system/system_memory_usage_percentage`, `system/disk_usage_percentage`,
/// `system/disk_usage_megabytes`, `system/disk_available_megabytes`, `system/network_receive_megabytes` and
/// `system/network_transmit_megabytes`, as MLflow's Python client does; a megabyte has 10⁶ bytes. Network traffic counts from
/// the start of the run, over all interfaces.
///
/// Read from `/proc`, so on Linux only; elsewhere nothing is logged, which a warning says. GPUs are not looked at. What cannot
/// be logged is warned of and does not disturb the run.
#[derive(Debug, Clone)]
#[must_use]
pub struct SystemMetrics {
    interval: Duration,
    samples: u32,
    node: Option<String>,
}

impl Default for SystemMetrics {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            samples: 1,
            node: None,
        }
    }
}

impl SystemMetrics {
    /// Every ten seconds.
    pub fn new() -> Self {
        Self::default()
    }

    /// As `MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL` (seconds), `MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING` and
    /// `MLFLOW_SYSTEM_METRICS_NODE_ID` say.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] that names the variable.
    pub fn from_env() -> Result<Self> {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let mut metrics = Self::new();
        let name = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL";
        if let Some(seconds) = text(name) {
            let seconds = seconds
                .parse()
                .ok()
                .filter(|seconds: &f64| (0.1..=86_400.0).contains(seconds));
            let seconds = seconds.ok_or_else(|| Error::invalid(name, "seconds, from 0.1 to 86400"))?;
            metrics.interval = Duration::from_secs_f64(seconds);
        }
        let name = "MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING";
        if let Some(samples) = text(name) {
            let samples = samples.parse().ok().filter(|samples| *samples > 0);
            metrics.samples = samples.ok_or_else(|| Error::invalid(name, "a whole number, at least 1"))?;
        }
        metrics.node = text("MLFLOW_SYSTEM_METRICS_NODE_ID");
        metrics.check()?;
        Ok(metrics)
    }

    /// How often the machine is looked at; default 10 s, at least 100 ms.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How many looks make one logged value, their mean; default 1.
    pub fn samples_before_logging(mut self, samples: u32) -> Self {
        self.samples = samples;
        self
    }

    /// Name of this machine among those that work on the run; it becomes a part of the metrics' names, as in
    /// `system/node_0/cpu_utilization_percentage`.
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.node = Some(name.into());
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.interval < Duration::from_millis(100) {
            return Err(Error::invalid("interval", "at least 100 ms"));
        }
        if self.samples == 0 {
            return Err(Error::invalid("samples_before_logging", "at least 1"));
        }
        limits::key("node", &format!("{}network_transmit_megabytes", self.prefix()))
    }

    fn prefix(&self) -> String {
        match &self.node {
            Some(node) => format!("{PREFIX}{node}/"),
            None => PREFIX.to_owned(),
        }
    }
}

/// The task that looks and logs.
#[derive(Debug)]
pub(super) struct Sampler {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Sampler {
    pub(super) fn start(client: &Client, run: &Run, settings: &SystemMetrics, resumed: bool) -> Self {
        Self::start_with(client, run, settings, resumed, Arc::new(machine::Machine))
    }

    fn start_with(client: &Client, run: &Run, settings: &SystemMetrics, resumed: bool, source: Arc<dyn Look>) -> Self {
        let (stop, stopped) = oneshot::channel();
        // A run that is taken up goes on with the steps it had.
        let earlier = run
            .data
            .metrics
            .iter()
            .filter(|metric| resumed && metric.key.starts_with(PREFIX));
        let first = earlier.map(|metric| metric.step.saturating_add(1)).max().unwrap_or(0);
        let work = Work {
            client: client.clone(),
            run: run.id().clone(),
            prefix: settings.prefix(),
            samples: settings.samples,
            step: first,
            source,
            collected: BTreeMap::new(),
        };
        Self {
            stop: Some(stop),
            task: tokio::spawn(work.until(stopped, settings.interval)),
        }
    }

    /// Logs what has been collected and ends.
    pub(super) async fn stop(mut self) {
        drop(self.stop.take());
        if tokio::time::timeout(STOP, &mut self.task).await.is_err() {
            tracing::warn!("the last system metrics could not be logged in time");
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Work {
    client: Client,
    run: RunId,
    prefix: String,
    samples: u32,
    step: i64,
    source: Arc<dyn Look>,
    /// Sum and count of each metric.
    collected: BTreeMap<&'static str, (f64, u32)>,
}

impl Work {
    async fn until(mut self, mut stopped: oneshot::Receiver<()>, interval: Duration) {
        // The first look is what later ones are compared to.
        let Some(mut before) = self.look().await else {
            return;
        };
        let first = before;
        let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = 0;
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                _ = ticks.tick() => {}
            }
            let Some(now) = self.look().await else {
                break;
            };
            for (name, value) in now.metrics(&before, &first) {
                let (sum, count) = self.collected.entry(name).or_default();
                // Traffic adds up by itself.
                if name.starts_with("network_") {
                    (*sum, *count) = (value, 1);
                } else {
                    *sum += value;
                    *count += 1;
                }
            }
            before = now;
            seen += 1;
            if seen >= self.samples {
                seen = 0;
                self.log().await;
            }
        }
        self.log().await;
    }

    async fn look(&self) -> Option<Reading> {
        let source = Arc::clone(&self.source);
        let reading = tokio::task::spawn_blocking(move || source.look()).await;
        match reading.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(reading) => Some(reading),
            Err(error) => {
                tracing::warn!(run = %self.run, %error, "no system metrics: the machine does not tell them");
                None
            }
        }
    }

    async fn log(&mut self) {
        if self.collected.is_empty() {
            return;
        }
        let collected = std::mem::take(&mut self.collected);
        let metrics = collected.into_iter().map(|(name, (sum, count))| {
            let mean = sum / f64::from(count.max(1));
            let value = if name.starts_with("network_") {
                mean
            } else {
                (mean * 10.0).round() / 10.0
            };
            Metric::new(format!("{}{name}", self.prefix), value).step(self.step)
        });
        let batch = LogBatch::new().metrics(metrics);
        self.step = self.step.saturating_add(1);
        if let Err(error) = self.client.runs().log_batch(&self.run, &batch).await {
            tracing::warn!(run = %self.run, %error, "system metrics could not be logged");
        }
    }
}

/// What the machine tells at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Reading {
    cpu_busy: u64,
    cpu_all: u64,
    memory_used: u64,
    memory_all: u64,
    disk_used: u64,
    disk_free: u64,
    received: u64,
    transmitted: u64,
}

/// Where readings come from.
trait Look: Send + Sync + std::fmt::Debug {
    fn look(&self) -> io::Result<Reading>;
}

#[allow(
    clippy::cast_precision_loss,
    reason = "counters of bytes and ticks, shown in megabytes and per cent"
)]
impl Reading {
    fn metrics(&self, before: &Self, first: &Self) -> [(&'static str, f64); 8] {
        let share = |part: u64, all: u64| {
            if all == 0 {
                0.0
            } else {
                part as f64 / all as f64 * 100.0
            }
        };
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let cpu = share(
            self.cpu_busy.saturating_sub(before.cpu_busy),
            self.cpu_all.saturating_sub(before.cpu_all),
        );
        [
            ("cpu_utilization_percentage", cpu),
            ("system_memory_usage_megabytes", megabytes(self.memory_used)),
            (
                "system_memory_usage_percentage",
                share(self.memory_used, self.memory_all),
            ),
            (
                "disk_usage_percentage",
                share(self.disk_used, self.disk_used.saturating_add(self.disk_free)),
            ),
            ("disk_usage_megabytes", megabytes(self.disk_used)),
            ("disk_available_megabytes", megabytes(self.disk_free)),
            (
                "network_receive_megabytes",
                megabytes(self.received.saturating_sub(first.received)),
            ),
            (
                "network_transmit_megabytes",
                megabytes(self.transmitted.saturating_sub(first.transmitted)),
            ),
        ]
    }
}

/// The machine that this runs on.
mod machine {
    #[cfg_attr(not(target_os = "linux"), allow(unused_imports, reason = "nothing is read there"))]
    use super::{Look, Reading, io};

    #[derive(Debug, Default)]
    pub(super) struct Machine;

    #[cfg(not(target_os = "linux"))]
    impl Look for Machine {
        fn look(&self) -> io::Result<Reading> {
            Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux is supported"))
        }
    }

    #[cfg(target_os = "linux")]
    impl Look for Machine {
        fn look(&self) -> io::Result<Reading> {
            let read = |path: &str| std::fs::read_to_string(path);
            let strange = |path: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{path} is not as expected"));
            let (cpu_busy, cpu_all) = cpu(&read("/proc/stat")?).ok_or_else(|| strange("/proc/stat"))?;
            let (memory_used, memory_all) = memory(&read("/proc/meminfo")?).ok_or_else(|| strange("/proc/meminfo"))?;
            // A container may have no network.
            let (received, transmitted) = read("/proc/net/dev").map(|text| network(&text)).unwrap_or_default();
            let disk = rustix::fs::statvfs("/")?;
            let size = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
            Ok(Reading {
                cpu_busy,
                cpu_all,
                memory_used,
                memory_all,
                disk_used: size(disk.f_blocks.saturating_sub(disk.f_bfree)),
                disk_free: size(disk.f_bavail),
                received,
                transmitted,
            })
        }
    }

    /// Ticks that the processors were busy, and all.
    pub(super) fn cpu(stat: &str) -> Option<(u64, u64)> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = line
            .split_ascii_whitespace()
            .map_while(|ticks| ticks.parse().ok())
            .collect();
        // user nice system idle iowait irq softirq steal; what guests use is in user and nice already.
        let all: u64 = ticks.iter().take(8).sum();
        let idle = ticks.get(3)?.saturating_add(ticks.get(4).copied().unwrap_or(0));
        Some((all.saturating_sub(idle), all))
    }

    /// Bytes of memory that are not available, and all.
    pub(super) fn memory(info: &str) -> Option<(u64, u64)> {
        let bytes = |name: &str| -> Option<u64> {
            let rest = info
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let kilobytes: u64 = rest.trim().trim_end_matches("kB").trim().parse().ok()?;
            kilobytes.checked_mul(1024)
        };
        let all = bytes("MemTotal")?;
        Some((all.saturating_sub(bytes("MemAvailable")?), all))
    }

    /// Bytes received and transmitted, over all interfaces.
    pub(super) fn network(dev: &str) -> (u64, u64) {
        dev.lines()
            .filter_map(|line| {
                let numbers: Vec<&str> = line.split_once(':')?.1.split_ascii_whitespace().collect();
                Some((
                    numbers.first()?.parse::<u64>().ok()?,
                    numbers.get(8)?.parse::<u64>().ok()?,
                ))
            })
            .fold((0, 0), |(received, transmitted), (more, out)| {
                (received.saturating_add(more), transmitted.saturating_add(out))
            })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read() {
        let stat = "cpu  100 5 20 800 50 3 2 0 9 9\ncpu0 1 1 1 1\n";
        assert_eq!(machine::cpu(stat), Some((130, 980)));
        let info = "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n";
        assert_eq!(machine::memory(info), Some((600 * 1024, 1000 * 1024)));
        let dev = "Inter-|   Receive  |  Transmit\n face |bytes    packets\n  lo: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\neth0: 5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n";
        assert_eq!(machine::network(dev), (15, 27));
        for text in ["", "cpu", "cpu  x", "MemTotal: x", ":::"] {
            assert_eq!(machine::cpu(text), None);
            assert_eq!(machine::memory(text), None);
            assert_eq!(machine::network(text), (0, 0));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_tells_its_load() {
        let now = machine::Machine.look().unwrap();
        assert!(now.memory_used > 0 && now.memory_used < now.memory_all, "{now:?}");
        assert!(now.cpu_all > 0 && now.disk_used > 0, "{now:?}");
    }

    #[test]
    fn settings_are_checked() {
        assert!(SystemMetrics::new().check().is_ok());
        for bad in [
            SystemMetrics::new().interval(Duration::ZERO),
            SystemMetrics::new().samples_before_logging(0),
            SystemMetrics::new().node("a$"),
            SystemMetrics::new().node("n".repeat(250)),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    #[derive(Debug, Default)]
    struct Scripted(Mutex<u64>);

    impl Look for Scripted {
        fn look(&self) -> io::Result<Reading> {
            let mut n = self.0.lock().unwrap();
            *n += 1;
            Ok(Reading {
                cpu_busy: *n * *n * 10,
                cpu_all: *n * 100,
                memory_used: *n * 1_000_000,
                memory_all: 100_000_000,
                received: *n * 2_000_000,
                ..Reading::default()
            })
        }
    }

    #[cfg(feature = "testing")]
    #[tokio::test]
    async fn means_are_logged_by_mlflows_names() {
        let running = crate::testing::MlflowServer::builder().build().start().await;
        let client = Client::builder(running.url()).unwrap().build().unwrap();
        let run = client.runs().create(crate::CreateRun::new("0")).await.unwrap();
        let settings = SystemMetrics::new()
            .interval(Duration::from_millis(100))
            .samples_before_logging(2)
            .node("n0");
        let source = Arc::new(Scripted::default());
        let sampler = Sampler::start_with(&client, &run, &settings, false, Arc::<Scripted>::clone(&source));
        // Five looks: one to compare to, and two times two.
        let until = Instant::now() + Duration::from_secs(20);
        while *source.0.lock().unwrap() < 5 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sampler.stop().await;
        let history = |key: &'static str| {
            let (client, id) = (client.clone(), run.id().clone());
            async move { client.runs().metric_history(&id, key).await.unwrap() }
        };
        let memory = history("system/n0/system_memory_usage_megabytes").await;
        assert_eq!(
            memory
                .iter()
                .take(2)
                .map(|point| (point.step, point.value))
                .collect::<Vec<_>>(),
            [(0, 2.5), (1, 4.5)]
        );
        let cpu = history("system/n0/cpu_utilization_percentage").await;
        // (30 + 50) / 2 and (70 + 90) / 2 of a hundred.
        assert_eq!((cpu[0].value, cpu[1].value), (40.0, 80.0));
        let network = history("system/n0/network_receive_megabytes").await;
        assert_eq!((network[0].value, network[1].value), (4.0, 8.0));
    }
}
