//! `narrows token create`: a token of the built-in issuer. The token is all that goes to standard output.

use jiff::Timestamp;
use narrows_core::audit::record_id;

use crate::{
    cli::TokenCreateArgs,
    data_dir::DataDir,
    failure::Failure,
    keys::{self, Keys},
    output, times,
};

/// Runs the command. Works whether or not `up` runs: the key is all that is needed.
pub(crate) fn create(data_dir: &DataDir, args: &TokenCreateArgs) -> Result<(), Failure> {
    let lifetime = times::duration(&args.ttl).map_err(|failure| failure.in_usage("--ttl"))?;
    let issuer = data_dir.installation()?.issuer(&Keys::token_signing(data_dir)?)?;
    let now = Timestamp::now();
    let token = issuer
        .issue(&args.subject, &args.groups, lifetime.unsigned_abs(), now, &record_id(now, keys::random()?))
        .map_err(|error| Failure::from_error(&error))?;
    output::write(&format!("{}\n", token.expose()))
}
