//! The running parts, made and taken down.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use narrows_control::{
    Controller,
    lifecycle::{ServerStatus, Servers},
};
use narrows_core::{audit::record_id, change::Following};
use narrows_egress::AddressPolicy;
use narrows_gateway::{
    Gateway, Limits, Parts, Settings, admin,
    identity::{self, Authenticator, Issuer, KeyPolicy},
};
use narrows_local::{
    LocalConfig, LocalServers,
    bridge::{Caps, Timing},
};
use narrows_mcp::handle::HandleKeys;
use narrows_store::{Log, OpenReport};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    demo, descriptors, follow,
    handed_over::HandedOver,
    inputs::{Certificate, Doors, Resources},
    live::Followers,
    plan::Plan,
    servers::{self, Health},
};
use crate::{
    api,
    data_dir::DataDir,
    environment::Environment,
    failure::Failure,
    keys::{self, Keys},
    telemetry::Telemetry,
};

/// How long parts other than the gateway may take to end.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long servers that never served may take to come up before agents are served without them.
const SETTLING: Duration = Duration::from_secs(10);

/// Everything that runs.
pub(super) struct System {
    /// The URL that agents use.
    pub(super) public_url: Url,
    /// Where health and metrics are.
    pub(super) admin_address: SocketAddr,
    /// Whether nothing is configured.
    pub(super) is_empty: bool,
    /// This program.
    pub(super) executable: PathBuf,
    /// The built-in issuer.
    pub(super) issuer: Issuer,
    kept: Kept,
    tasks: Tasks,
}

/// What outlives the tasks, to be closed after them.
struct Kept {
    log: Arc<Log>,
    local: Arc<LocalServers>,
    servers: Servers,
    authenticator: Arc<Authenticator>,
    telemetry: Option<Arc<Telemetry>>,
}

/// The tasks, in the two groups that are ended one after the other.
#[derive(Default)]
struct Tasks {
    /// What faces agents.
    front: JoinSet<Result<(), Failure>>,
    stop_front: CancellationToken,
    /// Everything else.
    behind: JoinSet<Result<(), Failure>>,
    stop_behind: CancellationToken,
    /// Servers are up, or had their time: whoever connects is let in.
    settled: CancellationToken,
}

impl System {
    /// Makes all parts, puts the first state in force and begins to serve.
    pub(super) async fn start(
        plan: &Plan,
        data_dir: &DataDir,
        environment: &Environment,
        door: Option<HandedOver>,
    ) -> Result<Self, Failure> {
        let executable = std::env::current_exe()
            .map_err(|error| Failure::new(format!("cannot tell where this program is: {error}")))?;
        let keys = Keys::load_or_create(data_dir)?;
        let installation = data_dir.installation_or(record_id(Timestamp::now(), keys::random()?))?;
        let issuer = installation.issuer(&keys.token_signing)?;
        let mut resources = Resources::read(plan, || demo::write(data_dir, &executable))?;
        let state = api::open_state(data_dir)?;
        follow::check(&state, &resources)?;
        let certificate = Certificate::read(plan)?;
        let doors = Doors::open(plan, door, certificate.as_ref()).await?;
        let public_url = plan.public_url(doors.agents_address)?;

        let (log, report) = api::open_log(data_dir, &installation, &keys.log_signing, &state)?;
        say(&report);
        api::check_state(data_dir, &state)?;
        let log = Arc::new(log);
        let local = Arc::new(local_servers(data_dir, environment, executable.clone())?);
        let own = vec![doors.agents_address, doors.admin_address];
        let addresses = Arc::new(AddressPolicy { allowed: plan.allow_upstream.clone(), own });
        let tls = narrows_egress::tls_config(&[]).map_err(|error| Failure::from_error(&error))?;
        let authenticator = Authenticator::new(identity::Settings {
            builtin: issuer.public().clone(),
            addresses: Arc::clone(&addresses),
            tls: Arc::clone(&tls),
            store: Arc::clone(&state) as _,
            clock: Timestamp::now,
            keys: KeyPolicy::default(),
        });
        let authenticator = Arc::new(authenticator.map_err(|error| Failure::from_error(&error))?);
        let telemetry = plan
            .otlp_traces
            .as_ref()
            .map(|endpoint| Telemetry::start(endpoint, Arc::clone(&tls), &installation.id));
        let telemetry = telemetry
            .transpose()
            .map_err(|error| Failure::from(error).in_usage("--otlp-traces"))?
            .map(Arc::new);
        let sockets = Arc::clone(&local);
        let health = Arc::new(Health::new(Arc::clone(&local)));
        let mut limits = Limits::default();
        limits.connections = descriptors::connections(limits.connections);
        let gateway = Gateway::new(Parts {
            settings: Settings {
                public_url: public_url.clone(),
                allowed_hosts: plan.allowed_hosts(&public_url),
                allowed_origins: plan.allowed_origins(&public_url),
                limits,
            },
            authenticator: Arc::clone(&authenticator),
            audit: Arc::clone(&log) as _,
            health: Arc::clone(&health) as _,
            handle_keys: HandleKeys::new(keys.handles.bytes(), &[])
                .map_err(|error| Failure::from_error(&error))?,
            digest_key: keys.digest.bytes(),
            address_policy: addresses,
            upstream_tls: tls,
            socket_of: Arc::new(move |id| sockets.socket(id)),
            clock: Timestamp::now,
            spans: telemetry.clone().map(|telemetry| telemetry as _),
        });
        let mut tasks = Tasks::default();
        let (servers, run) = servers::begin(
            Arc::clone(&log) as _,
            Arc::clone(&state) as _,
            Arc::clone(&local),
            Arc::clone(&gateway),
            &health,
            tasks.stop_behind.clone(),
        )?;
        tasks.behind(run);
        let live = Followers::new(servers.clone(), Arc::clone(&authenticator), Arc::clone(&gateway));
        let following = if resources.files.is_empty() { Following::Nothing } else { Following::Files };
        let mut control = api::control(&log, &state, Arc::new(live), following)?;
        follow::begin(&mut control, &mut resources).await?;
        let socket = api::Socket::open(data_dir)?;
        // Connections wait until then, and the first calls find the servers that are up in a moment.
        let resources_now = Arc::clone(&control.current().borrow().resources);
        let (wanted, is_empty) = (resources_now.servers.len(), resources_now.is_empty());
        let (settling, settled, stop) = (servers.clone(), tasks.settled.clone(), tasks.stop_behind.clone());
        tasks.behind(async move {
            tokio::select! {
                () = servers::settled(&settling, wanted, SETTLING) => {}
                () = stop.cancelled() => {}
            }
            settled.cancel();
            // A task that ends by itself would end the process.
            stop.cancelled().await;
        });
        let admin_address = doors.admin_address;
        let (controller, run) = narrows_control::serve(control, tasks.stop_behind.clone());
        tasks.behind(run);
        let people =
            narrows_console::Plane { controller: controller.clone(), servers: Some(servers.clone()) };
        tasks.start(gateway, doors, socket, people);
        tasks.follow(controller, resources, certificate);
        let kept = Kept { log, local, servers, authenticator, telemetry };
        Ok(Self { public_url, admin_address, is_empty, executable, issuer, kept, tasks })
    }

