//! What goes beyond a bound and is refused or cut off for it: counted by reason, and said in the log, so that an operator
//! sees an attack that came to nothing. A line of each reason is written at most once in [`INTERVAL`], with how many there
//! were since the one before: who floods us must not flood the log. Nothing of a request but whose it is gets here, and
//! what is within its bounds costs nothing.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// From one line of a reason to the next.
const INTERVAL: Duration = Duration::from_secs(10);

/// Which bound it was. The words for each stand beside the bounds in `docs/operations.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A TLS handshake took too long.
    SlowHandshake,
    /// A request's head took too long, or its first byte did.
    SlowHead,
    /// A request's head is too large.
    HeadTooLarge,
    /// What came is no HTTP.
    Malformed,
    /// A request can be read in two ways.
    Ambiguous,
    /// Requests of one principal.
    TooManyRequests,
    /// A body took too long.
    SlowBody,
    /// A body is too large.
    BodyTooLarge,
    /// There is no room for a body beside the others that are under way.
    NoRoom,
    /// HTTP/2 frames that ask for nothing, or take back what they asked for.
    FrameFlood,
    /// The client does not read what it asked for.
    Unread,
    /// The client sends where nothing is read any more.
    Unasked,
}

impl Reason {
    const ALL: [Self; 12] = [
        Self::SlowHandshake,
        Self::SlowHead,
        Self::HeadTooLarge,
        Self::Malformed,
        Self::Ambiguous,
        Self::TooManyRequests,
        Self::SlowBody,
        Self::BodyTooLarge,
        Self::NoRoom,
        Self::FrameFlood,
        Self::Unread,
        Self::Unasked,
    ];

    /// As it is written, in labels as in the log.
    fn as_str(self) -> &'static str {
        match self {
            Self::SlowHandshake => "slow_handshake",
            Self::SlowHead => "slow_head",
            Self::HeadTooLarge => "head_too_large",
            Self::Malformed => "malformed",
            Self::Ambiguous => "ambiguous",
            Self::TooManyRequests => "too_many_requests",
            Self::SlowBody => "slow_body",
            Self::BodyTooLarge => "body_too_large",
            Self::NoRoom => "no_room",
            Self::FrameFlood => "frame_flood",
            Self::Unread => "unread",
            Self::Unasked => "unasked",
        }
    }
}

/// Whose it is that went beyond a bound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) ip: &'a str,
    /// Known where a token was verified before.
    pub(crate) subject: Option<&'a str>,
}

/// All of it. One for the gateway.
pub(crate) struct Cuts([Kind; Reason::ALL.len()]);

/// What is known of one reason.
struct Kind {
    reason: Reason,
    total: Counter,
    unsaid: Mutex<Unsaid>,
}

/// What the log does not say yet.
#[derive(Debug, Default)]
struct Unsaid {
    count: u64,
    said: Option<Instant>,
    /// The last one's.
    ip: String,
    subject: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

impl Cuts {
    /// With a counter of each reason, from the start, among these metrics.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let totals = Family::<ReasonLabel, Counter>::default();
        registry.register(
            "cut",
            "Requests refused and connections closed for going beyond a bound, by reason",
            totals.clone(),
        );
        Self(Reason::ALL.map(|reason| Kind {
            reason,
            total: totals.get_or_create(&ReasonLabel { reason: reason.as_str() }).clone(),
            unsaid: Mutex::default(),
        }))
    }

    /// Takes note of one.
    pub(crate) fn note(&self, reason: Reason, whose: Whose<'_>) {
        let Some(kind) = self.0.iter().find(|kind| kind.reason == reason) else { return };
        kind.total.inc();
        let mut unsaid = kind.unsaid();
        unsaid.add(whose);
        unsaid.say_if_due(reason, Instant::now());
    }

    /// Says what was not said when it happened, until stopped.
    pub(crate) async fn report(&self, stop: CancellationToken) {
        while tokio::time::timeout(INTERVAL, stop.cancelled()).await.is_err() {
            let now = Instant::now();
            self.0.iter().for_each(|kind| kind.unsaid().say_if_due(kind.reason, now));
        }
        self.0.iter().for_each(|kind| kind.unsaid().say(kind.reason));
    }
}

impl Kind {
    fn unsaid(&self) -> std::sync::MutexGuard<'_, Unsaid> {
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unsaid {
    fn add(&mut self, whose: Whose<'_>) {
        self.count += 1;
        whose.ip.clone_into(&mut self.ip);
        self.subject = whose.subject.map(str::to_owned);
    }

    fn is_due(&self, now: Instant) -> bool {
        self.count > 0 && self.said.is_none_or(|said| now.saturating_duration_since(said) >= INTERVAL)
    }

    fn say_if_due(&mut self, reason: Reason, now: Instant) {
        if self.is_due(now) {
            self.said = Some(now);
            self.say(reason);
        }
    }

    fn say(&mut self, reason: Reason) {
        let count = std::mem::take(&mut self.count);
        if count > 0 {
            tracing::warn!(
                reason = reason.as_str(),
                count,
                ip = self.ip,
                subject = self.subject,
                "refused or cut off"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    const WHOSE: Whose<'_> = Whose { ip: "192.0.2.1", subject: Some("ann") };

    #[tokio::test(start_paused = true)]
    async fn a_line_says_how_many_there_were_and_waits_for_its_time() {
        let mut unsaid = Unsaid::default();
        // Seconds since the one before, and whether a line is due with it, and of how many.
        for (pause, expected) in
            [(0, Some(1)), (0, None), (9, None), (1, Some(3)), (3600, Some(1)), (1, None)]
        {
            tokio::time::advance(Duration::from_secs(pause)).await;
            unsaid.add(WHOSE);
            let now = Instant::now();
            let said = unsaid.is_due(now).then_some(unsaid.count);
            unsaid.say_if_due(Reason::FrameFlood, now);
            assert_eq!(said, expected, "after {pause} s");
        }
        assert_eq!(unsaid.count, 1, "what is left is said by and by");
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_last_is_said_without_another_one() {
        let cuts = Cuts::register(&mut Registry::default());
        let unsaid = || cuts.0.iter().map(|kind| kind.unsaid().count).sum::<u64>();
        (0..3).for_each(|_| cuts.note(Reason::SlowHead, WHOSE));
        cuts.note(Reason::SlowBody, WHOSE);
        assert_eq!(unsaid(), 2, "the first of each was said");
        let _running = tokio::time::timeout(INTERVAL * 2, cuts.report(CancellationToken::new())).await;
        assert_eq!(unsaid(), 0);
        (0..3).for_each(|_| cuts.note(Reason::SlowHead, WHOSE));
        let stop = CancellationToken::new();
        stop.cancel();
        cuts.report(stop).await;
        assert_eq!(unsaid(), 0);
    }

    #[test]
    fn each_reason_has_a_counter_of_its_own_from_the_start() {
        let mut registry = Registry::with_prefix("narrows");
        let cuts = Cuts::register(&mut registry);
        for (count, reason) in (0..).zip(Reason::ALL) {
            (0..count).for_each(|_| cuts.note(reason, WHOSE));
        }
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for (count, reason) in (0..).zip(Reason::ALL) {
            let line = format!("narrows_cut_total{{reason=\"{}\"}} {count}\n", reason.as_str());
            assert!(text.contains(&line), "{line} is not in:\n{text}");
        }
    }
}
