use crate::{cli::TokenCreateArgs, data_dir::DataDir, failure::Failure};
pub(crate) fn create(_: &DataDir, _: &TokenCreateArgs) -> Result<(), Failure> {
    Ok(())
}
