//! What the process says while it runs, on standard error. Records of who did what are the audit log's, not this.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{cli::LogFormat, failure::Failure};

const DEFAULT: &str = "info";

/// Begins to log. `filter` is that of `NARROWS_LOG`, for example `debug` or `narrows_gateway=debug,info`.
pub(crate) fn start(format: LogFormat, filter: Option<&str>) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter.unwrap_or(DEFAULT)).map_err(|error| {
        Failure::usage(format!("NARROWS_LOG can't be read: {error}"))
            .hint("write a level, or targets with levels: `narrows_gateway=debug,info`")
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let text = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let started = match format {
        LogFormat::Text => registry.with(text.with_target(false)).try_init(),
        LogFormat::Json => registry.with(text.json().flatten_event(true)).try_init(),
    };
    started.map_err(|error| Failure::from_error(&error))
}