    /// Resolves when a part ended by itself, which none should.
    pub(super) async fn failed(&mut self) -> Failure {
        let ended = tokio::select! {
            Some(ended) = self.tasks.front.join_next() => ended,
            Some(ended) = self.tasks.behind.join_next() => ended,
        };
        match ended {
            Ok(Ok(())) => Failure::new("a part of narrows ended by itself"),
            Ok(Err(failure)) => failure,
            Err(panic) => Failure::new(format!("a part of narrows failed: {panic}")),
        }
    }

    /// Ends everything in order: connections, servers, the log.
    pub(super) async fn drain(self) -> Result<(), Failure> {
        let Self { kept, mut tasks, .. } = self;
        tasks.stop_front.cancel();
        while tasks.front.join_next().await.is_some() {}
        tasks.stop_behind.cancel();
        let rest = async { while tasks.behind.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, rest).await.is_err() {
            tracing::warn!("some tasks did not end and are left");
        }
        kept.authenticator.close().await;
        kept.local.shutdown().await;
        if let Some(telemetry) = kept.telemetry {
            telemetry.close().await;
        }
        kept.log.close().await.map_err(Failure::from_store)
    }

    /// How the demo's server fares.
    pub(super) fn demo_status(&self) -> Option<ServerStatus> {
        self.kept.servers.status(&demo::server()?)
    }
}

impl Tasks {
    /// What is asked by agents and by people.
    fn start(
        &mut self,
        gateway: Arc<Gateway>,
        doors: Doors,
        socket: api::Socket,
        people: narrows_console::Plane,
    ) {
        let (served, stop) = (Arc::clone(&gateway), self.stop_front.clone());
        let settled = self.settled.clone();
        self.front.spawn(async move {
            either(&settled, &stop).await;
            let ended = narrows_gateway::serve(served, doors.agents, stop).await;
            ended.map_err(|error| Failure::new(format!("the listener failed: {error}")))
        });
        let (served, stop) = (Arc::clone(&gateway), self.stop_behind.clone());
        let settled = self.settled.clone();
        self.behind.spawn(async move {
            either(&settled, &stop).await;
            let ended = admin::serve(served, doors.admin, stop).await;
            ended.map_err(|error| Failure::new(format!("the listener of health and metrics failed: {error}")))
        });
        let stop = self.stop_behind.clone();
        self.behind(async move { gateway.report_failures(stop).await });
        let stop = self.stop_behind.clone();
        self.behind.spawn(socket.serve(people, stop));
    }

    /// What comes by files.
    fn follow(&mut self, controller: Controller, resources: Resources, certificate: Option<Certificate>) {
        if !resources.files.is_empty() {
            let stop = self.stop_behind.clone();
            self.behind(follow::resources(controller, resources.files, resources.watch, stop));
        }
        if let Some(Certificate { tls, files }) = certificate {
            let stop = self.stop_behind.clone();
            self.behind(follow::tls(tls, files, stop));
        }
    }

    fn behind(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.behind.spawn(async move {
            task.await;
            Ok(())
        });
    }
}

/// Resolves when one of the two has happened.
async fn either(one: &CancellationToken, other: &CancellationToken) {
    tokio::select! {
        () = one.cancelled() => {}
        () = other.cancelled() => {}
    }
}

fn local_servers(
    data_dir: &DataDir,
    environment: &Environment,
    executable: PathBuf,
) -> Result<LocalServers, Failure> {
    let config = LocalConfig {
        executable,
        run_dir: data_dir.run(),
        servers_dir: data_dir.servers(),
        path: environment.path.clone(),
        lang: environment.lang.clone(),
        timing: Timing::default(),
        caps: Caps::default(),
    };
    LocalServers::new(config).map_err(|error| Failure::from_error(&error))
}

/// What a crash left, and what became of it.
fn say(report: &OpenReport) {
    if report.closed_unknown > 0 || report.closed_changes > 0 || report.truncated_bytes > 0 {
        tracing::warn!(
            unknown = report.closed_unknown,
            changes = report.closed_changes,
            cut_bytes = report.truncated_bytes,
            "the last run did not end in order; calls without an outcome are recorded as unknown"
        );
    }
    tracing::info!(records = report.records, "audit log open");
}
