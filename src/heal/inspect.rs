//! Looks an app up on its host, and says what is there in the words of a watcher: for the supervisor, when it has to
//! know and cannot wait to be told.

use std::sync::Arc;

use crate::clock;
use crate::deploy::Error;
use crate::deploy::remote::Pool;
use crate::fleet::{AppName, Fact, Freshness, Host, Observation, Role, Subject};

/// What is deployed of an app and whether it runs, as it is now.
pub(super) async fn inspect(pool: &Pool, host: &Host, app: &AppName) -> Result<Vec<Observation>, Error> {
    let remote = pool.get(host).await?;
    let now = clock::now();
    let deployed = remote.app(app).await?;
    let observe = |subject, fact| Observation {
        at: now,
        host: host.name.clone(),
        subject,
        freshness: Freshness::Live,
        fact,
    };
    let (Some(live), Some(found), Some(deployment)) =
        (&deployed.live, &deployed.situation.live, deployed.situation.deployment(now))
    else {
        return Ok(Vec::new());
    };
    let subject = Arc::new(Subject {
        app: app.clone(),
        release: found.record.release.clone(),
        container: live.id.clone(),
        role: Role::Live,
        profile: found.record.profile(&live.labels),
    });
    let state = Fact::State {
        running: live.state.is_running(),
        started_at: live.state.started_at,
        restart_count: live.restart_count,
        health: live.health,
    };
    Ok(vec![
        observe(Some(Arc::clone(&subject)), Fact::Deployed { deployment }),
        observe(Some(subject), state),
    ])
}
