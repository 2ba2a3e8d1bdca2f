//! Renews this server's own certificate.

use crate::app::App;
use std::time::{Duration, SystemTime};
use taskyard_tls::RENEW_AFTER;

/// How often a server looks how old its certificate is.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Signs a new certificate for this server now and then.
pub(crate) async fn keep_renewed(app: App) {
    let Some(secured) = &app.secured else { return };
    let mut signed = SystemTime::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // By the wall clock, as certificates are: a machine may have slept. A clock that was set back is a reason too.
        if signed.elapsed().is_ok_and(|age| age < RENEW_AFTER) {
            continue;
        }
        match secured.renew() {
            Ok(()) => signed = SystemTime::now(),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "this server's certificate is not renewed");
            }
        }
    }
}
