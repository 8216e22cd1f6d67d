//! Whom a start may ask to be told of the workflow's end.

use everlog_engine::{limits::Limits, nexus::callback::SYSTEM_URL};
use everlog_proto::api::common::v1::{Callback, callback};
use tonic::Status;

use super::url;

/// `frontend.callbackURLMaxLength`
const URL_BYTES_MAX: usize = 1000;
/// `frontend.callbackHeaderMaxLength`
const HEADER_BYTES_MAX: usize = 8 << 10;

/// Callbacks are few, and lead to this cluster: no address is configured that one might go to, which is also the
/// real server's default.
pub(super) fn check(callbacks: &mut [Callback], limits: &Limits) -> Result<(), Status> {
    let most = limits.callbacks_max;
    if callbacks.len() > most {
        return refused(format!("cannot attach more than {most} callbacks to an execution"));
    }
    for callback in callbacks {
        let nexus = match &mut callback.variant {
            Some(callback::Variant::Nexus(nexus)) => nexus,
            Some(callback::Variant::Internal(_)) => {
                return refused("unsupported callback variant: *common.Callback_Internal_");
            }
            Some(callback::Variant::NexusHandler(_)) => {
                return refused("unsupported callback variant: *common.Callback_NexusHandler_");
            }
            None => return Err(Status::unimplemented("unknown callback variant: <nil>")),
        };
        if nexus.url.len() > URL_BYTES_MAX {
            let message =
                format!("invalid url: url length longer than max length allowed of {URL_BYTES_MAX}");
            return refused(message);
        }
        if nexus.url != SYSTEM_URL {
            match url::scheme(&nexus.url) {
                Err(fault) => return refused(format!("invalid callback url: {fault}")),
                Ok(scheme) if scheme != "http" && scheme != "https" => {
                    return refused(format!(
                        "invalid url: unknown scheme: {}",
                        nexus.url.replace(' ', "%20")
                    ));
                }
                Ok(_) => {
                    let url = &nexus.url;
                    return refused(format!(
                        "invalid url: url does not match any configured callback address: {url}"
                    ));
                }
            }
        }
        let bytes: usize = nexus.header.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > HEADER_BYTES_MAX {
            return refused(format!(
                "invalid header: header size longer than max allowed size of {HEADER_BYTES_MAX}"
            ));
        }
        let header = std::mem::take(&mut nexus.header);
        nexus.header = header.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
    }
    Ok(())
}

fn refused<T>(message: impl Into<String>) -> Result<T, Status> {
    Err(Status::invalid_argument(message))
}
