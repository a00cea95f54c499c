//! What is wrong, as `application/problem+json` (RFC 9457). The one place that turns errors into status codes.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use narrows_control::{ControlError, lifecycle::ServerError};
use narrows_core::{change::Refusal, ports::AppendError, problem, resource::ObjectKey};
use serde::{Deserialize, Serialize};

use crate::{Named, ObjectDifference, Violation};

/// Why a request was not answered as asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `urn:narrows:problem:` and one of a closed list of words.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong in this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What is wrong with the resources, each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ResourceProblem>,
    /// What was changed since the revision that the request was made for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ObjectDifference>,
    /// The resources that are in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Named>,
    /// What does not comply with policies: all of it, also what would not refuse the change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
}

/// One thing that is wrong with resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceProblem {
    /// The document's name.
    pub file: String,
    /// Line, from 1; 0 where it is not known.
    pub line: u32,
    /// Column, from 1; 0 where it is not known.
    pub column: u32,
    /// What, beginning with resource and field.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&problem::Problem> for ResourceProblem {
    fn from(problem: &problem::Problem) -> Self {
        Self {
            file: problem.place.file.to_string(),
            line: problem.place.line,
            column: problem.place.column,
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }
}

/// All kinds of problems, with their status and title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unauthenticated,
    BadRequest,
    UnsupportedMediaType,
    TooLarge,
    NotFound,
    MethodNotAllowed,
    Stale,
    Followed,
    Denied,
    Conflict,
    Invalid,
    Unavailable,
    InDoubt,
    Internal,
}

impl Kind {
    fn described(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthenticated => {
                (StatusCode::UNAUTHORIZED, "unauthenticated", "it is not known who asks")
            }
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "the request can't be understood"),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "the body is not of a kind that is read",
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "there is no such thing"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "that can't be done here")
            }
            Self::Stale => (StatusCode::CONFLICT, "stale", "something was changed meanwhile"),
            Self::Followed => (StatusCode::CONFLICT, "followed", "resources follow a file"),
            Self::Denied => (StatusCode::FORBIDDEN, "denied", "policies refuse the change"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "things are not such that it could be done"),
            Self::Invalid => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "the resources are not as they have to be")
            }
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the change can't be carried out now")
            }
            Self::InDoubt => (
                StatusCode::SERVICE_UNAVAILABLE,
                "in-doubt",
                "it is not known whether the change was carried out",
            ),
            Self::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "something failed that should not")
            }
        }
    }
}

/// What is answered instead of what was asked for.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Box<Problem>);

impl Refused {
    pub(crate) fn new(kind: Kind) -> Self {
        let (status, word, title) = kind.described();
        Self(Box::new(Problem {
            kind: format!("urn:narrows:problem:{word}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: None,
            hint: None,
            problems: Vec::new(),
            changes: Vec::new(),
            objects: Vec::new(),
            violations: Vec::new(),
        }))
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn objects<'a>(mut self, keys: impl Iterator<Item = &'a ObjectKey>) -> Self {
        self.0.objects = keys.map(Named::from).collect();
        self
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        *Refused::from(error).0
    }
}

impl From<ControlError> for Refused {
    fn from(error: ControlError) -> Self {
        let said = problem::with_sources(&error);
        let new = |kind| Self::new(kind).detail(said.clone());
        let disk = |kind, state: &narrows_core::ports::StateError| match state.hint {
            Some(hint) => new(kind).hint(hint),
            None => new(kind),
        };
        match &error {
            ControlError::Refused(refusal) => refused(refusal),
            ControlError::Unrecorded(AppendError::TooLarge { .. }) => {
                new(Kind::Invalid).hint("divide the resource into several")
            }
            ControlError::Unrecorded(AppendError::Unwritable { .. }) => new(Kind::Unavailable)
                .hint("nothing was changed; free space on the disk of the data directory"),
            ControlError::Unrecorded(AppendError::Full | AppendError::Closed) => {
                new(Kind::Unavailable).hint("nothing was changed; try again in a moment")
            }
            ControlError::Unsaved(state) | ControlError::Unreadable(state) => disk(Kind::Unavailable, state),
            ControlError::InDoubt(state) => disk(Kind::InDoubt, state),
            ControlError::NoRevision(_) => {
                new(Kind::NotFound).hint("`narrows revisions list` says which there are")
            }
            ControlError::Busy | ControlError::Closed => new(Kind::Unavailable).hint("try again in a moment"),
            ControlError::Damaged { .. } | ControlError::System(_) => new(Kind::Internal),
        }
    }
}

impl From<ServerError> for Refused {
    fn from(error: ServerError) -> Self {
        let new = |kind| Self::new(kind).detail(problem::with_sources(&error));
        match &error {
            ServerError::NoServer(_) => {
                new(Kind::NotFound).hint("`narrows server list` says which there are")
            }
            ServerError::Stopped(_) => new(Kind::Conflict).hint("let it run: scale it to 1"),
            ServerError::NotRunning => new(Kind::Conflict).hint("servers run while `narrows up` does"),
            ServerError::Unrecorded(AppendError::Unwritable { .. }) => {
                new(Kind::Unavailable).hint("nothing was done; free space on the disk of the data directory")
            }
            ServerError::Unrecorded(_) => {
                new(Kind::Unavailable).hint("nothing was done; try again in a moment")
            }
            ServerError::Unreadable(_) => new(Kind::Unavailable),
            ServerError::System(_) => new(Kind::Internal),
        }
    }
}

fn refused(refusal: &Refusal) -> Refused {
    match refusal {
        Refusal::Stale { base, current } => Refused::new(Kind::Stale)
            .detail(format!("the change was made for revision {base}, and revision {current} is in force"))
            .hint(format!("look at what was changed, and make it for revision {}", current.number)),
        Refusal::Followed(followed) => {
            let names: Vec<_> =
                followed.iter().map(|(key, file)| format!("{key} follows `{file}`")).collect();
            Refused::new(Kind::Followed)
                .detail(names.join("; "))
                .hint(
                    "edit the file; or, where no running Narrows follows it, take the resource over (`takeOver`, `narrows apply \
                     -f FILE --take-over`)",
                )
                .objects(followed.iter().map(|(key, _)| key))
        }
        Refusal::Missing(keys) => {
            let names: Vec<_> = keys.iter().map(ToString::to_string).collect();
            Refused::new(Kind::NotFound)
                .detail(format!("there is no {}", names.join(" and no ")))
                .hint("nothing was changed")
                .objects(keys.iter())
        }
        Refusal::Both(keys) => {
            let names: Vec<_> = keys.iter().map(ToString::to_string).collect();
            Refused::new(Kind::BadRequest)
                .detail(format!("to be put in place and to be removed at once: {}", names.join(", ")))
                .hint("leave it out in one of the two")
                .objects(keys.iter())
        }
        Refusal::Problems(problems) => {
            let mut refused = Refused::new(Kind::Invalid);
            refused.0.problems = problems.iter().map(ResourceProblem::from).collect();
            refused
        }
        Refusal::Denied(denied) => {
            let counted = denied.violations.iter().filter(|violation| violation.denies()).count();
            let what = if counted == 1 { "violation" } else { "violations" };
            let mut refused = Refused::new(Kind::Denied)
                .detail(format!("{counted} {what} of policies"))
                .hint(
                    "mend the resources; or, where somebody answers for it, put a PolicyExemption in place, which ends by itself",
                )
                .objects(denied.changes.iter().map(|change| &change.key));
            refused.0.violations = denied.violations.iter().map(Violation::from).collect();
            refused
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = crate::answer::json(status, "application/problem+json", &self.0);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}
