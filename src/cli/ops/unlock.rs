//! `arcane unlock`: shows the owner first; takes the lock away only when told to.

use serde_json::json;

use super::context;
use crate::cli::args::{Arguments, Unlock};
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::ui::{Tag, Ui};
use crate::deploy::Remote;
use crate::deploy::lock::Lock;

pub(super) async fn run(ui: &Ui, arguments: &Arguments, options: &Unlock) -> Result<u8, Failure> {
    let fleet = context::fleet(arguments)?;
    let host = fleet.host(options.host.as_str())?;
    let remote = Remote::connect(host).await?;
    let Some(holder) = Lock::holder(&remote.session).await? else {
        if options.json {
            ui.json(&json!({ "host": host.name, "locked": false }));
        } else {
            ui.out(&format!("{} is not locked.", host.name));
        }
        return Ok(exit::DONE);
    };
    if !options.yes {
        if options.json {
            ui.json(
                &json!({ "host": host.name, "locked": true, "owner": holder.owner, "number": holder.number }),
            );
        } else {
            ui.out(&format!("{} is locked by {holder}", host.name));
        }
        ui.tagged(
            Tag::Hint,
            &format!(
                "the lock frees itself when that arcane ends; take it away with `arcane unlock {} --yes`",
                host.name
            ),
        );
        return Ok(exit::REFUSED);
    }
    Lock::evict(&remote.session, &holder).await?;
    if options.json {
        ui.json(&json!({
            "host": host.name, "locked": false, "evicted": { "owner": holder.owner, "number": holder.number },
        }));
        return Ok(exit::DONE);
    }
    ui.out(&format!("Took the lock of {} away from {holder}", host.name));
    Ok(exit::DONE)
}
